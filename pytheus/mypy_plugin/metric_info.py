"""The facts about a metric that an expression holds, and how the expression's type carries them.

mypy lets an `Instance` have attributes that its class does not have (`ExtraAttrs`; `functools.partial` and `hasattr`
use them). They do not affect compatibility, are dropped where two types are joined, and are written to the cache; the
daemon compares them to decide which code to check again. One such attribute, with a name that no real attribute can
have, holds the facts as the literal of a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from mypy.nodes import TypeInfo
from mypy.types import Instance, LiteralType, Type, get_proper_type

from pytheus.definitions import Definition
from pytheus.exceptions import LabelError
from pytheus.kinds import MetricType
from pytheus.metrics import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.metrics.series import SeriesSet, no_labels_to_remove

__all__ = [
    "METRIC_TYPES",
    "UNSEEN",
    "MetricInfo",
    "metric_info_of",
    "metric_type",
    "with_metric_info",
    "without_metric_info",
]

_ATTRIBUTE: Final = "(pytheus)"


class _Unseen(str):
    """A text that the program computes; reports show it as three dots."""

    def __repr__(self) -> str:
        return "..."


UNSEEN: Final = _Unseen("...")

METRIC_TYPES: Final[dict[str, MetricType]] = {
    f"{cls.__module__}.{cls.__qualname__}": cls.type_ for cls in (Counter, Gauge, Histogram, Info, StateSet, Summary)
}
"""The metric classes, by their full names."""


def metric_type(info: TypeInfo) -> MetricType | None:
    """Return the metric type of a class, or None if it is not a metric class."""
    for base in info.mro:
        if base.fullname in METRIC_TYPES:
            return METRIC_TYPES[base.fullname]
    return None


class MetricInfo(NamedTuple):
    """A metric's type, name, labels and defaults, the labels that are bound, and its variable.

    `name` is `UNSEEN` if it is computed; `labels` are in order, unless not `ordered` (a set). `defaults` are the labels
    with a default, or None if unknown; `bound` has a value or None for each label. `bound_to` is the full name of the
    variable that the metric is bound to (see `pytheus.mypy_plugin.bindings`), or "" for the value of a call.
    """

    type: MetricType
    name: str
    labels: tuple[str, ...]
    ordered: bool
    defaults: tuple[str, ...] | None
    bound: tuple[str | None, ...]
    bound_to: str

    def series(self) -> SeriesSet:
        """Return the series set that binds this metric's labels at run time."""
        series = SeriesSet(Definition(self.name, self.type, "", self.labels), (), ())
        # If they are unknown, no label is reported as missing.
        defaults = self.labels if self.defaults is None else self.defaults
        series.defaults = series.bind(series.unbound, (), dict.fromkeys(defaults, UNSEEN))
        return series

    def binding(self, values: tuple[str, ...], named: Mapping[str, str], bound_to: str) -> MetricInfo:
        """Return this metric with more labels bound; raise `LabelError` as the program would."""
        return self._replace(bound=self.series().bind(self.bound, values, named), bound_to=bound_to)

    def require_some(self, bound: MetricInfo) -> None:
        """Raise `LabelError` if `bound` has no label set, as `remove()` would."""
        if not any(bound.bound):
            raise LabelError(no_labels_to_remove(f"{self.type} {self.name!r}", self.labels))

    def require_all(self) -> None:
        """Raise `LabelError` if a label is missing, as the program would."""
        self.series().key(self.bound)


def metric_info_of(type: Type) -> MetricInfo | None:
    """Return the facts that the type carries, or None."""
    proper = get_proper_type(type)
    if not isinstance(proper, Instance) or proper.extra_attrs is None:
        return None
    kept = get_proper_type(proper.extra_attrs.attrs.get(_ATTRIBUTE))
    if not isinstance(kept, LiteralType) or not isinstance(kept.value, str):
        return None
    kind, name, labels, ordered, defaults, bound, bound_to = json.loads(kept.value)
    name = UNSEEN if name is None else name
    defaults = None if defaults is None else tuple(defaults)
    return MetricInfo(kind, name, tuple(labels), ordered, defaults, tuple(bound), bound_to)


def with_metric_info(type: Instance, known: MetricInfo, text: Instance) -> Instance:
    """Return `type` with the facts `known`; `text` is the type of str."""
    fields = [None if field is UNSEEN else field for field in known]
    return type.copy_with_extra_attr(_ATTRIBUTE, LiteralType(json.dumps(fields), text))


def without_metric_info(type: Instance) -> Instance:
    """Return `type` without facts."""
    if type.extra_attrs is None or _ATTRIBUTE not in type.extra_attrs.attrs:
        return type
    bare = type.copy_modified()
    bare.extra_attrs = None
    return bare
