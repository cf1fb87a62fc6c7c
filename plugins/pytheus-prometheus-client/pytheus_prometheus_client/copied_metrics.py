"""The metrics of pytheus that copy the families of a collector.

Rules:

- A counter, a histogram and a summary grow by the difference to the copy before. So a child of a fork, which inherits
  the numbers of its parent, counts its own additions; and a number that begins again goes on from the sum.
- While a number is not finite, the copy of a counter or a gauge is set to it, and others wait. Then the copy goes on
  from the last finite number.
- A gauge is set, unless its mode is "sum", which grows by the difference as well.
- An info is an info. Of a summary the sum and the count are copied. Other types become gauges.
- A family that cannot be copied, such as one whose name pytheus has already, raises an error, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import inf, isfinite
from typing import Any, Final, Literal, TypeAlias
from weakref import ref

from pytheus.escaping import is_legacy_name
from pytheus.exceptions import BucketError, ConflictError
from pytheus.kinds import GaugeMode
from pytheus.metrics import Cell, Counter, Gauge, Histogram, Info, Metric, Summary
from pytheus.names import base_name
from pytheus.registry import Registry
from pytheus.samples import Family
from pytheus_prometheus_client.attachments import holds
from pytheus_prometheus_client.copied_labels import LABEL, encoded

__all__ = ["CopiedMetric"]

_Series: TypeAlias = dict[str, list[float]]
"""The numbers of each series in the order of a row, by its encoded labels."""

_COUNTED: Final = ("counter", "histogram", "summary")


class CopiedMetric:
    """The metric with the numbers of `family`, and of the families that follow it."""

    def __init__(self, family: Family, registry: Registry, mode: GaugeMode) -> None:
        """Make and register the metric; raises `PytheusError` if it cannot."""
        if holds(registry, family.name):
            raise ConflictError(
                f"{family} cannot be copied, because its name is in the registry already; rename one of them",
                name=family.name,
                incumbent=registry,
            )
        self._registry = registry
        self._key = _key_of(family)
        self.name: str = base_name(family.name, family.type)
        """The name that the family has in prometheus_client."""
        self._grows = family.type in _COUNTED or (family.type != "info" and mode == "sum")
        self._metric = _made(family, registry, mode)
        self._cells: dict[str, list[Cell]] = {}
        self._last: _Series = {}
        # Those of a collector that has come back, until it shows them.
        self._resumed: _Series = {}
        # The copies that are not finite: what they were before, by labels.
        self._held: dict[str, float] = {}
        # Those of collectors that have left.
        self._left: list[tuple[ref[object], _Series]] = []

    def fits(self, family: Family) -> bool:
        """Return whether the metric can have the numbers of `family`."""
        return self._key == _key_of(family)

    def write(self, family: Family, *, keep: bool) -> None:
        """Copy `family`. Series that it does not have are removed, unless they are to be kept."""
        series = _facts(family) if family.type == "info" else _numbers(family)
        for labels, numbers in series.items():
            self._write(labels, numbers)
        for labels in [] if keep else [labels for labels in self._last if labels not in series]:
            del self._last[labels]
            self._cells.pop(labels, None)
            self._held.pop(labels, None)
            self._metric.remove(labels)

    def _write(self, labels: str, numbers: list[float]) -> None:
        last = self._last[labels] if labels in self._last else self._resumed.pop(labels, None)
        handle = self._metric.labels(labels)
        if isinstance(handle, Info):
            if last is None:
                handle.info()
        else:
            cells = self._cells.get(labels)
            if cells is None:
                cells = self._cells[labels] = [Cell(handle, index) for index in range(len(numbers))]
            if self._grows:
                before = last or [0.0] * len(numbers)
                finite = [now if isfinite(now) else then for now, then in zip(numbers, before, strict=True)]
                if len(numbers) == 1:
                    self._hold(labels, cells[0], numbers[0])
                for cell, number, more in zip(cells, numbers, self._growth(finite, last), strict=True):
                    if isfinite(number) and (more or last is None):
                        cell.inc(more)
                numbers = finite
            else:
                cells[0].set(numbers[0])
        self._last[labels] = numbers

    def _hold(self, labels: str, cell: Cell, number: float) -> None:
        """Set the number of a series if it is not finite, and set it back if it has been."""
        if not isfinite(number):
            self._held.setdefault(labels, cell.get())
            cell.set(number)
        elif labels in self._held:
            cell.set(self._held.pop(labels))

    def _growth(self, numbers: list[float], last: list[float] | None) -> list[float]:
        # The first number of a histogram and of a summary is the sum, which may get smaller.
        counts = slice(0, 1) if len(numbers) == 1 else slice(1, None)
        is_gauge = isinstance(self._metric, Gauge)
        if last is None or (
            not is_gauge and any(now < before for now, before in zip(numbers[counts], last[counts], strict=True))
        ):
            return numbers
        return [now - before for now, before in zip(numbers, last, strict=True)]

    @property
    def is_sum(self) -> bool:
        """Whether the numbers of processes that have ended count."""
        return self._key[0] in _COUNTED

    def leave(self, collector: object) -> None:
        """Keep the numbers of a collector that leaves, as long as it lives."""
        self._left = [(weak, last) for weak, last in self._left if weak() is not None]
        try:
            self._left.append((ref(collector), self._resumed | self._last))
        except TypeError:  # its class allows no weak references
            pass
        self._last = {}
        self._resumed = {}

    def begin_again(self, collector: object) -> None:
        """Take the next numbers for those of `collector`, which begins at zero unless it has left before."""
        self._resumed = next((last for weak, last in self._left if weak() is collector), {})
        self._left = [(weak, last) for weak, last in self._left if weak() is not collector]

    def begin_in_child(self) -> None:
        """Begin in a forked process, whose copies are at zero."""
        self._held = dict.fromkeys(self._held, 0.0)

    def remove(self) -> None:
        """Unregister the metric."""
        self._registry.unregister(self._metric)


def _key_of(family: Family) -> tuple[object, ...]:
    return family.type, family.unit, _bounds(family) if family.type == "histogram" else ()


def _made(family: Family, registry: Registry, mode: GaugeMode) -> Metric[Any, Any, Any]:
    name, text, labels, unit = family.name, family.description, (LABEL,), family.unit
    names: Literal["legacy", "utf8"] = "legacy" if is_legacy_name(name) else "utf8"
    if family.type == "counter":
        return Counter(name, text, labels, unit=unit, names=names, registry=registry)
    if family.type == "histogram":
        return Histogram(name, text, labels, buckets=_bounds(family), unit=unit, names=names, registry=registry)
    if family.type == "summary":
        return Summary(name, text, labels, unit=unit, names=names, registry=registry)
    if family.type == "info":
        return Info(name, text, labels, names=names, registry=registry)
    return Gauge(name, text, labels, mode=mode, unit=unit, names=names, registry=registry)


def _bounds(family: Family) -> tuple[float, ...]:
    """Return the upper bounds of a histogram's first series, without +Inf."""
    bounds: list[float] = []
    first: dict[str, str] | None = None
    for sample in family.samples:
        if sample.suffix == "_bucket":
            labels = dict(sample.labels)
            bound = float(labels.pop("le"))
            if first is None:
                first = labels
            if labels == first and bound < inf:
                bounds.append(bound)
    return tuple(bounds)


def _numbers(family: Family) -> _Series:
    if family.type == "histogram":
        return _histograms(family)
    if family.type == "summary":
        return _summaries(family)
    return {encoded(sample.labels): [sample.value] for sample in family.samples}


def _facts(family: Family) -> _Series:
    return {encoded(sample.labels): [] for sample in family.samples}


def _summaries(family: Family) -> _Series:
    series: _Series = {}
    for sample in family.samples:
        if sample.suffix in ("_sum", "_count"):
            numbers = series.setdefault(encoded(sample.labels), [0.0, 0.0])
            numbers[sample.suffix == "_count"] = sample.value
    return series


def _histograms(family: Family) -> _Series:
    sums: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        if sample.suffix == "_bucket":
            bound = float(labels.pop("le"))
            buckets.setdefault(encoded(labels), {})[bound] = sample.value
        elif sample.suffix == "_sum":
            sums[encoded(labels)] = sample.value
    expected = (*_bounds(family), inf)
    for text, found in buckets.items():
        if tuple(found) != expected:
            raise BucketError(f"{family} has series with other buckets, {text}: {tuple(found)}, not {expected}")
    return {text: [sums.get(text, 0.0), *_each(found.values())] for text, found in buckets.items()}


def _each(cumulative: Iterable[float]) -> list[float]:
    return [now - before for before, now in pairwise([0.0, *cumulative])]
