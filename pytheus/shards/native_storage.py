"""The storage of a histogram with native buckets: the buckets are series of a definition of their own.

Rules:

- Any store can keep them, because they are to it the series of one more metric (see `bucket_series.py`). A store
  without storage gets the rows of both: the numbers are in this process's memory then, in the same form, so that every
  publication has the keys of the one before.
- Series and buckets leave together. Each counts once at every moment, here or elsewhere, so it does not matter that
  they move one after the other. But no thread reads the buckets meanwhile: if one is missing in a publication, the
  store forgets which part of its count the archive has already, and that part would count twice.
- The lock is held while a bucket is added or released, and while series end, because a new series must not get the
  bucket of one that is leaving. A metric calls for each bucket once.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from pytheus.definitions import Definition
from pytheus.native_buckets import bucket_keys
from pytheus.registry.capabilities import HasRows
from pytheus.registry.storage import FloatBuffer, NumberStorage, RetiresSeries
from pytheus.samples import Exemplar, Row
from pytheus.shards.bucket_series import BucketDefinition
from pytheus.shards.ended_rows import EndedRows
from pytheus.shards.store import ShardStore
from pytheus.shards.tracked_storage import TrackedStorage, storage_of

__all__ = ["BucketRows", "NativeStorage"]

_ZERO: Final = array("d", [0.0])


class NativeStorage(TrackedStorage):
    """Wraps the storages that `store` provides for a histogram and for its native buckets."""

    def __init__(
        self,
        storage: NumberStorage,
        bucket_storage: NumberStorage,
        store: ShardStore,
        definition: Definition,
    ) -> None:
        super().__init__(storage, store, definition)
        self._bucket_storage = bucket_storage
        # By labels, then by key.
        self._buckets: dict[tuple[str, ...], dict[str, FloatBuffer]] = {}
        # The buckets of series that have ended, until the store can keep their counts elsewhere.
        self._ended: dict[tuple[str, ...], FloatBuffer] = {}
        self._exemplars: dict[tuple[str, ...], Exemplar] = {}
        self._lock = threading.RLock()
        self.ended_buckets: EndedRows | None = None
        """The rows of buckets that have ended, if the store publishes rows."""

    def add(self, row: Row, former: TrackedStorage | None) -> None:
        super().add(row, former)
        if row.native is None:
            return
        for key in bucket_keys(row.native):
            self.bucket(row.labels, key)  # the histogram moves the counts

    @contextmanager
    def batch(self) -> Iterator[None]:
        with self._batch_of(self._storage), self._batch_of(self._bucket_storage):
            yield

    def bucket(self, labels: tuple[str, ...], key: str, /) -> FloatBuffer:
        """See `pytheus.registry.SparseStorage`."""
        with self._lock:
            bucket_labels = (*labels, key)
            found = self._buckets.setdefault(labels, {})
            bucket = found.get(key)
            if bucket is None:
                bucket = found[key] = self._bucket_storage.buffer(bucket_labels, _ZERO[:], 0.0)
                # One of an ended series that could not move counts on, as a part of the same sum.
                self._ended.pop(bucket_labels, None)
            return bucket

    def buckets(self, labels: tuple[str, ...], /) -> Mapping[str, FloatBuffer]:
        """See `pytheus.registry.SparseStorage`."""
        return self._buckets.get(labels, {}).copy()

    def set_bucket_exemplar(self, labels: tuple[str, ...], key: str, exemplar: Exemplar, /) -> None:
        """See `pytheus.registry.SparseStorage`."""
        self.bucket(labels, key)
        self._exemplars[*labels, key] = exemplar
        self._bucket_storage.set_exemplar((*labels, key), 0, exemplar)

    def _release(self, labels: tuple[str, ...]) -> None:
        super()._release(labels)
        self._release_buckets(labels)

    def _release_buckets(self, labels: tuple[str, ...]) -> None:
        with self._lock:
            for key in self._buckets.pop(labels, {}):
                self._exemplars.pop((*labels, key), None)
                self._bucket_storage.release((*labels, key))

    def release_all_buckets(self) -> None:
        """Release the buckets of all series, because another storage has their counts by now."""
        for labels in list(self._buckets):
            self._release_buckets(labels)

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float, /
    ) -> None:
        with self._lock:
            super().retire(series, leave, idle_seconds)
            storage: object = self._bucket_storage
            if not self._ended or not isinstance(storage, RetiresSeries):
                return
            leaving = list(self._ended)
            if self.ended_buckets is not None:
                self.ended_buckets.end(leaving, self._let_bucket_go, idle_seconds, storage)
            else:
                storage.retire(leaving, self._let_bucket_go, idle_seconds)

    def _let_go(self, labels: tuple[str, ...], leave: Callable[[tuple[str, ...]], bool]) -> bool:
        # Before it leaves, because a new series must not get these buckets.
        buckets = self._buckets.pop(labels, {})
        left = super()._let_go(labels, leave)
        if left:
            self._ended.update({(*labels, key): bucket for key, bucket in buckets.items()})
        elif buckets:
            self._buckets[labels] = buckets | self._buckets.get(labels, {})
        return left

    def _let_bucket_go(self, bucket_labels: tuple[str, ...]) -> bool:
        # It is gone if a signal handler or finalizer began the series again.
        left = self._ended.pop(bucket_labels, None) is not None
        if left:
            self._exemplars.pop(bucket_labels, None)
        return left

    def bucket_rows(self) -> list[Row]:
        """The rows of all buckets."""
        buckets = self._ended.copy()
        for labels, found in self._buckets.copy().items():
            buckets |= {(*labels, key): bucket for key, bucket in found.copy().items()}
        return [Row(labels, bucket.tolist(), None, self._exemplars_of(labels)) for labels, bucket in buckets.items()]

    def _exemplars_of(self, bucket_labels: tuple[str, ...]) -> Mapping[int, Exemplar] | None:
        exemplar = self._exemplars.get(bucket_labels)
        return None if exemplar is None else {0: exemplar}


class BucketRows:
    """The native buckets of `histogram` as rows of a metric of their own.

    >>> from pytheus import Histogram
    >>> from pytheus.metrics import NativeBuckets
    >>> sizes = Histogram("sizes_bytes", "Sizes.", native=NativeBuckets(growth=2), registry=None)
    >>> sizes.observe(3)
    >>> sorted((row.labels, row.numbers) for row in BucketRows(sizes).rows())[0]
    (('p0:2',), [1.0])
    """

    def __init__(self, histogram: HasRows) -> None:
        self._histogram = histogram
        self._definition = BucketDefinition(histogram.definition)

    @property
    def definition(self) -> Definition:
        """The definition of the buckets."""
        return self._definition

    def rows(self) -> list[Row]:
        """A row of one number for each bucket."""
        storage = storage_of(self._histogram.definition)
        if isinstance(storage, NativeStorage):
            return storage.bucket_rows()
        # The histogram has just left, and took its buckets with it.
        return [
            Row((*row.labels, key), [float(count)])
            for row in self._histogram.rows()
            if row.native is not None
            for key, count in bucket_keys(row.native).items()
        ]

    def refresh(self) -> None:
        """Do nothing, because no function provides them."""
