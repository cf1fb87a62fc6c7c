"""The series of one metric by their label values.

All handles on the metric share them.

Rules:

- A key is a tuple of exact strs, one per label name, in the order of definition.
- `dict.setdefault` adds a series in one step, so two threads that use the same labels get the same object. Readers copy
  the values in one step, too.
- Two definitions of the same metric share the dict, and so the series; each has its own default labels.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from math import nextafter
from operator import itemgetter
from typing import Any, Final, cast

from pytheus.atomic import LOCKED, lock_for
from pytheus.compilation import i64, now, vec
from pytheus.definitions import Definition
from pytheus.exceptions import LabelError
from pytheus.metrics.label_sources import Source
from pytheus.registry.capabilities import SeriesLimit, SeriesRetirement
from pytheus.registry.storage import UNSET, FloatBuffer, NumberStorage
from pytheus.samples import Exemplar
from pytheus.textformat import format_labels
from pytheus.version import COMPILED

__all__ = ["NO_LABELS", "UNBOUND", "SeriesSet", "matches", "no_labels_to_remove", "start_time"]

NO_LABELS: tuple[str, ...] = ()
"""The key of the only series of a metric without labels."""

UNBOUND: Final = cast(FloatBuffer, array("d"))
"""The numbers of a handle that has none of its own, because some of its labels are missing."""

_INFINITY: Final = float("inf")

# Up to this many label values are stored once and shared. More values are most likely ids, all different.
SHARED_VALUES_AT_MOST: Final = 512


# Shared by all metrics, because ints in labels are most often few: status codes, ports, shards.
_DIGITS: Final[dict[Any, Any]] = {}
_DIGITS_AT_MOST: Final = 1024


def _new_dict() -> dict[Any, Any]:
    if LOCKED:
        from pytheus.metrics.locked_dict import LockedDict

        return LockedDict()
    return {}


def _digits(value: Any) -> str | None:
    """Return the text of an int, and None for any other value."""
    # `value` is untyped, because native code would convert an int to its own kind and back.
    if type(value) is not int and (type(value) is bool or not isinstance(value, int)):
        return None
    text = _DIGITS.get(value)
    if text is None:
        text = int.__repr__(value)
        if len(_DIGITS) < _DIGITS_AT_MOST:
            _DIGITS[int(text)] = text
    return cast("str", text)


def start_time(former: float) -> float:
    """Return the time at which a series begins at zero, later than the `former` time at which it did; 0.0 if never."""
    present = now()
    return present if present > former else nextafter(former, _INFINITY)


def matches(bound: tuple[str | None, ...], key: tuple[str, ...]) -> bool:
    """Return whether the series of `key` has the labels of `bound`; None in `bound` matches every value."""
    return all(value is None or value == key[index] for index, value in enumerate(bound))


def no_labels_to_remove(subject: str, labels: tuple[str, ...]) -> str:
    """Return the error message for a `remove()` without any label."""
    return (
        f"{subject} takes labels {labels!r} but remove() got none; give at least one, or use clear() to remove every"
        " series"
    )


def _picker(labels: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[str, ...]]:
    """Return a function that makes the key out of named labels.

    It raises KeyError if one is missing.
    """
    if len(labels) > 1:
        return itemgetter(*labels)
    if labels:
        only = labels[0]
        return lambda named: (named[only],)
    return lambda named: ()


class Asleep:
    """The series of a parent that its forked child has not used yet, by key.

    The child does not expose them until then. The lock is held for a few steps. Where numbers change under a lock, it
    is that one, because a thread may wake a series while it holds that, and a woken series takes it.
    """

    __slots__ = ("lock", "series")

    def __init__(self, series: dict[tuple[str, ...], Any], children: dict[Any, Any]) -> None:
        # The values are handles of a higher module.
        self.series: dict[tuple[str, ...], Any] = series
        self.lock: threading.RLock = lock_for(children) if LOCKED else threading.RLock()


class SeriesSet:
    """The series of one metric, with their labels, exemplars, limits and storage."""

    __slots__ = (
        "asleep",
        "bound_messages",
        "bound_texts",
        "bounds",
        "children",
        "converted",
        "counts_running",
        "defaults",
        "definition",
        "ended_at",
        "exemplars",
        "has_native",
        "idle",
        "label_count",
        "label_sources",
        "limits",
        "line_parts",
        "messages",
        "neutral",
        "pick",
        "prepared",
        "retirement",
        "shared_values",
        "storage",
        "unbound",
        "window_shapes",
        "zeros",
    )

    def __init__(
        self,
        definition: Definition,
        defaults: tuple[str | None, ...],
        prepared: tuple[tuple[str, ...], ...],
    ) -> None:
        self.definition: Definition = definition
        self.label_count: int = len(definition.labels)
        # A bool of native code, because a definition is an object of plain Python.
        self.has_native: bool = definition.native is not None
        # The line of a series in pieces, without its labels' values and its end; made at the first scrape.
        self.line_parts: list[str] = []
        # The text before the number of each bucket, made at the first scrape; see `Distribution`.
        self.bound_texts: tuple[str, ...] = ()
        # The bytes after the count of each bucket but the last, made at the first scrape in the protobuf format.
        self.bound_messages: tuple[bytes, ...] = ()
        # What a scrape by protobuf wrote last for each series, in their order, of a higher module. In another list, so
        # that a change is visible to every metric that shares the series.
        self.messages: list[list[Any]] = [[]]
        # The identity of this tuple distinguishes the handle without any label bound from all others.
        self.unbound: tuple[str | None, ...] = tuple([None] * self.label_count)
        # A histogram's bounds after -Inf; `pytheus.metrics.histogram` has the reason.
        bounds = [-_INFINITY, *definition.bounds]
        self.bounds: vec[float] = vec[float](bounds)
        # The counts of a new histogram or summary, which copies them.
        self.zeros: vec[i64] = vec[i64]([0] * (len(definition.bounds) + 2))
        # The windows of native buckets that series have; the values are of a higher module.
        self.window_shapes: dict[Any, Any] = {}
        self.defaults: tuple[str | None, ...] = defaults
        # For each label the source of its values, or None; empty if no label has one.
        self.label_sources: tuple[Source | None, ...] = ()
        # The keys of series that are always there, and whether it is a gauge that counts the blocks and calls that run.
        # In lists, as `messages` is.
        self.prepared: list[tuple[str, ...]] = list(prepared)
        self.counts_running: list[bool] = [False]
        self.pick: Callable[[dict[str, Any]], tuple[str, ...]] = _picker(definition.labels)
        # The values are handles of a higher module, each with all labels bound.
        self.children: dict[tuple[str, ...], Any] = _new_dict()
        # By key and slot.
        self.exemplars: dict[tuple[tuple[str, ...], int], Exemplar] = {}
        # When a series was last removed, 0.0 for never; one that begins afterwards has a later start time. In a list,
        # for the same reason as `messages`.
        self.ended_at: list[float] = [0.0]
        self.shared_values: dict[str, str] = {}
        # The labels for which a warning about a converted value was issued.
        self.converted: dict[str, object] = {}
        self.limits: list[SeriesLimit] = []
        # The number of a gauge that was never set; adds nothing where the numbers of several processes become one.
        self.neutral: float = 0.0 if definition.mode in ("", "sum", "sum of all") else UNSET
        # By key: since when a series is not written, and a mark of its writes until then; see `Handle.expire_series`.
        self.idle: dict[tuple[str, ...], tuple[float, object]] = {}
        # At most one, in a list as `storage`.
        self.asleep: list[Asleep] = []
        # At most one, in a list as `storage`.
        self.retirement: list[SeriesRetirement] = []
        # At most one. A list, so that a change is visible to every metric that shares the series.
        self.storage: list[NumberStorage] = []

    def share(self, other: SeriesSet) -> None:
        """Use the series of `other`, now and from now on."""
        other.prepared += [key for key in self.prepared if key not in other.prepared]
        self.prepared = other.prepared
        self.counts_running = other.counts_running
        self.definition = other.definition
        self.children = other.children
        self.exemplars = other.exemplars
        self.messages = other.messages
        self.ended_at = other.ended_at
        self.asleep = other.asleep
        self.shared_values = other.shared_values
        self.converted = other.converted
        self.limits = other.limits
        self.idle = other.idle
        self.retirement = other.retirement
        self.storage = other.storage

    def note_end(self, key: tuple[str, ...] | None = None) -> None:
        """Note that the series of `key` ends now, or that all do.

        Series that begin from now on have later start times, and have not been idle.
        """
        if key is None:
            self.idle.clear()
        else:
            self.idle.pop(key, None)
        self.ended_at[0] = start_time(self.ended_at[0])

    def bind(
        self, bound: tuple[str | None, ...], values: tuple[object, ...], named: Mapping[Any, object]
    ) -> tuple[str | None, ...]:
        """Return `bound` with more labels set, by position and by name.

        `values` are for the unset labels in order. A single mapping or record in `values` counts as `named`. Raises
        `LabelError` and changes nothing if they do not fit.
        """
        labels = self.definition.labels
        first = values[0] if values else ""
        if values and isinstance(first, Mapping):
            if named:
                raise LabelError(f"{self._subject()}, from one mapping or from keywords, but got both")
            if len(values) > 1:
                raise LabelError(f"{self._subject()}, from one mapping alone, but got {len(values)} values")
            named = first
            values = ()
        elif len(values) == 1 and not named and not isinstance(first, (str, int)):
            from pytheus.metrics.label_class import labels_of_record

            record = labels_of_record(first)
            if record is not None:
                named = record
                values = ()
        filled = list(bound)
        if values:
            free = [index for index, value in enumerate(bound) if value is None]
            if len(values) > len(free):
                raise self._too_many(values, len(free))
            for index, value in zip(free, values, strict=False):
                filled[index] = self._value(labels[index], value)
        names: list[Any] = list(named)  # a mapping from the user may have keys of any type
        for name in names:
            if name not in labels:
                raise LabelError(f"{self._subject()} but got {tuple(named)!r}{_closest(name, labels)}")
            index = labels.index(name)
            if bound[index] is not None:
                raise LabelError(
                    f"{self._subject()}: {name!r} is already set to {bound[index]!r} and cannot be set again;"
                    " call labels() of the metric itself"
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
            shared = self.shared_values.get(value)
            if shared is not None:
                return shared
        text = self.text_of(label, value)
        if len(self.shared_values) < SHARED_VALUES_AT_MOST:
            return self.shared_values.setdefault(text, text)
        return text

    def text_of(self, label: str, value: object) -> str:
        """Return `value` as the text of `label`; see `pytheus.metrics.label_values`."""
        if type(value) is not str:
            try:
                digits = _digits(value)
            except ValueError:  # more digits than Python allows
                digits = None
            if digits is not None:
                return digits
        elif value.isascii():
            return value
        from pytheus.metrics.label_values import label_text

        return label_text(value, label, f"{self.definition.type} {self.definition.name!r}", self.converted)

    def spelled(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return `values` with ints as their digits, and None for values of other types than str and int."""
        if COMPILED:  # native code fills the tuple, which takes plain Python twice as long as a list
            return tuple(value if type(value) is str else _digits(value) for value in values)
        texts: list[str | None] = []
        for value in values:
            text = _DIGITS.get(value) if type(value) is int else value if type(value) is str else None
            texts.append(_digits(value) if text is None else text)
        return tuple(texts)

    def checked(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """Return `key` with values that can be exposed and are stored once; see `pytheus.metrics.label_values`."""
        labels = self.definition.labels
        shared = self.shared_values
        is_same = True
        for index, value in enumerate(key):
            if shared.get(value) is not value and self._value(labels[index], value) is not value:
                is_same = False
        return key if is_same else tuple([self._value(labels[index], value) for index, value in enumerate(key)])

    def complete(self, bound: tuple[str | None, ...]) -> tuple[str, ...] | None:
        """Return the key of `bound` with the default labels that are values; None if one is missing."""
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
        """Return the key of `bound` with the default labels, for which it asks their sources.

        Raises `LabelError` if a label is missing.
        """
        key = self.complete(bound)
        if key is not None:
            return key
        self.require(bound)
        labels = self.definition.labels
        filled: list[str] = []
        for index, source in enumerate(self.label_sources):
            text = bound[index]
            if text is None:
                text = self.defaults[index]
            if text is None and source is not None:
                text = self._value(labels[index], source.value(self.converted))
            filled.append("" if text is None else text)
        return tuple(filled)

    def require(self, bound: tuple[str | None, ...]) -> None:
        """Raise `LabelError` if a label has neither a value in `bound` nor a default. Asks no source."""
        missing = self.missing(bound)
        if missing:
            raise LabelError(
                f"{self._subject()} but lacks {', '.join(map(repr, missing))}: complete it with"
                f" .labels({', '.join(name + '=...' for name in missing)}) before it counts"
            )

    def combinations(self, labels_from: object) -> tuple[tuple[str, ...], ...]:
        """Return the key of every combination of the values in `labels_from`, a mapping of labels to values."""
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
            keys.append(self.key(self.bind(self.unbound, (), dict(zip(names, combination, strict=True)))))
        return tuple(dict.fromkeys(keys))

    def missing(self, bound: tuple[str | None, ...]) -> list[str]:
        """Return the labels that have neither a value in `bound` nor a default, from a source or not."""
        sources = self.label_sources or self.unbound
        return [
            self.definition.labels[index]
            for index, value in enumerate(bound)
            if value is None and self.defaults[index] is None and sources[index] is None
        ]

    def line(self, key: tuple[str, ...], end: str) -> str:
        """Return the line of the series of `key` in the text format, without the family's name.

        `end` is the line's number and its line feed.
        """
        if not key:
            return " " + end
        template = self.line_parts
        if not template:
            names = self.definition.labels
            heads = [f'{{{name}="' if name is names[0] else f'",{name}="' for name in names]
            template = self.line_parts = [part for head in heads for part in (head, "")] + ['"} ', ""]
        parts = template[:]  # not the kept one, because another thread may write a line, too
        for index, value in enumerate(key):
            parts[2 * index + 1] = value
        parts[-1] = end
        line = "".join(parts)
        # One look at all values: what must be escaped is rare.
        if "\\" in line or line.count('"') != 2 * len(key) or line.find("\n") != len(line) - 1:
            return "{" + format_labels(zip(self.definition.labels, key, strict=True)) + "} " + end
        return line

    def _subject(self) -> str:
        definition = self.definition
        takes = f"takes labels {definition.labels!r}" if definition.labels else "has no labels"
        return f"{definition.type} {definition.name!r} {takes}"

    def _too_many(self, values: tuple[object, ...], unset: int) -> LabelError:
        left = f", of which {unset} {'is' if unset == 1 else 'are'} not set yet" if unset < self.label_count else ""
        count = f"{len(values)} value{'' if len(values) == 1 else 's'}"
        return LabelError(f"{self._subject()}{left}, but labels(...) got {count}: {', '.join(map(repr, values))}")


def _closest(name: object, labels: tuple[str, ...]) -> str:
    import difflib

    matches = difflib.get_close_matches(str(name), labels, n=1)
    return f": did you mean {matches[0]!r}?" if matches else ""
