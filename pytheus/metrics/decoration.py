"""Functions that are measured at each call, whatever kind of function they are.

Rules:

- What is measured is the time that the work runs, not the time that it takes to set it up: a coroutine until it has
  returned, a generator from its first step until it is exhausted, closed or has raised.
- An exception is measured like a result and passes through unchanged.
- A decorated function keeps its kind (plain, coroutine, generator, async generator), its name and its signature.
- Each call measures on its own, so that recursion and concurrency do not mix.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["decorated"]

P = ParamSpec("P")
R = TypeVar("R")


def decorated(function: Callable[P, R], fresh: Callable[[], AbstractContextManager[object]]) -> Callable[P, R]:
    """`function`, with a context that `fresh` gives around each call; raises `TypeError` for what is no function."""
    import inspect  # loaded late: slow to import, and only decoration needs it

    if isinstance(function, (staticmethod, classmethod)):
        # Called themselves they would lose their binding, so it goes around what is measured.
        return cast("Callable[P, R]", type(function)(decorated(function.__func__, fresh)))
    if not callable(function):
        raise TypeError(f"a metric decorates a function but got {type(function).__name__} {function!r:.80}")
    # The kind is known only now, so the four wrappers meet in a type that says as little as the question does.
    call = cast("Callable[P, Any]", function)
    # An object that is called is of its __call__'s kind; that of a function is native code, of no kind.
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
