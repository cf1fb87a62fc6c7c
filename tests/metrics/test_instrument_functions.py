"""Functions and coroutines that are timed and counted, and what a decorated function keeps."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import assert_type

import pytest

from pytheus import Counter, Gauge, Histogram, Summary
from pytheus.metrics import instrument, instrument_functions
from tests.metrics.conftest import Stopwatch

# Plain functions ------------------------------------------------------------------------------------------------------


def test_a_function_is_timed_at_each_call(latency: Histogram, watch: Stopwatch) -> None:
    @latency.time()
    def run(a: int, *, b: int) -> int:
        watch.work()
        return a + b

    assert latency.count == 0.0
    assert run(1, b=2) == 3
    assert run(3, b=4) == 7
    assert latency.count == 2.0
    assert latency.sum >= watch.seconds


def test_metrics_themselves_are_decorators(latency: Histogram, progress: Gauge, failures: Counter) -> None:
    seen: list[float] = []
    summary = Summary("s", "S.", registry=None)
    last = Gauge("g", "G.", registry=None)
    last.set(-1)

    @failures
    @failures(exceptions=KeyError)
    @progress(track_inprogress=True)
    @latency
    @summary
    @last
    def run(fail: bool) -> None:
        seen.append(progress.value)
        if fail:
            raise KeyError

    run(False)
    with pytest.raises(KeyError):
        run(True)
    assert seen == [1.0, 1.0]
    assert (progress.value, latency.count, summary.count, failures.value) == (0.0, 2.0, 2.0, 2.0)
    # It wraps the function itself, so it measures the last call and less than the histogram's two.
    assert 0.0 < last.value < latency.sum


def _raises(error: Exception) -> None:
    raise error


async def _coroutine_raises(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


def _generator_raises(error: Exception) -> Iterator[int]:
    yield 1
    raise error


async def _async_generator_raises(error: Exception) -> AsyncIterator[int]:
    yield 1
    raise error


async def _read(numbers: AsyncIterator[int]) -> None:
    async for _ in numbers:
        pass


@pytest.mark.pitfall
@pytest.mark.parametrize(
    ("function", "run"),
    [
        (_raises, lambda result: result),
        (_coroutine_raises, asyncio.run),
        (_generator_raises, list),
        (_async_generator_raises, lambda numbers: asyncio.run(_read(numbers))),
    ],
    ids=["function", "coroutine", "generator", "async generator"],
)
def test_a_call_that_raises_is_measured(
    latency: Histogram,
    progress: Gauge,
    failures: Counter,
    function: Callable[[Exception], object],
    run: Callable[[object], object],
) -> None:
    error = ValueError("no")
    measured = failures.count_exceptions()(progress.track_inprogress()(latency.time()(function)))
    with pytest.raises(ValueError, match="no") as caught:
        run(measured(error))
    assert caught.value is error
    assert (latency.count, progress.value, failures.value) == (1.0, 0.0, 1.0)


def test_recursion_measures_each_call_on_its_own(latency: Histogram, progress: Gauge, watch: Stopwatch) -> None:
    depths: list[float] = []

    @latency.time()
    @progress.track_inprogress()
    def run(depth: int) -> None:
        depths.append(progress.value)
        if depth:
            run(depth - 1)
        else:
            watch.work()

    run(3)
    assert depths == [1.0, 2.0, 3.0, 4.0]
    assert latency.count == 4.0
    # Each of the four calls holds the innermost one.
    assert latency.sum >= 4 * watch.seconds


# Coroutines -----------------------------------------------------------------------------------------------------------


Work = Callable[[], Awaitable[None]]


def _coroutine_function(work: Work) -> Callable[[int], Awaitable[int]]:
    async def run(number: int) -> int:
        await work()
        return number + 1

    return run


def _callable_object(work: Work) -> Callable[[int], Awaitable[int]]:
    class Job:
        async def __call__(self, number: int) -> int:
            return await _coroutine_function(work)(number)

    return Job()


def _partial_coroutine(work: Work) -> Callable[[int], Awaitable[int]]:
    async def run(work: Work, number: int) -> int:
        return await _coroutine_function(work)(number)

    return functools.partial(run, work)


def _marked(work: Work) -> Callable[[int], Awaitable[int]]:
    mark: Callable[[Callable[[int], Awaitable[int]]], Callable[[int], Awaitable[int]]]
    mark = getattr(inspect, "markcoroutinefunction")  # noqa: B009  # type checkers see the oldest Python
    return mark(lambda number: _coroutine_function(work)(number))


@pytest.mark.pitfall
@pytest.mark.parametrize(
    "make",
    [
        _coroutine_function,
        _callable_object,
        _partial_coroutine,
        pytest.param(
            _marked,
            marks=pytest.mark.skipif(
                sys.version_info < (3, 12), reason="inspect.markcoroutinefunction came with Python 3.12"
            ),
        ),
    ],
)
def test_a_coroutine_is_timed_until_it_has_returned(
    latency: Histogram, watch: Stopwatch, make: Callable[[Work], Callable[[int], Awaitable[int]]]
) -> None:
    run = latency.time()(make(watch.work_async))
    assert inspect.iscoroutinefunction(run)

    async def main() -> int:
        coroutine = run(2)
        assert latency.count == 0.0
        return await coroutine

    assert asyncio.run(main()) == 3
    assert latency.count == 1.0
    assert latency.sum >= watch.seconds


def test_a_cancelled_coroutine_is_counted_out(latency: Histogram, progress: Gauge, failures: Counter) -> None:
    @failures.count_exceptions()
    @progress.track_inprogress()
    @latency.time()
    async def run(entered: asyncio.Event) -> None:
        entered.set()
        await asyncio.Event().wait()

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(run(entered))
        await entered.wait()
        assert progress.value == 1.0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (latency.count, progress.value, failures.value) == (1.0, 0.0, 0.0)


def test_coroutines_side_by_side_do_not_mix(latency: Histogram, progress: Gauge) -> None:
    @latency.time()
    @progress.track_inprogress()
    async def run(barrier: asyncio.Barrier) -> float:
        await barrier.wait()
        return progress.value

    async def main() -> list[float]:
        barrier = asyncio.Barrier(5)
        return await asyncio.gather(*(run(barrier) for _ in range(5)))

    assert max(asyncio.run(main())) == 5.0
    assert progress.value == 0.0
    assert latency.count == 5.0


# What a decorated function keeps --------------------------------------------------------------------------------------


def _plain(a: int, b: str = "x") -> str:
    """Plain."""
    return b * a


async def _coroutine(a: int, b: str = "x") -> str:
    """Coroutine."""
    return b * a


def _generator(a: int, b: str = "x") -> Iterator[str]:
    """Generator."""
    yield b * a


async def _async_generator(a: int, b: str = "x") -> AsyncIterator[str]:
    """Async generator."""
    yield b * a


DECORATORS: dict[str, Callable[[Callable[..., object]], Callable[..., object]]] = {
    "histogram": lambda function: Histogram("h", "H.", registry=None)(function),
    "histogram.time": lambda function: Histogram("h", "H.", registry=None).time()(function),
    "summary": lambda function: Summary("s", "S.", registry=None)(function),
    "gauge": lambda function: Gauge("g", "G.", registry=None)(function),
    "gauge.track_inprogress": lambda function: Gauge("g", "G.", registry=None).track_inprogress()(function),
    "counter": lambda function: Counter("c_total", "C.", registry=None)(function),
    "counter.count_exceptions": lambda function: Counter("c_total", "C.", registry=None).count_exceptions()(function),
}


@pytest.mark.parametrize("function", [_plain, _coroutine, _generator, _async_generator])
@pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)
def test_a_function_keeps_its_name_signature_and_kind(
    decorate: Callable[[Callable[..., object]], Callable[..., object]], function: Callable[..., object]
) -> None:
    decorated = decorate(function)
    assert decorated.__name__ == function.__name__
    assert decorated.__qualname__ == function.__qualname__
    assert decorated.__module__ == function.__module__
    assert decorated.__doc__ == function.__doc__
    assert inspect.signature(decorated) == inspect.signature(function)
    assert inspect.unwrap(decorated) is function
    for kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ):
        assert kind(decorated) is kind(function)


def test_methods_of_every_kind_keep_their_binding(latency: Histogram) -> None:
    class Job:
        name = "job"

        @latency.time()
        def method(self, a: int) -> tuple[str, int]:
            return self.name, a

        @classmethod
        @latency.time()
        def outside_class(cls, a: int) -> tuple[str, int]:
            return cls.name, a

        @staticmethod
        @latency.time()
        def outside_static(a: int) -> int:
            return a

        @latency.time()
        @classmethod
        def inside_class(cls, a: int) -> tuple[str, int]:
            return cls.name, a

        @latency.time()
        @staticmethod
        def inside_static(a: int) -> int:
            return a

        @property
        @latency.time()
        def attribute(self) -> str:
            return self.name

    job = Job()
    assert (job.method(1), job.outside_class(2), Job.outside_class(3)) == (("job", 1), ("job", 2), ("job", 3))
    assert (job.outside_static(4), Job.outside_static(5)) == (4, 5)
    assert (job.inside_class(6), job.inside_static(7), Job.inside_static(8)) == (("job", 6), 7, 8)
    assert job.attribute == "job"
    assert latency.count == 9.0


def test_a_bound_method_can_be_decorated(latency: Histogram) -> None:
    class Job:
        def method(self, a: int) -> int:
            return a

    assert latency.time()(Job().method)(3) == 3
    assert latency.count == 1.0


def test_a_builtin_and_a_class_can_be_decorated(latency: Histogram) -> None:
    assert latency.time()(len)([1, 2]) == 2
    assert latency.time()(int)("3") == 3
    assert latency.count == 2.0


@pytest.mark.parametrize("thing", [3, "name", None, ...], ids=repr)
def test_what_cannot_be_called_cannot_be_decorated(latency: Histogram, thing: Callable[[], None]) -> None:
    with pytest.raises(TypeError, match="decorates a function but got"):
        latency.time()(thing)


def test_nothing_is_measured_when_a_function_is_decorated(progress: Gauge, failures: Counter) -> None:
    latency = Histogram("latency_seconds", "Latency.", ["path"], registry=None)

    @latency.labels("/").time()
    @progress.track_inprogress()
    @failures.count_exceptions()
    def run() -> None:
        """Never called."""

    assert (latency.labels("/").count, progress.value, failures.value) == (0.0, 0.0, 0.0)


@pytest.mark.pitfall
def test_decorators_keep_the_signature() -> None:
    @Histogram("h", "H.", registry=None).time()
    def run(a: int, *, b: str = "x") -> list[str]:
        return [b] * a

    # Type checkers check what they see: the linters run them on this file.
    assert_type(run(2, b="y"), list[str])
    assert str(inspect.signature(run)) == "(a: 'int', *, b: 'str' = 'x') -> 'list[str]'"


@pytest.mark.pitfall
@pytest.mark.parametrize("decorate", [DECORATORS["histogram.time"], DECORATORS["gauge.track_inprogress"]])
def test_no_deprecated_way_to_tell_coroutine_functions_apart_is_used(
    decorate: Callable[[Callable[..., object]], Callable[..., object]],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect.iscoroutinefunction(decorate(_coroutine))
    # asyncio's own function is deprecated from 3.14 on, so calling it would have been an error above; before that,
    # only the name shows it.
    for module in (instrument, instrument_functions):
        assert not hasattr(module, "asyncio")
