"""Measuring a block or a function: context managers that are decorators, too.

`pytheus.metrics.instrument_functions` has the wrappers for each kind of function.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from pytheus.compilation import mypyc_attr
from pytheus.metrics.instrument_functions import instrument_function
from pytheus.metrics.metric import Metric

__all__ = ["ExceptionCount", "InProgress", "Instrument", "Timer"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(allow_interpreted_subclasses=True)
class Instrument:
    """A context manager that is also a decorator.

    Each decorated call enters a fresh one. The base of `Timer`, `InProgress` and `ExceptionCount`.
    """

    __slots__ = ()

    def fresh(self) -> Instrument:
        """Return one like this that is not entered yet.

        Itself, if it can be entered several times at once.
        """
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
        """Return `function`, measured at each call.

        Raises `TypeError` if it is not a function.
        """
        return instrument_function(function, self.fresh)


class Timer(Instrument):
    """A context manager and decorator that measures seconds for a metric.

    It measures a block or a call, also if it raises. Made by the method `time` of a histogram, summary or gauge.
    `seconds` is the duration of the last block, or None before its end. A timer can be used again after its block has
    ended, but not inside it, nor in two threads at once.

        >>> from pytheus import Histogram
        >>> latency = Histogram("latency_seconds", "Latency.", registry=None)
        >>> with latency.time() as timer:
        ...     total = sum(range(100))
        >>> timer.seconds == latency.sum
        True
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
        self._metric._record_seconds(seconds)


class InProgress(Instrument):
    """A context manager and decorator that counts a block or call while it runs.

    It counts also if the block raises. Made by `Gauge.track_inprogress`. May be entered several times at once, from any
    thread.

        >>> from pytheus import Gauge
        >>> requests = Gauge("requests_in_progress", "Requests in progress.", registry=None)
        >>> with requests.track_inprogress():
        ...     requests.value
        1.0
        >>> requests.value
        0.0
    """

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


class ExceptionCount(Instrument):
    """A context manager and decorator that counts exceptions.

    It counts those that leave its block or call. Made by `Counter.count_exceptions`. The exceptions are not suppressed.
    May be entered several times at once, from any thread.

        >>> from pytheus import Counter
        >>> failures = Counter("failures_total", "Failures.", registry=None)
        >>> @failures.count_exceptions(ValueError)
        ... def parse(text):
        ...     return int(text)
        >>> parse("12"), failures.value
        (12, 0.0)
    """

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
