"""Histograms: observations counted in buckets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import ClassVar, Final, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import i64, mypyc_attr, vec
from pytheus.exceptions import BucketError, OutOfRangeError
from pytheus.kinds import MetricType
from pytheus.metrics.buckets import DEFAULT_BUCKETS, tally, validate_buckets
from pytheus.metrics.distribution import HEAD_MARK
from pytheus.metrics.exemplars import CONTEXTS
from pytheus.metrics.label_types import Complete, DefaultLabels, L, LabelValue, LabelValues
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.native import NativeDistribution, place
from pytheus.metrics.number import Number, to_float, to_floats
from pytheus.names import validate_metric_name
from pytheus.native_buckets import NativeBuckets, NativeHistogram, classic_buckets
from pytheus.protobufformat import bucket_head, bucket_tail, histogram_head, histogram_start
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.samples import Exemplar, Sample
from pytheus.settings import NameRules
from pytheus.textformat import format_bound, whole_end

__all__ = ["Histogram"]

_INFINITY: Final = float("inf")
_NO_BOUNDS: Final = vec[float]()


def _native_options(native: object, subject: str) -> NativeBuckets | None:
    if isinstance(native, bool):
        return NativeBuckets() if native else None
    if isinstance(native, NativeBuckets):
        return native
    raise BucketError(f"{subject} takes native=True or native=NativeBuckets(...) but got {native!r:.80}")


def _shown_buckets(
    bounds: tuple[float, ...], counts: Iterable[int], native: NativeHistogram
) -> list[tuple[float, float]]:
    """Return upper bounds and cumulative counts for formats without native buckets; no count exceeds the last one."""
    if not bounds:
        return classic_buckets(native)
    total = native.total
    shown = [(bound, min(float(count), total)) for bound, count in zip(bounds, counts, strict=False)]
    return [*shown, (_INFINITY, total)]


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Histogram(NativeDistribution[L, L, "Histogram[Complete]"]):
    """Observations counted in buckets, with their number and sum: durations, sizes.

        >>> latency = Histogram("latency_seconds", "Latency.", buckets=(0.1, 1.0), registry=None)
        >>> latency.observe(0.25)
        >>> with latency.time():
        ...     _ = sum(range(10))
        >>> latency.count
        2.0

    `buckets` are upper bounds, inclusive, in rising order; ``+Inf`` is added. The default ones, in seconds, suit the
    response times of a network service. With `native` the histogram has native buckets as well, which need no bounds:
    True for the default options, or `NativeBuckets`; ``buckets=()`` leaves the others out. Formats without native
    buckets show the others, or powers of two. The other arguments are those of `Counter`. All methods may be called
    from any thread, signal handler or finalizer. https://prometheus.io/docs/concepts/metric_types/#histogram

        >>> sizes = Histogram("size_bytes", "Sizes.", native=True, buckets=(), registry=None)
        >>> sizes.observe_many([100, 2000, 2000])
        >>> sizes.rows()[0].native.positive
        {54: 1, 88: 2}

    Raises as `Counter` does, and `BucketError` for buckets that are not in rising order, repeated or not numbers.
    """

    # A series has a count for each bucket, not cumulative, the last one up to +Inf. The number of observations is the
    # sum of the counts, so it always agrees with them. `_bounds` begins with -Inf and the counts begin with an unused
    # item, so that a bound and its count have the same index. Only NaN, which compares to nothing, and -Inf itself get
    # index 0, so that no other observation needs a check for them. A histogram with native buckets has no bounds here,
    # so that all its observations get index 0.

    __slots__ = ("_bounds",)

    type_: ClassVar[MetricType] = "histogram"

    _bounds: vec[float]

    def __init__(
        self,
        name: str,
        description: str,
        required_labels: Iterable[str] | None = None,
        *,
        default_labels: DefaultLabels | None = None,
        labels_from: Mapping[str, Iterable[LabelValue]] | None = None,
        labels: L | None = None,
        buckets: Iterable[Number] = DEFAULT_BUCKETS,
        native: NativeBuckets | bool = False,
        unit: str = "",
        names: NameRules | None = None,
        registry: Registry | None = REGISTRY,
    ) -> None:
        subject = f"histogram {validate_metric_name(name, 'histogram', names)!r}"
        options = _native_options(native, subject)
        bounds = validate_buckets(buckets, subject, may_be_none=options is not None)
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
            native=options,
            names=names,
        )

    def _init_handle(self) -> None:
        super()._init_handle()
        series = self._series
        self._bounds = _NO_BOUNDS if series.has_native else series.bounds

    def _size(self) -> int:
        return len(self._series.bounds) + 1

    def observe(self: Histogram[Complete], value: Number, exemplar: LabelValues | None = None) -> None:
        """Count `value` in its bucket and add it to the sum.

        `exemplar` are labels that refer to this observation, such as the id of a trace. Negative values are accepted,
        but a rate of the sum is then meaningless. Raises `OutOfRangeError` for NaN (a histogram with native buckets
        counts it, and its sum is NaN from then on), `NotANumberError` if the value is not a number, and `LabelError` if
        a label is missing or the exemplar cannot be exposed. The histogram is unchanged then.
        """
        number = value if type(value) is float else to_float(value, self)
        index = place(self._bounds, number)
        if not index:
            has_exemplar = exemplar is not None or CONTEXTS.in_use
            if not has_exemplar and self._observe_near(number):
                return
            if self._series.has_native:
                if has_exemplar:
                    series = self._bound()
                    series._keep_native_exemplar(exemplar, number)
                    if not series._observe_near(number):
                        series._observe_rare(number)
                else:
                    self._observe_rare(number)
                return
            index = self._lowest(number)
        if exemplar is not None or CONTEXTS.in_use:
            series = self._bound()
            series._keep_exemplar(exemplar, number, index)
            series._add_observations(index, 1, number)
            return
        # atomic: loads, adds and stores, so that no reader sees the count without the sum
        if self._view is None:
            counts = self._counts
            counts[index] = counts[index] + 1
            self._sum += number
        else:
            self._observe_in_view(index, number)

    def _keep_exemplar_of_context(self, index: int, number: float) -> None:
        slot = 0 if index else place(self._bounds, number)
        if slot:
            self._bound()._keep_exemplar(None, number, slot)

    def _record_seconds(self: Histogram[Complete], seconds: float) -> None:
        if type(self) is not Histogram:  # a subclass may have its own `observe`
            self.observe(seconds)
            return
        # As in `observe`, without the checks that a duration does not need.
        index = place(self._bounds, seconds)
        if not index:
            series = self
            if CONTEXTS.in_use:
                series = self._bound()
                series._keep_native_exemplar(None, seconds)
            if not series._observe_near(seconds):
                series._observe_rare(seconds)
            return
        if CONTEXTS.in_use:
            series = self._bound()
            series._keep_exemplar(None, seconds, index)
            series._add_observations(index, 1, seconds)
            return
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
        series = self._bound()
        if series._native is not None:
            for number in [to_float(value, self) for value in values]:
                if not series._observe_near(number):
                    series._observe_rare(number)
            return
        numbers = to_floats(values, self)
        for index, count, total in tally(self._bounds, numbers):
            series._add_observations(index, count, total)

    def _lowest(self, number: float) -> int:
        if number != number:
            raise OutOfRangeError(f"histogram {self.name!r} got NaN, which is in no bucket and would make the sum NaN")
        return 1

    def _samples(self) -> list[Sample]:
        native = self._native
        present: NativeHistogram | None = None
        if native is None:
            total, numbers = self._read()
        else:
            self._reset_if_due()
            total, numbers, present = self._read_native(native)
        labels = self._label_dict()
        key = cast("tuple[str, ...]", self._labels)
        exemplars = self._series.exemplars
        samples: list[Sample] = []
        counts = list(accumulate(numbers[1:]))
        bounds = (*self._series.definition.bounds, _INFINITY)
        if present is not None and native is not None:
            return self._native_samples(total, counts, present, native.exemplars)
        for index, (bound, count) in enumerate(zip(bounds, counts, strict=True), 1):
            bucket = {**labels, "le": format_bound(bound)}
            samples.append(Sample("_bucket", bucket, float(count), None, exemplars.get((key, index))))
        samples.append(Sample("_sum", labels, total))
        samples.append(Sample("_count", labels, float(counts[-1]), created=self._created))
        return samples

    def _native_samples(
        self,
        total: float,
        counts: list[int],
        native: NativeHistogram,
        native_exemplars: tuple[Exemplar, ...],
    ) -> list[Sample]:
        labels = self._label_dict()
        key = cast("tuple[str, ...]", self._labels)
        exemplars = self._series.exemplars
        count = native.total
        samples: list[Sample] = []
        for index, (bound, number) in enumerate(_shown_buckets(self._series.definition.bounds, counts, native), 1):
            exemplar = exemplars.get((key, index)) if self._series.definition.bounds else None
            bucket = {**labels, "le": format_bound(bound)}
            samples.append(Sample("_bucket", bucket, float(number), None, exemplar))
        samples.append(Sample("_sum", labels, total))
        samples.append(Sample("_count", labels, float(count), None, None, self._created, native, native_exemplars))
        return samples

    def _message_of(self, total: float, counts: vec[i64], count: int) -> bytes:
        series = self._series
        tails = series.bound_messages
        if not tails:
            # Without the bucket up to +Inf, whose count is that of all.
            tails = series.bound_messages = tuple([bucket_tail(bound) for bound in series.definition.bounds])
        pieces = histogram_head(count, total)
        below = 0
        head = bucket_head(0)
        for index, tail in enumerate(tails, 1):
            more = counts[index]
            if more:
                below += more
                head = bucket_head(below)
            pieces.append(head)
            pieces.append(tail)
        if self._created:
            pieces.append(histogram_start(self._created))
        return b"".join(pieces)

    def _buckets_text(self, counts: vec[i64]) -> str:
        series = self._series
        native = self._native
        if native is not None and not series.definition.bounds:
            # Counted after the classic count, so that each is limited to it.
            _, _, present = self._read_native(native)
            total = sum(counts)
            lines: list[str] = []
            for upper, number in classic_buckets(present)[:-1]:
                lines.append(f'{HEAD_MARK}{format_bound(upper)}"}} {whole_end(min(int(number), total))}')
            lines.append(f'{HEAD_MARK}+Inf"}} {whole_end(total)}')
            return "".join(lines)
        bounds = series.bound_texts
        if not bounds:
            bounds = series.bound_texts = tuple(
                [f'{HEAD_MARK}{format_bound(bound)}"}} ' for bound in (*series.definition.bounds, _INFINITY)]
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
    lock_methods(Histogram, "observe", "_record_seconds", unless_native=True)
