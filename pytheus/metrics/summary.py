"""Summaries: the number of observations and their sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from pytheus.atomic import LOCKED
from pytheus.compilation import i64, mypyc_attr, vec
from pytheus.exceptions import OutOfRangeError
from pytheus.kinds import MetricType
from pytheus.metrics.distribution import Distribution
from pytheus.metrics.label_types import Complete, DefaultLabels, L, LabelValue
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.number import Number, to_float, to_floats
from pytheus.protobufformat import summary_message
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.samples import Sample
from pytheus.settings import NameRules

__all__ = ["Summary"]


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Summary(Distribution[L, L, "Summary[Complete]"]):
    """The number of observed values and their sum, which give the mean over any time.

        >>> sizes = Summary("response_size_bytes", "Response sizes.", registry=None)
        >>> sizes.observe(512)
        >>> sizes.count, sizes.sum
        (1.0, 512.0)

    It has no quantiles, because these cannot be added over processes; use a `Histogram` for them. The arguments and
    errors are those of `Counter`. All methods may be called from any thread, signal handler or finalizer.
    https://prometheus.io/docs/concepts/metric_types/#summary
    """

    __slots__ = ()

    type_: ClassVar[MetricType] = "summary"

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: DefaultLabels | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        labels: L | None = None,
        unit: str = "",
        names: NameRules | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        super().__init__(
            name,
            description,
            required_labels,
            default_labels,
            labels_from,
            registry,
            labels=labels,
            unit=unit,
            names=names,
        )

    def _size(self) -> int:
        return 2

    def observe(self: Summary[Complete], value: Number) -> None:
        """Count `value` and add it to the sum; raises as `Histogram.observe` does."""
        number = value if type(value) is float else to_float(value, self)
        if number != number:
            raise OutOfRangeError(f"summary {self.name!r} got NaN, which would make the sum NaN")
        # atomic: loads, adds and stores, so that no reader sees the count without the sum
        if self._view is None:
            counts = self._counts
            counts[1] = counts[1] + 1
            self._sum += number
        else:
            self._observe_in_view(1, number)

    def observe_many(self: Summary[Complete], values: Iterable[Number]) -> None:
        """Count each of `values`, or none of them if it raises as `observe` does; see `Histogram.observe_many`."""
        numbers = to_floats(values, self)
        series = self._bound()
        if numbers:
            series._add_observations(1, len(numbers), sum(numbers))

    def _message_of(self, total: float, counts: vec[i64], count: int) -> bytes:
        return summary_message(count, total, b"", self._created or None)

    def _samples(self) -> list[Sample]:
        total, counts = self._read()
        labels = self._label_dict()
        return [Sample("_sum", labels, total), Sample("_count", labels, float(counts[1]), created=self._created)]


if LOCKED:
    lock_methods(Summary, "observe")
