"""A merged family of histograms with native buckets.

The number of observations is the sum of the native buckets wherever these are shown, and limits the classic ones: the
two are written one after the other, and no reader may see them apart. In the text format, which has no native buckets,
a histogram without classic ones shows classic ones that are made of the native ones.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import accumulate
from math import copysign, inf
from typing import Final

from pytheus.definitions import Definition
from pytheus.native_buckets import NativeBuckets, classic_buckets
from pytheus.samples import Exemplar, Row, Sample
from pytheus.shards.bucket_series import BucketKeys
from pytheus.shards.merge_cache import CachedFamily, CachedSeries
from pytheus.shards.merged_family import ExtraSample, MergedFamily, MergeResult, sample_line
from pytheus.textformat import format_bound, format_labels, number_end
from pytheus.yielding import Yielder

__all__ = ["MergedNativeFamily"]

_MAX_EXEMPLARS: Final = 10


class MergedNativeFamily(MergedFamily):
    """A `MergedFamily` of histograms with the native buckets of `options`.

    `bucket_family` has their buckets as series, or is None without any.
    """

    __slots__ = ("_bucket_family", "_bucket_keys", "_options")

    def __init__(
        self,
        definition: Definition,
        family: CachedFamily,
        result: MergeResult,
        listing: list[CachedSeries],
        extra: list[ExtraSample],
        options: NativeBuckets,
        bucket_family: CachedFamily | None,
    ) -> None:
        super().__init__(definition, family, result, listing, extra)
        self._options = options
        self._bucket_family = bucket_family
        self._bucket_keys: dict[tuple[str, ...], BucketKeys] = (
            {} if bucket_family is None else bucket_family.bucket_keys()
        )

    def without(self, labels: Collection[tuple[str, ...]], tokens: Collection[str]) -> MergedFamily:
        return self  # only gauges have functions, and so series to leave out

    def rows(self) -> list[Row]:
        exemplars = self._native_exemplars()
        totals = self._result.totals[self._family.vector]
        return [
            row._replace(
                native=self._keys_of(row.labels).histogram(self._options, totals),
                native_exemplars=exemplars.get(row.labels, ()),
            )
            for row in super().rows()
        ]

    def _keys_of(self, labels: tuple[str, ...]) -> BucketKeys:
        found = self._bucket_keys.get(labels)
        return BucketKeys(()) if found is None else found

    def _native_exemplars(self) -> dict[tuple[str, ...], tuple[Exemplar, ...]]:
        """By labels: the newest exemplars of native buckets, the oldest of them first."""
        if self._bucket_family is None:
            return {}
        found: dict[tuple[str, ...], list[Exemplar]] = {}
        for labels, by_slot in self._result.exemplars(self._bucket_family).items():
            found.setdefault(labels[:-1], []).extend(by_slot.values())
        return {
            labels: tuple(sorted(exemplars, key=_timestamp)[-_MAX_EXEMPLARS:]) for labels, exemplars in found.items()
        }

    def _series_samples(self, row: Row) -> list[Sample]:
        # Buckets that are made of native ones have no exemplars.
        return super()._series_samples(row if self.definition.bounds else row._replace(exemplars=None))

    def _buckets(self, row: Row) -> list[tuple[float, float]]:
        native = row.native
        if native is None:
            return super()._buckets(row)
        bounds = self.definition.bounds
        if not bounds:
            return classic_buckets(native)
        total = native.total
        counts = [min(count, total) for count in accumulate(row.numbers[1:-1])]
        return list(zip((*bounds, inf), [*counts, total], strict=True))

    # The text format --------------------------------------------------------------------------------------------------

    def _add_blocks(self, name: str, parts: list[str]) -> None:
        if self.definition.bounds:
            super()._add_blocks(name, parts)
            return
        totals = self._result.totals[self._family.vector]
        yielder = Yielder()
        for series in self._listing:
            keys = self._keys_of(series.labels)
            numbers = [totals[series.start]]
            numbers += [totals[position] for _, position in keys.positions]
            block = keys.block
            if (
                block is None
                or block[1] != numbers
                or block[0] != name
                or copysign(1.0, block[1][0]) != copysign(1.0, numbers[0])
            ):
                block = keys.block = (name, numbers, self._block_of(name, series, keys, totals))
            parts.append(block[2])
            yielder.offer()

    def _block_of(self, name: str, series: CachedSeries, keys: BucketKeys, totals: list[float]) -> str:
        buckets = classic_buckets(keys.histogram(self._options, totals))
        labels = format_labels(zip(self.definition.labels, series.labels, strict=True))
        head = f"{name}_bucket{{{labels},le=" if labels else f"{name}_bucket{{le="
        lines = [f'{head}"{format_bound(bound)}"}} {number_end(float(count))}' for bound, count in buckets]
        count = float(buckets[-1][1])
        lines.append(f"{name}_sum{sample_line(labels, totals[series.start])}{name}_count{sample_line(labels, count)}")
        return "".join(lines)


def _timestamp(exemplar: Exemplar) -> float:
    return exemplar.timestamp or 0.0
