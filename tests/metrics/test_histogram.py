"""Histograms: buckets, their number and their sum, which always agree."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from pytheus import Histogram, generate_metrics
from pytheus.exceptions import BucketError, InvalidNameError
from pytheus.registry import CollectorRegistry


@pytest.fixture
def sizes(registry: CollectorRegistry) -> Histogram:
    return Histogram("sizes", "Sizes.", buckets=(1, 2.5, 10), registry=registry)


def test_it_is_exposed_with_cumulated_buckets_sum_and_count(sizes: Histogram, registry: CollectorRegistry) -> None:
    for value in (0.5, 1, 2, 11):
        sizes.observe(value)
    assert generate_metrics(registry).splitlines() == [
        "# HELP sizes Sizes.",
        "# TYPE sizes histogram",
        'sizes_bucket{le="1.0"} 2.0',
        'sizes_bucket{le="2.5"} 3.0',
        'sizes_bucket{le="10.0"} 3.0',
        'sizes_bucket{le="+Inf"} 4.0',
        "sizes_sum 14.5",
        "sizes_count 4.0",
    ]


def test_le_follows_the_labels(registry: CollectorRegistry) -> None:
    sizes = Histogram("sizes", "Sizes.", ["kind"], buckets=(1,), registry=registry)
    sizes.labels("a").observe(3)
    assert generate_metrics(registry).splitlines()[2:] == [
        'sizes_bucket{kind="a",le="1.0"} 0.0',
        'sizes_bucket{kind="a",le="+Inf"} 1.0',
        'sizes_sum{kind="a"} 3.0',
        'sizes_count{kind="a"} 1.0',
    ]


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (1, [1, 1, 1, 1]),
        (1.0000001, [0, 1, 1, 1]),
        (2.5, [0, 1, 1, 1]),
        (10, [0, 0, 1, 1]),
        (10.5, [0, 0, 0, 1]),
        (math.inf, [0, 0, 0, 1]),
        (-math.inf, [1, 1, 1, 1]),
        (-3, [1, 1, 1, 1]),
        (Decimal("2.5"), [0, 1, 1, 1]),
    ],
    ids=str,
)
def test_upper_bounds_are_inclusive(sizes: Histogram, value: float, counts: list[int]) -> None:
    sizes.observe(value)
    [family] = sizes.collect()
    assert [sample.value for sample in family.samples if sample.suffix == "_bucket"] == counts
    assert (sizes.count, sizes.sum) == (1.0, float(value))


def test_clear_starts_again_from_zero(sizes: Histogram, registry: CollectorRegistry) -> None:
    sizes.observe(3)
    generate_metrics(registry)
    sizes.clear()
    assert (sizes.count, sizes.sum) == (0.0, 0.0)
    assert [line.rpartition(" ")[2] for line in generate_metrics(registry).splitlines()[2:]] == ["0.0"] * 6
    sizes.observe(3)
    generate_metrics(registry)
    sizes.clear()
    # The counts are those of the last scrape, the sum is not.
    sizes.observe(4)
    assert generate_metrics(registry).endswith("sizes_sum 4.0\nsizes_count 1.0\n")


def test_le_is_no_label_of_a_users() -> None:
    with pytest.raises(InvalidNameError, match="'le'"):
        Histogram("sizes", "Sizes.", ["le"], registry=None)  # type: ignore[pytheus-name]  # on purpose


def test_a_failed_definition_leaves_nothing_behind(registry: CollectorRegistry) -> None:
    with pytest.raises(BucketError):
        Histogram("sizes", "Sizes.", buckets=(2, 1), registry=registry)
    assert "sizes" not in registry
    assert generate_metrics(registry) == ""
    Histogram("sizes", "Sizes.", buckets=(1, 2), registry=registry).observe(1)
    assert generate_metrics(registry).endswith("sizes_count 1.0\n")


def test_a_scrape_shows_what_changed_since_the_last_one(sizes: Histogram, registry: CollectorRegistry) -> None:
    for count in (1, 2, 3):
        sizes.observe(2)
        text = generate_metrics(registry)
        assert text == generate_metrics(registry)
        assert text.endswith(f"sizes_sum {2.0 * count}\nsizes_count {float(count)}\n")
