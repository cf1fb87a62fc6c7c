"""What is known of a metric that an expression holds, and how it goes along with the expression's type.

mypy lets an `Instance` carry attributes of one object that its class does not have (`ExtraAttrs`; `functools.partial`
and `hasattr` use them). They are no part of the type as far as compatibility goes, are dropped where two types become
one, are written to the cache, and the daemon looks at them to find out what it has to check again. So one such
attribute, with a name that no attribute can have, holds what is known, as the literal of a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from mypy.types import Instance, LiteralType, Type, get_proper_type

from pytheus.definitions import Definition
from pytheus.kinds import MetricType
from pytheus.metrics.series import SeriesSet

__all__ = ["UNSEEN", "Known", "known_of", "with_known", "without_known"]

_ATTRIBUTE: Final = "(pytheus)"


class _Unseen(str):
    """A text that the program computes; messages show it as three dots."""

    def __repr__(self) -> str:
        return "..."


UNSEEN: Final = _Unseen("...")


class Known:
    """A metric's type, name, labels and defaults, which labels are bound, and where it was put.

    `name` is `UNSEEN` where it is computed; `labels` are in order, unless not `ordered` (a set). `defaults` are the
    labels with a default, or None where they are not known; `bound` has a value, or None, for each label. `home` is
    the one place that the metric was put (see `pytheus.mypy_plugin.places`), or "" for the value of a call.
    """

    def __init__(
        self,
        type: MetricType,
        name: str,
        labels: tuple[str, ...],
        *,
        ordered: bool,
        defaults: tuple[str, ...] | None,
        bound: tuple[str | None, ...],
        home: str,
    ) -> None:
        self.type: MetricType = type
        self.name = name
        self.labels = labels
        self.ordered = ordered
        self.defaults = defaults
        self.bound = bound
        self.home = home

    def series(self) -> SeriesSet:
        """What would bind this metric's labels at run time."""
        series = SeriesSet(Definition(self.name, self.type, "", self.labels), (), ())
        # Where they are not known, no label can be said to be missing.
        defaults = self.labels if self.defaults is None else self.defaults
        series.defaults = series.bind(series.blank, (), dict.fromkeys(defaults, UNSEEN))
        return series

    def binding(self, values: tuple[str, ...], named: Mapping[str, str], home: str) -> Known:
        """This metric with more labels bound; raises `LabelError` as the program would."""
        bound = self.series().bind(self.bound, values, named)
        return Known(
            self.type,
            self.name,
            self.labels,
            ordered=self.ordered,
            defaults=self.defaults,
            bound=bound,
            home=home,
        )

    def require_all(self) -> None:
        """Raise `LabelError` where a label is missing, as the program would."""
        self.series().key(self.bound)


def known_of(type: Type) -> Known | None:
    """What is known of an expression of this type."""
    proper = get_proper_type(type)
    if not isinstance(proper, Instance) or proper.extra_attrs is None:
        return None
    kept = get_proper_type(proper.extra_attrs.attrs.get(_ATTRIBUTE))
    if not isinstance(kept, LiteralType) or not isinstance(kept.value, str):
        return None
    fields = json.loads(kept.value)
    return Known(
        fields["type"],
        UNSEEN if fields["name"] is None else fields["name"],
        tuple(fields["labels"]),
        ordered=fields["ordered"],
        defaults=None if fields["defaults"] is None else tuple(fields["defaults"]),
        bound=tuple(fields["bound"]),
        home=fields["home"],
    )


def with_known(type: Instance, known: Known, text: Instance) -> Instance:
    """`type` with `known` going along; `text` is the type of strs."""
    fields = {
        "type": known.type,
        "name": None if known.name is UNSEEN else known.name,
        "labels": known.labels,
        "ordered": known.ordered,
        "defaults": known.defaults,
        "bound": known.bound,
        "home": known.home,
    }
    return type.copy_with_extra_attr(_ATTRIBUTE, LiteralType(json.dumps(fields), text))


def without_known(type: Instance) -> Instance:
    """`type` with nothing known."""
    if type.extra_attrs is None or _ATTRIBUTE not in type.extra_attrs.attrs:
        return type
    bare = type.copy_modified()
    bare.extra_attrs = None
    return bare
