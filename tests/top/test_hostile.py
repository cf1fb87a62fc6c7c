"""Values that no program should have, and damaged histograms: the screen shows them, and does not fail."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.native_buckets import NativeHistogram
from pytheus.testing import ParsedFamily, ParsedSample
from pytheus.top.history import History
from pytheus.top.screen import Screen, Status
from pytheus.top.sparkline import graph, sparkline
from pytheus.top.state import State
from pytheus.top.table import COLUMNS, Table
from pytheus.top.values import Distribution, FamilyInfo, Series, Snapshot, Value, shapes_of

pytestmark = pytest.mark.once


NUMBER = st.floats() | st.sampled_from([0.0, -0.0, 1e308, -1e308, math.inf, -math.inf, math.nan, 5e-324])
COUNTS = st.dictionaries(st.integers(-(2**63), 2**63) | st.integers(-9, 9), NUMBER.filter(lambda x: x >= 0), max_size=4)
NATIVE = st.builds(
    NativeHistogram,
    st.integers(-4, 8),
    st.floats(0, 1e308),
    NUMBER,
    COUNTS,
    COUNTS,
    NUMBER,
)


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    bounds = tuple(sorted(draw(st.lists(st.floats(allow_nan=False), max_size=4))))
    counts = tuple(draw(st.lists(NUMBER, min_size=len(bounds), max_size=len(bounds))))
    quantiles = tuple(draw(st.lists(st.tuples(NUMBER, NUMBER), max_size=2)))
    return Distribution(draw(NUMBER), draw(NUMBER), bounds, counts, quantiles, draw(st.none() | NATIVE))


@pytest.mark.property
@given(
    st.sampled_from(["counter", "gauge", "histogram", "gaugehistogram", "summary", "untyped", "info", "stateset"]),
    st.sampled_from(["x_seconds", "x_bytes", "x_ratio", "x_start_time_seconds", "x"]),
    st.lists(st.lists(NUMBER | distributions(), min_size=2, max_size=2), min_size=1, max_size=4),
    st.integers(1, 120),
    st.sampled_from([10.0, math.inf]),
)
def test_the_screen_shows_any_value(
    type_: str, name: str, readings: list[list[Value]], columns: int, window: float
) -> None:
    info = FamilyInfo(name, type_, "Help.")
    series = [Series(name, name, (("x", text),)) for text in "ab"]
    history = History()
    for at, values in enumerate(readings):
        history.add(float(at), Snapshot((info,), series, values))
    state = State()
    state.window_seconds = window
    screen = Screen(state, Table(history))
    for key in ("", *["s"] * len(COLUMNS), "tab", *["s"] * len(COLUMNS), "enter", "enter"):
        state.press(key, screen.rows, 10)
        assert len(screen.lines(columns, 24, Status("target"))) == 24
    assert state.view == "details"


@pytest.mark.property
@given(st.lists(NUMBER, max_size=9), st.integers(1, 5))
def test_graphs_show_any_number(values: list[float], height: int) -> None:
    assert len(sparkline(values)) == len(values)
    assert len(graph(values, height)[0]) == height


@pytest.mark.parametrize(
    ("schema", "threshold"), [(9, 0.0), (-53, 0.0), (-(10**9), 0.0), (0, math.nan), (0, math.inf), (0, -1.0)]
)
def test_native_buckets_that_do_not_exist_are_left_out(schema: int, threshold: float) -> None:
    native = NativeHistogram(schema, threshold, 1, {1: 1}, {})
    family = ParsedFamily("x", "histogram", "")
    family.samples.append(ParsedSample("x_count", (), 2.0, native=native))
    [shape] = shapes_of(FamilyInfo("x", "histogram"), family)
    assert shape.value([2.0], family.samples) == Distribution(2.0)
