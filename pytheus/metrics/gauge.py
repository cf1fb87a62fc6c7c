"""Gauges: numbers that rise and fall."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from time import time as now
from typing import ClassVar, Literal, ParamSpec, TypeVar, cast, overload

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.exceptions import NotANumberError, PytheusError
from pytheus.kinds import GaugeMode, MetricType, validated_gauge_mode
from pytheus.metrics.instrument import InProgress, InProgressByContext, Instrument, Timer
from pytheus.metrics.label_types import Complete, DefaultLabels, L, LabelValue
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import ONE, Number, to_float
from pytheus.metrics.scalar import Scalar
from pytheus.metrics.series import UNBOUND
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.registry.storage import FloatBuffer, NumberStorage, is_unset
from pytheus.samples import Exemplar, Row
from pytheus.settings import NameRules

__all__ = ["Gauge"]

P = ParamSpec("P")
R = TypeVar("R")


class _Source:
    """The source of the number of a gauge that is not written directly, and the place of its number.

    `function` is None for a gauge that was never set, and for one that may be idle, which wait for a write. `view` is
    None if the number is in the gauge's own attribute.
    """

    __slots__ = ("failed", "function", "view")

    def __init__(self, function: Callable[[], Number] | None, view: FloatBuffer | None) -> None:
        self.function = function
        self.view = view
        # Whether the function failed when `refresh` called it last, so that there is no number to show.
        self.failed = False


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Gauge(Scalar[L, L, "Gauge[Complete]"]):
    """A number that rises and falls: requests in progress, the length of a queue.

        >>> queue = Gauge("queue_length", "Jobs waiting.", registry=None)
        >>> queue.set(5)
        >>> queue.dec()
        >>> queue.value
        4.0

    `mode` selects how a registry of several processes merges their numbers: their "sum", "min" or "max", the "last"
    one that was set, or "each" separately with a label `pid`. With `processes` "live" only running processes count,
    with "all" also those that have ended. Registries of one process ignore both.

    The other arguments are those of `Counter`. NaN and the infinities are accepted, as in Prometheus. All methods may
    be called from any thread, signal handler or finalizer. https://prometheus.io/docs/concepts/metric_types/#gauge

    Raises as `Counter` does, and `GaugeModeError` for an unknown `mode` or `processes`.
    """

    __slots__ = ("_source",)

    type_: ClassVar[MetricType] = "gauge"

    _source: _Source | None

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: DefaultLabels | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        mode: GaugeMode = "sum",
        processes: Literal["live", "all"] = "live",
        labels: L | None = None,
        unit: str = "",
        names: NameRules | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        super().__init__(
            name,
            description,
            required_labels,
            default_labels,
            labels_from,
            registry,
            labels=labels,
            mode=validated_gauge_mode(name, mode, processes),
            unit=unit,
            names=names,
        )

    def _init_handle(self) -> None:
        super()._init_handle()
        self._source = None

    def inc(self: Gauge[Complete], amount: Number = ONE) -> None:
        """Add `amount`, which may be negative.

        Raises `NotANumberError` if it is not a number, `OutOfRangeError` if it is too large for a double, `LabelError`
        if a label is missing, and `PytheusError` while a function provides the number. The gauge is unchanged then.
        """
        value = 1.0 if amount is ONE else amount if type(amount) is float else to_float(amount, self)
        # atomic: loads, an add and stores
        if self._view is None:
            self._value += value
        elif self._view is UNBOUND:
            series = self._writable()
            if not series._set_first(value):
                series._add(0, value)
        else:
            self._value += value
            self._view[0] = self._value

    def dec(self: Gauge[Complete], amount: Number = ONE) -> None:
        """Subtract `amount`, which may be negative; raises as `inc` does."""
        value = 1.0 if amount is ONE else amount if type(amount) is float else to_float(amount, self)
        # atomic: loads, a subtraction and stores
        if self._view is None:
            self._value -= value
        elif self._view is UNBOUND:
            Gauge.inc(self, -value)
        else:
            self._value -= value
            self._view[0] = self._value

    def set(self: Gauge[Complete], value: Number) -> None:
        """Set the number to `value`; raises as `inc` does."""
        number = value if type(value) is float else to_float(value, self)
        if self._view is None:
            self._value = number
        elif self._view is UNBOUND:
            series = self._writable()
            if not series._set_first(number):
                series._put(0, number)
        else:
            self._value = number
            self._view[0] = number

    def _add(self, index: int, number: float) -> None:
        Gauge.inc(self, number)  # not the method of a subclass, which has called this one

    def _put(self, index: int, number: float) -> None:
        Gauge.set(self, number)

    def set_to_current_time(self: Gauge[Complete]) -> None:
        """Set the number to the current time in seconds since the Unix epoch.

        Raises as `inc` does.
        """
        self.set(now())

    def set_function(self: Gauge[Complete], function: Callable[[], Number] | None) -> None:
        """Call `function` for the number at each scrape.

        None ends that, and resets the gauge to zero.

            >>> jobs = ["a", "b"]
            >>> length = Gauge("jobs_waiting", "Jobs waiting.", registry=None)
            >>> length.set_function(lambda: len(jobs))
            >>> length.value
            2.0

        The scraping thread calls the function. If it raises, this series is missing from that scrape, and the failure
        is counted in ``pytheus_collector_errors_total``; the metric's other series are shown. While a function is set,
        a write to the gauge raises `PytheusError`. Raises `NotANumberError` if `function` cannot be called.
        """
        if function is not None and not callable(function):
            raise NotANumberError(f"{self} takes its number from a function but got {function!r:.80}")
        series = self._bound()
        if series._set_source(None if function is None else _Source(function, None)):
            series._reset()
        if function is not None and series._series.storage:
            from pytheus.unserved import warn_of_function

            warn_of_function(self.name, series._series.storage[0])

    def _set_source(self, source: _Source | None) -> bool:
        """Take the number from `source`, or from writes if it is None.

        Returns whether the gauge can be written again.
        """
        # atomic: the number does not move in between
        former = self._source
        view = self._view if former is None else former.view
        if source is not None:
            source.view = view
            self._view = UNBOUND
        elif former is None or former.function is None:
            return False
        else:
            self._view = view
        self._source = source
        return source is None

    def _set_first(self, number: float) -> bool:
        """Let the gauge be written directly; set it if it was never set, and return whether it was not."""
        source = self._source
        if source is None or source.function is not None:
            return False
        is_first = is_unset(self._stored_number())
        # atomic: no moment between the first write and zero, which would be the least number of several processes
        if self._source is not source:
            return False
        view = source.view
        if is_first:
            if view is not None:
                view[0] = number
            self._value = number
        self._view = view
        self._source = None
        return is_first

    def _record_seconds(self: Gauge[Complete], seconds: float) -> None:
        self.set(seconds)

    def refresh(self) -> None:
        """Call the functions that provide numbers; see `pytheus.registry.HasRows`."""
        failure: BaseException | None = None
        for child in self._members():
            source = child._source
            if source is None or source.function is None:
                continue
            try:
                number = to_float(source.function(), child)
            except BaseException as error:
                try:
                    self._leave_out(child, error)
                except Exception as raised:
                    failure = failure or raised  # after the other functions
                source.failed = True
                continue
            source.failed = False
            # atomic: the view may change, and the function may be replaced while it runs
            if child._source is source:
                if source.view is None:
                    child._value = number
                else:
                    source.view[0] = number
        if failure is not None:
            raise failure

    def rows(self) -> list[Row]:
        """Return the current numbers of every series, without those whose function failed.

        See `pytheus.registry.HasRows`.
        """
        rows = super().rows()
        failed = {child._labels for child in self._members() if child._source is not None and child._source.failed}
        return [row for row in rows if row.labels not in failed] if failed else rows

    def _stored_number(self) -> float:
        # atomic: the source and the place of the number belong together
        source = self._source
        view = self._view if source is None else source.view
        return self._value if view is None or view is UNBOUND else view[0]

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        number = self._stored_number()
        is_set = number == number or not is_unset(number)
        return Row(cast("tuple[str, ...]", self._labels), [number if is_set else 0.0], None, exemplars, is_set)

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        neutral = self._series.neutral
        source = self._source
        is_here = (self._view if source is None else source.view) is None
        first = self._value if carry and is_here else neutral
        view = storage.buffer(cast("tuple[str, ...]", self._labels), array("d", (first,)))
        unset = _Source(None, view) if not carry and is_unset(view[0]) else None
        self._adopt_view(view, carry, unset)

    def _adopt_view(self, view: FloatBuffer, carry: bool, unset: _Source | None) -> None:
        """Do as `_use_view`; `unset` becomes the source of a gauge that begins again and is not set in `view`."""
        neutral = self._series.neutral
        # atomic: as in `Scalar`, and no function is set or removed in between
        source = self._source
        former = self._view if source is None else source.view
        if carry:
            view[0] = self._value if former is None else former[0]
            if former is not None and former is not view:
                former[0] = neutral
        else:
            self._value = view[0]
            if source is None or source.function is None:
                source = unset
        self._source = source
        if source is None:
            self._view = view
        else:
            self._view = UNBOUND
            source.view = view

    def _move_back(self) -> bool:
        # atomic: as in `_use_view`
        source = self._source
        view = self._view if source is None else source.view
        if view is None:
            return False
        self._value = view[0]
        if source is None:
            self._view = None
        else:
            source.view = None
        return True

    def _successor(self) -> Gauge:
        # One that was never set is written itself, even if it was removed.
        return self if self._source is not None else self._bound()

    def _writable(self) -> Gauge:
        series = self._successor()
        source = series._source
        if source is not None and source.function is not None:
            raise PytheusError(
                f"gauge {self.name!r} takes its number from a function and cannot be written;"
                " call set_function(None) first"
            )
        return series

    def _share_with(self, incumbent: Metric) -> None:
        # Each write goes to the incumbent, which may get a function at any time.
        self._view = UNBOUND
        self._source = None

    def _sleep(self) -> bool:
        source = self._source
        if source is not None and source.function is not None:
            return False
        # atomic: as in `_adopt_view`
        self._source = None
        self._value = 0.0
        self._view = UNBOUND
        return True

    def _wake(self) -> None:
        neutral = self._series.neutral
        unset = None if neutral == neutral else _Source(None, None)
        # atomic: as in `_adopt_view`
        if unset is None:
            self._view = None
        else:
            self._value = neutral
            self._source = unset

    def _reset(self) -> None:
        neutral = self._series.neutral
        unset = None if neutral == neutral else _Source(None, None)
        # atomic: as in `_adopt_view`
        source = self._source
        if source is None or source.function is None:
            view = self._view if source is None else source.view
            if view is not None:
                view[0] = neutral
            self._value = neutral
            self._source = unset
            if unset is None:
                self._view = view
            else:
                unset.view = view
                self._view = UNBOUND

    # A gauge may be set to the number that it has, so its number does not show whether it was written. A source without
    # a function does, because a write has to take it away first.

    def _mark(self) -> object:
        source = self._source
        if source is not None:
            return source if source.function is None else None
        source = _Source(None, None)
        self._set_source(source)
        return source

    def _is_idle(self, mark: object) -> bool:
        # One that counts running blocks would become negative when they end.
        return self._source is mark and not (self._series.counts_running[0] and self._stored_number() != 0.0)

    def _leave(self, mark: object) -> bool:
        # atomic: a write comes before, and the series stays, or after, and begins a new one
        if self._source is not mark:
            return False
        self._source = None
        self._view = UNBOUND
        return True

    def _is_kept(self) -> bool:
        return self._source is not None

    def _number(self) -> float:
        source = self._source
        if source is None or source.function is None:
            number = self._stored_number()
            return number if number == number or not is_unset(number) else 0.0
        return to_float(source.function(), self)

    def track_inprogress(self: Gauge[Complete]) -> InProgress:
        """Return a context manager and decorator that counts while it runs.

        Adds 1 at the start of its block or function and subtracts 1 at the end. Raises as `inc` does.
        """
        self._series.require(self._labels)
        self._series.counts_running[0] = True
        if not self._is_complete():
            return InProgressByContext(self._writable)
        self._writable()
        return InProgress(self.inc, self.dec)

    def time(self) -> Timer[L]:
        """Return a context manager and decorator that measures seconds.

        Sets the gauge to the duration of the last block or call. Labels that are missing can be set in the block, by
        `Timer.labels`. Raises as `inc` does.
        """
        if self._is_complete():
            self._writable()
        return Timer(self)

    @overload
    def __call__(
        self: Gauge[Complete], function: Callable[P, R], /, *, track_inprogress: bool = False
    ) -> Callable[P, R]: ...

    @overload
    def __call__(self: Gauge[Complete], *, track_inprogress: bool = False) -> Instrument: ...

    def __call__(
        self: Gauge[Complete], function: Callable[..., object] | None = None, *, track_inprogress: bool = False
    ) -> object:
        """Time the calls of a function, or count running ones, as a decorator.

        Can be used with or without arguments.
        """
        instrument = self.track_inprogress() if track_inprogress else self.time()
        return instrument if function is None else instrument(function)


if LOCKED:
    # Not "_number", because no lock may be held while a function runs, which may wait for another thread.
    lock_methods(Gauge, "inc", "dec", "set", "_reset", "_stored_number", "_set_source", "_set_first")
    lock_methods(Gauge, "_adopt_view", "_move_back", "_leave")
