"""Metrics that measure code, a stopwatch that shows what they measured, and a storage that tests can read."""

from __future__ import annotations

import asyncio
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, cast

import pytest

from pytheus import Counter, Gauge, Histogram, StateSet, Summary
from pytheus.metrics import Metric
from pytheus.registry import FloatBuffer
from pytheus.samples import Exemplar
from pytheus.settings import set_strict


class Stopwatch:
    """Works until the clock has moved on, and knows for how long: what was measured around it took longer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def work(self) -> None:
        start = time.perf_counter()
        while self.seconds < 0.001:
            self.seconds = time.perf_counter() - start

    async def work_async(self) -> None:
        start = time.perf_counter()
        while self.seconds < 0.001:
            await asyncio.sleep(0)
            self.seconds = time.perf_counter() - start


@pytest.fixture
def latency() -> Histogram:
    return Histogram("latency_seconds", "Latency.", registry=None)


@pytest.fixture
def progress() -> Gauge:
    return Gauge("in_progress", "In progress.", registry=None)


@pytest.fixture
def failures() -> Counter:
    return Counter("failures_total", "Failures.", registry=None)


@pytest.fixture
def strict() -> Iterator[None]:
    """Strict mode, in which label values of other types than str and int raise."""
    previous = set_strict(True)
    yield
    set_strict(previous)


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


class Arena:
    """A storage that tests can read: views of one big array, like those of a file."""

    def __init__(self) -> None:
        self.doubles = array("d", bytes(8 * 10_000))
        self.used = 0
        self.views: dict[tuple[str, ...], memoryview] = {}
        self.forgotten: list[tuple[str, ...]] = []
        self.told: dict[tuple[str, ...], dict[str, str]] = {}
        self.exemplars: dict[tuple[tuple[str, ...], int], Exemplar] = {}
        self.start_times: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        with self._lock:
            if labels not in self.views:
                self.doubles[self.used : self.used + len(numbers)] = numbers
                self.views[labels] = memoryview(self.doubles)[self.used : self.used + len(numbers)]
                self.used += len(numbers)
                self.start_times[labels] = created
            return cast(FloatBuffer, self.views[labels])

    def release(self, labels: tuple[str, ...], /) -> None:
        self.views.pop(labels, None)
        self.forgotten.append(labels)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        self.told[labels] = dict(info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        self.exemplars[labels, slot] = exemplar

    def __getitem__(self, labels: tuple[str, ...]) -> list[float]:
        return cast("list[float]", self.views[labels].tolist())


@pytest.fixture
def arena() -> Arena:
    return Arena()


class Written(NamedTuple):
    """A metric without labels, two writes to it, and its numbers and an attribute after both."""

    make: Callable[..., Metric]
    first: tuple[object, ...]
    second: tuple[object, ...]
    numbers: list[float]
    attribute: tuple[str, object]


def write(metric: Metric, call: tuple[object, ...]) -> None:
    """Call the method that `call` begins with; the rest are its arguments."""
    method, *arguments = call
    getattr(metric, str(method))(*arguments)


_LEVEL = partial(Gauge, "level", "Level.")
_DOOR = partial(StateSet, "door", "Door.", states=["open", "closed"])
_SIZES = partial(Histogram, "sizes", "Sizes.", buckets=(1, 5))

EVERY_WRITE = [
    Written(partial(Counter, "hits_total", "Hits."), ("inc", 3), ("inc",), [4.0], ("value", 4.0)),
    Written(_LEVEL, ("set", 5), ("inc",), [6.0], ("value", 6.0)),
    Written(_LEVEL, ("set", 3), ("dec", 4), [-1.0], ("value", -1.0)),
    Written(_LEVEL, ("inc",), ("set", 8), [8.0], ("value", 8.0)),
    Written(_SIZES, ("observe", 0.5), ("observe", 9), [9.5, 1.0, 0.0, 1.0], ("count", 2.0)),
    Written(_SIZES, ("observe", 2), ("observe", 3), [5.0, 0.0, 2.0, 0.0], ("sum", 5.0)),
    Written(partial(Summary, "sizes", "Sizes."), ("observe", 1), ("observe", 2), [3.0, 2.0], ("sum", 3.0)),
    Written(partial(Summary, "sizes", "Sizes."), ("observe", 1), ("observe", 2), [3.0, 2.0], ("count", 2.0)),
    Written(_DOOR, ("state", "open"), ("state", "closed"), [0.0, 1.0], ("active", ("closed",))),
    Written(_DOOR, ("set", "open", True), ("set", "closed", True), [1.0, 1.0], ("active", ("open", "closed"))),
]


@pytest.fixture(params=EVERY_WRITE, ids=lambda written: f"{written.numbers} {written.attribute[0]}")
def written(request: pytest.FixtureRequest) -> Written:
    return cast(Written, request.param)
