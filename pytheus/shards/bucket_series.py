"""The native buckets of histograms as series of a shard.

Rules:

- The count of each native bucket is a series of one number, of a definition of its own: that of the histogram, with
  the bucket's key as one more label. A process adds series and removes none while its histogram's series lives, also
  when it halves its resolution or widens its zero bucket, so no change has a step that could be interrupted.
- These series are added up by key, those of ended processes included, and are never exposed by themselves. A reader
  makes histograms of all keys of a series and adds them up, whatever their schemas and thresholds.
- A key of another process that makes no sense, or whose count is not a number of observations, costs itself alone.

`pytheus.native_buckets` has the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pytheus.definitions import Definition
from pytheus.native_buckets import NativeBuckets, NativeHistogram, native_of_keys

__all__ = ["BUCKET_LABEL", "BUCKET_MODE", "BucketDefinition", "BucketKeys"]

BUCKET_MODE: Final = "native buckets"
"""The mode of a definition of native buckets."""

BUCKET_LABEL: Final = "le"
"""The label of the bucket's key, which no histogram has as a label of its own."""

_INFINITY: Final = float("inf")


class BucketDefinition(Definition):
    """The definition of the native buckets of `histogram`.

    >>> native = NativeBuckets()
    >>> sizes = BucketDefinition(Definition("sizes_bytes", "histogram", "Sizes.", ("path",), native=native))
    >>> sizes.labels, sizes.occupied_names
    (('path', 'le'), ())
    """

    __slots__ = ("histogram",)

    def __init__(self, histogram: Definition) -> None:
        super().__init__(
            histogram.name,
            "histogram",
            "",
            (*histogram.labels, BUCKET_LABEL),
            bounds=histogram.bounds,
            mode=BUCKET_MODE,
            location=histogram.location,
            unit=histogram.unit,
            native=histogram.native,
            names=histogram.name_rules,
        )
        self.occupied_names: tuple[str, ...] = ()
        self.histogram: Definition = histogram


class BucketKeys:
    """The keys of the native buckets of one series, and at which position of some numbers the count of each is.

    >>> keys = BucketKeys([("p0:1", 0), ("z:0.5", 1), ("p-1:1", 2), ("p0:?", 3)])
    >>> keys.histogram(NativeBuckets(growth=2), [2.0, 1.0, 4.0, 9.0])
    NativeHistogram(schema=-1, zero_threshold=0.5, zero_count=1, positive={1: 6}, negative={}, nan_count=0)

    The keys never change.
    """

    __slots__ = ("block", "positions")

    def __init__(self, positions: Iterable[tuple[str, int]]) -> None:
        self.positions: list[tuple[str, int]] = list(positions)
        """Each key and its position."""
        self.block: tuple[str, list[float], str] | None = None
        """For a series without classic buckets: as `CachedSeries.block`."""

    def histogram(self, options: NativeBuckets, numbers: Sequence[float]) -> NativeHistogram:
        """Return the sum of these buckets, of processes that began with `options`."""
        return native_of_keys({key: _count(numbers[position]) for key, position in self.positions}, options)


def _count(number: float) -> int:
    """A number of observations; 0 if it is damaged, or below zero because a part of it counts elsewhere already."""
    return int(number) if 0 < number < _INFINITY else 0
