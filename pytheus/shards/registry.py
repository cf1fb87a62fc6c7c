"""The registry of several processes, over any store of shards.

Rules:

- What was registered here is held by a `CollectorRegistry`, which decides about names, as in a program of one process.
- Metrics keep their numbers in the store's memory while they are registered here. Unregistered, they take them along
  and the shard forgets them; when the registry is closed, they take a copy, and the shard keeps what it has.
- A scrape never fails for the store: where that cannot be read, what was read last is shown with this process's numbers
  as they are now, so that no counter goes back.
- One thread scrapes or publishes at a time. No lock is held while a collector's `collect` or a gauge's function runs.
- After a fork nothing that another thread might have been changing is relied on: the locks are new, and every metric
  that is registered gets new memory.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.names import occupied_names
from pytheus.registry.capabilities import StorageAware
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.registry.traversal import definition_of
from pytheus.samples import Exemplar
from pytheus.shards.archive import Archive
from pytheus.shards.combining import merge_rule_of, shape_of
from pytheus.shards.health import HEALTH_NAMES, Failure, ShardHealth
from pytheus.shards.layout import Layout
from pytheus.shards.merged import MergedFamily
from pytheus.shards.merger import Merger
from pytheus.shards.rows import snapshot_of
from pytheus.shards.snapshot import Snapshot
from pytheus.shards.stamped import OwnMemory, StampedMemory, StampedRows
from pytheus.shards.store import FlushOnRelease, ForkAware, HasCollectors, HasHealth, Reading, ShardStore

__all__ = ["ShardedRegistry"]


class ShardedRegistry:
    """A registry whose scrape shows all processes that share a store, as one.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.shards import MemoryShardStore, MemoryBackend
        >>> backend = MemoryBackend()
        >>> one, other = (ShardedRegistry(MemoryShardStore(backend)) for _ in range(2))
        >>> Counter("orders_total", "Orders placed.", registry=one).inc()
        >>> Counter("orders_total", "Orders placed.", registry=other).inc(2)
        >>> print(generate_metrics(one), end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 3.0

    `store` is where the shards are; `prefix` is as in `CollectorRegistry`; `hosts` says that the store is for several
    machines, so that gauges of the mode "each" have a label `host` besides `pid`. Metrics are brought together with
    those of other processes; other collectors are those of this process alone. What fails, or cannot be brought
    together, is logged and shown in ``pytheus_shard_failures_total``, ``pytheus_shards_skipped`` and
    ``pytheus_shard_conflicts``.

    May be used from any thread, and in the children of a fork, which begin with numbers of zero. It stays registered
    for forks as long as somebody refers to it.
    """

    def __init__(self, store: ShardStore, *, prefix: str | None = None, hosts: bool = False) -> None:
        self._local: Final = CollectorRegistry(prefix=prefix)
        self._store: Final = store
        self._hosts: Final = hosts
        self._closed = False
        # By the identity of the definition, which handles on the same metric share. Replaced, never changed.
        self._moved: dict[int, _Moved] = {}
        self._reading: Reading | None = None
        self._shown: list[Collector] = []
        self._is_scraping = False
        self._own_health = ShardHealth(repr(store))
        self._begin()
        _registries.add(self)

    def _begin(self) -> None:
        self._registering = threading.RLock()
        self._scraping = threading.RLock()
        self._merger = Merger(hosts=self._hosts)
        self._is_scraping = False

    @property
    def _health(self) -> ShardHealth:
        return self._store.health if isinstance(self._store, HasHealth) else self._own_health

    @property
    def store(self) -> ShardStore:
        """The store that it was made with."""
        return self._store

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        """The registry that holds what was registered here, as it was registered; not to be registered in itself."""
        return (self._local,)

    @property
    def prefix(self) -> str | None:
        """What stands before every exposed family's name, or None."""
        return self._local.prefix

    # Registration -----------------------------------------------------------------------------------------------------

    def register(self, collector: Collector, /) -> None:
        """Hold `collector`, and keep its numbers in the store if it is portable; see `Registry.register`.

        Raises `ConflictError` as `CollectorRegistry` does, for what is registered in this process. What other processes
        define differently shows in a scrape.
        """
        with self._registering:
            if collector in self._local:
                return
            self._local.register(collector)
            definition = definition_of(collector)
            if definition is not None and isinstance(collector, StorageAware) and not self._closed:
                try:
                    moved = self._move(collector, definition, carry=True)
                except BaseException:
                    self._local.unregister(collector)
                    raise
                self._moved = {**self._moved, id(definition): moved}

    def _move(self, portable: StorageAware, definition: Definition, *, carry: bool) -> _Moved:
        """Let the numbers of `portable` lie where the store wants them."""
        given = self._store.storage(definition)
        stamped: StampedMemory | None = None
        kept: _KeptMemory | None = None
        if merge_rule_of(definition) is MergeRule.LAST:
            stamped = StampedMemory(OwnMemory() if given is None else given)
            kept = _KeptMemory(stamped)
            with stamped.moving():
                portable.attach_storage(kept, carry=carry)
        elif given is not None:
            kept = _KeptMemory(given)
            portable.attach_storage(kept, carry=carry)
        elif not carry:
            portable.restart()
        return _Moved(portable, definition, kept, portable if stamped is None else StampedRows(portable, stamped))

    def unregister(self, collector: Collector, /) -> None:
        """Let go of `collector`, which takes its numbers along; see `Registry.unregister`."""
        with self._registering:
            definition = definition_of(collector)
            self._local.unregister(collector)
            moved = self._moved.get(id(definition))
            if moved is not None:
                self._moved = {key: other for key, other in self._moved.items() if other is not moved}
                moved.leave()
                if isinstance(self._store, FlushOnRelease):
                    self._store.schedule_flush(self.shared_metrics)
        with self._scraping:
            if not self._is_scraping:
                self._shown = []  # which may refer to the collector

    def find(self, name: str, /) -> Collector | None:
        """The collector registered in this process that occupies `name`, or None; see `Lookup.find`."""
        return self._local.find(name)

    def shared_metrics(self) -> list[StorageAware]:
        """What is registered and portable, as `ShardStore.publish` takes it."""
        moved = self._moved
        found: list[StorageAware] = []
        for collector in self._local.collect():
            entry = moved.get(id(definition_of(collector)))
            if entry is not None:
                found.append(entry.rows)
        return found

    # Scrapes ----------------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Collector]:
        """The families of all processes, and then the collectors of this one that are not portable.

        Each call is a scrape: it asks gauges' functions, and reads the store, so that it may block.
        """
        local = list(self._local.collect())
        if self._closed:
            return iter(local)
        moved = self._moved
        shared_metrics: list[StorageAware] = []
        others: list[Collector] = []
        reserved: list[str] = list(_HEALTH_OCCUPIED)
        for collector in local:
            definition = definition_of(collector)
            entry = moved.get(id(definition))
            if entry is not None:
                shared_metrics.append(entry.rows)
            else:
                others.append(collector)
                if definition is not None:
                    reserved += definition.occupied_names
        failed = _refreshed(shared_metrics)
        with self._scraping:
            # A signal handler or finalizer that comes while this thread scrapes sees the scrape before.
            if self._is_scraping:
                return iter([*self._shown, *others])
            self._is_scraping = True
            try:
                merged = self._merged(shared_metrics, reserved)
                self._shown = merged
                health = self._health.collectors()
            finally:
                self._is_scraping = False
        told: list[Collector] = list(self._store.collectors()) if isinstance(self._store, HasCollectors) else []
        return iter([*merged, *failed, *others, *health, *told])

    def _merged(self, shared_metrics: list[StorageAware], reserved: list[str]) -> list[Collector]:
        try:
            self._store.publish(shared_metrics)
            self._health.succeeded("publish")
        except Exception as error:
            self._health.failed("publish", error)
        local = [portable.definition for portable in shared_metrics]
        try:
            reading = self._reading = self._store.read()
            self._health.succeeded("read")
        except Exception as error:
            self._health.failed("read", error)
            reading = self._as_read_last(shared_metrics)
        snapshots, problems = _usable(reading)
        try:
            families: Sequence[MergedFamily] = self._merger.merge(
                snapshots, reading.archive, local=local, reserved=reserved
            )
            self._health.succeeded("merge")
        except Exception as error:
            # Which is a mistake of ours. This process's numbers are better than none.
            self._health.failed("merge", error)
            self._merger = Merger(hosts=self._hosts)
            return list(self._local_only(shared_metrics))
        self._health.scraped(problems, self._merger.conflicts)
        return list(families)

    def _as_read_last(self, shared_metrics: list[StorageAware]) -> Reading:
        """What others had when the store was read last, with this process's numbers as they are now."""
        identity = self._store.identity
        former = self._reading
        if former is None:
            return Reading([snapshot_of(identity, shared_metrics)], Archive())
        snapshots: list[Snapshot] = []
        mine = snapshot_of(identity, shared_metrics)
        for snapshot in former.snapshots:
            if snapshot.identity.token != identity.token:
                snapshots.append(snapshot)
            elif snapshot.base is not None:
                mine = mine._replace(base=_laid_out_as(mine.layout, snapshot.layout, snapshot.base))
        return Reading([*snapshots, mine], former.archive)

    def _local_only(self, shared_metrics: list[StorageAware]) -> Iterator[Collector]:
        wanted = {id(portable.definition) for portable in shared_metrics}
        for collector in self._local.collect():
            if id(definition_of(collector)) in wanted:
                yield collector

    # Lifecycle --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the metrics their numbers back, and close the store; idempotent. They stay registered, and count on.

        What this process has counted until then stays in the store, for others to see.
        """
        with self._registering:
            if self._closed:
                return
            with self._scraping:
                self._closed = True
                moved = self._moved
                try:
                    self._store.publish(self.shared_metrics())
                except Exception as error:
                    self._health.failed("publish", error)
                self._moved = {}
                for entry in moved.values():
                    entry.leave(for_good=False)
                self._shown = []
                self._reading = None
                self._store.close()

    def _after_fork_in_child(self) -> None:
        self._begin()
        self._reading = None
        self._shown = []
        if self._closed:
            return
        try:
            if isinstance(self._store, ForkAware):
                self._store.after_fork_in_child()
            moved: dict[int, _Moved] = {}
            for collector in self._local.collect():
                definition = definition_of(collector)
                if definition is not None and isinstance(collector, StorageAware):
                    moved[id(definition)] = self._move(collector, definition, carry=False)
            self._moved = moved
        except Exception as error:
            # Nobody can catch it here, and the parent's shard must not be written by two processes.
            self._health.failed("fork", error)
            self._closed = True
            self._moved = {}
            for collector in self._local.collect():
                if isinstance(collector, StorageAware):
                    own = OwnMemory()
                    collector.attach_storage(own, carry=False)
                    collector.detach_storage(own)

    def __contains__(self, subject: object) -> bool:
        return subject in self._local

    def __repr__(self) -> str:
        return f"<ShardedRegistry over {self._store!r}>"


class _Moved:
    """A metric whose numbers are brought together with other processes'."""

    __slots__ = ("definition", "storage", "portable", "rows")

    def __init__(
        self, portable: StorageAware, definition: Definition, storage: _KeptMemory | None, rows: StorageAware
    ) -> None:
        self.portable = portable
        self.definition = definition
        self.storage = storage
        self.rows = rows

    def leave(self, *, for_good: bool = True) -> None:
        if self.storage is not None:
            self.storage.forgets = for_good
            self.portable.detach_storage(self.storage)
            if for_good:
                # A metric that lies in another registry's memory by now has left without a word to this one.
                self.storage.forget_all()


class _KeptMemory:
    """A store's memory that, at the end, does not forget what a metric takes a copy of."""

    __slots__ = ("_labels", "_storage", "forgets")

    def __init__(self, storage: NumberStorage) -> None:
        self._storage = storage
        self._labels: set[tuple[str, ...]] = set()
        self.forgets = True

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        self._labels.add(labels)
        return self._storage.buffer(labels, size)

    def release(self, labels: tuple[str, ...], /) -> None:
        if self.forgets:
            self._labels.discard(labels)
            self._storage.release(labels)

    def forget_all(self) -> None:
        while self._labels:
            self._storage.release(self._labels.pop())

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        self._labels.add(labels)
        self._storage.set_info(labels, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        self._storage.set_exemplar(labels, slot, exemplar)


class _Failed:
    """Stands for a metric whose function has raised, so that its failure shows where collectors' failures do."""

    __slots__ = ("error", "name")

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error

    def collect(self) -> NoReturn:
        raise self.error


def _refreshed(shared_metrics: Sequence[StorageAware]) -> list[Collector]:
    """Ask gauges' functions; gives what tells of those that failed."""
    failed: list[Collector] = []
    for portable in shared_metrics:
        try:
            portable.refresh()
        except Exception as error:
            failed.append(_Failed(portable.definition.name, error))
    return failed


def _laid_out_as(layout: Layout, former: Layout, numbers: Sequence[float]) -> list[float]:
    """`numbers`, which are laid out as in `former`, as `layout` has them; zeros for what is not among them."""
    places = {(shape_of(slot.definition), slot.labels): slot for _, slot in former.entries()}
    moved = [0.0] * layout.size
    for _, slot in layout.entries():
        place = places.get((shape_of(slot.definition), slot.labels))
        if place is not None:
            moved[slot.offset : slot.offset + slot.size] = numbers[place.offset : place.offset + place.size]
    return moved


def _usable(reading: Reading) -> tuple[list[Snapshot], list[Failure]]:
    """The snapshots that can be merged, and the problems, with those that cannot among them."""
    problems = list(reading.skipped)
    usable: list[Snapshot] = []
    for snapshot in reading.snapshots:
        count = len(snapshot.numbers)
        if count < snapshot.layout.size:
            problems.append(
                Failure(str(snapshot.identity), f"it has {count} numbers, but its layout {snapshot.layout.size}")
            )
        else:
            usable.append(snapshot)
    return usable, problems


_HEALTH_OCCUPIED: Final = tuple(
    occupied for name in HEALTH_NAMES for occupied in occupied_names(name, "counter" if "_total" in name else "gauge")
)

_registries: Final[weakref.WeakSet[ShardedRegistry]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for registry in list(_registries):
        registry._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
