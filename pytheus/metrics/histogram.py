"""Histograms: observations counted in buckets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import ClassVar, Final, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import i64, mypyc_attr, vec
from pytheus.exceptions import OutOfRangeError
from pytheus.kinds import MetricType
from pytheus.metrics.buckets import DEFAULT_BUCKETS, tally, validate_buckets
from pytheus.metrics.distribution import HEAD_MARK, Distribution
from pytheus.metrics.label_types import Complete, L, LabelValue, LabelValues
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.number import Number, to_float, to_floats
from pytheus.names import validate_metric_name
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.samples import Sample
from pytheus.textformat import format_number, whole_end
from pytheus.version import COMPILED

if COMPILED:
    from pytheus.metrics.buckets import place
else:
    from bisect import bisect_left as place  # type: ignore[assignment]  # the same function with more types

__all__ = ["Histogram"]

_INFINITY: Final = float("inf")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Histogram(Distribution[L, L, "Histogram[Complete]"]):
    """Observations counted in buckets, with their number and sum: durations, sizes.

        >>> latency = Histogram("latency_seconds", "Latency.", buckets=(0.1, 1.0), registry=None)
        >>> latency.observe(0.25)
        >>> with latency.time():
        ...     _ = sum(range(10))
        >>> latency.count
        2.0

    `buckets` are upper bounds, inclusive, in rising order; ``+Inf`` is added. The default ones, in seconds, suit the
    response times of a network service. The other arguments are those of `Counter`. All methods may be called from any
    thread, signal handler or finalizer. https://prometheus.io/docs/concepts/metric_types/#histogram

    Raises as `Counter` does, and `BucketError` for buckets that are not in rising order, repeated or not numbers.
    """

    # A series has a count for each bucket, not cumulative, the last one up to +Inf. The number of observations is the
    # sum of the counts, so it always agrees with them. `_bounds` begins with -Inf and the counts begin with an unused
    # item, so that a bound and its count have the same index. Only NaN, which compares to nothing, and -Inf itself get
    # index 0, so that no other observation needs a check for them.

    __slots__ = ("_bounds",)

    type_: ClassVar[MetricType] = "histogram"

    _bounds: vec[float]

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: LabelValues | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        labels: L | None = None,
        buckets: Iterable[Number] = DEFAULT_BUCKETS,
        unit: str = "",
        registry: Registry | None = REGISTRY,
    ) -> None:
        bounds = validate_buckets(buckets, f"histogram {validate_metric_name(name, 'histogram')!r}")
        super().__init__(
            name,
            description,
            required_labels,
            default_labels,
            labels_from,
            registry,
            bounds=bounds,
            labels=labels,
            unit=unit,
        )

    def _init_handle(self) -> None:
        super()._init_handle()
        self._bounds = self._series.bounds

    def _size(self) -> int:
        return len(self._bounds) + 1

    def observe(self: Histogram[Complete], value: Number, exemplar: LabelValues | None = None) -> None:
        """Count `value` in its bucket and add it to the sum.

        `exemplar` are labels that refer to this observation, such as the id of a trace. Negative values are accepted,
        but a rate of the sum is then meaningless. Raises `OutOfRangeError` for NaN, `NotANumberError` if the value is
        not a number, and `LabelError` if a label is missing or the exemplar cannot be exposed. The histogram is
        unchanged then.
        """
        number = value if type(value) is float else to_float(value, self)
        index = place(self._bounds, number)
        if not index:
            index = self._lowest(number)
        if exemplar is not None:
            self._bound()._keep_exemplar(exemplar, number, index)
        # atomic: loads, adds and stores, so that no reader sees the count without the sum
        if self._view is None:
            counts = self._counts
            counts[index] = counts[index] + 1
            self._sum += number
        else:
            self._observe_in_view(index, number)

    def _record_seconds(self: Histogram[Complete], seconds: float) -> None:
        if type(self) is not Histogram:  # a subclass may have its own `observe`
            self.observe(seconds)
            return
        # As in `observe`, without the checks that a duration does not need.
        index = place(self._bounds, seconds)
        # atomic: as in `observe`
        if self._view is None:
            counts = self._counts
            counts[index] = counts[index] + 1
            self._sum += seconds
        else:
            self._observe_in_view(index, seconds)

    def observe_many(self: Histogram[Complete], values: Iterable[Number]) -> None:
        """Count each of `values`, or none of them if it raises as `observe` does.

        Takes a fraction of the time of a call of `observe` for each. A scrape meanwhile may show the values of some
        buckets already, but never a bucket without its part of the sum.

            >>> sizes = Histogram("sizes_bytes", "Sizes.", buckets=[10, 100], registry=None)
            >>> sizes.observe_many([4, 25.5, 7])
            >>> sizes.count, sizes.sum
            (3.0, 36.5)
        """
        numbers = to_floats(values, self)
        series = self._bound()
        for index, count, total in tally(self._bounds, numbers):
            series._add_observations(index, count, total)

    def _lowest(self, number: float) -> int:
        if number != number:
            raise OutOfRangeError(f"histogram {self.name!r} got NaN, which is in no bucket and would make the sum NaN")
        return 1

    def _samples(self) -> list[Sample]:
        total, numbers = self._read()
        labels = self._label_dict()
        key = cast("tuple[str, ...]", self._labels)
        exemplars = self._series.exemplars
        samples: list[Sample] = []
        counts = list(accumulate(numbers[1:]))
        bounds = (*self._series.definition.bounds, _INFINITY)
        for index, (bound, count) in enumerate(zip(bounds, counts, strict=True), 1):
            bucket = {**labels, "le": format_number(bound)}
            samples.append(Sample("_bucket", bucket, float(count), None, exemplars.get((key, index))))
        samples.append(Sample("_sum", labels, total))
        samples.append(Sample("_count", labels, float(counts[-1]), created=self._created))
        return samples

    def _buckets_text(self, counts: vec[i64]) -> str:
        series = self._series
        bounds = series.bound_texts
        if not bounds:
            bounds = series.bound_texts = tuple(
                [f'{HEAD_MARK}{format_number(bound)}"}} ' for bound in (*series.definition.bounds, _INFINITY)]
            )
        pieces: list[str] = []
        count = 0
        end = whole_end(0)
        for index, bound in enumerate(bounds, 1):
            more = counts[index]
            if more:
                count += more
                end = whole_end(count)
            pieces.append(bound)
            pieces.append(end)
        return "".join(pieces)


if LOCKED:
    lock_methods(Histogram, "observe", "_record_seconds")
