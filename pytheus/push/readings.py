"""The series of one collector: from its numbers, from its rows, or from families that it makes.

Rules:

- Every series has the name and labels that it has in the text format. A state set is a gauge for each state, and an
  info has its facts among the labels.
- Series whose samples have times of their own are apart from those that have not, because a receiver may refuse the
  former.
- A histogram or summary of a custom collector that is incomplete or contradicts itself becomes several families of the
  type unknown, one for each name of a sample, as in the other formats that describe a series as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple, TypeAlias

from pytheus.definitions import Definition
from pytheus.escaping import Escaping
from pytheus.exceptions import LabelError
from pytheus.exposition.checked import CheckedFamily, exposed_labels
from pytheus.exposition.distributions import Distribution, distributions
from pytheus.kinds import KINDS, MetricType
from pytheus.metrics.series_numbers import SeriesNumbers
from pytheus.names import base_name, state_label, text_name
from pytheus.native_buckets import NativeHistogram
from pytheus.samples import Exemplar, Row, Sample
from pytheus.textformat import format_bound

__all__ = ["Labels", "Reading", "Shape", "of_families", "of_numbers", "of_rows"]

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The names and values of a series' labels, as they are exposed, without its name."""

_CREATED = "_created"


class Shape(NamedTuple):
    """The properties that all series of a family share.

    `name` is that of the family in the text format, with the registry's prefix. `bounds` are those of the classic
    buckets of a histogram, without +Inf; a histogram without classic buckets has none and `is_native`. The numbers of
    each series are, by `type`:

    - histogram, gauge histogram: the sum, then the count of each bucket, the last one up to +Inf, not cumulative;
    - summary: the sum, the number of observations, then a value for each of `quantiles`;
    - others: the value.

    `has_times` says whether each series has a time of its own.
    """

    name: str
    type: MetricType
    description: str
    unit: str
    bounds: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    is_native: bool = False
    has_times: bool = False

    @property
    def is_histogram(self) -> bool:
        """Whether the series have buckets."""
        return KINDS[self.type].reserved_label == "le"

    @property
    def width(self) -> int:
        """How many numbers each series has."""
        if self.type == "summary":
            return 2 + len(self.quantiles)
        return 2 + len(self.bounds) if self.is_histogram else 1

    @property
    def stem(self) -> str:
        """The name before the suffixes of samples."""
        return base_name(self.name, self.type)

    @property
    def identity(self) -> tuple[object, ...]:
        """The part on which the names of the series in the text format depend."""
        return (self.name, self.type, self.bounds, self.quantiles, self.is_native)

    def text_series(self, labels: Labels) -> list[tuple[str, Labels]]:
        """Return the names and labels that the series `labels` has in the text format, none with native buckets alone.

        The order is that of the numbers, with the count of a histogram at the end.
        """
        stem = self.stem
        if self.is_histogram:
            if self.is_native and not self.bounds:
                return []
            total, count = ("_gsum", "_gcount") if self.type == "gaugehistogram" else ("_sum", "_count")
            buckets = [(f"{stem}_bucket", (*labels, ("le", format_bound(bound)))) for bound in (*self.bounds, inf)]
            return [(stem + total, labels), *buckets, (stem + count, labels)]
        if self.type == "summary":
            quantiles = [(stem, (*labels, ("quantile", format_bound(quantile)))) for quantile in self.quantiles]
            return [(f"{stem}_sum", labels), (f"{stem}_count", labels), *quantiles]
        return [(self.name, labels)]


class Reading(NamedTuple):
    """The series of one family at one moment.

    `identities` has an object for each series, which is equal to that of an earlier reading if the series is the same;
    `labels_between` are the labels of those from one place to another. `exemplars` have the key of their series, one of
    `keys`, and the slot: a place among its numbers, or -1 for native buckets. `natives` is empty or has an item for
    each series, as `times` has if the shape says so.
    """

    shape: Shape
    identities: Sequence[object]
    starts: list[float]
    numbers: list[float]
    labels_between: Callable[[int, int], list[Labels]]
    keys: Callable[[], Sequence[object]]
    exemplars: list[tuple[object, int, Exemplar]]
    natives: list[NativeHistogram | None]
    times: list[float]


def of_numbers(read: SeriesNumbers, definition: Definition, name: str, escaping: Escaping) -> Reading:
    """Return the reading of a metric whose family is exposed as `name`."""
    names = _label_names(definition, name, escaping)

    def labels_between(begin: int, end: int) -> list[Labels]:
        return [tuple(zip(names, values, strict=True)) for values in read.labels(begin, end)]

    exemplars: list[tuple[object, int, Exemplar]]
    exemplars = [(labels, slot, exemplar) for (labels, slot), exemplar in read.exemplars.items()]
    shape = _shape(definition, name)
    return Reading(
        shape, read.owners, read.starts, read.numbers, labels_between, lambda: read.labels(), exemplars, [], []
    )


def of_rows(rows: Iterable[Row], definition: Definition, name: str, escaping: Escaping) -> Reading:
    """Return the reading of a collector whose family is exposed as `name`."""
    names = _label_names(definition, name, escaping)
    type_ = definition.type
    subject = f"{type_} {definition.name!r}"
    states = state_label(name) if type_ == "stateset" else ""
    if states in names:
        raise LabelError(f"{subject} is exposed with its states in the label {states!r}, which it has already")
    series: list[Labels] = []
    starts: list[float] = []
    numbers: list[float] = []
    exemplars: list[tuple[object, int, Exemplar]] = []
    natives: list[NativeHistogram | None] = []
    for row in rows:
        labels = tuple(zip(names, row.labels, strict=True))
        if type_ == "info":
            if row.info is None:
                continue
            every = exposed_labels((*definition.labels, *row.info), None, name, escaping, subject)
            labels = tuple(zip(every, (*row.labels, *row.info.values()), strict=True))
            numbers.append(1.0)
        elif states:
            for state, number in zip(definition.states, row.numbers, strict=True):
                series.append((*labels, (states, state)))
                starts.append(0.0)
                numbers.append(number)
            continue
        else:
            numbers += row.numbers
        series.append(labels)
        starts.append(row.created or 0.0)
        if type_ != "summary" and (definition.native is None or definition.bounds):
            exemplars += [(labels, slot, exemplar) for slot, exemplar in (row.exemplars or {}).items()]
        if definition.native is not None:
            natives.append(row.native)
            exemplars += [(labels, -1, exemplar) for exemplar in row.native_exemplars]
    return _plain(_shape(definition, name), series, starts, numbers, exemplars, natives, [])


def _label_names(definition: Definition, name: str, escaping: Escaping) -> tuple[str, ...]:
    return exposed_labels(definition.labels, None, name, escaping, f"{definition.type} {definition.name!r}")


def _shape(definition: Definition, name: str) -> Shape:
    type_ = definition.type
    is_native = definition.native is not None
    return Shape(
        text_name(name, type_), type_, definition.description, definition.unit, definition.bounds, (), is_native
    )


def _plain(
    shape: Shape,
    series: list[Labels],
    starts: list[float],
    numbers: list[float],
    exemplars: list[tuple[object, int, Exemplar]],
    natives: list[NativeHistogram | None],
    times: list[float],
) -> Reading:
    if not any(native is not None for native in natives):
        natives = []
    return Reading(
        shape, series, starts, numbers, lambda begin, end: series[begin:end], lambda: series, exemplars, natives, times
    )


def of_families(families: Iterable[CheckedFamily], *, native: bool) -> Iterator[Reading]:
    """Yield the readings of families; each has one or several. With `native` false, native buckets are left out."""
    for family in families:
        if family.type in ("histogram", "gaugehistogram", "summary"):
            found = distributions(family.type, [sample for sample in family.samples if sample.suffix != _CREATED])
            if found is not None:
                yield from _of_distributions(family, found, native)
            else:
                yield from _of_samples(family, "unknown")
        else:
            yield from _of_samples(family, family.type)


def _created_of(family: CheckedFamily) -> dict[frozenset[tuple[str, str]], float]:
    return {frozenset(one.labels.items()): one.value for one in family.samples if one.suffix == _CREATED}


def _of_distributions(family: CheckedFamily, found: list[Distribution], native: bool) -> Iterator[Reading]:
    created = _created_of(family)
    groups: dict[tuple[tuple[float, ...], bool, bool], list[Distribution]] = {}
    for one in found:
        is_native = native and one.counted.native is not None
        points = tuple([point for point, _ in one.points])
        groups.setdefault((points, is_native, one.counted.timestamp is not None), []).append(one)
    for (points, is_native, has_times), members in groups.items():
        is_summary = family.type == "summary"
        shape = Shape(
            family.name,
            family.type,
            family.description,
            family.unit,
            () if is_summary else tuple([point for point in points if point < inf]),
            points if is_summary else (),
            is_native,
            has_times,
        )
        series: list[Labels] = []
        starts: list[float] = []
        numbers: list[float] = []
        exemplars: list[tuple[object, int, Exemplar]] = []
        for one in members:
            labels = tuple(one.labels.items())
            series.append(labels)
            starts.append(one.counted.created or created.get(frozenset(labels), 0.0))
            numbers.append(one.total.value)
            if is_summary:
                numbers.append(one.counted.value)
            below = 0.0
            for slot, (_, sample) in enumerate(one.points, 1):
                numbers.append(sample.value if is_summary else sample.value - below)
                below = sample.value
                if sample.exemplar is not None and not is_summary:  # which has none in any format
                    exemplars.append((labels, slot, sample.exemplar))
            if is_native:
                exemplars += [(labels, -1, exemplar) for exemplar in one.counted.exemplars]
        natives = [one.counted.native for one in members] if is_native else []
        times = [one.counted.timestamp for one in members if one.counted.timestamp is not None]
        yield _plain(shape, series, starts, numbers, exemplars, natives, times)


def _of_samples(family: CheckedFamily, type_: MetricType) -> Iterator[Reading]:
    created = _created_of(family) if type_ == "counter" else {}
    groups: dict[tuple[str, bool], list[Sample]] = {}
    for sample in family.samples:
        if sample.suffix != _CREATED or type_ != "counter":
            groups.setdefault((family.sample_name(sample), sample.timestamp is not None), []).append(sample)
    for (name, has_times), samples in groups.items():
        series = [tuple(sample.labels.items()) for sample in samples]
        starts = [
            sample.created or created.get(frozenset(labels), 0.0)
            for labels, sample in zip(series, samples, strict=True)
        ]
        exemplars: list[tuple[object, int, Exemplar]] = [
            (labels, 0, sample.exemplar)
            for labels, sample in zip(series, samples, strict=True)
            if sample.exemplar is not None
        ]
        shape = Shape(name, type_, family.description, family.unit, has_times=has_times)
        times = [sample.timestamp for sample in samples if sample.timestamp is not None]
        yield _plain(shape, series, starts, [sample.value for sample in samples], exemplars, [], times)
