"""Native buckets of histograms: observations, the limit of their number, and their place.

Rules:

- An observation counts in its native bucket, in its classic bucket and in the sum in one step, so no reader sees one
  without the others; see `pytheus.atomic`. `pytheus.metrics.bucket_window` has the arrays.
- All else, such as the first observation of a bucket, makes a new window and puts it in the place of the old one, if
  that has not changed meanwhile; otherwise it begins again.
- The limits are those of Prometheus's client libraries: begin again at zero, widen the zero bucket, or double the width
  of the buckets. Without a timer: a step that is due waits for a rare observation or a scrape.
- In a storage that other processes read, a count stays under the key of the schema with which it was observed. So wider
  buckets begin with new keys, and no count moves. A histogram never begins again there, because others' counts stay.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from time import time
from typing import Final, Self, cast

from pytheus.atomic import LOCKED
from pytheus.compilation import i64, mypyc_attr, vec
from pytheus.metrics.bucket_window import BucketWindow, NativeCounts, WindowLimits, extended, value_of, window_of
from pytheus.metrics.distribution import Distribution, numbers_of
from pytheus.metrics.label_types import C, Complete, D, L, LabelValues
from pytheus.metrics.locking import lock_methods
from pytheus.metrics.metric import Metric
from pytheus.metrics.series import UNBOUND, start_time
from pytheus.native_bounds import MIN_SCHEMA, upper_bound
from pytheus.native_buckets import (
    NAN_KEY,
    NativeBuckets,
    NativeHistogram,
    bucket_keys,
    native_of_keys,
    with_schema,
    with_zero_threshold,
)
from pytheus.registry.storage import FloatBuffer, NumberStorage, SparseStorage
from pytheus.samples import Exemplar, Row
from pytheus.version import COMPILED

if COMPILED:
    from pytheus.metrics.buckets import place
else:
    from bisect import bisect_left as place  # type: ignore[assignment]  # the same function with more types

__all__ = ["NativeDistribution", "place"]

_FAR_HITS: Final = 1024
"""After so many observations beyond the window, another window may have more of them."""

_NO_BOUNDS: Final = vec[float]()


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class NativeDistribution(Distribution[L, C, D]):
    """The base of `Histogram`, for histograms with native buckets and without."""

    __slots__ = ("_native",)

    _native: NativeCounts | None
    """None for a histogram without native buckets, and for a handle without own numbers."""

    def _init_handle(self) -> None:
        super()._init_handle()
        self._native = None

    def _options(self) -> NativeBuckets:
        options = self._series.definition.native
        assert options is not None
        return options

    # Observations -----------------------------------------------------------------------------------------------------

    def _observe_near(self: NativeDistribution[Complete], number: float) -> bool:
        """Count `number` if its bucket has observations already and is in the window; return whether it did."""
        native = self._native
        if native is None:
            return False
        window = native.window
        views = window.views
        index = place(window.bounds, number)
        slot = place(self._series.bounds, number)
        # atomic: all counts and the sum, so that no reader sees one of them alone
        view = self._view
        if native.window is window and slot:
            count = window.counts[index]
            if count:
                if view is None and views is None:
                    window.counts[index] = count + 1
                    counts = self._counts
                    counts[slot] = counts[slot] + 1
                    self._sum += number
                    return True
                if view is not None and view is not UNBOUND and views is not None and views[index] is not None:
                    window.counts[index] = count + 1
                    views[index][0] += 1.0
                    view[slot] += 1.0
                    view[0] += number
                    return True
        return False

    def _observe_rare(self: NativeDistribution[Complete], number: float) -> None:
        """Count `number`, whichever bucket it is in and wherever that is."""
        while True:
            native = self._native
            if native is None or self._view is UNBOUND:
                self._bound()._observe_rare(number)
                return
            window = native.window
            shape = window.shape
            sign, index = (0, 0) if number != number else shape.bucket_of(number)
            key = NAN_KEY if number != number else shape.key(sign, index)
            slot = -1 if number != number else shape.slot_of(sign, index)
            if slot < 0 and number == number:
                limits = extended(shape.schema, shape.limits, sign, index)
                native.far_hits += 1
                if limits is not None or native.far_hits > _FAR_HITS:
                    native.far_hits = 0
                    counts, far = self._copies(window)
                    present = value_of(shape, counts, far)
                    self._use_window(native, window, counts, far, self._window_of(window, present, limits))
                    continue
            views = window.views
            if slot >= 0:
                if views is not None and views[slot] is None:
                    views[slot] = self._bucket(key)
                before = self._count_near(native, window, slot, number)
            else:
                if views is not None and key not in window.far_views:
                    window.far_views[key] = self._bucket(key)
                window.far.setdefault(key, 0)
                before = self._count_far(native, window, key, number)
            if before >= 0:
                if number == number and (not before or not len(window.bounds)):
                    self._limit_buckets(native, number)
                return

    def _count_near(self, native: NativeCounts, window: BucketWindow, index: int, number: float) -> int:
        """Count `number` in the bucket with this slot of `window`; return the count before, -1 if that was replaced."""
        slot = self._classic_slot(number)
        views = window.views
        # atomic: as in `_observe_near`
        view = self._view
        if native.window is not window or view is UNBOUND:
            return -1
        count = window.counts[index]
        window.counts[index] = count + 1
        if views is not None:
            views[index][0] += 1.0
        if view is None:
            counts = self._counts
            counts[slot] = counts[slot] + 1
            self._sum += number
        else:
            view[slot] += 1.0
            view[0] += number
        return int(count)

    def _count_far(self, native: NativeCounts, window: BucketWindow, key: str, number: float) -> int:
        """Count `number` in the bucket with this key, beyond the window; otherwise as `_count_near`."""
        slot = self._classic_slot(number)
        views = window.views
        # atomic: as in `_observe_near`
        view = self._view
        if native.window is not window or view is UNBOUND:
            return -1
        count = window.far[key]
        window.far[key] = count + 1
        if views is not None:
            window.far_views[key][0] += 1.0
        if view is None:
            counts = self._counts
            counts[slot] = counts[slot] + 1
            self._sum += number
        else:
            view[slot] += 1.0
            view[0] += number
        return count

    def _classic_slot(self, number: float) -> i64:
        """Return the index of the classic bucket of `number`; NaN is in the last one, as in other client libraries."""
        bounds = self._series.bounds
        slot = place(bounds, number)
        if slot:
            return slot
        return 1 if number == number else len(bounds)

    # Windows ----------------------------------------------------------------------------------------------------------

    def _window_of(self, former: BucketWindow, native: NativeHistogram, limits: WindowLimits | None) -> BucketWindow:
        return window_of(native, self._series.window_shapes, former.views is not None, limits)

    def _copies(self, window: BucketWindow) -> tuple[vec[i64], dict[str, int]]:
        return window.counts[:], window.far.copy()

    def _use_window(
        self, native: NativeCounts, window: BucketWindow, counts: vec[i64], far: dict[str, int], made: BucketWindow
    ) -> bool:
        """Put `made` in the place of `window` if that still has these counts; return whether it had."""
        # atomic: no observation between the comparison and the change
        if native.window is window and window.counts == counts and window.far == far:
            native.window = made
            return True
        return False

    def _limit_buckets(self: NativeDistribution[Complete], native: NativeCounts, number: float) -> None:
        """Take one step to fewer buckets if there are too many; `number` is the last observation."""
        options = self._options()
        if not options.max_buckets:
            return
        while True:
            window = native.window
            counts, far = self._copies(window)
            present = value_of(window.shape, counts, far)
            if not _exceeds(present, options):
                return
            if self._view is None and options.min_reset_seconds and not native.reset_due:
                due = self._created + options.min_reset_seconds
                if time() >= due:
                    self._begin_again(native, number)
                    return
                native.reset_due = due
            fewer = _fewer_buckets(present, options)
            if fewer is None:
                return
            made = self._window_of(window, fewer, None)
            if _exceeds(fewer, options) and _fewer_buckets(fewer, options) is not None:
                made.bounds = _NO_BOUNDS  # so that the next observation takes the next step
            if self._use_window(native, window, counts, far, made):
                if made.views is not None:  # so that readers of the storage see the same width and threshold
                    self._bucket(made.shape.key(0, 0))
                    self._bucket(made.shape.key(*made.shape.bucket_of(number)))
                return

    def _begin_again(self, native: NativeCounts, number: float) -> None:
        """Forget all observations but the last one."""
        made = self._first_window(False)
        sign, index = made.shape.bucket_of(number)
        limits = extended(made.shape.schema, made.shape.limits, sign, index)
        made = self._window_of(made, value_of(made.shape, made.counts, made.far), limits)
        made.counts[made.shape.slot_of(sign, index)] = 1
        slot = self._classic_slot(number)
        counts = self._series.zeros[:]
        counts[slot] = 1
        created = start_time(self._created)
        # atomic: no reader sees a part of the former numbers
        native.window = made
        native.reset_due = 0.0
        self._counts = counts
        self._sum = number
        self._created = created
        self._text_count = -1

    def _first_window(self, is_stored: bool) -> BucketWindow:
        options = self._options()
        empty = NativeHistogram(options.schema, options.zero_threshold, 0, {}, {})
        return window_of(empty, self._series.window_shapes, is_stored)

    def _reset(self) -> None:
        if not self._series.has_native:
            super()._reset()
            return
        native = self._native
        if native is None:
            super()._reset()
            self._native = NativeCounts(self._first_window(False))
            return
        made = self._first_window(native.window.views is not None)
        for buffer in self._stored_buckets().values():
            buffer[0] = 0.0
        if self._view is not None:
            super()._reset()
        self._begin_with(native, made)

    def _begin_with(self, native: NativeCounts, made: BucketWindow) -> None:
        counts = self._series.zeros[:]
        created = start_time(self._created)
        # atomic: as in `_begin_again`
        native.window = made
        native.reset_due = 0.0
        native.exemplars = ()
        if self._view is None:
            self._counts = counts
            self._sum = 0.0
        self._created = created
        self._text_count = -1

    def _reset_if_due(self) -> None:
        """Begin again at zero if that is due since an observation that came too early for it."""
        native = self._native
        if native is not None and native.reset_due and self._view is None and time() >= native.reset_due:
            self._reset()

    # Places -----------------------------------------------------------------------------------------------------------

    def _storage(self) -> SparseStorage | None:
        """Return the storage of the metric, if it keeps native buckets."""
        storage: object = self._series.storage[0] if self._series.storage else None
        # Without isinstance, which takes microseconds.
        return cast(SparseStorage, storage) if hasattr(storage, "bucket") else None

    def _bucket(self, key: str) -> FloatBuffer:
        storage = self._storage()
        if storage is None:  # the metric is leaving it
            return cast(FloatBuffer, array("d", (0.0,)))
        return storage.bucket(cast("tuple[str, ...]", self._labels), key)

    def _stored_buckets(self) -> Mapping[str, FloatBuffer]:
        storage = self._storage()
        return {} if storage is None else storage.buckets(cast("tuple[str, ...]", self._labels))

    def _share_with(self, incumbent: Metric) -> None:
        super()._share_with(incumbent)
        self._native = None

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        super()._move_to(storage, carry)
        native = self._native
        if native is None:
            return
        if not hasattr(storage, "bucket"):
            if not carry:
                native.window = self._first_window(False)
            return
        labels = cast("tuple[str, ...]", self._labels)
        sparse = cast(SparseStorage, storage)
        found = sparse.buckets(labels)
        if not carry:
            counts_found = {key: buffer[0] for key, buffer in found.items()}
            native.window = window_of(native_of_keys(counts_found, self._options()), self._series.window_shapes, True)
            return
        for buffer in found.values():
            buffer[0] = 0.0
        while True:
            window = native.window
            counts, far = self._copies(window)
            present = value_of(window.shape, counts, far)
            made = window_of(present, self._series.window_shapes, True)
            if self._use_window(native, window, counts, far, made):
                break
        for key, count in bucket_keys(present).items():
            buffer = sparse.bucket(labels, key)
            # atomic: an observation may be there already
            buffer[0] += count

    def _move_back(self) -> bool:
        moved = super()._move_back()
        native = self._native
        while native is not None and native.window.views is not None:
            window = native.window
            counts, far = self._copies(window)
            made = window_of(value_of(window.shape, counts, far), self._series.window_shapes, False)
            self._use_window(native, window, counts, far, made)
        return moved

    # Exemplars --------------------------------------------------------------------------------------------------------

    def _keep_native_exemplar(self, labels: LabelValues | None, value: float) -> None:
        """Keep an exemplar of an observation in native buckets; see `_keep_exemplar`."""
        exemplar = self._keep_exemplar(labels, value, int(self._classic_slot(value)))
        native = self._native
        if native is None or exemplar is None or value != value:
            return
        from pytheus.metrics.native_exemplars import with_exemplar

        native.exemplars = with_exemplar(native.exemplars, exemplar)
        storage = self._storage()
        if storage is not None:
            shape = native.window.shape
            key = cast("tuple[str, ...]", self._labels)
            storage.set_bucket_exemplar(key, shape.key(*shape.bucket_of(value)), exemplar)

    # Reading ----------------------------------------------------------------------------------------------------------

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        native = self._native
        if native is None:
            return super()._row(exemplars)
        self._reset_if_due()
        total, counts, present = self._read_native(native)
        labels = cast("tuple[str, ...]", self._labels)
        numbers = numbers_of(total, counts)
        return Row(labels, numbers, None, exemplars, True, self._created, present, native.exemplars)

    def text_parts(self, prefix: str) -> list[str]:
        """Return pieces of the family's text; `prefix` is "" or ends with "_"."""
        if self._series.has_native:
            for child in cast("list[Self]", list(self._series.children.values())):
                child._reset_if_due()
        return super().text_parts(prefix)

    def _read_native(self, native: NativeCounts) -> tuple[float, vec[i64], NativeHistogram]:
        """Return the sum, the classic counts and the native ones, in this process's memory as of one moment."""
        view = self._view
        total, classic = self._read()
        # atomic: a copy of everything
        window = native.window
        buckets = window.counts[:]
        far = {**window.far}
        if view is None:
            classic = self._counts[:]
            total = self._sum
        return total, classic, value_of(window.shape, buckets, far)


def _exceeds(present: NativeHistogram, options: NativeBuckets) -> bool:
    return len(present.positive) + len(present.negative) > options.max_buckets


def _fewer_buckets(present: NativeHistogram, options: NativeBuckets) -> NativeHistogram | None:
    """Return `present` with a wider zero bucket or with wider buckets; None if neither is allowed."""
    if present.zero_threshold < options.max_zero_threshold:
        threshold = upper_bound(min([*present.positive, *present.negative]), present.schema)
        if threshold <= options.max_zero_threshold:
            return with_zero_threshold(present, threshold)
    return with_schema(present, present.schema - 1) if present.schema > MIN_SCHEMA else None


if LOCKED:
    lock_methods(NativeDistribution, "_observe_near", "_count_near", "_count_far", "_use_window", "_begin_again")
    lock_methods(NativeDistribution, "_begin_with", "_read_native")
