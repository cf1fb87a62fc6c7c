"""Wrappers that measure each call of a function, whatever kind of function it is.

Rules:

- The measured time is the time that the work runs, not the time to set it up: for a coroutine until it has returned,
  for a generator from its first step until it is exhausted, closed or has raised.
- An exception is measured like a result and passes through unchanged.
- The kind of a callable is that of the function inside of its partials, methods and callable objects.
- A decorated function keeps its kind (plain, coroutine, generator, async generator), its name and its signature.
- Each call measures by itself, so recursion and concurrency do not mix.

This module is not compiled, because `inspect` does not recognise compiled coroutine and generator functions.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from functools import wraps
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar, cast

from pytheus.version import COMPILED

__all__ = ["completed", "function_kind", "instrument_function"]

P = ParamSpec("P")
R = TypeVar("R")

T = TypeVar("T")

# A callable object whose `__call__` leads to itself must come to an end.
_LEVELS_AT_MOST: Final = 32


def instrument_function(
    function: Callable[P, R],
    fresh: Callable[[], AbstractContextManager[object]],
    record: Callable[[float], None] | None = None,
) -> Callable[P, R]:
    """Return `function` with a context from `fresh` around each call.

    If those contexts only pass their duration to `record`, a plain function calls it without one; in the compiled build
    `record` takes the start instead, because native code reads the clock without an object. Raises `TypeError` if
    `function` is not a function.
    """
    if isinstance(function, (staticmethod, classmethod)):
        # The wrapper must be inside of the descriptor, because calling the descriptor would lose the binding.
        return cast("Callable[P, R]", type(function)(instrument_function(function.__func__, fresh, record)))
    if not callable(function):
        raise TypeError(f"a metric decorates a function but got {type(function).__name__} {function!r:.80}")
    # The kind is known only at run time, so the wrappers share a type without a result.
    call = cast("Callable[P, Any]", function)
    kind = function_kind(function)
    if kind == "async generator":

        @wraps(function)
        async def around_async_generator(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[object, object]:
            with fresh():
                inner: AsyncGenerator[object, object] = call(*args, **kwargs)
                try:
                    yielded = await anext(inner)
                    while True:
                        try:
                            sent = yield yielded
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            yielded = await inner.athrow(error)
                        else:
                            yielded = await inner.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await inner.aclose()

        return cast("Callable[P, R]", around_async_generator)
    if kind == "coroutine":

        @wraps(function)
        async def around_coroutine(*args: P.args, **kwargs: P.kwargs) -> object:
            with fresh():
                return await cast("Awaitable[object]", call(*args, **kwargs))

        return cast("Callable[P, R]", around_coroutine)
    if kind == "generator":

        @wraps(function)
        def around_generator(*args: P.args, **kwargs: P.kwargs) -> Generator[object, object, object]:
            with fresh():
                return (yield from cast("Generator[object, object, object]", call(*args, **kwargs)))

        return cast("Callable[P, R]", around_generator)
    if record is not None:

        @wraps(function)
        def timed_call(*args: P.args, **kwargs: P.kwargs) -> R:
            start = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                record(start if COMPILED else perf_counter() - start)

        return timed_call

    @wraps(function)
    def around_call(*args: P.args, **kwargs: P.kwargs) -> R:
        with fresh():
            return function(*args, **kwargs)

    return around_call


def function_kind(function: object) -> str:
    """Return "plain", "coroutine", "generator" or "async generator".

    `function` may be in any number of partials, methods and callable objects.
    """
    import inspect
    from functools import partial, partialmethod

    for _ in range(_LEVELS_AT_MOST):
        if inspect.isasyncgenfunction(function):
            return "async generator"
        if inspect.iscoroutinefunction(function) or _is_marked(function):
            return "coroutine"
        if inspect.isgeneratorfunction(function):
            return "generator"
        if isinstance(function, (partial, partialmethod)):
            function = function.func
        elif inspect.ismethod(function) or isinstance(function, (staticmethod, classmethod)):
            function = function.__func__
        elif inspect.isroutine(function) or isinstance(function, type):
            return "plain"  # a function, native or not, or a class
        else:
            # A callable object has the kind of the `__call__` of its class.
            function = inspect.getattr_static(type(function), "__call__", None)
    return "plain"


def _is_marked(function: object) -> bool:
    """Return whether a library has marked `function` for asyncio, as was done before Python 3.12."""
    mark = getattr(sys.modules.get("asyncio.coroutines"), "_is_coroutine", None)
    return mark is not None and getattr(function, "_is_coroutine", None) is mark


async def completed(result: T) -> T:
    """Return `result`, as an awaitable that does not wait."""
    return result
