"""Measuring around a block or a function: context managers that are decorators, too.

What a decorator makes of each kind of function stands in `pytheus.metrics.decoration`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from pytheus.compilation import mypyc_attr
from pytheus.metrics.decoration import decorated
from pytheus.metrics.metric import Metric

__all__ = ["Around", "ExceptionCount", "InProgress", "Timer"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(allow_interpreted_subclasses=True)
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
        return decorated(function, self.fresh)


class Timer(Around):
    """Hands the seconds that a block took to a metric, also when the block raised.

    `seconds` is how long the last block took, or None before its end. A timer can be used again after its block has
    ended, not inside of it.
    """

    __slots__ = ("_metric", "_start", "seconds")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._start = 0.0
        self.seconds: float | None = None

    def fresh(self) -> Timer:
        return Timer(self._metric)

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
        self._metric._take(seconds)


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
