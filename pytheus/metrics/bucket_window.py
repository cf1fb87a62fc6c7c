"""The native buckets of one series: a window of buckets that observations find at once, and the rest by key.

Rules:

- A window is an array of counts over neighbouring buckets, beside the array of their upper bounds. So an observation of
  a native histogram is the same search and addition as one of a classic histogram with more bounds.
- The slots of a window, in the order of values: below it; negative buckets; a gap; the zero bucket; a gap; positive
  buckets; above it. The first, the last and the gaps never have a count, because an observation there is rare and makes
  the window grow.
- Counts of buckets that would make the window too long, and of NaN, are in `far`, by `native_buckets.bucket_key`.
- Windows of several series with the same buckets share their bounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pytheus.compilation import i64, vec
from pytheus.native_bounds import bucket_index, upper_bound
from pytheus.native_buckets import NAN_KEY, NativeHistogram, bucket_key, parse_bucket_key
from pytheus.samples import Exemplar

__all__ = ["WindowShape", "BucketWindow", "NativeCounts", "WindowLimits", "extended", "value_of", "window_of"]

WindowLimits = tuple[int, int, int, int]
"""The lowest and highest index of the negative buckets, then of the positive ones; low > high without buckets."""

_NO_BUCKETS: Final[WindowLimits] = (0, -1, 0, -1)

_LONGEST: Final = 512
"""The most buckets in a window: 64 powers of two at the resolution of a growth of 1.1."""

_RANGES_KEPT: Final = 64


class WindowShape:
    """Which buckets a window has, and their bounds; never changes, and windows of several series share it."""

    __slots__ = ("bounds", "limits", "schema", "zero_slot", "zero_threshold")

    def __init__(self, schema: int, zero_threshold: float, limits: WindowLimits) -> None:
        self.schema: Final = schema
        self.zero_threshold: Final = zero_threshold
        self.limits: Final = limits
        negative_low, negative_high, positive_low, positive_high = limits
        self.zero_slot: Final = max(negative_high - negative_low + 1, 0) + 2
        # The upper bound of each slot but the last, inclusive. A negative bucket includes its lower bound instead.
        below_zero = _before(-zero_threshold)
        bounds = [-math.inf if negative_low > negative_high else _before(-upper_bound(negative_high, schema))]
        for index in range(negative_high, negative_low - 1, -1):
            bounds.append(min(_before(-upper_bound(index - 1, schema)), below_zero))
        bounds.append(below_zero)
        bounds.append(zero_threshold)
        bounds.append(
            math.inf if positive_low > positive_high else max(zero_threshold, upper_bound(positive_low - 1, schema))
        )
        for index in range(positive_low, positive_high + 1):
            bounds.append(max(upper_bound(index, schema), zero_threshold))
        self.bounds: Final[vec[float]] = vec[float](bounds)

    def slot_of(self, sign: int, index: int) -> int:
        """Return the slot of a bucket, which is the zero bucket if `sign` is 0; -1 if it is not in the window."""
        negative_low, negative_high, positive_low, positive_high = self.limits
        if sign > 0:
            return self.zero_slot + 2 + index - positive_low if positive_low <= index <= positive_high else -1
        if sign < 0:
            return 1 + negative_high - index if negative_low <= index <= negative_high else -1
        return self.zero_slot

    def bucket_of(self, number: float) -> tuple[int, int]:
        """Return sign and index of the bucket of `number`, which is not NaN; the sign of the zero bucket is 0."""
        if number > self.zero_threshold:
            return 1, bucket_index(number, self.schema)
        if number < -self.zero_threshold:
            return -1, bucket_index(number, self.schema)
        return 0, 0

    def key(self, sign: int, index: int) -> str:
        """Return the key of a bucket."""
        return bucket_key((self.schema, self.zero_threshold), sign, index)


def extended(schema: int, limits: WindowLimits, sign: int, index: int) -> WindowLimits | None:
    """Return `limits` with one more bucket; None if that is too long.

    They extend by several buckets at once, to multiples of a number, so that they change rarely and are those of other
    series, too.
    """
    step = max(4, (1 << max(schema, 0)) // 2)
    low = index // step * step
    # No bucket is above that of infinities.
    high = min(low + step - 1, bucket_index(math.inf, schema))
    negative_low, negative_high, positive_low, positive_high = limits
    if sign > 0:
        positive_low, positive_high = _hull(low, high, positive_low, positive_high)
    else:
        negative_low, negative_high = _hull(low, high, negative_low, negative_high)
    length = max(negative_high - negative_low + 1, 0) + max(positive_high - positive_low + 1, 0)
    return None if length > _LONGEST else (negative_low, negative_high, positive_low, positive_high)


def _before(bound: float) -> float:
    return math.nextafter(bound, -math.inf)


def _hull(low: int, high: int, other_low: int, other_high: int) -> tuple[int, int]:
    return (low, high) if other_low > other_high else (min(low, other_low), max(high, other_high))


class BucketWindow:
    """The counts of a `WindowShape`, and by key those of the buckets beyond it and of NaN.

    `bounds` are those of the shape, or none if every observation is to take the slow way. `views` are the buffers of
    the slots in a registry's storage, as far as this process has them, and `far_views` those of the keys; `views` is
    None if all counts are in this process alone.
    """

    __slots__ = ("bounds", "counts", "far", "far_views", "shape", "views")

    def __init__(self, shape: WindowShape, counts: vec[i64], far: dict[str, int], is_stored: bool) -> None:
        self.shape: Final = shape
        self.bounds: vec[float] = shape.bounds
        self.counts: Final[vec[i64]] = counts
        self.far: Final = far
        # Any, because native code would check the type of each buffer.
        self.views: Final[list[Any] | None] = [None] * len(counts) if is_stored else None
        self.far_views: Final[dict[str, Any]] = {}


class NativeCounts:
    """The native buckets of one series: another set of buckets, or another place, is another `window`."""

    __slots__ = ("exemplars", "far_hits", "reset_due", "window")

    def __init__(self, window: BucketWindow) -> None:
        self.window: BucketWindow = window
        self.reset_due: float = 0.0
        """When the histogram is to begin again at zero, in seconds since the Unix epoch; 0.0 for never."""
        self.far_hits: int = 0
        """The observations beyond the window since it was chosen."""
        self.exemplars: tuple[Exemplar, ...] = ()


def value_of(shape: WindowShape, counts: vec[i64], far: Mapping[str, int]) -> NativeHistogram:
    """Return the histogram with these counts."""
    _, negative_high, positive_low, _ = shape.limits
    zero_slot = shape.zero_slot
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}
    for slot, count in enumerate(counts):
        if count and slot > zero_slot:
            positive[positive_low + slot - zero_slot - 2] = int(count)
        elif count and slot < zero_slot:
            negative[negative_high + 1 - slot] = int(count)
    for key, number in far.items():
        parsed = parse_bucket_key(key)
        if parsed is not None:
            (positive if parsed.sign > 0 else negative)[parsed.bucket] = number
    zero_count = int(counts[zero_slot])
    return NativeHistogram(shape.schema, shape.zero_threshold, zero_count, positive, negative, far.get(NAN_KEY, 0))


def window_of(
    native: NativeHistogram, ranges: dict[object, WindowShape], is_stored: bool, limits: WindowLimits | None = None
) -> BucketWindow:
    """Return a window with the counts of `native`, over the buckets in `limits` or those with the most observations.

    `ranges` are those that series of the metric have already.
    """
    if limits is None:
        limits = _best_limits(native)
    place = (native.schema, native.zero_threshold, limits)
    shape = ranges.get(place)
    if shape is None:
        shape = WindowShape(native.schema, native.zero_threshold, limits)
        if len(ranges) < _RANGES_KEPT:
            ranges[place] = shape
    counts = [0] * (len(shape.bounds) + 1)
    far: dict[str, int] = {}
    counts[shape.zero_slot] = int(native.zero_count)
    for sign, buckets in (1, native.positive), (-1, native.negative):
        for index, count in buckets.items():
            slot = shape.slot_of(sign, index)
            if slot < 0:
                far[shape.key(sign, index)] = int(count)
            else:
                counts[slot] = int(count)
    if native.nan_count:
        far[NAN_KEY] = int(native.nan_count)
    return BucketWindow(shape, vec[i64](counts), far, is_stored)


def _best_limits(native: NativeHistogram) -> WindowLimits:
    """Return the limits of a window that has the bucket with the most observations and as many others as possible."""
    buckets = [(count, 1, index) for index, count in native.positive.items() if count]
    buckets += [(count, -1, index) for index, count in native.negative.items() if count]
    limits = _NO_BUCKETS
    for _, sign, index in sorted(buckets, reverse=True):
        limits = extended(native.schema, limits, sign, index) or limits
    return limits
