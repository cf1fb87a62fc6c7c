"""The distribution."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytheus_multiprocess


def test_the_entry_point_names_the_package() -> None:
    (entry_point,) = entry_points(group="pytheus", name="multiprocess")
    assert entry_point.load() is pytheus_multiprocess
