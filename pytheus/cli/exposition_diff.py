"""The difference of two expositions: families, their definitions, their series, and their numbers.

Rules:

- `difference(one, other)` mirrors `difference(other, one)`. That of an exposition and itself is empty. The order of
  families, series and labels does not matter.
- Parts that a format cannot tell are not compared: units in text; native buckets outside of protobuf, and, if formats
  differ, the classic buckets beside them; infos and state sets outside of OpenMetrics; histograms that a format shows
  in parts.
- Labels are compared by the names of all series of a family, and only if both sides have series.
- A number that counts is greater later. If it is less, or if the series says that it began later, it was reset.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Final, Generic, TypeVar

from pytheus.cli.comparable import Comparable, ComparableFamily, ComparableSeries, Labels, Point, aligned

__all__ = ["Change", "Difference", "FamilyDifference", "NumberDifference", "difference"]

T = TypeVar("T")

# Only OpenMetrics has these; elsewhere they are gauges.
_GAUGES: Final = ("info", "stateset")
_CREATED_TOLERANCE_SECONDS: Final = 0.001
_COUNTS: Final[dict[str, tuple[str, ...]]] = {
    "counter": ("", "_total"),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A part of a definition before and after; of a set, the elements that only one side has."""

    before: T
    after: T


@dataclass(frozen=True, slots=True)
class NumberDifference:
    """A number of a series that differs.

    `point` has the suffix of its name, and the bound or quantile, if it has one. `counts` says that it only rises, as
    that of a counter, and `was_reset` that it began again.
    """

    labels: Labels
    point: Point
    before: float
    after: float
    counts: bool = False
    was_reset: bool = False

    @property
    def change(self) -> float:
        """How much greater it is, since its reset if there was one."""
        return self.after if self.was_reset else self.after - self.before


@dataclass(frozen=True, slots=True)
class FamilyDifference:
    """A family that is on one side only, or differs.

    `before` and `after` are the families, None where it is missing. `changes` has the parts of the definition that
    differ: type, help, unit, labels, buckets, quantiles, native. `went` and `came` are the series of one side only, if
    both have the family. All are sorted.
    """

    name: str
    before: ComparableFamily | None
    after: ComparableFamily | None
    changes: dict[str, Change[object]] = field(default_factory=dict)
    went: tuple[Labels, ...] = ()
    came: tuple[Labels, ...] = ()
    numbers: tuple[NumberDifference, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        both = self.before is not None and self.after is not None
        return both and not (self.changes or self.went or self.came or self.numbers)


@dataclass(frozen=True, slots=True)
class Difference:
    """The families that differ, by name."""

    families: tuple[FamilyDifference, ...]

    @property
    def went(self) -> list[ComparableFamily]:
        """The families that only the first exposition has."""
        return [each.before for each in self.families if each.after is None and each.before is not None]

    @property
    def came(self) -> list[ComparableFamily]:
        """The families that only the second exposition has."""
        return [each.after for each in self.families if each.before is None and each.after is not None]

    @property
    def changed(self) -> list[FamilyDifference]:
        """Those that both have."""
        return [each for each in self.families if each.before is not None and each.after is not None]


def difference(one: Comparable, other: Comparable, *, numbers: bool = False) -> Difference:
    """Return how `other` differs from `one`; with `numbers` also by the numbers of their series."""
    one, other = aligned(one, other)
    formats = (one.format, other.format)
    found: list[FamilyDifference] = []
    for name in sorted(one.families.keys() | other.families.keys()):
        before, after = one.families.get(name), other.families.get(name)
        if before is None or after is None:
            found.append(FamilyDifference(name, before, after))
            continue
        each = _compared(name, before, after, formats, numbers=numbers)
        if not each.is_empty:
            found.append(each)
    return Difference(tuple(found))


def _compared(
    name: str, before: ComparableFamily, after: ComparableFamily, formats: tuple[str, str], *, numbers: bool
) -> FamilyDifference:
    changes: dict[str, Change[object]] = {}

    def compare(part: str, one: object, other: object) -> None:
        if one != other:
            changes[part] = Change(one, other)

    is_same_format = formats[0] == formats[1]
    kinds = _types(before, after, formats)
    compare("type", *kinds)
    compare("help", before.description, after.description)
    if "text" not in formats:
        compare("unit", before.unit, after.unit)
    if before.series and after.series:
        _compare_sets(changes, "labels", before.label_names, after.label_names)
        has_native = before.is_native or after.is_native
        if is_same_format or not has_native:
            _compare_sets(changes, "buckets", before.points("_bucket"), after.points("_bucket"))
        _compare_sets(changes, "quantiles", before.points(""), after.points(""))
        if formats == ("protobuf", "protobuf"):
            compare("native", before.is_native, after.is_native)
    differing: list[NumberDifference] = []
    if numbers:
        counts = _COUNTS.get(kinds[0], ()) if kinds[0] == kinds[1] else ()
        skipped = "_bucket" if not is_same_format and (before.is_native or after.is_native) else None
        for labels in sorted(before.series.keys() & after.series.keys()):
            differing += _numbers(labels, before.series[labels], after.series[labels], counts, skipped)
    return FamilyDifference(
        name,
        before,
        after,
        changes,
        tuple(sorted(before.series.keys() - after.series.keys())),
        tuple(sorted(after.series.keys() - before.series.keys())),
        tuple(differing),
    )


def _types(before: ComparableFamily, after: ComparableFamily, formats: tuple[str, str]) -> tuple[str, str]:
    """Return both types as far as both formats can tell them."""
    one, other = before.type, after.type
    if formats[0] == formats[1]:
        return one, other
    one, other = ("gauge" if each in _GAUGES else each for each in (one, other))
    # Text shows a gauge histogram as a histogram without counts.
    if {one, other} == {"histogram", "gaugehistogram"} and not (before if one == "histogram" else after).has_counts:
        return "gaugehistogram", "gaugehistogram"
    # It is unknown where a format does not allow it: a counter without "_total", a histogram that contradicts itself.
    return ("unknown", "unknown") if "unknown" in (one, other) else (one, other)


def _compare_sets(changes: dict[str, Change[object]], part: str, before: frozenset[T], after: frozenset[T]) -> None:
    if before != after:
        changes[part] = Change(_sorted(before - after), _sorted(after - before))


def _sorted(elements: Iterable[T]) -> tuple[T, ...]:
    return tuple(sorted(elements, key=lambda element: (isinstance(element, str), element)))


def _order(point: Point) -> tuple[str, float]:
    return point[0], -inf if point[1] is None else point[1]


def _numbers(
    labels: Labels, before: ComparableSeries, after: ComparableSeries, counts: tuple[str, ...], skipped: str | None
) -> list[NumberDifference]:
    if before.created is not None and after.created is not None:
        was_reset = after.created > before.created + _CREATED_TOLERANCE_SECONDS
    else:
        # A sum may fall by itself, because negative values were observed.
        was_reset = any(
            after.numbers.get(point, value) < value
            for point, value in before.numbers.items()
            if point[0] in counts and point[0] != "_sum"
        )
    found: list[NumberDifference] = []
    for point in sorted(before.numbers.keys() & after.numbers.keys(), key=_order):
        one, other = before.numbers[point], after.numbers[point]
        if one == other or (isnan(one) and isnan(other)) or point[0] == skipped:
            continue
        does_count = point[0] in counts
        found.append(NumberDifference(labels, point, one, other, does_count, does_count and was_reset))
    return found
