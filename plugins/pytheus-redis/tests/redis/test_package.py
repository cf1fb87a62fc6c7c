"""The distribution."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytheus_redis
from pytheus_redis.options import SCHEMES


def test_every_scheme_is_an_entry_point_of_the_one_module() -> None:
    found = {point.name: point.load() for point in entry_points(group="pytheus") if point.value == "pytheus_redis"}
    assert found == dict.fromkeys(SCHEMES, pytheus_redis)
