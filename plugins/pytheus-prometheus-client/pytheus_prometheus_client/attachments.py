"""Which metric of pytheus has the numbers of which metric of prometheus_client.

Rules:

- A metric is attached when it is registered, not when its numbers are made, so that one that is not registered stays
  the other library's alone.
- Nothing here raises into the code that registers a metric or asks for a series: a metric that pytheus refuses stays as
  it is, and a `PytheusWarning` names it.
- A gauge that a process never sets has no number there, unless it is summed: prometheus_client counts a zero, which is
  then the least number of all processes.
- A number moves in the order: read, add to the series, replace. Other threads may write meanwhile, so the former ones
  are looked at once more afterwards.
- A metric that leaves takes its own numbers out of those that it shares with twins, which then show theirs again. A
  metric of pytheus that the program has itself keeps the numbers that it shares, and the number that leaves knows them.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import count
from math import isfinite
from typing import Any, Final, Literal, Protocol, TypeAlias
from weakref import ref

from prometheus_client import Counter as TheirCounter
from prometheus_client import Enum
from prometheus_client import Gauge as TheirGauge
from prometheus_client import Histogram as TheirHistogram
from prometheus_client import Info as TheirInfo
from prometheus_client import Summary as TheirSummary
from prometheus_client.samples import Exemplar

from pytheus.exceptions import NotANumberError, PytheusError
from pytheus.metrics import Cell, Counter, Gauge, Histogram, Info, Metric, StateSet, Summary
from pytheus.registry import HasDefinition, Lookup, Registry
from pytheus_prometheus_client.numbers import LocalNumber, SeparateNumber, SharedNumber, local
from pytheus_prometheus_client.parts import Part, is_from_before, kind_of, numbers_of, series_of
from pytheus_prometheus_client.refusals import TheirMetric, named, refuse
from pytheus_prometheus_client.series import Series

__all__ = [
    "Attachment",
    "TheirMetric",
    "Twins",
    "holds",
    "show",
]

_Ours: TypeAlias = Metric[Any, Any, Any]

_Mode: TypeAlias = Literal["sum", "min", "max", "last", "each"]
_MODES: Final[dict[str, _Mode]] = {"all": "each", "sum": "sum", "min": "min", "max": "max", "mostrecent": "last"}


_is_legacy: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*").fullmatch


class _Number(Protocol):
    """A number of a metric of prometheus_client."""

    def get(self) -> float: ...
    def set(self, value: float) -> None: ...
    def inc(self, amount: float) -> None: ...
    def get_exemplar(self) -> Exemplar | None: ...


# The order in which gauges got a function, because the last one provides the number of a series.
_turns: Final = count(1)


class Attachment:
    """A metric of prometheus_client, and the one of pytheus that has its numbers."""

    def __init__(
        self, theirs: TheirMetric, registry: Registry, twins: Twins, outlived: Metric | None, is_late: bool
    ) -> None:
        """Make the metric of pytheus, and move the numbers; raises `PytheusError` and changes nothing if it cannot.

        `twins` are the other metrics of the same name, each of another registry of prometheus_client, and from now on
        this one. `outlived` is the metric of pytheus that had the numbers of a former one, and adds those of this one;
        a gauge begins again. With `is_late` the metric is from before the installation, as it is if its numbers are.
        """
        is_late |= is_from_before(theirs)
        self._weak = ref(theirs)
        # So that the metric lives as long as a registry that has it.
        self._held: TheirMetric | None = theirs
        self._series: Series[TheirMetric] | None = None
        # Of a metric without labels, so that they live until it is detached.
        self._numbers: list[object] = []
        self._twins = twins
        self._is_complete = False
        self._kind = kind_of(theirs)
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
        self._moved: list[tuple[_Number, float, SharedNumber | SeparateNumber]] = []
        if theirs._labelnames:
            self._watch(theirs)
        else:
            self._attach((), theirs, self._ours)
        self._is_complete = True

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
            self._numbers = [number for part in self._parts() for number in part.numbers]

    def _begun(self, theirs: TheirMetric, registry: Registry) -> _Ours:
        """Make the metric of pytheus, whose series began when those of the other library did."""
        ours = self._make(theirs, None)
        for values, child in series_of(theirs):
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
            former = dict(series_of(theirs))
            series = self._use_new_series(theirs)
            for values, child in former.items():
                series[values] = child

    def _use_new_series(self, theirs: TheirMetric) -> Series[TheirMetric]:
        series = self._series = vars(theirs)["_metrics"] = Series(self._added, self._removed)
        return series

    def _added(self, values: tuple[str, ...], child: TheirMetric) -> None:
        try:
            if is_from_before(child) and self._is_complete:
                raise NotANumberError("the program has replaced prometheus_client.values.ValueClass; remove that")
            self._attach(values, child, self._ours.labels(*values))
        except PytheusError as error:
            refuse(f"the series {values!r} of {self.name!r}", error)

    def _removed(self, values: tuple[str, ...], child: TheirMetric) -> None:
        if any(values in twin._series for twin in self._other_twins() if twin._series is not None):
            self._leave(Part(values, child, vars(child), numbers_of(child)))
            return
        try:
            self._ours.remove(*values)
        except PytheusError:  # a series that pytheus refused
            pass

    def adopt(self, theirs: TheirMetric) -> None:
        """Watch the dict that the program has put in the place of the series of the metric, which is `theirs`."""
        with theirs._lock:
            present = dict(series_of(theirs))
            former = self._series
            if former is None or theirs._metrics is former:
                return
            series = self._use_new_series(theirs)
            for values, child in former.items():
                if present.get(values) is not child:
                    self._removed(values, child)
            for values, child in present.items():
                if former.get(values) is child:
                    dict.__setitem__(series, values, child)
                else:
                    series[values] = child

    def clear(self, theirs: TheirMetric) -> None:
        """Remove every series of the metric, which is `theirs`."""
        self.adopt(theirs)
        with theirs._lock:
            theirs._metrics.clear()

    # Numbers ----------------------------------------------------------------------------------------------------------

    def _attach(self, values: tuple[str, ...], theirs: TheirMetric, ours: _Ours) -> None:
        """Let `theirs`, which has these label values, write to the series `ours`."""
        if self._kind in (TheirInfo, Enum) or "_child_samples" in vars(theirs):
            vars(theirs)["_pytheus_series"] = ours
            show(theirs)
            return
        places = numbers_of(theirs)
        for index, (place, key) in enumerate(places):
            number: Any = place[key]
            shared = SharedNumber(ours, index)
            value = _value_of(number)
            is_ours = type(number) is LocalNumber
            exemplar: Exemplar | None = number._exemplar if is_ours else number.get_exemplar()
            kept: float = number.kept_by(shared) if is_ours else 0.0
            if self._is_renewed and not self.is_separate:
                shared.set(0.0)
            if value != kept:
                if self._is_sum and isfinite(kept):
                    shared.inc(value - kept)
                else:
                    shared.set(value)
            if exemplar is not None:
                shared.set_exemplar(exemplar)
            present = self._separate(values, shared, value, kept) if self.is_separate else shared
            place[key] = present
            if not (self._is_complete or isinstance(number, (SharedNumber, SeparateNumber))):
                self._moved.append((number, value, present))
        vars(theirs)["_pytheus_series"] = ours

    def _separate(self, values: tuple[str, ...], shared: SharedNumber, value: float, kept: float) -> SeparateNumber:
        others = partial(self._sum_of_others, values) if self._kind in (TheirCounter, TheirGauge) else None
        number = SeparateNumber(shared, value, self._is_sum, others, kept)
        number.keep_exemplar_of(shared)
        return number

    def _sum_of_others(self, values: tuple[str, ...]) -> float:
        """Return the sum of the other metrics that share a series of a counter or a gauge."""
        numbers = [number for part in self._other_parts(values) for number in part.numbers]
        return sum(number.get() for number in numbers if isinstance(number, SeparateNumber))

    def separate(self) -> None:
        """Let the metric show its own numbers from now on, because another one shares its series."""
        if self.is_separate:
            return
        self.is_separate = True
        for values, _, _, places in self._parts():
            for place, key in places:
                number: object = place[key]
                if isinstance(number, SharedNumber):
                    value = number.get()
                    kept = value if self.registered is None else 0.0
                    place[key] = self._separate(values, number, value, kept)
        self._keep_numbers()

    def sweep(self) -> None:
        """Add the writes of other threads to the former numbers while they were replaced."""
        moved, self._moved = self._moved, []
        for number, value, present in moved:
            more = _value_of(number) - value
            if more and isfinite(more):
                present.inc(more)
            if getattr(number, "_multiprocess", False):
                number.set(0.0)  # the file of its process would show it a second time

    def is_stored(self) -> bool:
        """Return whether the registry of pytheus keeps the numbers in a storage of its own."""
        numbers: list[object] = [number for part in self._parts() for number in part.numbers][:1]
        shared = [number.shared if isinstance(number, SeparateNumber) else number for number in numbers]
        return any(isinstance(number, SharedNumber) and number.is_stored for number in shared)

    def detach(self) -> None:
        """Give the metric numbers of its own again, with the values that it shows."""
        theirs = self.theirs
        if theirs is not None and theirs._labelnames:
            with theirs._lock:
                theirs._metrics = dict(theirs._metrics)
        for part in self._parts():
            self._leave(part)

    def _leave(self, part: Part) -> None:
        """Give a series numbers of its own again, and let the twins that have it show theirs."""
        for place, key in part.places:
            number: object = place[key]
            if isinstance(number, SeparateNumber):
                place[key] = local(number.get(), number.get_exemplar())
                place[key].keep(number.shared, number.kept)
                number.give_back()
            elif isinstance(number, SharedNumber):
                value = number.get()
                place[key] = local(value, number.get_exemplar())
                if self.registered is None:
                    place[key].keep(number, value)
        ours: object = part.attributes.pop("_pytheus_series", None)
        turn: int = part.attributes.pop("_pytheus_turn", 0)
        others = self._other_parts(part.values)
        has_function = "_child_samples" in part.attributes
        if isinstance(ours, Gauge) and has_function:
            if any(turn < other.attributes.get("_pytheus_turn", 0) for other in others):
                return
            ours.set_function(None)
        for other in others:
            for number in other.numbers if has_function or not self._is_sum else ():
                if isinstance(number, SeparateNumber):
                    number.write_again()
        for other in others:
            if other.theirs is not None and (has_function or not part.places):
                show(other.theirs)

    def _other_twins(self) -> list[Attachment]:
        return [twin for twin in list(self._twins.values()) if twin is not self]

    def _other_parts(self, values: tuple[str, ...]) -> list[Part]:
        """Return the series of twins that have these label values."""
        return [part for twin in self._other_twins() for part in twin._parts(values)]

    def _parts(self, values: tuple[str, ...] | None = None) -> list[Part]:
        """Return each series, or that with these label values; also when the metric has ended."""
        if self._series is not None:
            found = list(self._series.items()) if values is None else [(values, self._series.get(values))]
            return [Part(given, each, vars(each), numbers_of(each)) for given, each in found if each is not None]
        theirs = self.theirs
        if theirs is not None:
            return [Part((), theirs, vars(theirs), numbers_of(theirs))]
        return [Part((), None, {}, [(self._numbers, index) for index in range(len(self._numbers))])]


def _value_of(number: Any) -> float:
    # One of ours is read without its lock, because that is one step.
    value: float = number._value if type(number) is LocalNumber else number.get()
    return value


Twins: TypeAlias = dict[int, Attachment]
"""By the id of the metric: those of one name, each of another registry of prometheus_client, which share a metric."""


def holds(registry: Registry, name: str) -> bool:
    """Return whether a collector in `registry` has `name`."""
    if isinstance(registry, Lookup):
        return registry.find(name) is not None
    return any(isinstance(held, HasDefinition) and held.definition.name == name for held in registry.collect())


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
            vars(theirs)["_pytheus_turn"] = next(_turns)
            # Later writes have no effect, as in the other library.
            theirs._value = local(0.0)  # type: ignore[attr-defined]  # of a gauge
    except PytheusError as error:
        refuse(f"the latest value of {named(theirs)}", error)
