"""The registry of several processes, which works with any store of shards.

Rules:

- A `CollectorRegistry` decides about names, as in a program of one process. A scrape shows the collectors of another,
  immutable record (`published.py`), which each registration replaces as its last step, and each removal as its first.
- A scrape shows the collectors of the moment in which it began. Of this process's shard, only the series of these
  count; any other is just being added or removed. A metric that leaves during the scrape gives its numbers itself.
- Metrics keep their numbers in the store's storage while they are registered here. An unregistered metric takes its
  numbers with it, and the shard drops them; when the registry closes, metrics take a copy, and the shard keeps its own.
- A scrape never fails because of the store. If the store cannot be read, the scrape shows the previous reading with
  this process's current numbers, so that no counter goes back.
- One thread scrapes at a time. No lock is held while a collector's `collect` or a gauge's function runs.
- After a fork the child relies on nothing that another thread may have been changing: the locks are new, and every
  registered metric gets new storage.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from pytheus.definitions import Definition
from pytheus.exceptions import ShardStoreError
from pytheus.interruption import is_interruption
from pytheus.registry.capabilities import EndedSeriesExpirable, HasRows, StorageAware
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, RefusesPeers, Registry, collector_name
from pytheus.registry.traversal import FailedCollector, definition_of
from pytheus.shards.archive import Archive
from pytheus.shards.c_forks import notice_c_fork, run_after_fork_in_child
from pytheus.shards.ended_rows import note_reading, unread_snapshot
from pytheus.shards.health import ShardHealth
from pytheus.shards.merge import Merger
from pytheus.shards.published import (
    Entry,
    Published,
    PublishedCollectors,
    SharedMetric,
    is_storage_aware,
    refresh,
)
from pytheus.shards.snapshot import Snapshot, snapshot_of
from pytheus.shards.store import FlushOnRelease, ForkAware, HasClock, HasCollectors, HasHealth, Reading, ShardStore
from pytheus.shards.tracked_storage import Moves, ProcessStorage, storage_of
from pytheus.unserved import RUN_VARIABLE, warn_if_unserved

if TYPE_CHECKING:
    from pytheus.registry.processes import ProcessInfo

__all__ = ["ShardedRegistry"]

_MAX_READINGS: Final = 3
"""How often a scrape reads the store while metrics move between this process's shards."""

_UNNOTICED: Final = (
    "C code has forked this process without telling Python, so that its counts until now were lost, or mixed with its"
    " parent's; let the child call PyOS_AfterFork_Child() (uWSGI: py-call-osafterfork = true)"
)


class ShardedRegistry(RefusesPeers):
    """A registry whose scrape shows all processes that share a store, merged.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.shards import MemoryBackend, MemoryShardStore
        >>> backend = MemoryBackend()
        >>> one, other = (ShardedRegistry(MemoryShardStore(backend)) for _ in range(2))
        >>> Counter("orders_total", "Orders placed.", registry=one).inc()
        >>> Counter("orders_total", "Orders placed.", registry=other).inc(2)
        >>> print(generate_metrics(one), end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 3.0

    `store` keeps the shards; `prefix` is the same as in `CollectorRegistry`; `hosts` says that the store serves several
    machines, so that gauges of the mode "each" have a label `host` besides `pid`. Metrics are merged with those of
    other processes; other collectors are exposed by their own process alone. Failures and conflicts are logged and
    exposed (see `ShardHealth`).

    May be used from any thread, and in the children of a fork, which begin with numbers of zero. Forks are handled
    while the registry is referenced.
    """

    def __init__(self, store: ShardStore, *, prefix: str | None = None, hosts: bool = False) -> None:
        self._local: Final = CollectorRegistry(prefix=prefix)
        self._store: Final = store
        self._hosts: Final = hosts
        self._published = PublishedCollectors(Published({}))
        # The capabilities of the store are looked up once, because that takes some microseconds on Python 3.11.
        self._health = store.health if isinstance(store, HasHealth) else ShardHealth(repr(store))
        self._clock: Final = store.clock if isinstance(store, HasClock) else time.time
        self._store_collectors: Final = store.collectors if isinstance(store, HasCollectors) else None
        self._begin()
        _registries.add(self)

    def _begin(self) -> None:
        self._registering = threading.RLock()
        self._scraping = threading.RLock()
        self._merger = Merger(hosts=self._hosts)
        self._reading: Reading | None = None
        self._shown: list[Collector] = []
        self._is_scraping = False

    @property
    def store(self) -> ShardStore:
        """The store that the registry was made with."""
        return self._store

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        """The registry that holds the collectors; register nothing in it directly."""
        return (self._local,)

    @property
    def prefix(self) -> str | None:
        """The prefix of every exposed family's name, or None."""
        return self._local.prefix

    # Registration -----------------------------------------------------------------------------------------------------

    def register(self, collector: Collector, /) -> None:
        """Register `collector`, and keep its numbers in the store if possible.

        Only a `StorageAware` collector can keep its numbers there; see also `Registry.register`. Raises `ConflictError`
        as `CollectorRegistry` does, for collectors of this process. A conflict with another process shows in a scrape.
        """
        with self._registering:
            if collector in self._local:
                return
            self._local.register(collector)
            entry: Entry | None = None
            try:
                entry = self._entry(collector, carry=True)
                self._published.add(entry)
            except BaseException:
                self._local.unregister(collector)
                if entry is not None:
                    self._published.withdraw(entry)
                    self._detach(entry)
                raise
        if entry.shared is None and RUN_VARIABLE in os.environ:
            self._warn_of_unscraped(collector)

    def _warn_of_unscraped(self, collector: Collector) -> None:
        """Warn if no scrape shows `collector`, because the server of `pytheus run` is another process."""
        name = collector_name(collector)
        own = () if self._store_collectors is None else self._store_collectors()
        # A store that has the collector of this name itself shows every process.
        if not self._published.now.is_closed and all(collector_name(each) != name for each in own):
            warn_if_unserved(
                lambda server: (
                    f"collector {name!r} of process {os.getpid()} is not in the scrapes of {server}: processes share"
                    " metrics, and a custom collector shows in scrapes of its own process alone; serve this process's"
                    " metrics as well, or set a metric where the number changes"
                )
            )

    def _entry(self, collector: Collector, *, carry: bool) -> Entry:
        """An entry for `collector`, whose numbers are in the store's storage if possible."""
        definition = definition_of(collector)
        if definition is None or self._published.now.is_closed or not is_storage_aware(collector):
            return Entry(collector, definition, None)
        return Entry(collector, definition, self._share(cast(StorageAware, collector), definition, carry=carry))

    def _detach(self, entry: Entry) -> None:
        """Give a metric that was withdrawn its numbers back."""
        if entry.shared is not None:
            entry.shared.detach(keep_in_shard=False)
            self._published.forget(entry.shared)

    def _share(self, metric: StorageAware, definition: Definition, *, carry: bool) -> SharedMetric:
        """Keep the numbers of `metric` in the store's storage, if it provides any."""
        former = storage_of(definition) if carry else None
        came_from = None if former is None else former.store
        shared = SharedMetric.of(metric, definition, self._store, self._clock, came_from)
        self._published.join(shared)
        try:
            shared.attach(carry=carry)
        except BaseException:
            shared.detach(keep_in_shard=False)
            self._published.forget(shared)
            raise
        return shared

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector`, which takes its numbers with it."""
        with self._registering:
            entry = self._published.now.find(collector) if collector in self._local else None
            if entry is not None:
                self._published.withdraw(entry)
            try:
                self._local.unregister(collector)
            finally:
                if entry is not None:
                    self._detach(entry)
            if entry is not None and entry.shared is not None and isinstance(self._store, FlushOnRelease):
                self._store.schedule_flush(self.shared_metrics)
        with self._scraping:
            if not self._is_scraping and entry is not None:
                self._shown = [shown for shown in self._shown if shown is not entry.collector]

    def find(self, name: str, /) -> Collector | None:
        """The collector of this process that occupies `name`, or None; see `Lookup.find`."""
        return self._local.find(name)

    def shared_metrics(self) -> list[HasRows]:
        """The registered metrics that are merged with those of other processes."""
        return self._published.now.metrics()

    # Scrapes ----------------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Collector]:
        """The families of all processes, then the other collectors of this process.

        Each call is a scrape: it calls gauges' functions and reads the store, so it may block.
        """
        if notice_c_fork():
            self._health.failed("fork", ShardStoreError("unnoticed", _UNNOTICED))
        published = self._published.now
        if published.is_closed:
            return iter(published.collectors())
        refreshed = refresh(published.shared())
        with self._scraping:
            if self._published.now.is_closed:
                return iter(published.collectors())
            # A signal handler or finalizer that interrupts a scrape of its own thread gets the previous scrape.
            if self._is_scraping:
                return iter(self._shown)
            self._is_scraping = True
            try:
                merged = self._merged(published, refreshed.missing)
                self._shown = shown = [*merged, *refreshed.reports, *published.others(), *self._health.collectors()]
            finally:
                self._is_scraping = False
        return iter([*shown, *self._of_store()])

    def _of_store(self) -> list[Collector]:
        try:
            return [] if self._store_collectors is None else list(self._store_collectors())
        except BaseException as error:
            if is_interruption(error):
                raise
            return [FailedCollector(collector_name(self._store), error)]

    def _merged(self, published: Published, missing: dict[int, set[tuple[str, ...]]]) -> list[Collector]:
        health = self._health
        metrics = published.metrics()
        self._publish(metrics)
        others: _Others = _Others([], [])
        try:
            began = time.monotonic()
            reading = self._reading = self._read()
            note_reading(metrics, began)
            health.succeeded("read")
            others = self._others(published, reading)
        except BaseException as error:
            if is_interruption(error):
                raise
            health.failed("read", error)
            reading = self._previous_reading(metrics)
        own = self._store.identity[:3]
        own_tokens = [snapshot.identity.token for snapshot in reading.snapshots if snapshot.identity[:3] == own]
        if others.gone:
            reading = self._with_gone(reading, [rows for shared in others.gone for rows in shared.published_rows()])
        snapshots, skipped = reading.usable()
        try:
            families = self._merger.merge(
                snapshots,
                reading.archive,
                local=[metric.definition for metric in metrics],
                reserved=[*health.occupied_names, *published.other_names()],
                own_tokens=own_tokens,
                withheld=[rows.definition for shared in others.gone for rows in shared.published_rows()],
                joined=[rows.definition for shared in others.joined for rows in shared.published_rows()],
            )
            health.succeeded("merge")
        except Exception as error:
            # A defect of pytheus. This process's own numbers are better than none.
            health.failed("merge", error)
            self._merger = Merger(hosts=self._hosts)
            return [entry.collector for entry in published.entries.values() if entry.shared is not None]
        health.scraped(skipped, self._merger.conflicts)
        return [
            family.without(missing[id(family.merged)], own_tokens) if id(family.merged) in missing else family
            for family in families
        ]

    def processes(self) -> list[ProcessInfo]:
        """The processes that the latest scrape has shown, and the archive; see `pytheus.registry.processes`."""
        from pytheus.shards.processes import processes_of

        reading = self._reading
        return [] if reading is None else processes_of(reading)

    def _publish(self, metrics: list[HasRows], *, last: bool = False) -> None:
        try:
            self._store.publish(metrics, last=last)
            self._health.succeeded("publish")
        except BaseException as error:
            if is_interruption(error):
                raise
            self._health.failed("publish", error)

    def _read(self) -> Reading:
        """All shards; read again if a metric of this process moved from one to another meanwhile."""
        for _ in range(_MAX_READINGS - 1):
            begun, under_way = Moves.begun, Moves.under_way
            reading = self._store.read()
            if Moves.begun == begun and not under_way:
                return reading
        return self._store.read()

    def _others(self, published: Published, reading: Reading) -> _Others:
        """The metrics that this process's shard does not have as `published` says."""
        now = self._published.now
        tokens = {snapshot.identity.token for snapshot in reading.snapshots}
        missing = {id(shared) for shared in published.missing_in(now)}
        gone: list[SharedMetric] = []
        for shared in published.shared():
            storage = storage_of(shared.definition)
            if storage is shared.storage and id(shared) not in missing:
                continue
            # It has left this registry, or moved to another one, whose shard may be part of `reading`.
            if storage is None or storage is shared.storage or storage.store.identity.token not in tokens:
                gone.append(shared)
        joined = [
            shared
            for shared in (*now.joining, *now.left, *now.missing_in(published))
            if shared.came_from is not None and shared.came_from.identity.token in tokens
        ]
        return _Others(gone, joined)

    def _with_gone(self, reading: Reading, metrics: Sequence[HasRows]) -> Reading:
        """`reading` with the current numbers of `metrics`, which have left this process's shard."""
        own = self._store.identity
        gone = snapshot_of(own._replace(token=f"{own.token} left"), metrics)
        for snapshot in reading.snapshots:
            if snapshot.identity.token == own.token and snapshot.base is not None:
                gone = gone._replace(base=gone.layout.rearrange(snapshot.layout, snapshot.base))
        return reading._replace(snapshots=[*reading.snapshots, gone])

    def _previous_reading(self, metrics: list[HasRows]) -> Reading:
        """The previous reading with this process's current numbers, or these alone."""
        mine = snapshot_of(self._store.identity, metrics)
        previous = self._reading
        if previous is None:
            return Reading([mine], Archive())
        snapshots: list[Snapshot] = []
        for snapshot in previous.snapshots:
            if snapshot.identity[:3] != mine.identity[:3]:
                snapshots.append(snapshot)
            # A store may show a process as two shards, which `mine` replaces both; one has the store's token.
            elif snapshot.base is not None and snapshot.identity.token == mine.identity.token:
                mine = mine._replace(base=mine.layout.rearrange(snapshot.layout, snapshot.base))
        ended = unread_snapshot(self._store.identity, metrics)
        return Reading([*snapshots, mine, ended], previous.archive, previous.skipped)

    def expire_ended_series(self, idle_seconds: float, selects: Callable[[Definition], bool], /) -> None:
        """Drop series of processes that have ended; see `EndedSeriesExpirable`."""
        store: object = self._store
        if isinstance(store, EndedSeriesExpirable) and not self._published.now.is_closed:
            try:
                store.expire_ended_series(idle_seconds, selects)
            except Exception as error:
                self._health.failed("read", error)

    # Lifecycle --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the metrics their numbers back, and close the store; idempotent.

        The metrics stay registered and continue to count. Everything that this process has counted until then stays in
        the store for the others.
        """
        with self._registering:
            if self._published.now.is_closed:
                return
            with self._scraping:
                published = self._published.close()
                self._publish(published.metrics(), last=True)
                for entry in published.entries.values():
                    if entry.shared is not None:
                        entry.shared.detach(keep_in_shard=True)
                self._shown = []
                self._reading = None
                self._store.close()

    def _after_fork_in_child(self) -> None:
        self._begin()
        inherited = self._published.now
        if inherited.is_closed:
            return
        collectors = list(self._local.collect())
        try:
            if isinstance(self._store, ForkAware):
                self._store.after_fork_in_child()
            if isinstance(self._store, HasHealth):
                self._health = self._store.health
            # Another thread may have been removing them.
            for shared in inherited.left:
                shared.detach(keep_in_shard=True)
            entries = [self._entry(collector, carry=False) for collector in collectors]
            self._published.now = Published({id(entry.collector): entry for entry in entries})
        except Exception as error:
            # An error here has no caller to reach, and two processes must not write the parent's shard.
            self._health.failed("fork", error)
            for collector in collectors:
                if isinstance(collector, StorageAware):
                    storage = ProcessStorage()
                    collector.attach_storage(storage, carry=False)
                    collector.detach_storage(storage)
            entries = [Entry(collector, definition_of(collector), None) for collector in collectors]
            self._published.now = Published({id(entry.collector): entry for entry in entries}, is_closed=True)

    def __contains__(self, subject: object) -> bool:
        return subject in self._local

    def __repr__(self) -> str:
        return f"<ShardedRegistry over {self._store!r}>"


class _Others(NamedTuple):
    """Metrics that are on their way from or to this process's shard."""

    gone: list[SharedMetric]
    """Those whose numbers are not in any shard that was read."""
    joined: list[SharedMetric]
    """Those whose numbers were in another shard that was read, until they moved into this process's."""


_registries: Final[weakref.WeakSet[ShardedRegistry]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    Moves.under_way = 0  # those of other threads end in the parent alone
    for registry in list(_registries):
        registry._after_fork_in_child()


run_after_fork_in_child(_after_fork_in_child)
