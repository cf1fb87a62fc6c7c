"""Measuring a block or a function: context managers that are decorators, too.

`pytheus.metrics.instrument_functions` has the wrappers for each kind of function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from types import TracebackType
from typing import Final, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from pytheus.atomic import LOCKED, lock_for
from pytheus.compilation import mypyc_attr
from pytheus.metrics.instrument_functions import completed, instrument_function
from pytheus.metrics.label_types import AnyLabels, L, LabelValue, LabelValues
from pytheus.metrics.metric import Metric
from pytheus.version import COMPILED

__all__ = ["ExceptionCount", "InProgress", "Instrument", "Timer"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Not a duration, because the clock never goes back.
_NOT_ENDED: Final = -1.0


@mypyc_attr(allow_interpreted_subclasses=True)
class Instrument:
    """A context manager, for ``with`` and ``async with``, that is also a decorator.

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

    # Not async, because mypyc gives coroutine functions neither a docstring nor a signature.

    def __aenter__(self) -> Awaitable[Self]:
        return completed(self.__enter__())

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        self.__exit__(kind, error, traceback)
        return completed(None)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return `function`, measured at each call.

        Raises `TypeError` if it is not a function.
        """
        return instrument_function(function, self.fresh)


@mypyc_attr(allow_interpreted_subclasses=True)
class Timer(Instrument, Generic[L]):
    """A context manager and decorator that measures seconds for a metric.

    It measures a block or a call, also if it raises. Made by the method `time` of a histogram, summary or gauge.

        >>> from pytheus import Histogram
        >>> latency = Histogram("latency_seconds", "Latency.", ["code"], registry=None)
        >>> with latency.time() as timer:
        ...     total = sum(range(100))
        ...     timer.labels(code=200)
        >>> timer.seconds == latency.labels(200).sum
        True

    A timer can be used again after its block has ended. Inside of it, or from another thread or task, a second entry
    raises `RuntimeError`, because one timer has one start: call `time` for each block.
    """

    __slots__ = ("_given", "_is_running", "_metric", "_seconds", "_start")

    def __init__(self, metric: Metric[L]) -> None:
        self._given: Metric = metric
        self._metric: Metric = metric
        self._is_running = False
        self._start = 0.0
        self._seconds = _NOT_ENDED

    @property
    def seconds(self) -> float | None:
        """The duration of the last block, or None before its end."""
        return None if self._seconds == _NOT_ENDED else self._seconds

    def fresh(self) -> Timer:
        return Timer(self._given)

    @overload
    def labels(self: Timer[AnyLabels], /, *values: LabelValue | LabelValues, **named: LabelValue) -> None: ...

    @overload
    def labels(self: Timer[type[T]], labels: T, /) -> None: ...

    @overload
    def labels(self: Timer[Callable[P, object]], /, *values: P.args, **named: P.kwargs) -> None: ...

    def labels(self, /, *values: object, **named: object) -> None:
        """Set labels that are known only in the block; the arguments are those of the metric's `labels()`.

        The last call counts for each label, so a first call can set the values for a block that raises. Without a label
        that has no default, the end of the block raises `LabelError`; after an error in the block, a warning is issued
        instead and nothing is observed. Raises `LabelError` as `labels()` does.
        """
        given = self._given
        bound = given._series.bind(given._labels, values, named)
        before = self._metric._labels
        both = [new if new is not None else former for new, former in zip(bound, before, strict=True)]
        # Not the series itself, which would be exposed with a zero if another call replaced its labels.
        self._metric = given._handle(tuple(both))

    def __enter__(self) -> Self:
        start = perf_counter()
        # atomic: only one of several threads enters
        if self._is_running:
            raise RuntimeError(
                f"a timer of {self._given} was entered again before its block has ended; call time() for each block"
            )
        self._is_running = True
        self._metric = self._given
        self._seconds = _NOT_ENDED
        self._start = start
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._start
        if not self._is_running:
            raise RuntimeError(f"a timer of {self._given} was left before it was entered")
        self._seconds = seconds
        self._is_running = False
        if kind is not None and self._given._series.missing(self._metric._labels):
            self._warn_of_missing_labels(kind)
        else:
            self._metric._record_seconds(seconds)

    def _warn_of_missing_labels(self, kind: type[BaseException]) -> None:
        # An error here would replace that of the block.
        from pytheus.metrics.label_values import warn_once

        series = self._given._series
        missing = series.missing(self._metric._labels)
        warn_once(
            f"a timer of {self._given} lacks {', '.join(map(repr, missing))}, because {kind.__name__} left its block"
            " before labels() was called, and so nothing is observed; call labels() at the beginning of the block as"
            " well. This warning comes once for each metric",
            "",
            series.converted,
        )

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return `function`, timed at each call.

        Raises `TypeError` if it is not a function, and `LabelError` if a label is missing.
        """
        given = self._given
        given._series.require(given._labels)
        if type(self) is not Timer:  # a subclass may measure in its own way
            return instrument_function(function, self.fresh)
        return instrument_function(function, self.fresh, given._record_since if COMPILED else given._record_seconds)


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


class Countable(Protocol):
    """A gauge with its labels set, as far as `InProgressByContext` needs it."""

    def inc(self) -> None:
        """Add 1."""

    def dec(self) -> None:
        """Subtract 1."""


class InProgressByContext(InProgress):
    """An `InProgress` whose series the context chooses when the block begins; the same counts its end.

    A second entry before the end raises `RuntimeError`, because one object has one series at a time.
    """

    __slots__ = ("_choose", "_chosen")

    def __init__(self, choose: Callable[[], Countable]) -> None:
        self._choose = choose
        self._chosen: Countable | None = None

    def fresh(self) -> InProgress:
        return InProgressByContext(self._choose)

    def __enter__(self) -> Self:
        if self._chosen is not None:
            raise RuntimeError(
                f"the count of blocks of {self._chosen} was entered again before its block has ended; call"
                " track_inprogress() for each block"
            )
        chosen = self._choose()
        chosen.inc()
        self._chosen = chosen
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        chosen = self._chosen
        if chosen is None:
            raise RuntimeError("a count of blocks was left before it was entered")
        self._chosen = None
        chosen.dec()


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


if LOCKED:
    _enter = Timer.__enter__

    def _enter_locked(self: Timer) -> Timer:
        with lock_for(self):
            return _enter(self)

    setattr(Timer, "__enter__", _enter_locked)  # noqa: B010  # mypy rejects an assignment to a method
