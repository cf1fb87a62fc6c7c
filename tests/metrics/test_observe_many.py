"""`observe_many`: the same as as many calls of `observe`, or nothing."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import Histogram, Summary
from pytheus.exceptions import LabelError, NotANumberError, OutOfRangeError
from pytheus.metrics import Number
from pytheus.registry import CollectorRegistry
from tests.metrics.conftest import Arena
from tests.metrics.written_metrics import rows_of

BOUNDS = (-1, 0, 0.5, 10)
# Their sums are exact, whatever the order.
VALUES = st.integers(-64, 64).map(lambda number: number / 4) | st.sampled_from([float("-inf"), -1.0, 0.0, -0.0, 10.0])


def _histogram() -> Histogram:
    return Histogram("h", "H.", buckets=BOUNDS, registry=None)


def _summary() -> Summary:
    return Summary("s", "S.", registry=None)


@given(st.lists(VALUES, max_size=40), st.lists(VALUES, max_size=5))
def test_it_is_the_same_as_one_by_one(values: list[float], before: list[float]) -> None:
    for make in (_histogram, _summary):
        one, many = make(), make()
        for value in before:
            one.observe(value)
            many.observe(value)
        for value in values:
            one.observe(value)
        many.observe_many(values)
        assert rows_of(many) == rows_of(one)


def test_more_than_are_sorted_at_once() -> None:
    one, many = _histogram(), _histogram()
    values = [number % 97 / 4 for number in range(5000)]
    for value in values:
        one.observe(value)
    many.observe_many(values)
    assert rows_of(many) == rows_of(one)


ITERABLES: list[Callable[[], Iterable[Number]]] = [
    lambda: [1, 2.5, 300],
    lambda: (1, 2.5, 300),
    lambda: iter([1.0, 2.5, 300.0]),
    lambda: array("d", [1, 2.5, 300]),
    lambda: np.array([1, 2.5, 300]),
    lambda: np.array([1, 2.5, 300], dtype="float32"),
    lambda: [np.float64(1), Decimal("2.5"), Fraction(300)],
    lambda: {1: "a", 2.5: "b", 300: "c"},
    lambda: memoryview(array("d", [1, 2.5, 300])),
]


@pytest.mark.parametrize("make_values", ITERABLES)
@pytest.mark.parametrize("make", [_histogram, _summary])
def test_any_iterable_of_numbers_will_do(
    make: Callable[[], Histogram], make_values: Callable[[], Iterable[Number]]
) -> None:
    metric = make()
    metric.observe_many(make_values())
    assert (metric.count, metric.sum) == (3.0, 303.5)


def _fails() -> Iterator[float]:
    yield 1.0
    raise KeyError("no more")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([1.0, float("nan")], OutOfRangeError),
        ([float("nan"), "1"], NotANumberError),
        ([1, "2"], NotANumberError),
        ("12", NotANumberError),
        ([1, None], NotANumberError),
        ([1, 10**400], OutOfRangeError),
        ([1, Decimal("1e400")], OutOfRangeError),
        (np.array([[1.0], [2.0]]), NotANumberError),
        (1.0, TypeError),
        (None, TypeError),
    ],
    ids=lambda value: f"{value!r:.24}",
)
@pytest.mark.parametrize("make", [_histogram, _summary])
def test_one_that_is_refused_refuses_all(
    make: Callable[[], Histogram], values: Iterable[float], error: type[Exception]
) -> None:
    metric = make()
    metric.observe(2)
    with pytest.raises(error):
        metric.observe_many(values)
    assert (metric.count, metric.sum) == (1.0, 2.0)


def test_an_iterable_that_raises_changes_nothing() -> None:
    metric = _histogram()
    with pytest.raises(KeyError):
        metric.observe_many(_fails())
    assert metric.count == 0.0


def test_infinities_that_cancel_are_observed_as_one_by_one() -> None:
    metric = _histogram()
    metric.observe_many([float("inf"), float("-inf")])
    assert metric.count == 2.0
    assert metric.sum != metric.sum


def test_labels_must_be_complete_even_without_values() -> None:
    metric = Histogram("h", "H.", ["a"], registry=None)
    with pytest.raises(LabelError):
        metric.observe_many([])  # type: ignore[pytheus-label]  # on purpose
    metric.labels(1).observe_many([])
    assert metric.labels(1).count == 0.0


def test_in_a_storage_and_through_a_second_definition(arena: Arena) -> None:
    registry = CollectorRegistry()
    first = Histogram("h", "H.", buckets=(1,), registry=registry)
    second = Histogram("h", "H.", buckets=(1,), registry=registry)
    first.attach_storage(arena)
    second.observe_many([0.5, 3, 4])
    assert arena[()] == [7.5, 1.0, 2.0]
    first.detach_storage(arena)
    second.observe_many([0.5])
    assert (first.count, first.sum) == (4.0, 8.0)


@pytest.mark.threads
def test_threads_lose_nothing_and_readers_see_whole_buckets() -> None:
    metric = Histogram("h", "H.", buckets=(1, 2), registry=None)
    stop = threading.Event()
    torn: list[object] = []

    def read() -> None:
        while not stop.is_set():
            [row] = metric.rows()
            total, *counts = row.numbers
            # Each value in a bucket is the same.
            if total != counts[0] * 0.5 + counts[1] * 1.5 + counts[2] * 4.0:
                torn.append(row)

    def write() -> None:
        for _ in range(200):
            metric.observe_many([0.5, 1.5, 4.0] * 5)
            metric.observe(4.0)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write) for _ in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert torn == []
    assert metric.count == 4 * 200 * 16
