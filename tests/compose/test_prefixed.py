"""`prefixed`: a registry under one more prefix."""

from __future__ import annotations

import pytest

from pytheus.compose import prefixed
from pytheus.exceptions import InvalidNameError
from pytheus.registry import CollectorRegistry


@pytest.mark.parametrize(("below", "expected"), [(None, "eu"), ("", "eu"), ("shop", "eu_shop")])
def test_it_comes_before_the_prefix_below(below: str | None, expected: str) -> None:
    assert prefixed(CollectorRegistry(prefix=below), "eu").prefix == expected


def test_prefixes_nest_from_the_outside_in() -> None:
    assert prefixed(prefixed(CollectorRegistry(prefix="c"), "b"), "a").prefix == "a_b_c"


def test_the_prefix_below_is_read_each_time() -> None:
    below = CollectorRegistry(prefix="old")
    layer = prefixed(below, "eu")
    below.prefix = "new"
    assert layer.prefix == "eu_new"


@pytest.mark.parametrize("prefix", ["", "a-b", "1"])
def test_an_invalid_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidNameError):
        prefixed(CollectorRegistry(), prefix)
