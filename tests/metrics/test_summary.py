"""Summaries: how many values there were, and their sum."""

from __future__ import annotations

import math

import pytest

from pytheus import Summary, generate_metrics
from pytheus.exceptions import InvalidNameError
from pytheus.registry import CollectorRegistry


@pytest.fixture
def sizes(registry: CollectorRegistry) -> Summary:
    return Summary("sizes", "Sizes.", registry=registry)


def test_it_is_exposed_with_sum_and_count(sizes: Summary, registry: CollectorRegistry) -> None:
    sizes.observe(0.5)
    sizes.observe(2)
    assert generate_metrics(registry) == ("# HELP sizes Sizes.\n# TYPE sizes summary\nsizes_sum 2.5\nsizes_count 2.0\n")


def test_labels_stand_on_both_lines(registry: CollectorRegistry) -> None:
    sizes = Summary("sizes", "Sizes.", ["kind"], registry=registry)
    sizes.labels("a").observe(3)
    assert generate_metrics(registry).endswith('sizes_sum{kind="a"} 3.0\nsizes_count{kind="a"} 1.0\n')


def test_negative_values_and_infinities_count(sizes: Summary) -> None:
    sizes.observe(-2)
    assert (sizes.count, sizes.sum) == (1.0, -2.0)
    sizes.observe(math.inf)
    assert (sizes.count, sizes.sum) == (2.0, math.inf)


def test_quantile_is_no_label_of_a_users() -> None:
    with pytest.raises(InvalidNameError, match="'quantile'"):
        Summary("sizes", "Sizes.", ["quantile"], registry=None)  # type: ignore[pytheus-name]  # on purpose


def test_clear_starts_again_from_zero(sizes: Summary, registry: CollectorRegistry) -> None:
    sizes.observe(3)
    generate_metrics(registry)
    sizes.clear()
    assert generate_metrics(registry).endswith("sizes_sum 0.0\nsizes_count 0.0\n")
