"""The series of one metric, by their label values: what all handles on the metric share.

Rules:

- A key is a tuple of exact strs, one for each label name, in the order of definition.
- A series is added by `dict.setdefault`, one step that no other thread can come between, so that two threads that ask
  for the same labels get the same object. Readers copy the values in one step, too.
- Two definitions of the same metric share the dict, and so its series; each keeps its own default labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final

from pytheus.definitions import Definition
from pytheus.exceptions import LabelError
from pytheus.names import validate_text
from pytheus.registry.capabilities import SeriesLimit
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Exemplar
from pytheus.textformat import format_labels

__all__ = ["SeriesSet"]

_INFINITY: Final = float("inf")

# The label values that are kept once, whoever passes them; values beyond that many are most likely ids, all different.
_SHARED_VALUES_AT_MOST: Final = 512


def _picker(labels: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[str, ...]]:
    """Makes the key out of named labels; raises KeyError where one is missing."""
    if len(labels) > 1:
        return itemgetter(*labels)
    if labels:
        only = labels[0]
        return lambda named: (named[only],)
    return lambda named: ()


class SeriesSet:
    """The series of one metric."""

    __slots__ = (
        "blank",
        "bounds",
        "children",
        "defaults",
        "definition",
        "exemplars",
        "limits",
        "storage",
        "pick",
        "prepared",
        "size",
        "values",
    )

    def __init__(
        self,
        definition: Definition,
        defaults: tuple[str | None, ...],
        prepared: tuple[tuple[str, ...], ...],
    ) -> None:
        self.definition: Definition = definition
        self.size: int = len(definition.labels)
        # The identity of this tuple tells the handle that has no label bound from all others.
        self.blank: tuple[str | None, ...] = tuple([None] * self.size)
        # A histogram's bounds after -Inf, see there.
        self.bounds: tuple[float, ...] = (-_INFINITY, *definition.bounds)
        self.defaults: tuple[str | None, ...] = defaults
        self.prepared: tuple[tuple[str, ...], ...] = prepared
        self.pick: Callable[[dict[str, Any]], tuple[str, ...]] = _picker(definition.labels)
        # Of metrics, which stand above: each is a handle on this set with all labels bound.
        self.children: dict[tuple[str, ...], Any] = {}
        self.exemplars: dict[tuple[tuple[str, ...], int], Exemplar] = {}
        self.values: dict[str, str] = {}
        self.limits: list[SeriesLimit] = []
        # None or one: where the numbers are kept. A list, so that all who share the series see it change.
        self.storage: list[NumberStorage] = []

    def share(self, other: SeriesSet) -> None:
        """Let this set hold what `other` holds, now and from now on."""
        self.definition = other.definition
        self.children = other.children
        self.exemplars = other.exemplars
        self.values = other.values
        self.limits = other.limits
        self.storage = other.storage

    def bind(
        self, bound: tuple[str | None, ...], values: tuple[object, ...], named: Mapping[Any, object]
    ) -> tuple[str | None, ...]:
        """`bound` with more labels set: by position among those not yet set, and by name (or by one mapping).

        Raises `LabelError` and changes nothing where they do not fit.
        """
        labels = self.definition.labels
        if len(values) == 1 and isinstance(values[0], Mapping):
            if named:
                raise LabelError(f"{self._subject()}, from one mapping or from keywords, but got both")
            named = values[0]
            values = ()
        elif len(values) == 1 and not named and not isinstance(values[0], str):
            from pytheus.metrics.label_class import labels_of_record  # loaded late: labels are seldom given like that

            record = labels_of_record(values[0])
            if record is not None:
                named = record
                values = ()
        filled = list(bound)
        if values:
            free = [index for index, value in enumerate(bound) if value is None]
            if len(values) > len(free):
                raise LabelError(
                    f"{self._subject()}, {len(free)} of them not set yet, but got {len(values)} values: {values!r}"
                )
            for index, value in zip(free, values, strict=False):
                filled[index] = self._value(labels[index], value)
        names: list[Any] = list(named)  # a mapping of the user's may hold anything
        for name in names:
            if name not in labels:
                raise LabelError(f"{self._subject()} but got {tuple(named)!r}{_closest(name, labels)}")
            index = labels.index(name)
            if bound[index] is not None:
                raise LabelError(
                    f"{self._subject()}: {name!r} is set to {bound[index]!r} already and cannot be set again;"
                    " start from the metric itself"
                )
            if filled[index] is not None:
                raise LabelError(
                    f"{self._subject()} but got {name!r} twice, by position ({filled[index]!r}) and by name; give it"
                    " once"
                )
            filled[index] = self._value(name, named[name])
        return tuple(filled)

    def _value(self, label: str, value: object) -> str:
        if type(value) is str:
            shared = self.values.get(value)
            if shared is not None:
                return shared
        checked = validate_text(value, f"label {label!r} of {self.definition.type} {self.definition.name!r}")
        if len(self.values) < _SHARED_VALUES_AT_MOST:
            return self.values.setdefault(checked, checked)
        return checked

    def complete(self, bound: tuple[str | None, ...]) -> tuple[str, ...] | None:
        """The key that `bound` comes to with the default labels, or None where one is missing still."""
        filled: list[str] = []
        for value, default in zip(bound, self.defaults, strict=True):
            if value is not None:
                filled.append(value)
            elif default is not None:
                filled.append(default)
            else:
                return None
        return tuple(filled)

    def key(self, bound: tuple[str | None, ...]) -> tuple[str, ...]:
        """As `complete`, but raises `LabelError` where a label is missing."""
        key = self.complete(bound)
        if key is None:
            missing = [
                name
                for name, value, default in zip(self.definition.labels, bound, self.defaults, strict=True)
                if value is None and default is None
            ]
            raise LabelError(
                f"{self._subject()} but lacks {', '.join(map(repr, missing))}: complete it with"
                f" .labels({', '.join(name + '=...' for name in missing)}) before it counts"
            )
        return key

    def text(self, key: tuple[str, ...]) -> str:
        """The labels of `key` as the text format has them, without braces."""
        return format_labels(zip(self.definition.labels, key, strict=True))

    def _subject(self) -> str:
        definition = self.definition
        takes = f"takes labels {definition.labels!r}" if definition.labels else "takes no labels"
        return f"{definition.type} {definition.name!r} {takes}"


def _closest(name: object, labels: tuple[str, ...]) -> str:
    import difflib  # loaded late: only this error needs it

    matches = difflib.get_close_matches(str(name), labels, n=1)
    return f": did you mean {matches[0]!r}?" if matches else ""
