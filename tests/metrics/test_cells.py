"""Single numbers of a series, to which another library's metric objects write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from pytheus import Counter, Gauge, Histogram, Info, Summary
from pytheus.exceptions import LabelError, NotANumberError, OutOfRangeError
from pytheus.metrics import Cell, Metric, exemplar
from pytheus.registry import CollectorRegistry
from tests.metrics.conftest import Arena

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

Make = Callable[..., Metric]

TYPES: list[tuple[Make, int]] = [
    (Counter, 1),
    (Gauge, 1),
    (partial(Gauge, mode="min"), 1),
    (partial(Gauge, mode="last"), 1),
    (partial(Histogram, buckets=(1, 2)), 4),
    (Summary, 2),
]
every_type = pytest.mark.parametrize(("make", "size"), TYPES)


def cells_of(series: Metric, size: int) -> list[Cell]:
    return [Cell(series, index) for index in range(size)]


def numbers(metric: Metric) -> list[list[float]]:
    return [row.numbers for row in metric.rows()]


@every_type
@pytest.mark.parametrize("is_stored", [False, True])
def test_each_cell_is_one_number_of_the_row(make: Make, size: int, is_stored: bool) -> None:
    metric = make("x", "X.", ["a"], registry=None)
    if is_stored:
        metric.attach_storage(Arena())
    cells = cells_of(metric.labels("b"), size)
    assert [cell.get() for cell in cells] == [0.0] * size
    for index, cell in enumerate(cells):
        cell.set(index + 3)
        cell.inc(2)
        cell.set(7.0, 12.5)  # a time, as others pass it
        cell.inc(index)
    expected = [7.0 + index for index in range(size)]
    assert [cell.get() for cell in cells] == expected
    assert numbers(metric) == [expected]


@every_type
def test_cells_follow_the_numbers(make: Make, size: int) -> None:
    metric = make("x", "X.", registry=None)
    cells = cells_of(metric, size)
    arena = Arena()
    for turn in range(4):
        assert [cell.is_stored for cell in cells] == [turn in (1, 2)] * size
        for cell in cells:
            cell.inc(1)
        if turn == 0:
            metric.attach_storage(arena)
        elif turn == 1:
            arena = Arena()
            metric.attach_storage(arena)
        elif turn == 2:
            metric.detach_storage(arena)
    assert numbers(metric) == [[4.0] * size]
    assert [cell.get() for cell in cells] == [4.0] * size


@every_type
def test_a_series_that_has_ended_begins_again(make: Make, size: int) -> None:
    metric = make("x", "X.", ["a"], registry=None)
    cells = cells_of(metric.labels("b"), size)
    for cell in cells:
        cell.inc(5)
    metric.expire_series(1.0, 0.0)
    assert metric.expire_series(1.0, 10.0) == 1
    assert numbers(metric) == []
    for cell in cells:
        cell.inc(2)
    assert numbers(metric) == [[2.0] * size]


@every_type
def test_a_series_that_was_removed_is_not_shown(make: Make, size: int) -> None:
    metric = make("x", "X.", ["a"], registry=None)
    cells = cells_of(metric.labels("b"), size)
    metric.clear()
    cells[0].inc(3)
    assert numbers(metric) == []
    assert cells[0].get() == 3.0


def test_a_metric_that_shares_its_series(registry: CollectorRegistry) -> None:
    first = Counter("x", "X.", registry=registry)
    second = Counter("x", "X.", registry=registry)
    Cell(second, 0).inc(2)
    Cell(first, 0).inc(3)
    assert (first.value, second.value) == (5.0, 5.0)


def test_a_function_of_a_gauge_is_not_written() -> None:
    gauge = Gauge("x", "X.", registry=None)
    cell = Cell(gauge, 0)
    gauge.set_function(lambda: 3)
    with pytest.raises(Exception, match="set_function"):
        cell.set(1)
    assert gauge.value == 3.0


@pytest.mark.parametrize(("make", "size"), [*TYPES, (Info, 0)])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_an_index_without_a_number(make: Make, size: int, beyond: int) -> None:
    metric = make("x", "X.", registry=None)
    with pytest.raises(IndexError, match=rf"has {size} numbers but got the index"):
        Cell(metric, beyond if beyond < 0 else size + beyond)


def test_a_label_that_is_missing() -> None:
    with pytest.raises(LabelError, match="lacks 'a'"):
        Cell(Counter("x", "X.", ["a"], registry=None), 0)


@every_type
def test_a_number_that_is_refused_changes_nothing(make: Make, size: int) -> None:
    metric = make("x", "X.", registry=None)
    cell = Cell(metric, 0)
    cell.set(1)
    for write in (cell.inc, cell.set):
        with pytest.raises(NotANumberError):
            write("1")  # type: ignore[arg-type]  # the mistake
        with pytest.raises(OutOfRangeError):
            write(10**400)
    assert cell.get() == 1.0


# Start times and exemplars -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Counter, Summary, partial(Histogram, buckets=(1,))])
def test_a_series_begins_when_it_is_told_to(make: Make) -> None:
    metric = make("x", "X.", registry=None)
    Cell(metric, 0).begin(1234.5)
    arena = Arena()
    metric.attach_storage(arena)
    assert [row.created for row in metric.rows()] == [1234.5]
    assert arena.start_times == {(): 1234.5}


def test_a_counter_that_gets_smaller_begins_again() -> None:
    counter = Counter("x", "X.", registry=None)
    cell = Cell(counter, 0)
    cell.begin(1234.5)
    cell.set(5)
    assert [row.created for row in counter.rows()] == [1234.5]
    cell.set(4)
    assert (counter.rows()[0].created or 0.0) > 1234.5


def test_exemplars() -> None:
    counter = Counter("x_total", "X.", registry=None)
    histogram = Histogram("y", "Y.", buckets=(1, 2), registry=None)
    Cell(counter, 0).keep_exemplar({"trace_id": "a"}, 3.0)
    Cell(histogram, 2).keep_exemplar({"trace_id": "b"}, 1.5)
    found = [
        (slot, dict(each.labels), each.value)
        for metric in (counter, histogram)
        for slot, each in (metric.rows()[0].exemplars or {}).items()
    ]
    assert found == [(0, {"trace_id": "a"}, 3.0), (2, {"trace_id": "b"}, 1.5)]
    with pytest.raises(LabelError):
        Cell(counter, 0).keep_exemplar({"a": "x" * 200}, 1.0)


@pytest.mark.parametrize(
    ("make", "observed", "slots"),
    [
        (Counter, 2.5, [0]),
        (Gauge, 2.5, []),
        (Summary, 2.5, []),
        (partial(Histogram, buckets=(1, 2)), 0.5, [1]),
        (partial(Histogram, buckets=(1, 2)), 1.0, [1]),
        (partial(Histogram, buckets=(1, 2)), 2.5, [3]),
        (partial(Histogram, buckets=(1, 2)), float("nan"), []),
    ],
)
def test_exemplars_of_the_context_are_kept_with_the_first_number(make: Make, observed: float, slots: list[int]) -> None:
    metric = make("x", "X.", registry=None)
    cells = [Cell(metric, index) for index in range(len(metric.rows()[0].numbers))]
    with exemplar(trace_id="a"):
        for cell in cells:
            cell.inc(observed if cell is cells[0] else 1)
    found = metric.rows()[0].exemplars or {}
    assert [(slot, each.value) for slot, each in found.items()] == [(slot, observed) for slot in slots]


# Threads -------------------------------------------------------------------------------------------------------------


@pytest.mark.threads
@every_type
def test_threads_lose_nothing(together: Callable[..., None], make: Make, size: int) -> None:
    metric = make("x", "X.", ["a"], registry=None)
    cells = cells_of(metric.labels("b"), size)
    for cell in cells:
        cell.set(0)

    def write() -> None:
        for _ in range(1000):
            for cell in cells:
                cell.inc(1)

    def move() -> None:
        for _ in range(20):
            arena = Arena()
            metric.attach_storage(arena)
            metric.detach_storage(arena)

    together(write, write, write, write, move)
    assert numbers(metric) == [[4000.0] * size]
