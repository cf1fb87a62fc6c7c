"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.top.quantities import duration, is_moment, quantity, rate, unit_of
from pytheus.top.sparkline import graph, resampled, sparkline
from pytheus.top.values import FamilyInfo

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "", "0"),
        (-3.0, "", "-3"),
        (99999.0, "", "99999"),
        (100000.0, "", "100k"),
        (0.5, "", "0.50"),
        (0.0123, "", "0.012"),
        (1e-7, "", "1e-07"),
        (999.96, "", "1000"),
        (1234.5, "", "1.23k"),
        (1e30, "", "1.0e+30"),
        (-2.5e9, "", "-2.50G"),
        (math.nan, "bytes", "NaN"),
        (-math.inf, "seconds", "-Inf"),
        (512.0, "bytes", "512B"),
        (1536.0, "bytes", "1.50KiB"),
        (1e15, "bytes", "909TiB"),
        (0.0, "seconds", "0s"),
        (1.5e-8, "seconds", "15.0ns"),
        (0.0005, "seconds", "500µs"),
        (59.99, "seconds", "1m00s"),
        (-7322.0, "seconds", "-2h02m"),
        (1e9, "seconds", "11574d"),
        (0.5, "ratio", "50.0%"),
        (12.5, "percent", "12.5%"),
    ],
)
def test_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_ascii_alone_has_another_micro() -> None:
    assert quantity(0.0005, "seconds", ascii_only=True) == "500us"


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("cpu_seconds_total", "", "seconds"),
        ("size_bytes", "", "bytes"),
        ("http.size.bytes", "", "bytes"),
        ("hits_total", "", ""),
        ("wait", "seconds", "seconds"),
        ("wait_seconds", "minutes", ""),
    ],
)
def test_the_unit_is_that_of_the_family_or_of_its_name(name: str, unit: str, expected: str) -> None:
    assert unit_of(FamilyInfo(name, "gauge", "", unit)) == expected


def test_moments_and_rates() -> None:
    assert is_moment(FamilyInfo("process_start_time_seconds", "gauge"))
    assert not is_moment(FamilyInfo("process_cpu_seconds_total", "counter"))
    assert rate(2048.0, "bytes") == "2.00KiB"


@pytest.mark.property
@given(st.floats(), st.sampled_from(["", "seconds", "bytes", "ratio", "percent"]))
def test_a_quantity_is_short(value: float, unit: str) -> None:
    assert len(quantity(value, unit)) <= 9
    assert len(duration(0.0 if not math.isfinite(value) else value)) <= 9


@pytest.mark.property
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats()), max_size=40),
    st.integers(1, 20),
    st.integers(1, 6),
    st.booleans(),
)
def test_graphs_have_their_size(points: list[tuple[float, float]], columns: int, height: int, ascii_only: bool) -> None:
    numbers = resampled(sorted(points), columns)
    assert len(numbers) <= columns
    assert len(sparkline(numbers, ascii_only=ascii_only)) == len(numbers)
    rows, low, high = graph(numbers, height, ascii_only=ascii_only)
    assert [len(row) for row in rows] == [len(numbers)] * height
    assert low <= high
    assert not ascii_only or all(row.isascii() for row in rows)
