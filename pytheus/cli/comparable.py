"""Expositions in one form, whatever their format, so that only differences of the metrics are different.

Rules:

- A family has the name of its samples in Prometheus: with ``_total`` for a counter, with ``_info`` for an info.
- A series is one child of a metric: labels without ``le`` and ``quantile``. Its numbers are by suffix and bound, so
  that ``le="1"`` is ``le="1.0"``.
- ``_created``, a line of its own in text and a field in protobuf, is the time at which a series began. The sum and
  count of a gauge histogram, families of their own in text, belong to it. So do the parts of a histogram that a format
  cannot show as one.
- If one exposition has only legacy names, and another has names that the first shows escaped, both are compared
  escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Final

from pytheus.cli.exposition_source import Exposition, FormatName
from pytheus.escaping import ESCAPINGS, Escaping, escape_label_name, escape_name, is_legacy_label, is_legacy_name
from pytheus.names import state_label
from pytheus.native_buckets import NativeHistogram
from pytheus.testing.parsed import ParsedFamily, ParsedSample

__all__ = ["Comparable", "ComparableFamily", "ComparableSeries", "Labels", "Point", "aligned", "comparable"]

Labels = tuple[tuple[str, str], ...]
"""Label names and values of a series, in the order of the names."""

Point = tuple[str, float | None]
"""The suffix of a number, and its bound or quantile."""

_OWN_LABELS: Final = {"_bucket": "le", "": "quantile"}
_PARTS: Final = {
    "histogram": ("_bucket", "_sum", "_count"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": ("", "_sum", "_count"),
}
_DISTRIBUTIONS: Final = tuple(_PARTS)
_ENDS: Final = frozenset(["_total", "_info", *(end for ends in _PARTS.values() for end in ends if end)])
_ESCAPED: Final[tuple[Escaping, ...]] = tuple(each for each in ESCAPINGS if each != "allow-utf-8")


@dataclass(slots=True)
class ComparableSeries:
    """The numbers of one series, the time at which it began, and its native buckets, if they are known."""

    numbers: dict[Point, float] = field(default_factory=dict)
    created: float | None = None
    native: NativeHistogram | None = None


@dataclass(slots=True)
class ComparableFamily:
    """A family by the name of its samples in Prometheus."""

    name: str
    type: str
    description: str
    unit: str = ""
    series: dict[Labels, ComparableSeries] = field(default_factory=dict)

    @property
    def label_names(self) -> frozenset[str]:
        """The names of all labels of the series."""
        return frozenset([name for labels in self.series for name, _ in labels])

    @property
    def is_native(self) -> bool:
        """Whether a series has native buckets."""
        return any(series.native is not None for series in self.series.values())

    @property
    def has_counts(self) -> bool:
        """Whether a series has a number of observations, as that of a histogram does."""
        return any(("_count", None) in series.numbers for series in self.series.values())

    def points(self, suffix: str) -> frozenset[float]:
        """Return the bounds of the buckets, or the quantiles, of all series."""
        return frozenset(
            [
                bound
                for series in self.series.values()
                for (own, bound) in series.numbers
                if own == suffix and bound is not None
            ]
        )


@dataclass(frozen=True, slots=True)
class Comparable:
    """An exposition that can be compared: its families by name, and the `format` that bounds its content.

    `escaping` is the scheme by which its names are escaped, "allow-utf-8" if they are not, or None if that is unknown.
    """

    source: str
    format: FormatName
    families: Mapping[str, ComparableFamily]
    escaping: str | None = None


def comparable(exposition: Exposition) -> Comparable:
    """Return the content of `exposition`; raises `SourceError` if it is damaged."""
    families = _gathered(exposition.families().values(), is_openmetrics=exposition.format == "openmetrics")
    parameters = [part.strip() for part in exposition.content_type.split(";")]
    escapings = [part.partition("=")[2] for part in parameters if part.startswith("escaping=")]
    return Comparable(exposition.source, exposition.format, families, escapings[0] if escapings else None)


def aligned(one: Comparable, other: Comparable) -> tuple[Comparable, Comparable]:
    """Return both with the names of one escaped, if the other has them escaped, and with families that are as whole."""
    is_legacy, other_is_legacy = _has_legacy_names(one), _has_legacy_names(other)
    if is_legacy and not other_is_legacy:
        other = _escaped_as(other, one)
    elif other_is_legacy and not is_legacy:
        one = _escaped_as(one, other)
    if one.format == other.format:
        return one, other
    return _with_wholes(one, other), _with_wholes(other, one)


def _gathered(parsed: Iterable[ParsedFamily], *, is_openmetrics: bool) -> dict[str, ComparableFamily]:
    families: dict[str, ComparableFamily] = {}
    for each in parsed:
        name = _stored_name(each, is_openmetrics)
        type_ = "unknown" if each.type in ("untyped", "") else each.type
        family = families.setdefault(name, ComparableFamily(name, type_, each.description, each.unit))
        stem = name if type_ in ("gauge", "unknown", "stateset") else _stem(each, name)
        for sample in each.samples:
            _add(family, sample, sample.name.removeprefix(stem) if sample.name != name else "")
    _merge_gauge_histograms(families)
    _merge_created(families)
    return families


def _stored_name(family: ParsedFamily, is_openmetrics: bool) -> str:
    name = family.name
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    if not suffix or any(sample.name == name for sample in family.samples):
        return name
    if any(sample.name == name + suffix for sample in family.samples) or (is_openmetrics and not family.samples):
        return name + suffix
    return name


def _stem(family: ParsedFamily, stored: str) -> str:
    """Return the part of a family's name that all of its samples have."""
    return stored.removesuffix("_total") if family.type == "counter" else family.name


def _add(family: ComparableFamily, sample: ParsedSample, suffix: str) -> None:
    labels, bound = sample.labels, None
    own = _OWN_LABELS.get(suffix)
    if own is not None and (own == "le" or family.type == "summary"):
        labels, bound = _without(sample.labels, own)
    series = family.series.setdefault(labels, ComparableSeries())
    if suffix == "_created":
        series.created = sample.value
        return
    series.numbers[suffix, bound] = sample.value
    if sample.created is not None:
        series.created = sample.created
    if sample.native is not None:
        series.native = sample.native


def _without(labels: Labels, own: str) -> tuple[Labels, float | None]:
    """Return the labels without the bound, and the bound."""
    for name, value in labels:
        if name == own:
            try:
                bound = float(value)
            except ValueError:
                return labels, None
            return tuple([pair for pair in labels if pair[0] != own]), None if isnan(bound) else bound
    return labels, None


def _merge_gauge_histograms(families: dict[str, ComparableFamily]) -> None:
    """Add the sums and counts of gauge histograms, which are families of their own in text."""
    for name, family in list(families.items()):
        if family.type == "histogram" and not family.has_counts:
            for end in ("_gsum", "_gcount"):
                if name + end in families and families[name + end].type == "gauge":
                    _merge(family, families.pop(name + end), end)
                    family.type = "gaugehistogram"


def _merge(whole: ComparableFamily, part: ComparableFamily, end: str) -> None:
    """Add the numbers of `part`, whose name is that of `whole` with the suffix `end`."""
    own_label = "le" if end == "_bucket" else "quantile" if not end else ""
    for labels, each in part.series.items():
        own, bound = _without(labels, own_label)
        for value in each.numbers.values():
            whole.series.setdefault(own, ComparableSeries()).numbers[end, bound] = value


def _with_wholes(each: Comparable, other: Comparable) -> Comparable:
    """Return `each` with the families joined that the format of `other` shows as one."""
    families = dict(each.families)
    for name, whole in other.families.items():
        if whole.type not in _DISTRIBUTIONS or (name in families and families[name].type != "unknown"):
            continue
        parts = [end for end in _PARTS[whole.type] if name + end in families and families[name + end].type == "unknown"]
        if parts and parts != [""]:
            joined = ComparableFamily(name, "unknown", whole.description, whole.unit)
            for end in parts:
                part = families.pop(name + end)
                joined.description, joined.unit = part.description, part.unit
                _merge(joined, part, end)
            families[name] = joined
    return replace(each, families=families)


def _merge_created(families: dict[str, ComparableFamily]) -> None:
    for name in list(families):
        stem = name.removesuffix("_created")
        whole = families.get(f"{stem}_total") or families.get(stem)
        if stem == name or whole is None or whole.type not in ("counter", "unknown", *_DISTRIBUTIONS):
            continue
        if families[name].type not in ("gauge", "unknown"):
            continue
        for labels, series in families.pop(name).series.items():
            if labels in whole.series:
                whole.series[labels].created = series.numbers.get(("", None))


def _has_legacy_names(each: Comparable) -> bool:
    if each.escaping == "allow-utf-8":
        return False  # they are as they are
    return all(
        is_legacy_name(name) and all(map(is_legacy_label, family.label_names)) for name, family in each.families.items()
    )


def _escaped_as(each: Comparable, other: Comparable) -> Comparable:
    schemes: list[Escaping] = [scheme for scheme in _ESCAPED if scheme == other.escaping] or [*_ESCAPED]
    candidates = [_escaped(each.families, scheme, other.families) for scheme in schemes]
    # The scheme by which most families have the same name.
    best = max(candidates, key=lambda families: len(families.keys() & other.families.keys()))
    return replace(each, families=best)


def _escaped(
    families: Mapping[str, ComparableFamily], scheme: Escaping, others: Mapping[str, ComparableFamily]
) -> dict[str, ComparableFamily]:
    escaped: dict[str, ComparableFamily] = {}
    for family in families.values():
        name = escape_name(family.name, scheme)
        stem, underscore, end = family.name.rpartition("_")
        if name not in others and f"_{end}" in _ENDS:
            # Some formats escape a name before its suffix is added.
            shorter = escape_name(stem, scheme)
            if shorter + underscore + end in others or (family.type == "unknown" and shorter in others):
                name = shorter + underscore + end
        # The label of a state set is made of the family's name, after that was escaped.
        own = {state_label(family.name): state_label(name)}
        series = {
            tuple(
                sorted([(own.get(label) or escape_label_name(label, scheme), value) for label, value in labels])
            ): each
            for labels, each in family.series.items()
        }
        if name in escaped:  # two names that the scheme makes equal
            escaped[name].series.update(series)
        else:
            escaped[name] = replace(family, name=name, series=series)
    return escaped
