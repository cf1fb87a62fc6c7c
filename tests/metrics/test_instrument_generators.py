"""Generators and async generators that are timed and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

import pytest

from pytheus import Counter, Gauge, Histogram
from tests.metrics.conftest import Stopwatch

# Generators -----------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall
def test_a_generator_is_timed_while_it_runs(latency: Histogram, watch: Stopwatch) -> None:
    @latency.time()
    def run() -> Iterator[int]:
        yield 1
        watch.work()
        yield 2

    iterator = run()
    assert latency.count == 0.0
    assert next(iterator) == 1
    assert latency.count == 0.0
    assert list(iterator) == [2]
    assert latency.count == 1.0
    assert latency.sum >= watch.seconds


def test_a_generator_that_is_never_started_is_not_measured(latency: Histogram) -> None:
    @latency.time()
    def run() -> Generator[int, None, None]:
        yield 1

    run().close()
    assert latency.count == 0.0


def test_a_generator_is_counted_in_until_it_is_closed(progress: Gauge, latency: Histogram, failures: Counter) -> None:
    @failures.count_exceptions()
    @progress.track_inprogress()
    @latency.time()
    def run() -> Generator[int, None, None]:
        yield 1
        yield 2

    generator = run()
    next(generator)
    assert progress.value == 1.0
    generator.close()
    assert (progress.value, latency.count, failures.value) == (0.0, 1.0, 0.0)


def test_send_throw_and_the_return_value_pass_through(latency: Histogram) -> None:
    @latency.time()
    def run() -> Generator[object, object, str]:
        received = yield "first"
        try:
            yield received
        except KeyError as error:
            yield error
        return "result"

    generator = run()
    assert next(generator) == "first"
    assert generator.send("sent") == "sent"
    error = KeyError("thrown")
    assert generator.throw(error) is error
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "result"
    assert latency.count == 1.0


# Async generators -----------------------------------------------------------------------------------------------------


@pytest.mark.pitfall
def test_an_async_generator_is_timed_while_it_runs(latency: Histogram, watch: Stopwatch) -> None:
    @latency.time()
    async def run() -> AsyncIterator[int]:
        yield 1
        await watch.work_async()
        yield 2

    async def main() -> list[int]:
        assert latency.count == 0.0
        return [number async for number in run()]

    assert asyncio.run(main()) == [1, 2]
    assert latency.count == 1.0
    assert latency.sum >= watch.seconds


def test_asend_and_athrow_pass_through(latency: Histogram) -> None:
    @latency.time()
    async def run() -> AsyncGenerator[object, object]:
        received = yield "first"
        try:
            yield received
        except KeyError as error:
            yield error

    async def main() -> None:
        generator = run()
        assert await anext(generator) == "first"
        assert await generator.asend("sent") == "sent"
        error = KeyError("thrown")
        assert await generator.athrow(error) is error
        assert latency.count == 0.0
        with pytest.raises(StopAsyncIteration):
            await anext(generator)

    asyncio.run(main())
    assert latency.count == 1.0


def test_aclose_runs_the_cleanup_and_counts_out(progress: Gauge, failures: Counter) -> None:
    cleaned: list[float] = []

    @failures.count_exceptions()
    @progress.track_inprogress()
    async def run() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            cleaned.append(progress.value)

    async def main() -> None:
        generator = run()
        assert await anext(generator) == 1
        assert progress.value == 1.0
        await generator.aclose()

    asyncio.run(main())
    assert cleaned == [1.0]
    assert (progress.value, failures.value) == (0.0, 0.0)


def test_an_error_thrown_into_an_async_generator_leaves_it_as_it_is(failures: Counter) -> None:
    @failures.count_exceptions(KeyError)
    async def run() -> AsyncGenerator[int, None]:
        yield 1

    async def main() -> None:
        generator = run()
        await anext(generator)
        error = KeyError("thrown")
        with pytest.raises(KeyError) as caught:
            await generator.athrow(error)
        assert caught.value is error

    asyncio.run(main())
    assert failures.value == 1.0


def test_an_async_generator_left_behind_is_counted_out_when_the_loop_ends(progress: Gauge) -> None:
    @progress.track_inprogress()
    async def run() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    kept: list[AsyncGenerator[int, None]] = []

    async def main() -> None:
        kept.append(run())
        await anext(kept[0])
        assert progress.value == 1.0

    asyncio.run(main())
    assert progress.value == 0.0
