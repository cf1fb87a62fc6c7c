"""Numbers that move between a metric and memory that a registry hands out, while other threads write them."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import pytest

from pytheus import Counter, Gauge, Histogram, StateSet, Summary
from pytheus.metrics import Metric
from pytheus.registry import FloatBuffer
from pytheus.samples import Row
from tests.metrics.conftest import Arena, write

pytestmark = pytest.mark.threads


def test_nothing_is_lost_while_numbers_move(together: Callable[..., None]) -> None:
    hits = Counter("hits_total", "Hits.", ["worker"], registry=None)
    level = Gauge("level", "Level.", registry=None)
    sizes = Histogram("sizes", "Sizes.", buckets=(1, 2), registry=None)
    counted: list[int] = []
    ended = threading.Event()

    def write(worker: int) -> None:
        count = 0
        while not ended.is_set() or count < 100:
            hits.labels(str(worker)).inc()
            level.inc()
            sizes.observe(float(worker))
            count += 1
        counted.append(count)

    def move() -> None:
        for turn in range(60):
            for metric in (hits, level, sizes):
                arena = Arena()
                metric.attach_storage(arena)
                if turn % 3 == 0:
                    metric.detach_storage(arena)
        ended.set()

    together(lambda: write(0), lambda: write(1), lambda: write(2), move)
    total = float(sum(counted))
    assert sum(row.numbers[0] for row in hits.rows()) == total
    assert level.value == total
    assert sizes.count == total


def test_a_series_that_is_made_while_numbers_move_is_in_memory_at_the_end(together: Callable[..., None]) -> None:
    for _ in range(30):
        hits = Counter("hits_total", "Hits.", ["which"], registry=None)
        arena = Arena()

        def make(hits: Counter = hits) -> None:
            for number in range(40):
                hits.labels(str(number)).inc()

        def move(hits: Counter = hits, arena: Arena = arena) -> None:
            hits.attach_storage(arena)

        together(make, make, move)
        views = [arena[str(number),] for number in range(40)]
        assert views == [[2.0]] * 40


if TYPE_CHECKING:
    FloatArray = array[float]  # only type checkers can subscript it before Python 3.12
else:
    FloatArray = array


class Watched(FloatArray):
    """A buffer that calls the functions in `looks` whenever it is read as a whole."""

    looks: ClassVar[list[Callable[[], object]]] = []

    def tolist(self) -> list[float]:
        looks, Watched.looks = Watched.looks, []
        for look in looks:
            look()
        Watched.looks = looks
        return super().tolist()


class WatchedStorage(Arena):
    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        # The same each time, as `NumberStorage` says. Pyright takes the new object for an `array`.
        return self.watched.setdefault(labels, Watched("d", numbers))  # pyright: ignore[reportArgumentType]

    @cached_property
    def watched(self) -> dict[tuple[str, ...], Watched]:
        return {}


@pytest.mark.parametrize(
    ("metric", "call"),
    [
        (Histogram("sizes", "Sizes.", buckets=(1,), registry=None), ("observe", 2.0)),
        (Summary("sizes", "Sizes.", registry=None), ("observe", 2.0)),
        (StateSet("door", "Door.", states=["open", "closed"], registry=None), ("state", "closed")),
    ],
    ids=["histogram", "summary", "stateset"],
)
def test_a_reader_never_sees_half_a_move(metric: Metric, call: tuple[object, ...]) -> None:
    write(metric, call)
    expected = metric.rows()
    seen: list[list[Row]] = []
    Watched.looks = [lambda: seen.append(metric.rows())]
    first, second = WatchedStorage(), WatchedStorage()
    metric.attach_storage(first)
    metric.attach_storage(second)
    assert set(first.watched[()]) == {0.0}
    metric.detach_storage(second)
    Watched.looks = []
    assert seen == [expected] * len(seen)
    assert seen
    assert metric.rows() == expected
