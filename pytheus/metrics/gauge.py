"""Gauges: numbers that rise and fall."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import time as now
from typing import ClassVar, Final, Literal, ParamSpec, TypeAlias, TypeVar, overload

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.exceptions import GaugeModeError, NotANumberError, PytheusError
from pytheus.kinds import MetricType
from pytheus.metrics.around import Around, InProgress, Timer
from pytheus.metrics.doubles import UNBOUND, FloatBuffer
from pytheus.metrics.guard import guard
from pytheus.metrics.label_types import Complete, L
from pytheus.metrics.metric import Metric
from pytheus.metrics.number import ONE, Number, to_float
from pytheus.metrics.scalar import Scalar
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["Gauge", "GaugeMode"]

GaugeMode: TypeAlias = Literal["sum", "min", "max", "last", "each"]

_MODES: Final = ("sum", "min", "max", "last", "each")
_PROCESSES: Final = ("live", "all")

P = ParamSpec("P")
R = TypeVar("R")


class _Source:
    """The function that gives a gauge's number, and where that number is kept between calls: None for the gauge."""

    __slots__ = ("function", "kept")

    def __init__(self, function: Callable[[], Number], kept: FloatBuffer | None) -> None:
        self.function = function
        self.kept = kept


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Gauge(Scalar[L, L, "Gauge[Complete]"]):
    """A number that rises and falls: requests in progress, a queue's length, a temperature.

        >>> queue = Gauge("queue_length", "Jobs waiting.", registry=None)
        >>> queue.set(5)
        >>> queue.dec()
        >>> queue.value
        4.0

    Where a registry brings several processes together, `mode` says how their numbers become one: their "sum", "min" or
    "max", the "last" that was set, or "each" by itself with a label `pid`; `processes` says whether only "live" ones
    count or "all". Other registries have but one process, and ignore both.

    The other arguments are those of `Counter`. NaN and the infinities can be set, as in Prometheus itself.
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
        default_labels: Mapping[str, str] | None = None,
        labels_from: Mapping[str, Iterable[str]] | None = None,
        mode: GaugeMode = "sum",
        processes: Literal["live", "all"] = "live",
        labels: L | None = None,
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
            mode=_validated_mode(name, mode, processes),
        )

    def _begin(self) -> None:
        super()._begin()
        self._source = None

    def inc(self: Gauge[Complete], amount: Number = ONE) -> None:
        """Add `amount`, which may be negative.

        Raises `NotANumberError` for what is no number, `OutOfRangeError` for what no double holds, and `LabelError`
        where a label is missing; nothing has changed then.
        """
        value = 1.0 if amount is ONE else amount if type(amount) is float else to_float(amount, self)
        # atomic: loads, an add and stores
        if self._view is None:
            self._value += value
        elif self._view is UNBOUND:
            self._writable().inc(value)
        else:
            self._value += value
            self._view[0] = self._value

    def dec(self: Gauge[Complete], amount: Number = ONE) -> None:
        """Subtract `amount`; otherwise as `inc`."""
        value = 1.0 if amount is ONE else amount if type(amount) is float else to_float(amount, self)
        # atomic: loads, a subtraction and stores
        if self._view is None:
            self._value -= value
        elif self._view is UNBOUND:
            self._writable().dec(value)
        else:
            self._value -= value
            self._view[0] = self._value

    def set(self: Gauge[Complete], value: Number) -> None:
        """Let the number be `value`; raises as `inc` does."""
        number = value if type(value) is float else to_float(value, self)
        if self._view is None:
            self._value = number
        elif self._view is UNBOUND:
            self._writable().set(number)
        else:
            self._value = number
            self._view[0] = number

    def set_to_current_time(self: Gauge[Complete]) -> None:
        """Let the number be the seconds since the Unix epoch, as of now."""
        self.set(now())

    def set_function(self: Gauge[Complete], function: Callable[[], Number] | None) -> None:
        """Let `function` give the number at each scrape; None ends that, and the gauge is written again, from zero.

            >>> jobs = ["a", "b"]
            >>> length = Gauge("jobs_waiting", "Jobs waiting.", registry=None)
            >>> length.set_function(lambda: len(jobs))
            >>> length.value
            2.0

        The function is called from the scraping thread. Where it raises, this gauge is missing from that scrape, which
        is logged and counted. While it is set, writing the gauge raises `PytheusError`.
        """
        if function is not None and not callable(function):
            raise NotANumberError(f"{self} takes its number from a function but got {function!r:.80}")
        series = self._bound()
        if series._take_from(None if function is None else _Source(function, None)):
            series._reset()

    def _take_from(self, source: _Source | None) -> bool:
        """Let the number come from `source` (None: from what is written); whether it is written again."""
        # atomic: the number stays where it is kept, and is not moved meanwhile
        former = self._source
        kept = self._view if former is None else former.kept
        if source is None:
            self._view = kept
        else:
            source.kept = kept
            self._view = UNBOUND
        self._source = source
        return source is None and former is not None

    def _take(self: Gauge[Complete], seconds: float) -> None:
        self.set(seconds)

    def refresh(self) -> None:
        """Call the functions that give numbers; see `pytheus.registry.StorageAware`."""
        failure: Exception | None = None
        for child in self._members():
            source = child._source
            if source is None:
                continue
            try:
                number = to_float(source.function(), child)
            except Exception as error:
                failure = failure or error
                continue
            # atomic: where the number is kept may change
            if source.kept is None:
                child._value = number
            else:
                source.kept[0] = number
        if failure is not None:
            raise failure

    def _kept(self) -> float:
        source = self._source
        if source is None:
            return super()._number()
        view = source.kept
        return self._value if view is None else view[0]

    def _lie_in(self, view: FloatBuffer, carry: bool) -> None:
        # atomic: as for any scalar, and no function is set or unset in between
        source = self._source
        if source is None:
            if carry:
                view[0] = self._value
            else:
                self._value = view[0]
            self._view = view
        else:
            if carry:
                view[0] = self._value if source.kept is None else source.kept[0]
            source.kept = view

    def _settle(self) -> bool:
        # atomic: as in `_lie_in`
        source = self._source
        view = self._view if source is None else source.kept
        if view is None:
            return False
        self._value = view[0]
        if source is None:
            self._view = None
        else:
            source.kept = None
        return True

    def _writable(self) -> Gauge:
        series = self._bound()
        if series._source is not None:
            raise PytheusError(
                f"gauge {self.name!r} takes its number from a function and cannot be written;"
                " end that first with set_function(None)"
            )
        return series

    def _share(self, incumbent: Metric) -> None:
        # Each write asks the incumbent, not only its number, for it may be given a function at any time.
        self._view = UNBOUND

    def _reset(self) -> None:
        if self._source is None:
            super()._reset()

    def _number(self) -> float:
        source = self._source
        if source is not None:
            return to_float(source.function(), self)
        return super()._number()

    def track_inprogress(self: Gauge[Complete]) -> InProgress:
        """A context manager and decorator that counts a block or function in while it runs."""
        self._writable()
        return InProgress(self.inc, self.dec)

    def time(self: Gauge[Complete]) -> Timer:
        """A context manager and decorator that sets the gauge to the seconds that its block or function took."""
        self._writable()
        return Timer(self)

    @overload
    def __call__(
        self: Gauge[Complete], function: Callable[P, R], /, *, track_inprogress: bool = False
    ) -> Callable[P, R]: ...

    @overload
    def __call__(self: Gauge[Complete], *, track_inprogress: bool = False) -> Around: ...

    def __call__(
        self: Gauge[Complete], function: Callable[..., object] | None = None, *, track_inprogress: bool = False
    ) -> object:
        """As a decorator, with or without arguments: time the function, or with `track_inprogress` count it in."""
        around = self.track_inprogress() if track_inprogress else self.time()
        return around if function is None else around(function)


def _validated_mode(name: object, mode: object, processes: object) -> str:
    """The two as `Definition.mode` has them: "" for the sum of live processes, "max", "max of all"."""
    if mode not in _MODES:
        raise GaugeModeError(f"gauge {name!r} takes a mode of {', '.join(_MODES)} but got {mode!r:.80}")
    if processes not in _PROCESSES:
        raise GaugeModeError(f"gauge {name!r} counts processes that are 'live', or 'all', but got {processes!r:.80}")
    if processes == "all":
        return f"{mode} of all"
    return "" if mode == "sum" else str(mode)


if LOCKED:
    # Not "_number", for no lock may be held while a function runs that may wait for another thread.
    guard(Gauge, "inc", "dec", "set", "_reset", "_kept", "_take_from", "_lie_in", "_settle")
