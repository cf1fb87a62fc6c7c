"""Callables inside of others, which have the kind of the innermost one."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from pytheus import Histogram
from tests.metrics.conftest import Stopwatch


class _Waits:
    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    async def __call__(self) -> None:
        await self._watch.work_async()

    async def method(self) -> None:
        await self._watch.work_async()


class _Leads:
    """Its `__call__` is the one of another object."""

    def __init__(self, watch: Stopwatch) -> None:
        self._waits = _Waits(watch)

    def inner(self) -> Callable[[], Awaitable[None]]:
        class Outer:
            __call__ = self._waits

        return Outer()

    def static(self) -> Callable[[], Awaitable[None]]:
        class Outer:
            __call__ = staticmethod(functools.partial(self._waits))

        return Outer()


NESTED: dict[str, Callable[[Stopwatch], Callable[[], Awaitable[None]]]] = {
    "object": _Waits,
    "partial of an object": lambda watch: functools.partial(_Waits(watch)),
    "partial of a partial of an object": lambda watch: functools.partial(functools.partial(_Waits(watch))),
    "partial of a method": lambda watch: functools.partial(_Waits(watch).method),
    "partial of __call__": lambda watch: functools.partial(_Waits(watch).__call__),
    "object of an object": lambda watch: _Leads(watch).inner(),
    "object of a partial of an object": lambda watch: _Leads(watch).static(),
    "partial of an object of an object": lambda watch: functools.partial(_Leads(watch).inner()),
}


@pytest.mark.parametrize("make", NESTED.values(), ids=NESTED)
def test_a_coroutine_is_timed_however_deep_it_is(
    latency: Histogram, watch: Stopwatch, make: Callable[[Stopwatch], Callable[[], Awaitable[None]]]
) -> None:
    timed = latency.time()(make(watch))
    assert inspect.iscoroutinefunction(timed)

    async def main() -> None:
        await timed()

    asyncio.run(main())
    assert latency.count == 1.0
    assert latency.sum >= watch.seconds > 0.0


class _Counts:
    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def __call__(self) -> Iterator[int]:
        self._watch.work()
        yield 1


class _CountsLater:
    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    async def __call__(self) -> AsyncIterator[int]:
        await self._watch.work_async()
        yield 1


def test_generators_too(latency: Histogram, watch: Stopwatch) -> None:
    assert list(latency(functools.partial(_Counts(watch)))()) == [1]
    assert latency.sum >= watch.seconds

    async def main() -> list[int]:
        return [number async for number in latency(functools.partial(_CountsLater(Stopwatch())))()]

    assert asyncio.run(main()) == [1]
    assert latency.count == 2.0


def test_classes_and_native_functions_are_plain(latency: Histogram) -> None:
    assert latency(functools.partial(_Waits))(Stopwatch()) is not None
    assert latency(functools.partial(len))("ab") == 2
    assert latency(int)("3") == 3
    assert latency.count == 3.0


def test_a_callable_that_leads_to_itself_is_plain(latency: Histogram) -> None:
    class Endless:
        pass

    endless = Endless()
    setattr(Endless, "__call__", endless)  # noqa: B010  # mypy rejects the assignment
    latency(endless)  # type: ignore[arg-type]  # on purpose
