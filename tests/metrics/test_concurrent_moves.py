"""Numbers that move between a metric and memory that a registry hands out, while other threads write them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram
from tests.metrics.conftest import Arena

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
