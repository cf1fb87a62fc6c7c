"""Summaries: how many observations there were, and their sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import mypyc_attr
from pytheus.exceptions import OutOfRangeError
from pytheus.metrics.distribution import Distribution
from pytheus.metrics.doubles import UNBOUND
from pytheus.metrics.guard import guard
from pytheus.metrics.number import Number, to_float
from pytheus.names import MetricType
from pytheus.registry.protocols import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.samples import Sample
from pytheus.textformat import format_number

__all__ = ["Summary"]


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Summary(Distribution):
    """How many values were observed, and their sum, which together give a mean over any time.

        >>> sizes = Summary("response_size_bytes", "Response sizes.", registry=None)
        >>> sizes.observe(512)
        >>> sizes.count, sizes.sum
        (1.0, 512.0)

    It has no quantiles, which cannot be added up over processes; use a `Histogram` for those. The arguments are those
    of `Counter`. https://prometheus.io/docs/concepts/metric_types/#summary
    """

    __slots__ = ()

    type_: ClassVar[MetricType] = "summary"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: Mapping[str, str] | None = None,
        labels_from: Mapping[str, Iterable[str]] | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        super().__init__(name, description, required_labels, default_labels, labels_from, registry)

    def _size(self) -> int:
        return 2

    def observe(self, value: Number) -> None:
        """Count `value` in; raises as `Histogram.observe` does."""
        number = value if type(value) is float else to_float(value, self)
        if number != number:
            raise OutOfRangeError(f"summary {self.name!r} got NaN, which would spoil the sum")
        # atomic: two loads, adds and stores, so that no reader sees one without the other
        if self._view is None:
            numbers = self._numbers
            numbers[0] = numbers[0] + number
            numbers[1] = numbers[1] + 1.0
        elif self._view is UNBOUND:
            self._bound().observe(number)
        else:
            view = self._view
            view[0] += number
            view[1] += 1.0

    @property
    def count(self) -> float:
        """How many values were observed."""
        return self._bound()._read()[1]

    @property
    def sum(self) -> float:
        """The sum of all values observed."""
        return self._bound()._read()[0]

    def _samples(self) -> list[Sample]:
        total, count = self._read()
        labels = self._label_dict()
        return [Sample("_sum", labels, total), Sample("_count", labels, count)]

    def _first(self, name: str) -> str:
        return name + "_sum"

    def _render(self, name: str, numbers: list[float]) -> str:
        labels = self._series.text(cast("tuple[str, ...]", self._labels))
        tail = "{" + labels + "} " if labels else " "
        total, count = numbers
        return f"{name}_sum{tail}{format_number(total)}\n{name}_count{tail}{format_number(count)}\n"


if LOCKED:
    guard(Summary, "observe")
