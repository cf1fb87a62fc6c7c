"""Defects of peers in timers and decorators, none of which may recur here; one test, or more, for each."""

from __future__ import annotations

import asyncio
import inspect
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import assert_type

import pytest

from pytheus import Counter, Gauge, Histogram, Summary

pytestmark = pytest.mark.pitfall


def _work() -> float:
    """Lets the clock move on, and gives by how much at least."""
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < 0.002:
        pass
    return seconds


def test_time_does_not_lose_the_duration_of_a_block_that_raises() -> None:
    for metric in (Histogram("h", "H.", registry=None), Summary("s", "S.", registry=None)):
        worked: list[float] = []
        with pytest.raises(ZeroDivisionError), metric.time():
            worked.append(_work())
            _ = 1 / 0
        assert metric.count == 1.0
        assert metric.sum >= worked[0]


def test_track_inprogress_does_not_leak_when_a_block_raises() -> None:
    gauge = Gauge("g", "G.", registry=None)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), gauge.track_inprogress():
            _ = 1 / 0
    assert gauge.value == 0.0


def test_time_on_an_async_function_measures_until_it_has_returned() -> None:
    histogram = Histogram("h", "H.", registry=None)
    worked: list[float] = []

    @histogram.time()
    async def run() -> None:
        await asyncio.sleep(0)
        worked.append(_work())

    asyncio.run(run())
    assert histogram.count == 1.0
    assert histogram.sum >= worked[0]


def test_count_exceptions_on_an_async_function_counts() -> None:
    counter = Counter("c", "C.", registry=None)

    @counter.count_exceptions()
    async def run() -> None:
        await asyncio.sleep(0)
        raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(run())
    assert counter.value == 1.0


def test_generators_are_timed_while_they_run() -> None:
    histogram = Histogram("h", "H.", registry=None)
    worked: list[float] = []

    @histogram.time()
    def run() -> Iterator[int]:
        yield 1
        worked.append(_work())
        yield 2

    generator = run()
    assert histogram.count == 0.0
    assert list(generator) == [1, 2]
    assert histogram.count == 1.0
    assert histogram.sum >= worked[0]


def test_async_generators_are_timed_while_they_run() -> None:
    histogram = Histogram("h", "H.", registry=None)
    worked: list[float] = []

    @histogram.time()
    async def run() -> AsyncIterator[int]:
        yield 1
        worked.append(_work())
        yield 2

    async def main() -> None:
        assert [number async for number in run()] == [1, 2]

    asyncio.run(main())
    assert histogram.count == 1.0
    assert histogram.sum >= worked[0]


def test_decorators_keep_the_signature() -> None:
    @Histogram("h", "H.", registry=None).time()
    def run(a: int, *, b: str = "x") -> list[str]:
        return [b] * a

    # What type checkers see is checked by them, for tests/typing runs them over this file, too.
    assert_type(run(2, b="y"), list[str])
    assert str(inspect.signature(run)) == "(a: 'int', *, b: 'str' = 'x') -> 'list[str]'"


async def _coroutine() -> None:
    """Does nothing."""


@pytest.mark.parametrize(
    "decorate",
    [Histogram("h", "H.", registry=None).time(), Gauge("g", "G.", registry=None).track_inprogress()],
    ids=["time", "track_inprogress"],
)
def test_no_deprecated_way_to_tell_coroutine_functions_apart_is_used(
    decorate: Callable[[Callable[[], object]], Callable[[], object]],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decorated = decorate(_coroutine)
    assert inspect.iscoroutinefunction(decorated)
    # asyncio's own function is deprecated from 3.14 on, where calling it would have been an error above; before that,
    # nothing shows but the name.
    from pytheus.metrics import instrument, instrument_functions

    for module in (instrument, instrument_functions):
        assert not hasattr(module, "asyncio")
