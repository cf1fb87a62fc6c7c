"""Every number that is written is read back in sums, counts and buckets."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import Counter, Gauge, Histogram, Summary
from pytheus.metrics import Number

pytestmark = pytest.mark.property

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
BOUNDS = st.lists(FINITE.map(lambda bound: bound + 0.0), min_size=1, max_size=8, unique=True).map(sorted)


def _close(total: float, values: list[float]) -> bool:
    scale = math.fsum(abs(value) for value in values)
    return math.isclose(total, math.fsum(values), rel_tol=1e-9, abs_tol=scale * 1e-12)


@given(st.lists(st.floats(min_value=0, max_value=1e300), max_size=20))
def test_a_counter_is_the_sum_of_its_increments(amounts: list[float]) -> None:
    counter = Counter("x_total", "X.", registry=None)
    seen = [0.0]
    for amount in amounts:
        counter.inc(amount)
        seen.append(counter.value)
    assert seen == sorted(seen)
    assert counter.value == reduce(add, amounts, 0.0)
    assert _close(counter.value, amounts)


@given(st.lists(st.tuples(st.sampled_from(["inc", "dec", "set"]), FINITE), max_size=20))
def test_a_gauge_does_what_a_variable_does(writes: list[tuple[str, float]]) -> None:
    gauge = Gauge("x", "X.", registry=None)
    variable = 0.0
    for write, amount in writes:
        match write:
            case "inc":
                gauge.inc(amount)
                variable += amount
            case "dec":
                gauge.dec(amount)
                variable -= amount
            case _:
                gauge.set(amount)
                variable = amount
    assert gauge.value == variable or (math.isnan(gauge.value) and math.isnan(variable))


@given(st.lists(FINITE, max_size=30), BOUNDS)
def test_a_histogram_counts_each_value_into_every_bucket_that_holds_it(
    values: list[float], bounds: list[float]
) -> None:
    histogram = Histogram("x", "X.", buckets=bounds, registry=None)
    for value in values:
        histogram.observe(value)
    [family] = histogram.collect()
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.suffix == "_bucket"}
    total, count = (sample.value for sample in family.samples if sample.suffix != "_bucket")
    assert list(map(float, buckets)) == [*bounds, math.inf]
    assert list(buckets.values()) == [sum(value <= bound for value in values) for bound in [*bounds, math.inf]]
    assert list(buckets.values()) == sorted(buckets.values())
    assert count == buckets["+Inf"] == len(values) == histogram.count
    assert total == histogram.sum == reduce(add, values, 0.0)
    assert _close(total, values) or math.isinf(total)


@given(st.lists(FINITE, max_size=30))
def test_a_summary_counts_and_adds(values: list[float]) -> None:
    summary = Summary("x", "X.", registry=None)
    for value in values:
        summary.observe(value)
    assert (summary.count, summary.sum) == (len(values), reduce(add, values, 0.0))


@given(
    st.integers(-(10**300), 10**300)
    | st.booleans()
    | st.fractions(-(10**9), 10**9)
    | st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False)
)
def test_every_kind_of_number_counts_as_the_double_nearest_to_it(number: int | bool | Fraction | Decimal) -> None:
    value: Number = number
    gauge = Gauge("x", "X.", registry=None)
    gauge.set(value)
    assert gauge.value == float(number)
    assert type(gauge.value) is float
