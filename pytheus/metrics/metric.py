"""What every metric type has in common: a definition, labels, and the way into a registry.

Rules:

- One class is both the metric and its series. A metric object is a *handle*: its series set, and the label values that
  are bound so far. With none missing it is a series and has numbers of its own; otherwise its numbers are `UNBOUND`.
- A metric is registered when it is whole, as the last step of its making, so that a failure leaves nothing behind.
- A second definition like the first one shares its series (`SeriesSet.share`), so that a module that is imported twice,
  or two libraries with the same metric, lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from types import GenericAlias
from typing import Any, ClassVar, Generic, ParamSpec, Self, TypeVar, cast, overload

from pytheus.compilation import mypyc_attr
from pytheus.definitions import Definition, caller_location
from pytheus.exceptions import InvalidNameError, LabelError
from pytheus.kinds import MetricType
from pytheus.metrics.doubles import UNBOUND, FloatBuffer
from pytheus.metrics.exemplars import checked_exemplar
from pytheus.metrics.label_types import AnyLabels, C, Complete, D, L
from pytheus.metrics.series import SeriesSet
from pytheus.names import RESERVED_NAMES, reserved_label, validate_label_names, validate_metric_name, validate_text
from pytheus.registry.capabilities import SeriesLimit
from pytheus.registry.contract import Registry
from pytheus.registry.lookup import register_or_share
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Exemplar, Family, Row, Sample

__all__ = ["Metric"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound="Metric[AnyLabels]")

_NO_LABELS: tuple[str, ...] = ()


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Metric(Generic[L, C, D]):
    """The base of every metric type; not for use by itself.

    Metrics can be read and written from any thread, signal handler and finalizer, before and after a fork.
    """

    __slots__ = ("_labels", "_series", "_view")

    type_: ClassVar[MetricType] = "unknown"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None,
        default_labels: Mapping[str, str] | None,
        labels_from: Mapping[str, Iterable[str]] | None,
        registry: Registry | None,
        *,
        bounds: tuple[float, ...] = (),
        states: tuple[str, ...] = (),
        mode: str = "",
        labels: L | None = None,
    ) -> None:
        type_ = self.type_
        name = validate_metric_name(name, type_)
        subject = f"{type_} {name!r}"
        if labels is not None:
            from pytheus.metrics.label_class import read_labels  # loaded late: only such a definition needs it

            required_labels, default_labels = read_labels(labels, subject, required_labels, default_labels)
        definition = Definition(
            name,
            type_,
            validate_text(description, f"the description of {subject}"),
            validate_label_names(required_labels, subject, reserved_label(name, type_)),
            bounds=bounds,
            states=states,
            mode=mode,
            location=caller_location(),
        )
        series = SeriesSet(definition, (), ())
        series.defaults = series.bind(series.blank, (), {} if default_labels is None else _mapping(default_labels))
        self._series = series
        self._labels: tuple[str | None, ...] = series.blank
        self._view: FloatBuffer | None = UNBOUND
        if labels_from is not None:
            series.prepared = _prepared(series, labels_from)
        self._begin()
        if series.size == 0:
            self._view = None
            self._reset()
            series.children[_NO_LABELS] = self
        for key in series.prepared:
            self._child(key)
        if registry is not None:
            self._join(registry)

    # Parts that each type has its own of ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Give a new handle what it must have even with labels missing."""

    def _reset(self) -> None:
        """Give a new series its numbers, or an old one new ones: zeros."""
        raise NotImplementedError

    def _share(self, incumbent: Metric) -> None:
        """Let this handle, which has no labels, write where `incumbent` writes."""
        raise NotImplementedError

    def _samples(self) -> list[Sample]:
        """This series' samples as they stand now."""
        raise NotImplementedError

    def _size(self) -> int:
        """How many numbers a series has, as `Row` lays them out."""
        raise NotImplementedError

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        """This series as it stands now."""
        raise NotImplementedError

    def _move(self, storage: NumberStorage, carry: bool) -> None:
        """Let this series' numbers lie in `storage` from now on; with `carry` as they are, otherwise as found there."""
        raise NotImplementedError

    def _settle(self) -> bool:
        """Let this series' numbers lie in itself again, as they are; whether they lay elsewhere."""
        raise NotImplementedError

    def _take(self: Metric[Complete], seconds: float) -> None:
        """What a timer does with the seconds that it measured."""
        raise NotImplementedError

    def text_parts(self, prefix: str) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        raise NotImplementedError

    # Declared here, though not every type has it, so that compiled objects of all types begin alike.
    def __call__(self: Metric[Complete], function: Callable[P, R], /) -> Callable[P, R]:
        """As a decorator: measure each call of `function`, in the way of this type."""
        raise TypeError(
            f"{self} measures nothing about a function; decorate it with a counter, gauge, histogram or summary"
        )

    # Registration -----------------------------------------------------------------------------------------------------

    def _join(self, registry: Registry) -> None:
        definition = self._series.definition
        for name in definition.occupied_names:
            if name in RESERVED_NAMES:
                raise InvalidNameError(
                    f"{self} would expose the name {name!r}, which counts failed collectors; call it something else"
                )
        register_or_share(registry, self, definition.name, self._adopt)

    def _adopt(self, incumbent: object) -> bool:
        """Share the series of `incumbent`, if it is the same metric."""
        if not isinstance(incumbent, Metric):
            return False
        series = self._series
        other = incumbent._series
        if not series.definition.matches(other.definition):
            return False
        if other is series:
            return True
        series.share(other)
        if series.size == 0:
            self._share(cast(Self, other.children[_NO_LABELS]))
        for key in series.prepared:
            self._child(key)
        return True

    # Labels -----------------------------------------------------------------------------------------------------------

    @overload
    def labels(self: M, /, *values: str | Mapping[str, str], **named: str) -> M: ...

    @overload
    def labels(self: Metric[Callable[..., object], type[T], D], labels: T, /) -> D: ...

    @overload
    def labels(self: Metric[Callable[P, object], type[object], D], /, *values: P.args, **named: P.kwargs) -> D: ...

    def labels(self, /, *values: object, **named: object) -> object:
        """This metric with labels bound: by position in the order of definition, by keyword, or from one mapping.

        An instance of a dataclass or NamedTuple will do for the mapping.

        With every label bound (defaults count, and can be overridden) it can be written; with some missing it is a
        handle worth keeping, whose own `labels()` binds the rest.

            >>> from pytheus import Counter
            >>> hits = Counter("hits_total", "Hits.", ["method", "code"], registry=None)
            >>> hits.labels("GET", "200") is hits.labels(code="200", method="GET")
            True
            >>> get = hits.labels(method="GET")
            >>> get.labels(code="200") is hits.labels({"method": "GET", "code": "200"})
            True

        Raises `LabelError` for an unknown label, one that is bound already, too many values, or a value that is no str.
        """
        series = self._series
        if self._labels is series.blank:
            # Any, for a cast would be a call in plain Python; what is in there was put in by `_child`.
            children: dict[Any, Any] = series.children
            child: Self
            try:
                if not named:
                    child = children[values]
                    return child
                if not values and len(named) == series.size:
                    child = children[series.pick(named)]
                    return child
            except (KeyError, TypeError):  # a new series, a mapping, or a mistake
                pass
        bound = series.bind(self._labels, values, named)
        if None in bound:
            return self._handle(bound)
        return self._child(cast("tuple[str, ...]", bound))

    def _handle(self, bound: tuple[str | None, ...]) -> Self:
        cls = self.__class__
        handle = cls.__new__(cls)
        handle._series = self._series
        handle._labels = bound
        handle._view = UNBOUND
        handle._begin()
        return handle

    def _child(self, key: tuple[str, ...]) -> Self:
        """The series of `key`, made if it is not there."""
        children = self._series.children
        child = children.get(key)
        if child is None and self._series.limits:
            for limit in list(self._series.limits):
                key = limit(key)
            child = children.get(key)
        if child is None:
            storage = self._series.storage[0] if self._series.storage else None
            made = self._handle(key)
            made._view = None
            made._reset()
            if storage is not None:
                made._move(storage, False)
            child = children.setdefault(key, made)
            while True:
                present = self._series.storage[0] if self._series.storage else None
                if present is storage:
                    break
                # `attach_storage` or `leave` came in between, and may have copied the series before this one was there.
                if present is None:
                    child._settle()
                else:
                    child._move(present, True)
                if storage is not None:
                    storage.release(key)
                storage = present
        return cast(Self, child)

    def _bound(self) -> Self:
        """The series that this handle writes to, default labels filled in; raises `LabelError` if one is missing."""
        if self._view is UNBOUND:
            return self._child(self._series.key(self._labels))
        if self._series.size == 0:
            return cast(Self, self._series.children[_NO_LABELS])
        return self

    @overload
    def remove(self: Metric[AnyLabels], /, *values: str | Mapping[str, str], **named: str) -> bool: ...

    @overload
    def remove(self: Metric[Callable[..., object], type[T]], labels: T, /) -> bool: ...

    @overload
    def remove(self: Metric[Callable[P, object], type[object]], /, *values: P.args, **named: P.kwargs) -> bool: ...

    def remove(self, /, *values: object, **named: object) -> bool:
        """Forget the series that `labels()` would give for the same arguments; whether there was one.

        Later `labels()` calls start it again at zero. A handle on the old series can still be written to but is not
        exposed any more. Raises `LabelError` as `labels()` does, and where a label is missing.
        """
        series = self._series
        if series.size == 0:
            raise LabelError(f"{self.type_} {self.name!r} has no labels and so no series to remove; use clear()")
        key = series.key(series.bind(self._labels, values, named))
        for slot in [slot for slot in list(series.exemplars) if slot[0] == key]:
            series.exemplars.pop(slot, None)
        return self._drop(key)

    def clear(self) -> None:
        """Forget every series, also from a handle with only some labels bound; those made ahead of time start again.

        A metric without labels starts again at zero.
        """
        series = self._series
        series.exemplars.clear()
        if series.size == 0:
            self._bound()._reset()
            return
        if series.storage:
            for key in list(series.children):
                self._drop(key)
        else:
            series.children.clear()
        for key in series.prepared:
            self._child(key)

    def _drop(self, key: tuple[str, ...]) -> bool:
        series = self._series
        child = cast("Metric | None", series.children.get(key))
        if child is None:
            return False
        # Forgotten before it can be made anew, by the one of several threads that took the numbers back.
        if series.storage and child._settle():
            series.storage[0].release(key)
        return series.children.pop(key, None) is not None

    # Storage, see `pytheus.registry.StorageAware` ---------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """The numbers of every series as they stand now; see `pytheus.registry.StorageAware`."""
        exemplars: dict[tuple[str, ...], dict[int, Exemplar]] = {}
        for place, exemplar in self._series.exemplars.copy().items():
            exemplars.setdefault(place[0], {})[place[1]] = exemplar
        return [child._row(exemplars.get(cast("tuple[str, ...]", child._labels))) for child in self._members()]

    def refresh(self) -> None:
        """Call the functions that give numbers; see `pytheus.registry.StorageAware`."""

    def restart(self) -> None:
        """Let every series start again at zero; see `pytheus.registry.StorageAware`."""
        self._series.exemplars.clear()
        for child in list(self._series.children.values()):
            cast(Metric, child)._reset()

    def attach_storage(self, storage: NumberStorage, /, *, carry: bool = True) -> None:
        """Keep the numbers of every series in `storage` from now on; see `pytheus.registry.StorageAware`."""
        series = self._series
        if series.storage and series.storage[0] is storage:
            return
        # A series that is made from here on asks `storage` itself.
        series.storage[:] = [storage]
        for child in list(series.children.values()):
            cast(Metric, child)._move(storage, carry)
        if carry:
            for place, exemplar in series.exemplars.copy().items():
                storage.set_exemplar(place[0], place[1], exemplar)
        else:
            series.exemplars.clear()

    def detach_storage(self, storage: NumberStorage, /) -> None:
        """Take the numbers back from `storage`, if they are there; see `pytheus.registry.StorageAware`."""
        series = self._series
        if not series.storage or series.storage[0] is not storage:
            return
        series.storage.clear()
        for key, child in series.children.copy().items():
            cast(Metric, child)._settle()
            storage.release(key)

    # Reading ----------------------------------------------------------------------------------------------------------

    @property
    def definition(self) -> Definition:
        """What this metric was defined as, and where; the same object for all handles on it."""
        return self._series.definition

    @property
    def name(self) -> str:
        """The name as given, without any registry's prefix."""
        return self._series.definition.name

    @property
    def description(self) -> str:
        """The help text."""
        return self._series.definition.description

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label names in the order of definition."""
        return self._series.definition.labels

    def collect(self) -> Iterator[Family]:
        """One family: of every series of the metric, or of those that this handle's labels leave."""
        definition = self._series.definition
        samples: list[Sample] = []
        for child in self._members():
            samples += child._samples()
        yield Family(definition.name, definition.type, definition.description, samples)

    @property
    def series_count(self) -> int:
        """How many series there are."""
        return len(self._series.children)

    def limit_series(self, limit: SeriesLimit, /) -> None:
        """Ask `limit` from now on, before a series is made; see `pytheus.registry.SeriesLimitable`."""
        if limit not in self._series.limits:
            self._series.limits.append(limit)

    def unlimit_series(self, limit: SeriesLimit, /) -> None:
        """Ask `limit` no longer."""
        if limit in self._series.limits:
            self._series.limits.remove(limit)

    def _members(self) -> list[Self]:
        series = self._series
        children = cast("list[Self]", list(series.children.values()))
        bound = self._labels
        if bound is series.blank:
            return children
        return [
            child
            for child in children
            if all(mine is None or mine == theirs for mine, theirs in zip(bound, child._labels, strict=True))
        ]

    def _label_dict(self) -> dict[str, str]:
        return dict(zip(self._series.definition.labels, cast("tuple[str, ...]", self._labels), strict=True))

    def _keep_exemplar(self, labels: Mapping[str, str], value: float, slot: int) -> None:
        key = cast("tuple[str, ...]", self._labels)
        exemplar = checked_exemplar(labels, value, self.name)
        # A handle on a series that was removed is not exposed, and what it kept would stay for good.
        if self._series.children.get(key) is self:
            self._series.exemplars[(key, slot)] = exemplar
            if self._series.storage:
                self._series.storage[0].set_exemplar(key, slot, exemplar)

    @classmethod
    def __class_getitem__(cls, item: object) -> GenericAlias:
        # The compiled build has no `typing.Generic` among its bases; see build_backend/erasing.py.
        return GenericAlias(cls, item)

    # Copies would share some of the numbers and lose what is written to the rest, so a metric is its own copy.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def __reduce__(self) -> str:
        raise TypeError(f"{self} cannot be pickled, for its numbers belong to this process; define it where it is used")

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


def _mapping(labels: object) -> Mapping[str, str]:
    if not isinstance(labels, Mapping):
        raise LabelError(f"default_labels must be a mapping of label names to values but got {labels!r:.80}")
    return labels


def _prepared(series: SeriesSet, labels_from: object) -> tuple[tuple[str, ...], ...]:
    """Every combination of the values given for each label, as keys."""
    if not isinstance(labels_from, Mapping):
        raise LabelError(
            f"labels_from must be a mapping of label names to the values to expect but got {labels_from!r:.80}"
        )
    names = list(labels_from)
    choices: list[list[object]] = []
    for name in names:
        values = labels_from[name]
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise LabelError(f"labels_from[{name!r}] must be a sequence of label values but got {values!r:.80}")
        choices.append(list(values))
    keys: list[tuple[str, ...]] = []
    for combination in product(*choices):
        keys.append(series.key(series.bind(series.blank, (), dict(zip(names, combination, strict=True)))))
    return tuple(dict.fromkeys(keys))
