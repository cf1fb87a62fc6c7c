"""Measuring around a block or a function: context managers that are decorators, too.

Rules:

- What is measured is the time that the work runs, not the time that it takes to set it up: a coroutine until it has
  returned, a generator from its first step until it is exhausted, closed or has raised.
- An exception is measured like a result and passes through unchanged.
- A decorated function keeps its kind (plain, coroutine, generator, async generator), its name and its signature.
- Each call of a decorated function measures on its own, so that recursion and concurrency do not mix.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import wraps
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Around", "ExceptionCount", "InProgress", "Timer"]

P = ParamSpec("P")
R = TypeVar("R")


class Around:
    """A context manager that is also a decorator; each decorated call enters a fresh one."""

    __slots__ = ()

    def fresh(self) -> Around:
        """Another one like this, not entered yet."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """`function`, measured at each call."""
        import inspect  # loaded late: slow to import, and only decoration needs it

        if not callable(function):
            raise TypeError(f"a metric decorates a function but got {type(function).__name__} {function!r:.80}")
        fresh = self.fresh
        # The kind is known only now, so the four wrappers meet in a type that says as little as the question does.
        call = cast("Callable[P, Any]", function)
        if inspect.isasyncgenfunction(function):

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
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def around_coroutine(*args: P.args, **kwargs: P.kwargs) -> object:
                with fresh():
                    return await cast("Awaitable[object]", call(*args, **kwargs))

            return cast("Callable[P, R]", around_coroutine)
        if inspect.isgeneratorfunction(function):

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


class Timer(Around):
    """Hands the seconds that a block took to a metric, also when the block raised.

    `seconds` is how long the last block took, or None before its end. A timer can be used again after its block has
    ended, not inside of it.
    """

    __slots__ = ("_record", "_start", "seconds")

    def __init__(self, record: Callable[[float], None]) -> None:
        self._record = record
        self._start = 0.0
        self.seconds: float | None = None

    def fresh(self) -> Timer:
        return Timer(self._record)

    def __enter__(self) -> Self:
        self._start = perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._start
        self.seconds = seconds
        self._record(seconds)


class InProgress(Around):
    """Counts a block in when it is entered and out when it is left, also when it raised."""

    __slots__ = ("_enter", "_leave")

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter = enter
        self._leave = leave

    def fresh(self) -> InProgress:
        return self

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()


class ExceptionCount(Around):
    """Counts the exceptions that leave a block; they go on their way."""

    __slots__ = ("_count", "_exceptions")

    def __init__(
        self, count: Callable[[], None], exceptions: type[BaseException] | tuple[type[BaseException], ...]
    ) -> None:
        self._count = count
        self._exceptions = exceptions

    def fresh(self) -> ExceptionCount:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, self._exceptions):
            self._count()
