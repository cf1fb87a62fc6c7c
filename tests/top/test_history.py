"""Readings, what was added between them, and how many are kept."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.native_buckets import NativeHistogram
from pytheus.top.arithmetic import increase, total
from pytheus.top.history import History, Increase
from pytheus.top.values import Distribution, FamilyInfo, Series, Snapshot, Value

HITS = FamilyInfo("hits_total", "counter")
A, B = (Series("hits_total", "hits_total", (("x", name),)) for name in "ab")
INF = math.inf


def snapshot(values: dict[Series, Value]) -> Snapshot:
    return Snapshot((HITS,), list(values), list(values.values()))


def history_of(*values: Value, seconds: float = 1.0) -> History:
    history = History()
    for number, value in enumerate(values):
        history.add(number * seconds, snapshot({A: value}))
    return history


def test_one_reading_tells_no_increase() -> None:
    history = history_of(5.0)
    assert history.increase(A, 10) is None
    assert history.latest(A) == 5.0
    assert history.latest(B) is None
    assert history.increase(B, 10) is None


def test_a_window_begins_at_the_reading_that_is_as_old() -> None:
    history = history_of(0.0, 1.0, 3.0, 7.0, 15.0)
    assert history.increase(A, 2) == Increase(12.0, 2.0)
    assert history.increase(A, 0.1) == Increase(8.0, 1.0)
    assert history.increase(A, INF) == Increase(15.0, 4.0)
    increase = history.increase(A, 2)
    assert increase is not None
    assert increase.per_second == 6.0


def test_a_reset_adds_what_is_there_afterwards() -> None:
    history = history_of(100.0, 110.0, 4.0, 5.0)
    assert history.increase(A, INF) == Increase(15.0, 3.0)
    assert history.increase(A, 1) == Increase(1.0, 1.0)
    assert history.increases(A) == [(1.0, Increase(10.0, 1.0)), (2.0, Increase(4.0, 1.0)), (3.0, Increase(1.0, 1.0))]


def test_a_histogram_is_reset_if_any_of_its_counts_falls() -> None:
    before = Distribution(5.0, 9.0, (1.0, INF), (4.0, 5.0))
    # More observations than before, but fewer in the first bucket.
    after = Distribution(6.0, 20.0, (1.0, INF), (1.0, 6.0))
    assert increase(before, after) == after
    assert history_of(before, after, after._replace(observations=7.0, sum=21.0, counts=(2.0, 7.0))).increase(
        A, INF
    ) == (Increase(Distribution(7.0, 21.0, (1.0, INF), (2.0, 7.0)), 2.0))


def test_native_buckets_are_compared_in_the_coarser_schema_and_the_wider_zero_bucket() -> None:
    before = Distribution(6.0, 1.0, native=NativeHistogram(1, 0.1, 1, {1: 2, 2: 3}, {}))
    after = Distribution(10.0, 2.0, native=NativeHistogram(0, 0.5, 1, {1: 8, 2: 1}, {}))
    assert increase(before, after) == Distribution(4.0, 1.0, native=NativeHistogram(0, 0.5, 0, {1: 3, 2: 1}, {}))


def test_native_buckets_with_fewer_observations_were_reset() -> None:
    before = Distribution(5.0, 1.0, native=NativeHistogram(0, 0.0, 0, {1: 5}, {}))
    after = Distribution(6.0, 2.0, native=NativeHistogram(0, 0.0, 0, {1: 1, 2: 5}, {}))
    assert increase(before, after) == after


def test_readings_without_native_buckets_are_left_out_if_there_are_such_with() -> None:
    def distribution(count: float, *, native: bool) -> Distribution:
        buckets = NativeHistogram(0, 0.0, 0, {1: count}, {}) if native else None
        return Distribution(count, count, (INF,), (count,), (), buckets)

    values = [distribution(1.0, native=False), distribution(3.0, native=True), distribution(4.0, native=True)]
    added = history_of(*values).increase(A, INF)
    assert added is not None
    assert isinstance(added.value, Distribution)
    assert added.value.native == NativeHistogram(0, 0.0, 0, {1: 1.0}, {})


def test_a_series_that_comes_late_is_counted_from_its_first_reading() -> None:
    history = History()
    history.add(0.0, snapshot({A: 1.0}))
    history.add(1.0, snapshot({A: 2.0, B: 50.0}))
    assert history.increase(B, INF) is None
    history.add(2.0, snapshot({B: 53.0, A: 2.0}))
    assert history.increase(B, INF) == Increase(3.0, 1.0)
    assert history.increase(A, INF) == Increase(1.0, 2.0)


def test_a_reading_of_some_families_leaves_the_others_as_they_are() -> None:
    history = History()
    history.add(0.0, snapshot({A: 1.0, B: 2.0}))
    history.add(1.0, snapshot({A: 3.0}), is_whole=False)
    assert history.series == [A, B]
    assert history.latest(B) == 2.0
    assert history.increase(A, 10) == Increase(2.0, 1.0)
    history.add(2.0, snapshot({A: 4.0, B: 6.0}))
    assert history.increase(B, 10) == Increase(4.0, 2.0)


def test_a_series_that_is_there_twice_has_its_last_value() -> None:
    history = History()
    for at in (0.0, 1.0):
        history.add(at, Snapshot((HITS,), [A, A, B], [1.0, 2.0, 3.0]))
    assert history.latest(A) == 2.0
    assert history.latest(B) == 3.0


def test_memory_is_bounded_and_positions_of_series_that_are_gone_are_used_again() -> None:
    history = History(numbers_at_most=200)
    for number in range(100):
        gone = [Series("hits_total", "hits_total", (("n", f"{number}-{index}"),)) for index in range(10)]
        values: dict[Series, Value] = {A: float(number)}
        history.add(float(number), snapshot(values | dict.fromkeys(gone, 1.0)))
    assert 12 <= len(history) <= 20
    assert len(history._seen) <= 11 * 22
    assert history.increase(A, 5) == Increase(5.0, 5.0)
    assert len(history.points(A)) == len(history)
    assert not history.points(Series("hits_total", "hits_total", (("n", "0-0"),)))


def test_series_that_come_and_go_do_not_fill_the_memory() -> None:
    history = History(numbers_at_most=20_000)
    for number in range(200):
        series = [Series("hits_total", "hits_total", (("n", f"{number}-{index}"),)) for index in range(100)]
        history.add(float(number), Snapshot((HITS,), series, [1.0] * 100))
    # Somewhat more, because at least twelve readings are kept.
    assert sum(len(reading.values) for reading in history._readings) <= 40_000
    assert len(history._seen) <= 4_000


def test_few_series_have_a_history_of_a_bounded_number_of_readings() -> None:
    history = history_of(*[float(number) for number in range(1000)])
    assert len(history) == 300


@pytest.mark.property
@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.data())
def test_the_increase_over_a_window_is_the_sum_of_those_between_its_readings(
    steps: list[int], data: st.DataObject
) -> None:
    values: list[float] = [10.0]
    for step in steps:
        values.append(float(step) if data.draw(st.integers(0, 5)) == 0 else values[-1] + step)
    history = history_of(*values)
    seconds = data.draw(st.integers(1, len(values) - 1))
    parts = [added.value for _, added in history.increases(A)][-seconds:]
    assert history.increase(A, seconds) == Increase(total(parts), float(seconds))
    assert all(isinstance(part, float) and part >= 0 for part in parts)


@pytest.mark.property
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=2, max_size=6))
def test_increases_of_histograms_add_up(parts: list[list[int]]) -> None:
    values: list[Distribution] = []
    sums = [0.0, 0.0, 0.0]
    for part in parts:
        sums = [a + b for a, b in zip(sums, part, strict=True)]
        counts = (sums[0], sums[0] + sums[1], sum(sums))
        native = NativeHistogram(0, 0.0, sums[0], {1: sums[1]} if sums[1] else {}, {2: sums[2]} if sums[2] else {})
        values.append(Distribution(sum(sums), sum(sums), (1.0, 2.0, INF), counts, (), native))
    whole = increase(values[0], values[-1])
    assert total([increase(a, b) for a, b in zip(values, values[1:], strict=False)]) == whole
