"""Numbers that move between a metric and memory that a registry hands out, while other threads write them."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from pytheus import Counter, Gauge, Histogram
from pytheus.registry import FloatBuffer
from pytheus.samples import Exemplar

pytestmark = pytest.mark.threads


class Arena:
    """A memory of views on arrays, each of which stays where it is."""

    def __init__(self) -> None:
        self._views: dict[tuple[str, ...], memoryview] = {}

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        return cast(FloatBuffer, self._views.setdefault(labels, memoryview(array("d", bytes(8 * size)))))

    def release(self, labels: tuple[str, ...], /) -> None:
        self._views.pop(labels, None)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None: ...

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None: ...


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
        views = [arena.buffer((str(number),), 1).tolist() for number in range(40)]
        assert views == [[2.0]] * 40
