"""A store of shards in this process's memory: for tests, and as an example.

A backend takes the place of the directory or the server of other stores. Like them, it holds for each shard
the identity, the records of the layout, the numbers, and whether the process is alive. Other stores differ in how they
keep these, in how they learn that a process has died, and in how they fold a shard exactly once.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from pytheus.definitions import Definition
from pytheus.registry.capabilities import HasRows
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.samples import Exemplar
from pytheus.shards.archive import Archive, fold
from pytheus.shards.ended_rows import EndedRow, EndedRows, FixedRows, combined_rows
from pytheus.shards.layout import Layout
from pytheus.shards.layout_codec import (
    encode_definition,
    encode_exemplar,
    encode_info,
    encode_layout,
    encode_removal,
    encode_series,
)
from pytheus.shards.layout_reader import LayoutReader
from pytheus.shards.snapshot import ShardIdentity, Snapshot, snapshot_of
from pytheus.shards.store import Reading

__all__ = ["MemoryBackend", "MemoryShardStore"]


class MemoryBackend:
    """The shards by token, and the archive, which several `MemoryShardStore` share.

    >>> MemoryBackend().archive
    <Archive of 0 series, 0 tokens>
    """

    def __init__(self) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.shards: dict[str, StoredShard] = {}
        self.archive: Archive = Archive()


class StoredShard:
    """A shard as the backend keeps it."""

    def __init__(self, identity: ShardIdentity) -> None:
        self.identity = identity
        self.live = True
        self.records: bytearray = bytearray()
        self.visible_bytes: int = 0
        """How many bytes of the records others see; the rest belongs to a batch that has not ended."""
        self.batches = 0
        # One array for each series, so that a view never moves while the shard grows. The array of a removed series
        # stays, because nothing limits this store's memory.
        self.views: list[array[float]] = []

    def append(self, records: bytes) -> None:
        self.records += records
        if not self.batches:
            self.visible_bytes = len(self.records)

    def numbers(self) -> list[float]:
        return [number for view in self.views for number in view]


class MemoryShardStore:
    """The access of one process to a backend, simulated within one process.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.shards import ShardedRegistry
        >>> backend = MemoryBackend()
        >>> worker = MemoryShardStore(backend)
        >>> Counter("jobs_total", "Jobs done.", registry=ShardedRegistry(worker)).inc(5)
        >>> worker.kill()
        >>> print(generate_metrics(ShardedRegistry(MemoryShardStore(backend))), end="")
        # HELP jobs_total Jobs done.
        # TYPE jobs_total counter
        jobs_total 5.0

    With `publishing`, metrics keep their numbers, and other stores see them as of the last `publish`.
    """

    def __init__(
        self, backend: MemoryBackend | None = None, *, identity: ShardIdentity | None = None, publishing: bool = False
    ) -> None:
        self.backend: MemoryBackend = MemoryBackend() if backend is None else backend
        self._publishing = publishing
        # By token, with the records that the reader has read; other records in their place need another reader.
        self._readers: dict[str, tuple[LayoutReader, bytearray]] = {}
        self._begin(ShardIdentity.of_this_process() if identity is None else identity)

    def _begin(self, identity: ShardIdentity) -> None:
        """Begin a shard."""
        self.shard: StoredShard = StoredShard(identity)
        # The layout that the shard's records encode. Each thread that creates a series writes it; a scrape reads the
        # records instead, so that its layout does not change meanwhile.
        self.layout: Layout = Layout()
        with self.backend.lock:
            self.backend.shards[identity.token] = self.shard

    @property
    def identity(self) -> ShardIdentity:
        """The identity of the shard that it writes."""
        return self.shard.identity

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """Storage in the shard; see `ShardStore.storage`."""
        return None if self._publishing else BackendStorage(self, definition)

    def publish(self, metrics: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Write the rows to the backend, with `publishing`; see `ShardStore.publish`."""
        if not self._publishing:
            return
        living: list[HasRows] = []
        retired: list[tuple[EndedRows, list[EndedRow]]] = []
        for metric in metrics:
            if isinstance(metric, EndedRows):
                rows, ended = metric.split()
                living.append(FixedRows(metric.definition, rows))
                retired.append((metric, ended))
            else:
                living.append(metric)
        snapshot = snapshot_of(self.identity, living)
        records = encode_layout(snapshot.layout)
        with self.backend.lock:
            for metric, ended in retired:
                if ended:
                    self._retire(FixedRows(metric.definition, combined_rows(metric.definition, ended)), ended)
                    metric.moved(ended)
            numbers = [array("d", snapshot.numbers)]
            if self.shard.records == records:
                self.shard.views = numbers
                return
            # In one step, because records of one publication do not fit numbers of another. This replaces the layout
            # whenever it changes, and so discards the merge's index of it.
            shard = StoredShard(self.identity)
            shard.append(records)
            shard.views = numbers
            shard.live = self.shard.live
            token = shard.identity.token
            if token in self.backend.shards:  # the archive may have a closed one by now
                self.backend.shards[token] = shard
            self.shard = shard

    @property
    def retires_rows(self) -> bool:
        """Whether `publish` moves the rows of ended series; see `RetiresRows`."""
        return self._publishing

    def _retire(self, rows: FixedRows, ended: Sequence[EndedRow]) -> None:
        identity = self.identity._replace(token=f"{self.identity.token} left")
        written_at = max(each.written_at for each in ended)
        folded = fold(self.backend.archive, [snapshot_of(identity, [rows])], now=written_at)
        self.backend.archive = folded.forget_tokens([identity.token])

    def read(self) -> Reading:
        """Fold the shards of killed processes, and read the others; see `ShardStore.read`."""
        backend = self.backend
        with backend.lock:
            dead = [self._snapshot(shard) for shard in backend.shards.values() if not shard.live]
            # One step here, because of the lock. A store on disk or on a server first commits the archive with the
            # token in it, then deletes the shard, and then forgets the token, so that it may be killed between any two.
            backend.archive = fold(backend.archive, dead)
            for snapshot in dead:
                token = snapshot.identity.token
                del backend.shards[token]
                self._readers.pop(token, None)
            backend.archive = backend.archive.forget_tokens([snapshot.identity.token for snapshot in dead])
            return Reading([self._snapshot(shard) for shard in backend.shards.values()], backend.archive)

    def expire_ended_series(self, idle_seconds: float, selects: Callable[[Definition], bool], /) -> None:
        """Drop series of the archive; see `EndedSeriesExpirable`."""
        reading = self.read()
        with self.backend.lock:
            before = time.time() - idle_seconds
            self.backend.archive = self.backend.archive.expire(before, reading.snapshots, selects)

    def _snapshot(self, shard: StoredShard) -> Snapshot:
        token = shard.identity.token
        reader, known = self._readers.get(token, (None, None))
        if reader is None or known is not shard.records:
            reader = LayoutReader()
            self._readers[token] = (reader, shard.records)
        reader.feed(shard.records[reader.consumed_bytes : shard.visible_bytes])
        return Snapshot(shard.identity, shard.live, reader.layout, shard.numbers())

    def close(self) -> None:
        """Leave the shard to the archive; idempotent."""
        self.shard.live = False

    def kill(self) -> None:
        """Simulate the death of the process: its shard stays behind as it is."""
        self.shard.live = False

    def after_fork_in_child(self) -> None:
        """Begin a shard in the child's copy of the backend; see `ForkAware`."""
        self.backend.lock = threading.RLock()
        self._readers = {}
        self._begin(ShardIdentity.of_this_process())

    def __repr__(self) -> str:
        return f"<MemoryShardStore of {self.identity}>"


class BackendStorage:
    """The storage of one metric's series in a shard."""

    def __init__(self, store: MemoryShardStore, definition: Definition) -> None:
        self._store = store
        self._definition = definition

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        store = self._store
        layout, shard = store.layout, store.shard
        with store.backend.lock:
            number = self._series_number(labels)
            if number is None:
                definition = layout.find_definition(self._definition)
                if definition is None:
                    shard.append(encode_definition(self._definition))
                    definition = layout.add_definition(self._definition)
                offset = layout.size
                # First its numbers, then the record that refers to them, so that the process may be killed in between.
                shard.views.append(numbers[:])
                shard.append(encode_series(definition, labels, offset, created))
                number = layout.add_series(definition, labels, offset, created)
            return cast(FloatBuffer, shard.views[number])

    def _series_number(self, labels: tuple[str, ...]) -> int | None:
        layout = self._store.layout
        definition = layout.find_definition(self._definition)
        return None if definition is None else layout.find_series(definition, labels)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """See `Batching`."""
        shard = self._store.shard
        with self._store.backend.lock:
            shard.batches += 1
            try:
                yield
            finally:
                shard.batches -= 1
                shard.append(b"")

    def release(self, labels: tuple[str, ...], /) -> None:
        with self._store.backend.lock:
            number = self._series_number(labels)
            if number is not None:
                self._store.shard.append(encode_removal(number))
                self._store.layout.remove_series(number)

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float, /
    ) -> None:
        """Move series into the archive; see `RetiresSeries`."""
        store = self._store
        backend, shard = store.backend, store.shard
        layout = Layout()
        numbers: list[float] = []
        with backend.lock:
            for labels in series:
                number = self._series_number(labels)
                if number is not None and leave(labels):
                    created = store.layout.start_times.pick([number])[0] / 1000
                    layout.add_series(layout.add_definition(self._definition), labels, len(numbers), created)
                    numbers += shard.views[number]
                    shard.append(encode_removal(number))
                    store.layout.remove_series(number)
            identity = shard.identity._replace(token=f"{shard.identity.token} left")
            left = Snapshot(identity, False, layout, numbers)
            folded = fold(backend.archive, [left], now=time.time() - idle_seconds)
            backend.archive = folded.forget_tokens([identity.token])

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        with self._store.backend.lock:
            self.buffer(labels, array("d"))
            number = self._series_number(labels)
            assert number is not None
            self._store.shard.append(encode_info(number, info))

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        with self._store.backend.lock:
            number = self._series_number(labels)
            if number is not None:
                self._store.shard.append(encode_exemplar(number, slot, exemplar))
