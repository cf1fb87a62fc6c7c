"""Which metric of pytheus has the numbers of which metric of prometheus_client.

Rules:

- A metric is attached when it is registered, not when its numbers are made, so that one that is not registered stays
  the other library's alone.
- Nothing here raises into the code that registers a metric or asks for a series: a metric that pytheus refuses stays as
  it is, and a `PytheusWarning` names it.
- A gauge that a process never sets has no number there, unless it is summed: prometheus_client counts a zero, which is
  then the least number of all processes.
- A number moves in the order: read, add to the series, replace. Only an installation that comes late moves numbers that
  other threads may write meanwhile, and looks at the former ones once more afterwards.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Final, Literal, Protocol, TypeAlias, cast
from weakref import ref

from prometheus_client import Counter as TheirCounter
from prometheus_client import Enum, metrics
from prometheus_client import Gauge as TheirGauge
from prometheus_client import Histogram as TheirHistogram
from prometheus_client import Info as TheirInfo
from prometheus_client import Summary as TheirSummary

from pytheus.definitions import caller_location
from pytheus.exceptions import PytheusError, PytheusWarning
from pytheus.metrics import Cell, Counter, Gauge, Histogram, Info, Metric, StateSet, Summary
from pytheus.registry import HasDefinition, Lookup, Registry
from pytheus_prometheus_client.numbers import LocalNumber, SeparateNumber, SharedNumber
from pytheus_prometheus_client.series import Series

__all__ = [
    "Attachment",
    "TheirMetric",
    "Twins",
    "holds",
    "is_plain",
    "local",
    "named",
    "numbers_of",
    "refuse",
    "show",
    "tell",
]

TheirMetric: TypeAlias = metrics.MetricWrapperBase
_Ours: TypeAlias = Metric[Any, Any, Any]

_KINDS: Final[dict[type[TheirMetric], type[_Ours]]] = {
    TheirCounter: Counter,
    TheirGauge: Gauge,
    TheirHistogram: Histogram,
    TheirSummary: Summary,
    TheirInfo: Info,
    Enum: StateSet,
}
_READERS: Final = ("collect", "_samples", "_multi_samples", "_child_samples")

_Mode: TypeAlias = Literal["sum", "min", "max", "last", "each"]
_MODES: Final[dict[str, _Mode]] = {"all": "each", "sum": "sum", "min": "min", "max": "max", "mostrecent": "last"}


_is_legacy: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").fullmatch


# The attributes of a metric, or the list of its buckets, and the name or index of a number there.
_Place: TypeAlias = Any
_Key: TypeAlias = str | int


class _Number(Protocol):
    """A number of a metric of prometheus_client."""

    def get(self) -> float: ...
    def set(self, value: float) -> None: ...
    def inc(self, amount: float) -> None: ...


def is_plain(collector: object) -> bool:
    """Return whether `collector` is a metric whose numbers are all that it shows."""
    for base in _KINDS:
        if isinstance(collector, base):
            return all(getattr(type(collector), name) is getattr(base, name) for name in _READERS)
    return False


class Attachment:
    """A metric of prometheus_client, and the one of pytheus that has its numbers."""

    def __init__(
        self, theirs: TheirMetric, registry: Registry, twins: Twins, outlived: Metric | None, is_late: bool
    ) -> None:
        """Make the metric of pytheus, and move the numbers; raises `PytheusError` and changes nothing if it cannot.

        `twins` are the other metrics of the same name, each of another registry of prometheus_client, and from now on
        this one. `outlived` is the metric of pytheus that had the numbers of a former one, and adds those of this one;
        a gauge begins again. With `is_late` numbers from before the installation may be replaced.
        """
        self._weak = ref(theirs)
        # So that the metric lives as long as a registry that has it.
        self._held: TheirMetric | None = theirs
        self._series: Series[TheirMetric] | None = None
        # Of a metric without labels, so that they live until it is detached.
        self._numbers: list[object] = []
        self._twins = twins
        self._is_late = is_late
        self._kind = _kind_of(theirs)
        self.is_separate: bool = bool(twins) or (outlived is not None and self._kind is not TheirGauge)
        self.name: str = theirs._name
        self._our_name = f"{self.name}_total" if self._kind is TheirCounter else self.name
        self._bounds: tuple[float, ...] = tuple(getattr(theirs, "_upper_bounds", ()))[:-1]
        self._states: tuple[str, ...] = tuple(getattr(theirs, "_states", ()))
        self._is_sum = getattr(theirs, "_multiprocess_mode", "sum") in ("sum", "livesum", "all", "liveall")
        # Whether a gauge begins again; the latest number of all processes stays until another is set.
        self._is_renewed = outlived is not None and "mostrecent" not in getattr(theirs, "_multiprocess_mode", "")
        is_shared = holds(registry, self._our_name)
        self._ours = self._make(theirs, registry) if is_shared or not is_late else self._begun(theirs, registry)
        # The metric to unregister at the end; None if the program has an equal one.
        self.registered: _Ours | None = None if is_shared else self._ours
        if outlived is not None:
            self.registered = outlived
        elif twins:
            self.registered = next(iter(twins.values())).registered
        self._moved: list[tuple[_Number, float, SharedNumber]] = []
        if theirs._labelnames:
            self._watch(theirs)
        else:
            self._attach(theirs, self._ours)
        self._is_late = False

    @property
    def theirs(self) -> TheirMetric | None:
        """The metric; None if it has ended."""
        return self._weak()

    @property
    def has_function(self) -> bool:
        """Whether a function provides its number."""
        theirs = self.theirs
        return theirs is not None and "_child_samples" in vars(theirs)

    def let_go(self) -> None:
        """Let the metric end when the program has it no more, because its registry has ended."""
        self._keep_numbers()
        self._held = None

    def _keep_numbers(self) -> None:
        if self._series is None:
            self._numbers = [place[key] for _, places in self._parts() for place, key in places]

    def _begun(self, theirs: TheirMetric, registry: Registry) -> _Ours:
        """Make the metric of pytheus, whose series began when those of the other library did."""
        ours = self._make(theirs, None)
        for values, child in _series_of(theirs):
            created: object = getattr(child, "_created", None)
            if isinstance(created, float):
                Cell(ours.labels(*values) if values else ours, 0).begin(created)
        registry.register(ours)
        return ours

    def _make(self, theirs: TheirMetric, registry: Registry | None) -> _Ours:
        name = self._our_name
        text = str(theirs._documentation)
        labels = tuple(theirs._labelnames)
        names: Literal["legacy", "utf8"] = "legacy" if all(map(_is_legacy, (name, *labels))) else "utf8"
        unit: str = theirs._unit
        if self._kind is TheirCounter:
            return Counter(name, text, labels, unit=unit, names=names, registry=registry)
        if self._kind is TheirGauge:
            given: str = theirs._multiprocess_mode  # type: ignore[attr-defined]  # of a gauge
            mode = _MODES[given.removeprefix("live")]
            processes: Literal["live", "all"] = "live" if given.startswith("live") else "all"
            return Gauge(name, text, labels, mode=mode, processes=processes, unit=unit, names=names, registry=registry)
        if self._kind is TheirHistogram:
            return Histogram(name, text, labels, buckets=self._bounds, unit=unit, names=names, registry=registry)
        if self._kind is TheirSummary:
            return Summary(name, text, labels, unit=unit, names=names, registry=registry)
        if self._kind is TheirInfo:
            return Info(name, text, labels, names=names, registry=registry)
        return StateSet(name, text, labels, states=self._states, names=names, registry=registry)

    # Series -----------------------------------------------------------------------------------------------------------

    def _watch(self, theirs: TheirMetric) -> None:
        with theirs._lock:
            former = dict(_series_of(theirs))
            series = self._use_new_series(theirs)
            for values, child in former.items():
                series[values] = child

    def _use_new_series(self, theirs: TheirMetric) -> Series[TheirMetric]:
        series = self._series = vars(theirs)["_metrics"] = Series(self._added, self._removed)
        return series

    def _added(self, values: tuple[str, ...], child: TheirMetric) -> None:
        try:
            self._attach(child, self._ours.labels(*values))
        except PytheusError as error:
            refuse(f"the series {values!r} of {self.name!r}", error)

    def _removed(self, values: tuple[str, ...], child: TheirMetric) -> None:
        if any(
            values in twin._series for twin in self._twins.values() if twin is not self and twin._series is not None
        ):
            _give_back(numbers_of(child))
            return
        try:
            self._ours.remove(*values)
        except PytheusError:  # a series that pytheus refused
            pass

    def clear(self, theirs: TheirMetric) -> None:
        """Remove every series of the metric, which is `theirs`."""
        with theirs._lock:
            former = _series_of(theirs)
            self._use_new_series(theirs)
            for values, child in former:
                self._removed(values, child)

    # Numbers ----------------------------------------------------------------------------------------------------------

    def _attach(self, theirs: TheirMetric, ours: _Ours) -> None:
        """Let `theirs`, which has a value for each label, write to the series `ours`."""
        if self._kind in (TheirInfo, Enum) or "_child_samples" in vars(theirs):
            vars(theirs)["_pytheus_series"] = ours
            show(theirs)
            return
        places = numbers_of(theirs)
        numbers: list[Any] = [place[key] for place, key in places]
        for number in numbers:
            if type(number) is not LocalNumber and not self._is_of_theirs(number):
                return
        for index, (place, key) in enumerate(places):
            shared = SharedNumber(ours, index)
            number = numbers[index]
            # One of ours is read without its lock, because that is one step.
            value: float = number._value if type(number) is LocalNumber else number.get()
            if self._is_renewed and not self.is_separate:
                shared.set(0.0)
            if value:
                shared.inc(value)
                self._moved.append((number, value, shared))
            place[key] = SeparateNumber(shared, value, self._is_sum) if self.is_separate else shared
        vars(theirs)["_pytheus_series"] = ours

    def _is_of_theirs(self, number: object) -> bool:
        return self._is_late and type(number).__module__.partition(".")[0] == "prometheus_client"

    def separate(self) -> None:
        """Let the metric show its own numbers from now on, because another one shares its series."""
        if self.is_separate:
            return
        self.is_separate = True
        for _, places in self._parts():
            for place, key in places:
                number: object = place[key]
                if isinstance(number, SharedNumber):
                    place[key] = SeparateNumber(number, number.get(), self._is_sum)
        self._keep_numbers()

    def sweep(self) -> None:
        """Add the writes of other threads to the former numbers while they were replaced."""
        moved, self._moved = self._moved, []
        for number, value, shared in moved:
            more = number.get() - value
            if more:
                shared.inc(more)
            if getattr(number, "_multiprocess", False):
                number.set(0.0)  # the file of its process would show it a second time

    def is_stored(self) -> bool:
        """Return whether the registry of pytheus keeps the numbers in a storage of its own."""
        for _, places in self._parts():
            for place, key in places:
                number: object = place[key]
                if isinstance(number, SeparateNumber):
                    number = number.shared
                return isinstance(number, SharedNumber) and number.is_stored
        return False

    def detach(self) -> None:
        """Give the metric numbers of its own again, with the values that it shows."""
        theirs = self.theirs
        if theirs is not None and theirs._labelnames:
            with theirs._lock:
                theirs._metrics = dict(theirs._metrics)
        for attributes, places in self._parts():
            if self._twins:
                _give_back(places)
            for place, key in places:
                number: object = place[key]
                if isinstance(number, (SharedNumber, SeparateNumber)):
                    place[key] = local(number.get())
            ours: object = attributes.pop("_pytheus_series", None)
            if isinstance(ours, Gauge) and "_child_samples" in attributes:
                ours.set_function(None)

    def _parts(self) -> list[tuple[dict[str, Any], list[tuple[_Place, _Key]]]]:
        """Return the attributes of each series, and where its numbers are; also when the metric has ended."""
        if self._series is not None:
            return [(vars(child), numbers_of(child)) for child in list(self._series.values())]
        theirs = self.theirs
        if theirs is not None:
            return [(vars(theirs), numbers_of(theirs))]
        return [({}, [(self._numbers, index) for index in range(len(self._numbers))])]


Twins: TypeAlias = dict[int, Attachment]
"""By the id of the metric: those of one name, each of another registry of prometheus_client, which share a metric."""


def holds(registry: Registry, name: str) -> bool:
    """Return whether a collector in `registry` has `name`."""
    if isinstance(registry, Lookup):
        return registry.find(name) is not None
    return any(isinstance(held, HasDefinition) and held.definition.name == name for held in registry.collect())


def _give_back(places: list[tuple[_Place, _Key]]) -> None:
    """Take the numbers of a series that ends out of those that it shares with others."""
    for place, key in places:
        number: object = place[key]
        if isinstance(number, SeparateNumber):
            number.give_back()


def local(value: float) -> LocalNumber:
    """Return a number of prometheus_client's own with this value."""
    number: LocalNumber = cast(Any, LocalNumber)("", "", "", (), (), "")
    number._value = value
    return number


def show(theirs: TheirMetric) -> None:
    """Let pytheus show the facts, the state or the function of `theirs`, if it is attached."""
    ours: object = vars(theirs).get("_pytheus_series")
    try:
        if isinstance(ours, Info) and isinstance(theirs, TheirInfo):
            ours.info(theirs._value)
        elif isinstance(ours, StateSet) and isinstance(theirs, Enum):
            ours.state(theirs._states[theirs._value])
        elif isinstance(ours, Gauge) and "_child_samples" in vars(theirs):
            ours.set_function(lambda: next(iter(theirs._child_samples())).value)
            # Later writes have no effect, as in the other library.
            theirs._value = local(0.0)  # type: ignore[attr-defined]  # of a gauge
    except PytheusError as error:
        refuse(named(theirs), error)


# As a module has it, so that the default filter shows a warning once for each line.
_TOLD: Final[dict[str | tuple[str, type[Warning], int], int]] = {}

_untold: Final[list[str]] = []


def named(theirs: TheirMetric) -> str:
    """Return a metric's type and name, for messages."""
    return f"{theirs._type} {theirs._name!r}"


def refuse(subject: str, reason: object) -> None:
    """Note that `subject` stays in prometheus_client alone, until `tell` warns of it when no lock is held."""
    _untold.append(f"{subject} stays in prometheus_client alone: {reason}")


def tell() -> None:
    """Warn of all refusals, at the line of the program that defines or uses it."""
    while _untold:
        try:
            message = _untold.pop(0)
        except IndexError:  # another thread warns of it
            return
        path, _, line = caller_location().rpartition(":")
        warnings.warn_explicit(message, PytheusWarning, path or "<unknown>", int(line or 1), registry=_TOLD)


def numbers_of(theirs: TheirMetric) -> list[tuple[_Place, _Key]]:
    """Return where a series has its numbers, in the order of a row: dicts or lists, and the key of each in it."""
    attributes = vars(theirs)
    kind = _kind_of(theirs)
    if kind is TheirCounter or kind is TheirGauge:
        return [(attributes, "_value")]
    if kind is TheirSummary:
        return [(attributes, "_sum"), (attributes, "_count")]
    if kind is TheirHistogram:
        buckets = attributes["_buckets"]
        return [(attributes, "_sum"), *[(buckets, index) for index in range(len(buckets))]]
    return []


def _kind_of(theirs: TheirMetric) -> type[TheirMetric]:
    # Not by isinstance, which takes a microsecond for each of their classes, because these are protocols.
    kind = type(theirs)
    return kind if kind in _KINDS else next(base for base in _KINDS if base in kind.__mro__)


def _series_of(theirs: TheirMetric) -> list[tuple[tuple[str, ...], TheirMetric]]:
    """Return the series of a metric with their label values."""
    if not theirs._labelnames:
        return [((), theirs)]
    return list(cast("dict[tuple[str, ...], TheirMetric]", theirs._metrics).copy().items())
