"""The base of every metric type: definition, registration and labels.

Rules:

- One class is both the metric and its series; `pytheus.metrics.handle` has the rules.
- Registration is the last step of the constructor, so that a failure leaves nothing behind.
- A second definition like the first one shares its series (`SeriesSet.share`), so a module that is imported twice, or
  two libraries with the same metric, lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from types import GenericAlias
from typing import Any, ClassVar, Generic, NoReturn, ParamSpec, Self, TypeVar, cast, overload

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.definitions import Definition, caller_location
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.kinds import MetricType
from pytheus.metrics.handle import Handle
from pytheus.metrics.label_sources import Source, parted
from pytheus.metrics.label_types import AnyLabels, C, Complete, D, DefaultLabels, L, LabelValue, LabelValues
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.series import NO_LABELS, SHARED_VALUES_AT_MOST, UNBOUND, SeriesSet, matches, no_labels_to_remove
from pytheus.names import (
    RESERVED_NAMES,
    reserved_label,
    validate_label_names,
    validate_metric_name,
    validate_names,
    validate_text,
    validate_unit,
)
from pytheus.native_buckets import NativeBuckets
from pytheus.registry.contract import Registry, refused_by_peer
from pytheus.registry.lookup import register_or_share
from pytheus.samples import Family, Sample
from pytheus.settings import NameRules

__all__ = ["Metric"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Metric(Handle, Generic[L, C, D]):
    """The base of every metric type; use one of its subclasses.

    All methods may be called from any thread, signal handler and finalizer, before and after a fork.

        >>> from pytheus import Counter
        >>> hits = Counter("hits_total", "Hits.", ["code"], registry=None)
        >>> isinstance(hits, Metric), hits.name, hits.label_names
        (True, 'hits_total', ('code',))
    """

    __slots__ = ()

    type_: ClassVar[MetricType] = "unknown"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None,
        default_labels: DefaultLabels | None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None,
        registry: Registry | None,
        *,
        bounds: tuple[float, ...] = (),
        states: tuple[str, ...] = (),
        mode: str = "",
        labels: L | None = None,
        unit: str = "",
        native: NativeBuckets | None = None,
        names: NameRules | None = None,
    ) -> None:
        type_ = self.type_
        names = validate_names(names, type_)
        name = validate_metric_name(name, type_, names)
        subject = f"{type_} {name!r}"
        if labels is not None:
            from pytheus.metrics.label_class import read_labels

            required_labels, default_labels = read_labels(labels, subject, required_labels, default_labels)
        definition = Definition(
            name,
            type_,
            validate_text(description, f"the description of {subject}"),
            validate_label_names(required_labels, subject, reserved_label(name, type_), names),
            bounds=bounds,
            states=states,
            mode=mode,
            location=caller_location(),
            unit=validate_unit(unit, name, type_, subject),
            native=native,
            names=names,
        )
        series = SeriesSet(definition, (), ())
        series.defaults = series.unbound
        sources: dict[str, Source] = {}
        if default_labels is not None and len(_mapping(default_labels)) > 0:
            values, sources = parted(default_labels, subject)
            defaults = series.bind(series.unbound, (), values)
            series.defaults = tuple(
                [None if name in sources else value for name, value in zip(definition.labels, defaults, strict=True)]
            )
        self._series = series
        self._labels = series.unbound
        self._view = UNBOUND
        if labels_from is not None:
            series.prepared[:] = series.combinations(labels_from)
        default = series.complete(series.unbound)
        if series.label_count > 0 and default is not None and default not in series.prepared:
            # Such a metric can be written at once, so its series exists at once, as without labels.
            series.prepared.insert(0, default)
        if sources:
            series.label_sources = tuple([sources.get(name) for name in definition.labels])
        if series.label_count:
            self._init_handle()
        else:
            self._view = None
            self._init_series()
            series.children[NO_LABELS] = self
        for key in series.prepared:
            self._child(key)
        if registry is not None:
            self._join(registry)

    # Hooks, which each type implements --------------------------------------------------------------------------------

    def _share_with(self, incumbent: Metric) -> None:
        """Make this handle, of a metric without labels, write where `incumbent` writes."""
        raise NotImplementedError

    def _samples(self) -> list[Sample]:
        """Return this series' samples with their current values."""
        raise NotImplementedError

    def _record_seconds(self: Metric[Complete], seconds: float) -> None:
        """Take the duration that a timer measured."""
        raise NotImplementedError

    def _record_since(self: Metric[Complete], start: float) -> None:
        """Take the duration from `start`, of `time.perf_counter`, until now."""
        self._record_seconds(perf_counter() - start)

    def text_parts(self, prefix: str) -> list[str]:
        """Return pieces of the family's text; `prefix` is "" or ends with "_"."""
        raise NotImplementedError

    def message_parts(self) -> list[bytes] | None:
        """Return pieces of the family's metrics in the protobuf format; None if only its rows have all of them.

        They depend neither on the family's name nor on a prefix.
        """
        return None

    def has_plain_text(self) -> bool:
        """Return whether OpenMetrics has the lines of `text_parts`; see `pytheus.registry.HasPlainText`."""
        series = self._series
        return series.definition.name_rules == "legacy" and not series.exemplars

    def __call__(self: Metric[Complete], function: Callable[P, R], /) -> Callable[P, R]:
        """Measure each call of `function`, as a decorator.

        Raises `TypeError` for a type that cannot measure.
        """
        raise TypeError(f"{self} cannot decorate a function; decorate it with a counter, gauge, histogram or summary")

    # Registration -----------------------------------------------------------------------------------------------------

    def _join(self, registry: Registry) -> None:
        definition = self._series.definition
        for name in definition.occupied_names:
            if name in RESERVED_NAMES:
                raise InvalidNameError(
                    f"{self} would expose the name {name!r}, which counts failed collectors; choose another name"
                )
        register_or_share(registry, self, definition.name, self._adopt)

    def _adopt(self, incumbent: object) -> bool:
        """Share the series of `incumbent` if it is the same metric; return whether it is."""
        if not isinstance(incumbent, Metric):
            return False
        series = self._series
        other = incumbent._series
        if not series.definition.matches(other.definition):
            return False
        if other is series:
            return True
        series.share(other)
        if series.label_count == 0:
            self._share_with(cast(Self, other.children[NO_LABELS]))
        for key in series.prepared:
            self._child(key)
        return True

    # Labels -----------------------------------------------------------------------------------------------------------

    @overload
    def labels(self: M, /, *values: LabelValue | LabelValues, **named: LabelValue) -> M: ...

    @overload
    def labels(self: Metric[Callable[..., object], type[T], D], labels: T, /) -> D: ...

    @overload
    def labels(self: Metric[Callable[P, object], type[object], D], /, *values: P.args, **named: P.kwargs) -> D: ...

    def labels(self, /, *values: object, **named: object) -> object:
        """Return this metric with labels set.

        By position in the order of definition, by keyword, or by a mapping. An instance of a dataclass or NamedTuple is
        accepted like a mapping. Each value is a str or an int; `pytheus.metrics.label_values` tells about others.

        With every label set (default labels count, and can be overridden) the result is a series, which can be written.
        With some missing it is a handle that can be stored, and its own `labels()` sets the rest.

            >>> from pytheus import Counter
            >>> hits = Counter("hits_total", "Hits.", ["method", "code"], registry=None)
            >>> hits.labels("GET", 200) is hits.labels(code="200", method="GET")
            True
            >>> get = hits.labels(method="GET")
            >>> get.labels(code=200) is hits.labels({"method": "GET", "code": "200"})
            True

        Raises `LabelError` for an unknown label, a label that is set already, or too many values; in strict mode also
        for a value of another type.
        """
        series = self._series
        if self._labels is series.unbound:
            # Any, because a cast is a call in plain Python; only `_create` puts values into this dict. A new series
            # raises no exception, because native code would make a traceback, which takes longer than the series.
            children: dict[Any, Any] = series.children
            key: tuple[Any, ...] = values
            try:
                if named:
                    if values or len(named) != series.label_count:
                        return self._labelled(values, named)
                    key = series.pick(named)
                found: Any = children.get(key)
                if found is not None:
                    return found
                texts = key if len(key) == series.label_count else None
                if texts is not None:
                    # As `SeriesSet.checked`, for values that need no more than this.
                    shared: dict[Any, Any] = series.shared_values
                    for value in key:
                        known = shared.get(value)
                        if known is None and type(value) is str and value.isascii():
                            if len(shared) < SHARED_VALUES_AT_MOST:
                                shared[value] = value
                        elif known is None or known is not value:
                            texts = series.spelled(key)
                            found = children.get(texts)
                            break
            except Exception:  # a mapping, a value with a broken hash, an int with too many digits, or a mistake
                return self._labelled(values, named)
            if found is not None:
                return found
            if texts is key:
                return self._create(key)
            if texts is not None and None not in texts:
                return self._create(series.checked(texts))
        return self._labelled(values, named)

    def _labelled(self, values: tuple[object, ...], named: dict[str, object]) -> Self:
        """Return this metric with labels set, whatever their types and however many."""
        series = self._series
        bound = series.bind(self._labels, values, named)
        if None in bound:
            if series.defaults is not series.unbound:
                whole = series.complete(bound)
                if whole is not None:
                    self._child(whole)
            return self._handle(bound)
        return self._child(cast("tuple[str, ...]", bound))

    @overload
    def remove(self: Metric[AnyLabels], /, *values: LabelValue | LabelValues, **named: LabelValue) -> bool: ...

    @overload
    def remove(self: Metric[Callable[..., object], type[T]], labels: T, /) -> bool: ...

    @overload
    def remove(self: Metric[Callable[P, object], type[object]], /, *values: P.args, **named: P.kwargs) -> bool: ...

    @overload
    def remove(self, /, *values: LabelValue, **named: LabelValue) -> bool: ...

    def remove(self, /, *values: object, **named: object) -> bool:
        """Remove every series with these labels, and return whether there was one.

        The arguments are those of `labels()`. Labels that are not given match every value, also those with a default.
        A later call of `labels()` creates a series again at zero. A handle on a removed series can still be written but
        is no longer exposed. Raises `LabelError` as `labels()` does, and if no label is given.

            >>> from pytheus import Gauge
            >>> jobs = Gauge("jobs", "Jobs.", ["tenant", "queue"], registry=None)
            >>> for tenant, queue in ("a", "mail"), ("a", "print"), ("b", "mail"):
            ...     jobs.labels(tenant, queue).set(3)
            >>> jobs.remove("b", "mail"), jobs.remove(tenant="a"), jobs.series_count
            (True, True, 0)
        """
        series = self._series
        if series.label_count == 0:
            raise LabelError(f"{self.type_} {self.name!r} has no labels and so no series to remove; use clear()")
        bound = series.bind(self._labels, values, named)
        if bound == series.unbound:
            raise LabelError(no_labels_to_remove(f"{self.type_} {self.name!r}", self.label_names))
        return self._drop_matching(bound)

    def clear(self) -> None:
        """Remove every series, or from a handle with some labels set, those that match them.

        The series that `labels_from` and complete default labels create ahead are created again at zero; a metric
        without labels is reset to zero.

            >>> from pytheus import Gauge
            >>> jobs = Gauge("jobs", "Jobs.", ["tenant", "queue"], registry=None)
            >>> jobs.labels("a", "mail").set(3)
            >>> jobs.labels("b", "mail").set(3)
            >>> jobs.labels(tenant="a").clear()
            >>> [row.labels for row in jobs.rows()]
            [('b', 'mail')]
        """
        series = self._series
        bound = self._labels
        if series.label_count == 0:
            series.exemplars.clear()
            self._bound()._reset()
            return
        if series.storage or bound != series.unbound:
            self._drop_matching(bound)
        else:
            series.exemplars.clear()
            series.note_end()
            series.children.clear()
            if series.asleep:
                for key in list(series.asleep[0].series):
                    self._drop_sleeper(key)
        for key in series.prepared:
            if matches(bound, key):
                self._child(key)

    # Reading ----------------------------------------------------------------------------------------------------------

    @property
    def definition(self) -> Definition:
        """The metric's definition; the same object for all handles on it."""
        return self._series.definition

    @property
    def name(self) -> str:
        """The name as given, without the prefix of a registry."""
        return self._series.definition.name

    @property
    def description(self) -> str:
        """The help text."""
        return self._series.definition.description

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label names in the order of definition."""
        return self._series.definition.labels

    def describe(self) -> NoReturn:
        """Raise `NotACollectorError`: the registry of another library, which asks for this, cannot collect a metric."""
        raise refused_by_peer(f"{self.type_} {self.name!r}")

    def collect(self) -> Iterator[Family]:
        """Yield one family with the current values of every series.

        From a handle with some labels set: of the series that match them. In a scrape, a series whose number cannot be
        read is left out and counted; elsewhere its error is raised.
        """
        definition = self._series.definition
        samples: list[Sample] = []
        failed = False
        for child in self._members():
            try:
                samples += child._samples()
            except BaseException as error:
                self._leave_out(child, error)
                failed = True
        if samples or not failed:
            yield Family(
                definition.name,
                definition.type,
                definition.description,
                samples,
                unit=definition.unit,
                names=definition.name_rules,
            )

    def series_labels(self) -> list[tuple[str, ...]]:
        """Return the label values of every series; see `pytheus.registry.HasSeriesLabels`."""
        series = self._series
        return [key for key in list(series.children) if self._labels is series.unbound or matches(self._labels, key)]

    def _label_dict(self) -> dict[str, str]:
        return dict(zip(self._series.definition.labels, cast("tuple[str, ...]", self._labels), strict=True))

    @classmethod
    def __class_getitem__(cls, item: object) -> GenericAlias:
        # The compiled build has no `typing.Generic` among its bases; see build_backend/erasing.py.
        return GenericAlias(cls, item)

    # A copy would share only some of the numbers, so a metric is its own copy.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def __reduce__(self) -> str:
        raise TypeError(f"{self} cannot be pickled: its numbers belong to this process; define it in each process")

    def __str__(self) -> str:
        return f"{self.type_} {self.name!r}"

    def __repr__(self) -> str:
        series = self._series
        labels = [
            f"{name}={value!r}"
            for name, value in zip(series.definition.labels, self._labels, strict=True)
            if value is not None
        ]
        return f"<{self.__class__.__name__} {series.definition.name}{'{' + ', '.join(labels) + '}' if labels else ''}>"


# After the class, because a bound that is a string would be compiled at each import.
M = TypeVar("M", bound=Metric[AnyLabels])


def _mapping(labels: object) -> DefaultLabels:
    if not isinstance(labels, Mapping):
        raise LabelError(f"default_labels must be a mapping of label names to values but got {labels!r:.80}")
    return labels


if LOCKED:
    lock_methods(Handle, "_forget")
