"""Wrappers that measure each call of a function, whatever kind of function it is.

Rules:

- The measured time is the time that the work runs, not the time to set it up: for a coroutine until it has returned,
  for a generator from its first step until it is exhausted, closed or has raised.
- An exception is measured like a result and passes through unchanged.
- A decorated function keeps its kind (plain, coroutine, generator, async generator), its name and its signature.
- Each call measures by itself, so recursion and concurrency do not mix.

This module is not compiled, because `inspect` does not recognise compiled coroutine and generator functions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["instrument_function"]

P = ParamSpec("P")
R = TypeVar("R")


def instrument_function(
    function: Callable[P, R], fresh: Callable[[], AbstractContextManager[object]]
) -> Callable[P, R]:
    """Return `function` with a context from `fresh` around each call.

    Raises `TypeError` if it is not a function.
    """
    import inspect

    if isinstance(function, (staticmethod, classmethod)):
        # The wrapper must be inside of the descriptor, because calling the descriptor would lose the binding.
        return cast("Callable[P, R]", type(function)(instrument_function(function.__func__, fresh)))
    if not callable(function):
        raise TypeError(f"a metric decorates a function but got {type(function).__name__} {function!r:.80}")
    # The kind is known only at run time, so the wrappers share a type without a result.
    call = cast("Callable[P, Any]", function)
    # A callable object has the kind of its __call__; that of a function is native code and has no kind.
    inner_call = type(function).__call__
    if inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(inner_call):

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
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inner_call):

        @wraps(function)
        async def around_coroutine(*args: P.args, **kwargs: P.kwargs) -> object:
            with fresh():
                return await cast("Awaitable[object]", call(*args, **kwargs))

        return cast("Callable[P, R]", around_coroutine)
    if inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(inner_call):

        @wraps(function)
        def around_generator(*args: P.args, **kwargs: P.kwargs) -> Generator[object, object, object]:
            with fresh():
                return (yield from cast("Generator[object, object, object]", call(*args, **kwargs)))

        return cast("Callable[P, R]", around_generator)

    @wraps(function)
    def around_call(*args: P.args, **kwargs: P.kwargs) -> R:
        with fresh():
            return function(*args, **kwargs)

    return around_call
