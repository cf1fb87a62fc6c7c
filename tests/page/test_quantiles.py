"""Quantiles are those of Prometheus: linear within classic buckets, exponential within native ones.

The expected values are computed here from the rules in the documentation, by another way than the page does it:
https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.chromium import Tab
from pytheus import Histogram
from pytheus.metrics import NativeBuckets
from pytheus.native_bounds import upper_bound
from pytheus.native_buckets import NativeHistogram, combined
from pytheus.registry import CollectorRegistry
from tests.page.conftest import literal, number

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)

values = st.floats(-1e9, 1e9) | st.floats(allow_nan=False) | st.floats(1e-6, 10) | st.just(0.0)


def classic(q: float, bounds: list[float], counts: list[float]) -> float:
    rank = q * counts[-1]
    place = next(index for index, count in enumerate(counts) if count >= rank)
    if place == len(bounds) - 1:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    lower, below = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    if counts[place] == below:  # the rank is 0 in an empty bucket
        return math.nan
    return lower + (bounds[place] - lower) * (rank - below) / (counts[place] - below)


def native(q: float, histogram: NativeHistogram, total: float) -> float:
    """From the bucket with the rank, in ascending order for any q; the sum is not NaN."""
    threshold = histogram.zero_threshold
    schema = histogram.schema

    def lower_bound(index: int) -> float:
        # The zero bucket may end within a bucket.
        bound = upper_bound(index - 1, schema)
        return max(bound, threshold) if upper_bound(index, schema) > threshold else bound

    buckets = [(-upper_bound(i, schema), -lower_bound(i), n) for i, n in histogram.negative.items()]
    buckets += [(lower_bound(i), upper_bound(i, schema), n) for i, n in histogram.positive.items()]
    if histogram.zero_count:
        lower = -threshold if histogram.negative or not histogram.positive else 0.0
        upper = threshold if histogram.positive or not histogram.negative else 0.0
        buckets.append((lower, upper, histogram.zero_count))
    buckets = sorted(each for each in buckets if each[2])
    count = histogram.total
    if q < 0.5:
        rank, seen, ordered = q * count, 0.0, buckets
    else:
        rank, seen, ordered = (1 - q) * count, 0.0, buckets[::-1]
    place = 0
    while (seen := seen + ordered[place][2]) < rank:
        place += 1
    lower, upper, size = ordered[place]
    part = (rank - (seen - size)) / size if q < 0.5 else (seen - rank) / size
    if lower <= 0 <= upper:
        return lower + (upper - lower) * part
    if math.isinf(lower) or math.isinf(upper):
        return math.copysign(math.inf, upper if lower > 0 else lower) if 0 < part < 1 else math.nan
    if lower > 0:
        return power_of_2(math.log2(lower) + (math.log2(upper) - math.log2(lower)) * part)
    return -power_of_2(math.log2(-upper) + (math.log2(-lower) - math.log2(-upper)) * (1 - part))


def power_of_2(exponent: float) -> float:
    """As in Go and JavaScript, infinite beyond the largest number."""
    try:
        return float(2**exponent)
    except OverflowError:
        return math.inf


def as_native(histogram: NativeHistogram, total: float) -> dict[str, Any]:
    return {
        "schema": histogram.schema,
        "threshold": float(histogram.zero_threshold),
        "zero": histogram.zero_count,
        "count": histogram.total,
        "sum": total,
        "positive": [[i, n] for i, n in sorted(histogram.positive.items()) if n],
        "negative": [[i, n] for i, n in sorted(histogram.negative.items()) if n],
    }


def ask(tab: Tab, function: str, *arguments: object) -> list[float]:
    shown = ", ".join(map(literal, arguments))
    return [number(each) for each in tab.run(f"{literal(QUANTILES)}.map((q) => String({function}(q, {shown})))")]


def observed(values: list[float], options: NativeBuckets) -> tuple[NativeHistogram, float]:
    registry = CollectorRegistry()
    histogram = Histogram("h", "A histogram.", native=options, registry=registry)
    for value in values:
        histogram.observe(value)
    (row,) = histogram.rows()
    assert row.native is not None
    return row.native, row.numbers[0]


def close(ours: float, expected: float, least: float = 1e-300) -> bool:
    return math.isclose(ours, expected, rel_tol=1e-9, abs_tol=least)


@pytest.mark.property
@given(
    bounds=st.lists(st.floats(-100, 100), min_size=1, max_size=8, unique=True).map(sorted),
    sizes=st.lists(st.integers(0, 50), min_size=9, max_size=9),
)
@settings(max_examples=80)
def test_classic_quantiles_are_linear_within_a_bucket(scripts: Tab, bounds: list[float], sizes: list[int]) -> None:
    every = [*bounds, math.inf]
    counts = [float(sum(sizes[: index + 1])) for index in range(len(every))]
    ours = ask(scripts, "classicQuantile", every, counts)
    for q, quantile in zip(QUANTILES, ours, strict=True):
        if not counts[-1]:
            assert math.isnan(quantile)
            continue
        expected = classic(q, every, counts)
        assert close(quantile, expected, 1e-12) or (math.isnan(quantile) and math.isnan(expected)), q


@pytest.mark.property
@given(values=st.lists(values, min_size=1, max_size=60), growth=st.sampled_from([1.01, 1.1, 2.0, 100.0]))
@example(values=[0.0, 0.0, 1.0], growth=1.1)
@example(values=[-1.0, 0.0], growth=1.1)
@example(values=[math.inf, -math.inf, 1.7e308], growth=1.1)
@example(values=[1.7879845555345442e308], growth=1.01)
@settings(max_examples=80)
def test_native_quantiles_are_exponential_within_a_bucket(scripts: Tab, values: list[float], growth: float) -> None:
    options = NativeBuckets(growth=growth, max_buckets=0, zero_threshold=1e-3)
    histogram, total = observed(values, options)
    ours = ask(scripts, "nativeQuantile", as_native(histogram, 0.0))
    for q, quantile in zip(QUANTILES, ours, strict=True):
        expected = native(q, histogram, total)
        if not math.isnan(expected):
            assert close(quantile, expected), q


def test_nan_is_above_every_bucket(scripts: Tab) -> None:
    histogram, total = observed([1.0, math.nan, math.nan, math.nan], NativeBuckets())
    assert math.isnan(total)
    quantiles = ask(scripts, "nativeQuantile", as_native(histogram, total))
    # A quarter of the observations has a bucket.
    assert all(0.9 < quantile <= 1.0 for quantile in quantiles[:3])
    assert all(math.isnan(quantile) for quantile in quantiles[3:])


def test_without_observations_there_is_no_quantile(scripts: Tab) -> None:
    empty = NativeHistogram(3, 0.0, 0, {}, {})
    assert all(math.isnan(each) for each in ask(scripts, "nativeQuantile", as_native(empty, 0.0)))
    assert all(math.isnan(each) for each in ask(scripts, "classicQuantile", [1.0, math.inf], [0.0, 0.0]))
    assert all(math.isnan(each) for each in ask(scripts, "classicQuantile", [math.inf], [5.0]))


@pytest.mark.property
@given(
    first=st.lists(values, min_size=1, max_size=30),
    second=st.lists(values, min_size=1, max_size=30),
    growths=st.tuples(*[st.sampled_from([1.01, 1.1, 2.0])] * 2),
    thresholds=st.tuples(*[st.sampled_from([1e-3, 0.5, 2.0])] * 2),
)
@settings(max_examples=60)
def test_native_histograms_add_up_as_those_of_several_processes(
    scripts: Tab,
    first: list[float],
    second: list[float],
    growths: tuple[float, float],
    thresholds: tuple[float, float],
) -> None:
    parts = [
        observed(values, NativeBuckets(growth=growth, max_buckets=0, zero_threshold=threshold))[0]
        for values, growth, threshold in zip((first, second), growths, thresholds, strict=True)
    ]
    shown = [as_native(part, 0.0) for part in parts]
    added = f"addNative({literal(shown[0])}, {literal(shown[1])})"
    sum_ = scripts.run(f"((sum) => ({{...sum, threshold: String(sum.threshold)}}))({added})")
    expected = as_native(combined(parts), 0.0)
    assert number(sum_.pop("threshold")) == pytest.approx(expected.pop("threshold"), rel=1e-12)
    assert sum_ == expected


def test_bounds_are_those_of_pytheus(scripts: Tab) -> None:
    indexes = range(-1100, 1101, 7)
    for schema in range(-4, 9):
        span = [index for index in indexes if abs(index * 2.0**-schema) < 1000]
        ours = scripts.run(f"{literal(span)}.map((index) => String(nativeBound(index, {schema})))")
        for index, bound in zip(span, ours, strict=True):
            assert close(number(bound), upper_bound(index, schema))
    assert number(scripts.run("String(nativeBound(1024, 0))")) == upper_bound(1024, 0)
    assert number(scripts.run("String(nativeBound(1025, 0))")) == upper_bound(1025, 0)
