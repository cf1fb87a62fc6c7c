"""The record of the collectors that a scrape of `ShardedRegistry` shows.

Rules:

- The record never changes; a registration or a removal replaces it in one step. So a scrape that keeps the record of
  its beginning sees each collector completely or not at all.
- A registration replaces it as its last step, and a removal as its first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final, NamedTuple, cast
from weakref import ref

from pytheus.definitions import Definition
from pytheus.foreign_calls import NotReturnedError, call_each
from pytheus.kinds import MergeRule
from pytheus.registry.capabilities import HasRows, SeriesExpirable, SeriesRetirement, StorageAware
from pytheus.registry.contract import Collector, collector_name
from pytheus.registry.traversal import FailedCollector, FailedSeries, definition_of, report_failed_series
from pytheus.shards.ended_rows import EndedRows
from pytheus.shards.merge_rules import includes_dead, merge_rule_of
from pytheus.shards.native_storage import BucketRows, NativeStorage
from pytheus.shards.store import ShardStore
from pytheus.shards.tracked_storage import (
    LastValueRows,
    LastValueStorage,
    Moves,
    ProcessStorage,
    TrackedStorage,
    UnsetRows,
    drop_storage,
    keep_storage,
    storage_of,
)

__all__ = ["Entry", "Published", "PublishedCollectors", "Refreshed", "SharedMetric", "is_storage_aware", "refresh"]


class _Retirement:
    """How a metric's series end (`SeriesRetirement`).

    The metric refers to this, so this refers weakly: a cycle would keep mapped memory until the garbage collector runs.
    """

    __slots__ = ("_ends", "_rows", "_storage")

    def __init__(self, rows: HasRows, storage: TrackedStorage | None, *, ends: bool) -> None:
        self._rows = ref(rows) if isinstance(rows, EndedRows) else None
        self._storage = None if storage is None else ref(storage)
        self._ends = ends

    def __call__(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float
    ) -> None:
        if not self._ends:
            return
        rows = None if self._rows is None else self._rows()
        storage = None if self._storage is None else self._storage()
        if rows is not None:
            rows.end(series, leave, idle_seconds, storage)
        elif storage is not None:
            storage.retire(series, leave, idle_seconds)
        else:
            for labels in series:
                leave(labels)


_STORAGE_AWARE: Final = tuple(name for name in dir(StorageAware) if not name.startswith("_"))


def is_storage_aware(collector: Collector) -> bool:
    """Whether `collector` has all methods of `StorageAware`.

    As `isinstance`, which takes about ten microseconds for a protocol on Python 3.11, a third of a registration.
    """
    return all(getattr(collector, name, None) is not None for name in _STORAGE_AWARE)


class SharedMetric(NamedTuple):
    """A metric that is merged with those of other processes; `rows` is the metric as `ShardStore.publish` takes it."""

    definition: Definition
    metric: StorageAware
    storage: TrackedStorage | None
    rows: HasRows
    came_from: ShardStore | None
    """The store that its numbers were in before."""
    retirement: SeriesRetirement
    bucket_rows: HasRows | None = None
    """The native buckets of a histogram, as a metric of their own."""

    @classmethod
    def of(
        cls,
        metric: StorageAware,
        definition: Definition,
        store: ShardStore,
        clock: Callable[[], float],
        came_from: ShardStore | None,
    ) -> SharedMetric:
        """`metric` with its numbers in the storage of `store`, if it provides any, once `attach` was called."""
        storage = store.storage(definition)
        rule = merge_rule_of(definition)
        rows: HasRows = metric
        bucket_rows: HasRows | None = None
        tracked: TrackedStorage | None = None
        native: NativeStorage | None = None
        if rule is MergeRule.LAST:
            provided = ProcessStorage() if storage is None else storage
            tracked = LastValueStorage(provided, store, definition, clock)
            rows = LastValueRows(metric, clock)
        elif definition.native is not None:
            bucket_rows = BucketRows(metric)
            buckets = None if storage is None else store.storage(bucket_rows.definition)
            # In storage also with a store that publishes rows, because the histogram must not begin again at zero.
            tracked = native = NativeStorage(
                ProcessStorage() if storage is None else storage,
                ProcessStorage() if buckets is None else buckets,
                store,
                definition,
            )
        else:
            if definition.type == "gauge" and rule is not MergeRule.SUM:
                rows = UnsetRows(metric)
            if storage is not None:
                tracked = TrackedStorage(storage, store, definition)
        ends = storage is not None or not includes_dead(definition)
        if not ends and getattr(store, "retires_rows", False):  # see `RetiresRows`, and `is_storage_aware`
            ends = True
            rows = ended = EndedRows(rows)
            if native is not None and bucket_rows is not None:
                bucket_rows = native.ended_buckets = EndedRows(bucket_rows, ended)
        # Not if the sum of all processes would go back.
        retirement = _Retirement(rows, tracked, ends=ends)
        return cls(definition, metric, tracked, rows, came_from, retirement, bucket_rows)

    def published_rows(self) -> list[HasRows]:
        """The metric, and its native buckets, as `ShardStore.publish` takes them."""
        return [self.rows] if self.bucket_rows is None else [self.rows, self.bucket_rows]

    def attach(self, *, carry: bool) -> None:
        """Keep the metric's numbers in the storage; without `carry` they are zero then."""
        storage = self.storage
        if hasattr(self.metric, "retire_series_with"):  # see `is_storage_aware`
            cast(SeriesExpirable, self.metric).retire_series_with(self.retirement)
        if storage is None:
            if not carry:
                self.metric.restart()
            return
        storage.is_used = True
        if carry:
            former = storage_of(self.definition)
            storage.former = None if former is None else ref(former)
            with nullcontext() if former is None else Moves():
                self._move(storage, former)
        else:
            keep_storage(self.definition, storage)
            self.metric.attach_storage(storage, carry=False)

    def _move(self, storage: TrackedStorage, former: TrackedStorage | None) -> None:
        """Move the numbers to `storage`, from `former` if they are in one."""
        keep_storage(self.definition, storage)
        # First all series appear at once, then their numbers move, each in one step. Numbers that are in another shard
        # until then must not be in both.
        rows = self.metric.rows()
        with storage.batch():
            for row in rows:
                if row.info is not None:
                    storage.set_info(row.labels, row.info)
                elif row.numbers:
                    storage.add(row, former)
        self.metric.attach_storage(storage, carry=True)
        if isinstance(former, NativeStorage):
            former.release_all_buckets()

    def detach(self, *, keep_in_shard: bool) -> None:
        """Give the metric its numbers back; the shard drops them unless `keep_in_shard`.

        A metric that another registry holds as well takes them to its shard.
        """
        if hasattr(self.metric, "stop_retiring_with"):
            cast(SeriesExpirable, self.metric).stop_retiring_with(self.retirement)
        storage = self.storage
        if storage is None:
            return
        storage.is_used = False
        former = None if storage.former is None else storage.former()
        if not keep_in_shard and former is not None and former.is_used and storage_of(self.definition) is storage:
            with Moves():
                self._move(former, storage)
            former.release_others({row.labels for row in self.metric.rows()})
        else:
            storage.releases = False
            self.metric.detach_storage(storage)
        if not keep_in_shard:
            storage.releases = True
            # Together, and also those of a metric that has moved to another registry's storage.
            with storage.batch():
                storage.release_all()
        drop_storage(self.definition, storage)


class Entry(NamedTuple):
    """A registered collector; `shared` is None unless it is merged with those of other processes."""

    collector: Collector
    definition: Definition | None
    shared: SharedMetric | None


class Published(NamedTuple):
    """The collectors that a scrape shows, at one moment. Never changes, so that a scrape can rely on it."""

    entries: dict[int, Entry]
    """By the id of the collector, in the order of registration."""
    left: tuple[SharedMetric, ...] = ()
    """The metrics whose removal is under way."""
    joining: tuple[SharedMetric, ...] = ()
    """The metrics whose registration is under way."""
    is_closed: bool = False
    """Whether the registry was closed, and shows no other process."""

    def collectors(self) -> list[Collector]:
        return [entry.collector for entry in self.entries.values()]

    def metrics(self) -> list[HasRows]:
        """The merged metrics."""
        return [rows for shared in self.shared() for rows in shared.published_rows()]

    def shared(self) -> list[SharedMetric]:
        """The merged metrics, with their storage."""
        return [entry.shared for entry in self.entries.values() if entry.shared is not None]

    def others(self) -> list[Collector]:
        """The collectors that are not merged."""
        return [entry.collector for entry in self.entries.values() if entry.shared is None]

    def other_names(self) -> list[str]:
        """The names that the other collectors occupy."""
        return [
            name
            for entry in self.entries.values()
            if entry.shared is None and entry.definition is not None
            for name in entry.definition.occupied_names
        ]

    def find(self, collector: Collector) -> Entry | None:
        """The entry of `collector`, or of the metric that it shares its series with."""
        entry = self.entries.get(id(collector))
        if entry is None and (definition := definition_of(collector)) is not None:
            entry = next((each for each in self.entries.values() if each.definition is definition), None)
        return entry

    def missing_in(self, later: Published) -> list[SharedMetric]:
        """The merged metrics that are not in `later`, or are there by another registration."""
        if later is self:
            return []
        remaining = {id(entry.shared) for entry in later.entries.values()}
        return [shared for shared in self.shared() if id(shared) not in remaining]


class PublishedCollectors:
    """The present record. Any thread, signal handler or finalizer may replace it."""

    __slots__ = ("now",)

    def __init__(self, now: Published) -> None:
        self.now: Published = now

    def join(self, shared: SharedMetric) -> None:
        """Report that the registration of a metric begins; `add` or `forget` ends it."""
        while True:
            now = self.now
            if self._replace(now, now._replace(joining=(*now.joining, shared))):
                return

    def add(self, entry: Entry) -> None:
        """Show `entry` from now on."""
        while True:
            now = self.now
            entries = {**now.entries, id(entry.collector): entry}
            joining = tuple(other for other in now.joining if other is not entry.shared)
            if self._replace(now, now._replace(entries=entries, joining=joining)):
                return

    def withdraw(self, entry: Entry) -> None:
        """Show `entry` no longer; its metric is among `left` until `forget`."""
        while True:
            now = self.now
            entries = {key: other for key, other in now.entries.items() if other is not entry}
            left = now.left if entry.shared is None else (*now.left, entry.shared)
            if self._replace(now, now._replace(entries=entries, left=left)):
                return

    def forget(self, shared: SharedMetric) -> None:
        """Report that the removal of a metric is complete, or that its registration has failed."""
        while True:
            now = self.now
            left = tuple(other for other in now.left if other is not shared)
            joining = tuple(other for other in now.joining if other is not shared)
            if self._replace(now, now._replace(left=left, joining=joining)):
                return

    def close(self) -> Published:
        """Show the collectors as those of this process alone from now on; gives the record before."""
        while True:
            now = self.now
            entries = {key: entry._replace(shared=None) for key, entry in now.entries.items()}
            if self._replace(now, Published(entries, is_closed=True)):
                return now

    def _replace(self, former: Published, replacement: Published) -> bool:
        # atomic: no other thread, signal handler or finalizer has replaced it since
        if self.now is former:
            self.now = replacement
            return True
        return False


class Refreshed(NamedTuple):
    """The failures of gauges' functions in a scrape."""

    missing: dict[int, set[tuple[str, ...]]]
    """By the id of the definition: the series whose function failed."""
    reports: list[Collector]
    """A collector for each failure that the scrape does not take note of by itself."""


def refresh(metrics: Sequence[SharedMetric]) -> Refreshed:
    """Call the functions of gauges; gives the failures."""
    refreshed = Refreshed({}, [])
    failed: list[tuple[Collector, tuple[str, ...], BaseException]] = []
    errors = call_each([(shared.metric, partial(_refresh, shared.metric, failed)) for shared in metrics])
    for shared, error in zip(metrics, errors, strict=True):
        if error is not None:
            refreshed.reports.append(FailedCollector(shared.definition.name, error))
        if isinstance(error, NotReturnedError):
            # All series, because it is not known which of them wait for the function.
            refreshed.missing[id(shared.definition)] = {row.labels for row in shared.rows.rows()}
    reported: set[int] = set()
    for collector, labels, failure in failed.copy():  # a function that has not returned may fail later
        definition = definition_of(collector)
        refreshed.missing.setdefault(id(definition), set()).add(labels)
        if not report_failed_series(collector, labels, failure) and id(definition) not in reported:
            reported.add(id(definition))
            refreshed.reports.append(FailedCollector(collector_name(collector), failure))
    return refreshed


def _refresh(metric: StorageAware, failed: list[tuple[Collector, tuple[str, ...], BaseException]]) -> None:
    with FailedSeries() as found:
        try:
            metric.refresh()
        finally:
            failed += found.found
