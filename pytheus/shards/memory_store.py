"""A store of shards in this process's memory: for tests, and as an example of how to write a store.

A backend takes the place of the directory or the server of other stores. It holds for each shard what they would hold:
the identity, the records of the layout, the numbers, and whether the process is alive. Other stores differ in how they
keep these, in how they learn that a process has died, and in how they fold a shard exactly once.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping, Sequence
from typing import cast

from pytheus.definitions import Definition
from pytheus.registry.capabilities import StorageAware
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.samples import Exemplar
from pytheus.shards.archive import Archive, fold
from pytheus.shards.combining import series_size
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout
from pytheus.shards.records import (
    LayoutReader,
    encode_definition,
    encode_exemplar,
    encode_info,
    encode_layout,
    encode_removal,
    encode_series,
)
from pytheus.shards.rows import snapshot_of
from pytheus.shards.snapshot import Snapshot
from pytheus.shards.store import Reading

__all__ = ["MemoryShardStore", "MemoryBackend"]


class MemoryBackend:
    """What several `MemoryShardStore` share: shards by token, and the archive.

    >>> MemoryBackend().archive
    <Archive of 0 series, 0 shards not forgotten>
    """

    def __init__(self) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.shards: dict[str, StoredShard] = {}
        self.archive: Archive = Archive()


class StoredShard:
    """A shard as it lies on a backend."""

    def __init__(self, identity: ShardIdentity) -> None:
        self.identity = identity
        self.live = True
        self.records: bytearray = bytearray()
        # For each slot its own array, so that a view never moves while the shard grows. One that is gone keeps its
        # place, and its zeros, for nothing bounds this store's memory.
        self.views: list[array[float]] = []

    def numbers(self) -> list[float]:
        return [number for view in self.views for number in view]


class MemoryShardStore:
    """One process's access to a backend, though all are in one process here.

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

    With `publishing`, metrics keep their numbers, and others see them as they were at the last `publish`.
    """

    def __init__(
        self, backend: MemoryBackend | None = None, *, identity: ShardIdentity | None = None, publishing: bool = False
    ) -> None:
        self.backend: MemoryBackend = MemoryBackend() if backend is None else backend
        self._publishing = publishing
        self._readers: dict[str, tuple[LayoutReader, StoredShard]] = {}
        self._begin(ShardIdentity.of_this_process() if identity is None else identity)

    def _begin(self, identity: ShardIdentity) -> None:
        """Begin a shard."""
        self.shard: StoredShard = StoredShard(identity)
        # What the shard's records come to. Written by whoever makes a series; a scrape reads the records instead, so
        # that what it works with does not change meanwhile.
        self.layout: Layout = Layout()
        with self.backend.lock:
            self.backend.shards[identity.token] = self.shard

    @property
    def identity(self) -> ShardIdentity:
        """Of the shard that it writes."""
        return self.shard.identity

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """Memory in the shard; see `ShardStore.storage`."""
        return None if self._publishing else BackendStorage(self, definition)

    def publish(self, collectors: Sequence[StorageAware], /) -> None:
        """Put the rows on the backend, with `publishing`; see `ShardStore.publish`."""
        if not self._publishing:
            return
        snapshot = snapshot_of(self.identity, collectors)
        records = encode_layout(snapshot.layout)
        with self.backend.lock:
            if self.shard.records != records:
                # A layout that only grows is begun anew here whenever it changes, which costs the scrapes their caches.
                self.shard.records = bytearray(records)
                self._readers.pop(self.identity.token, None)
            self.shard.views = [array("d", snapshot.numbers)]

    def read(self) -> Reading:
        """Fold what has died, and read the rest; see `ShardStore.read`."""
        backend = self.backend
        with backend.lock:
            dead = [self._snapshot(shard) for shard in backend.shards.values() if not shard.live]
            # One step here, under the lock. A store on disk, or on a server, first commits the archive, in which the
            # token is, then deletes the shard, and then forgets the token, so that it can be killed between any two.
            backend.archive = fold(backend.archive, dead)
            for snapshot in dead:
                token = snapshot.identity.token
                del backend.shards[token]
                self._readers.pop(token, None)
            backend.archive = backend.archive.forget_tokens([snapshot.identity.token for snapshot in dead])
            return Reading([self._snapshot(shard) for shard in backend.shards.values()], backend.archive)

    def _snapshot(self, shard: StoredShard) -> Snapshot:
        token = shard.identity.token
        reader, known = self._readers.get(token, (None, None))
        if reader is None or known is not shard or reader.consumed_bytes > len(shard.records):
            reader = LayoutReader()
            self._readers[token] = (reader, shard)
        reader.feed(shard.records[reader.consumed_bytes :])
        return Snapshot(shard.identity, shard.live, reader.layout, shard.numbers())

    def close(self) -> None:
        """Leave the shard to the archive; idempotent."""
        self.shard.live = False

    def kill(self) -> None:
        """What the kernel would do for a process that is killed."""
        self.shard.live = False

    def after_fork_in_child(self) -> None:
        """Begin a shard of the child's own; see `ForkAware`. Its backend is a copy of the parent's from here on."""
        self.backend.lock = threading.RLock()
        self._readers = {}
        self._begin(ShardIdentity.of_this_process())

    def __repr__(self) -> str:
        return f"<MemoryShardStore of {self.identity}>"


class BackendStorage:
    """The part of a shard that has the series of one metric."""

    def __init__(self, store: MemoryShardStore, definition: Definition) -> None:
        self._store = store
        self._definition = definition

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        store = self._store
        layout, shard = store.layout, store.shard
        with store.backend.lock:
            slot = self._slot(labels)
            if slot is None:
                number = layout.find_definition(self._definition)
                if number is None:
                    shard.records += encode_definition(self._definition)
                    number = layout.add_definition(self._definition)
                offset = layout.size
                shard.records += encode_series(number, labels, offset)
                slot = layout.add_series(number, labels, offset)
                shard.views.append(array("d", bytes(8 * series_size(self._definition))))
            return cast(FloatBuffer, shard.views[slot])

    def _slot(self, labels: tuple[str, ...]) -> int | None:
        number = self._store.layout.find_definition(self._definition)
        return None if number is None else self._store.layout.find_series(number, labels)

    def release(self, labels: tuple[str, ...], /) -> None:
        with self._store.backend.lock:
            slot = self._slot(labels)
            if slot is not None:
                self._store.shard.records += encode_removal(slot)
                self._store.layout.remove_series(slot)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        with self._store.backend.lock:
            self.buffer(labels, 0)
            slot = self._slot(labels)
            assert slot is not None
            self._store.shard.records += encode_info(slot, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        with self._store.backend.lock:
            found = self._slot(labels)
            if found is not None:
                self._store.shard.records += encode_exemplar(found, slot, exemplar)
