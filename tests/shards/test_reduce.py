"""Sums are rounded once."""

from __future__ import annotations

from fractions import Fraction
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.shards.reduce import exact_sum, parts_of

FINITE = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8)
MODEST = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8)


@given(FINITE)
def test_a_sum_is_the_double_nearest_to_the_exact_one(values: list[float]) -> None:
    exact = sum(map(Fraction, values))
    try:
        expected = float(exact)
    except OverflowError:
        expected = inf if exact > 0 else -inf
    assert exact_sum(values) == expected


@given(MODEST)
def test_parts_come_to_the_exact_sum(values: list[float]) -> None:
    assert sum(map(Fraction, parts_of(values))) == sum(map(Fraction, values))


@given(MODEST)
def test_parts_are_the_same_in_any_order(values: list[float]) -> None:
    assert parts_of(values) == parts_of(sorted(values))


@given(MODEST, MODEST)
def test_parts_are_the_same_in_any_grouping(one: list[float], other: list[float]) -> None:
    assert parts_of([*parts_of(one), *parts_of(other)]) == parts_of([*one, *other])


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=100))
def test_whole_numbers_are_one_part(values: list[int]) -> None:
    assert parts_of([float(value) for value in values]) == [float(sum(values))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([inf, 1.0], inf),
        ([-inf, 1e308], -inf),
        ([1e308] * 3, inf),
        ([-1e308] * 3, -inf),
        ([1e308, 1e308, -1e308], 1e308),
    ],
)
def test_what_no_double_holds_is_infinite(values: list[float], expected: float) -> None:
    assert exact_sum(values) == expected
    assert parts_of(values)[0] == expected


@pytest.mark.parametrize("values", [[nan, 1.0], [inf, -inf], [inf, nan]])
def test_what_has_no_sum_is_nan(values: list[float]) -> None:
    assert isnan(exact_sum(values))
    assert isnan(parts_of(values)[0])
