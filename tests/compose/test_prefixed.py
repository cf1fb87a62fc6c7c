"""`prefixed`: a registry under one more prefix."""

from __future__ import annotations

import pytest

from pytheus import Counter, generate_metrics
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


def test_the_collectors_are_the_originals() -> None:
    below = CollectorRegistry()
    counter = Counter("hits_total", "Hits.", registry=below)
    assert next(prefixed(below, "eu").collect()) is counter


def test_the_registry_below_is_exposed_as_before() -> None:
    below = CollectorRegistry()
    Counter("hits_total", "Hits.", registry=below)
    layer = prefixed(below, "eu")
    assert "\neu_hits_total 0.0\n" in generate_metrics(layer)
    assert "\nhits_total 0.0\n" in generate_metrics(below)


@pytest.mark.parametrize("prefix", ["", "a-b", "1"])
def test_an_invalid_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidNameError):
        prefixed(CollectorRegistry(), prefix)
