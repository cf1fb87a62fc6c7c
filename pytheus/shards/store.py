"""The interface of stores, which plugins implement to keep shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from pytheus.definitions import Definition
from pytheus.registry.capabilities import HasRows
from pytheus.registry.contract import Collector
from pytheus.registry.storage import NumberStorage
from pytheus.shards.archive import Archive
from pytheus.shards.health import Failure, ShardHealth
from pytheus.shards.snapshot import ShardIdentity, Snapshot

__all__ = [
    "Batching",
    "FlushOnRelease",
    "ForkAware",
    "HasClock",
    "HasCollectors",
    "HasHealth",
    "Reading",
    "RetiresRows",
    "ShardStore",
]


class Reading(NamedTuple):
    """All shards and the archive at one moment.

    Every shard counts once, as a snapshot or in the archive.

    >>> Reading([], Archive()).skipped
    ()
    """

    snapshots: Sequence[Snapshot]
    archive: Archive
    """The same object while nothing was folded; the reason is that of `Snapshot.layout`."""
    skipped: Sequence[Failure] = ()

    def usable(self) -> tuple[list[Snapshot], list[Failure]]:
        """The snapshots that can be merged, and failures for all others."""
        skipped = list(self.skipped)
        usable: list[Snapshot] = []
        for snapshot in self.snapshots:
            count, size = len(snapshot.numbers), snapshot.layout.size
            if count < size:
                skipped.append(Failure(str(snapshot.identity), f"it has {count} numbers, but its layout needs {size}"))
            else:
                usable.append(snapshot)
        return usable, skipped


class ShardStore(Protocol):
    """Where this process writes its shard and reads all shards.

    `ShardedRegistry` works with any store. `MemoryShardStore` shows how to write one.
    """

    @property
    def identity(self) -> ShardIdentity:
        """The identity of the shard that this process writes now."""
        ...

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """Storage for the numbers of a metric, or None if `publish` should receive it.

        Called when a metric is registered, from any thread, and again in the child after a fork. Each call gives a new
        object. A series that was in the shard before and was released starts at zero again. Must not raise: numbers
        that find no space in the shard are kept in this process's memory, and only this process exposes them. A gauge
        in a mode of "last" asks the storage for two doubles (see `SeriesEntry`). For a histogram with native buckets it
        is called a second time, with the definition of the buckets, whose series are created, released and retired
        as any other's.
        """
        ...

    def publish(self, metrics: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Make this process's current numbers visible to the others.

        Numbers in the store's own storage may be visible already. `metrics` are all registered metrics that are merged,
        after `refresh()`; the rows of a gauge in a mode of "last" have two numbers. A histogram with native buckets is
        followed by these, as a metric of their own. Called before this process's own scrape, and with `last` before
        `close`, by one thread at a time. May block. May raise: the registry counts and logs the error, and the scrape
        continues.
        """
        ...

    def read(self) -> Reading:
        """All shards, this process's own included, and the archive.

        No shard is missing, and none counts twice. Folds the shards of processes that have ended, if that is due.
        Called for each scrape, by one thread at a time. May block. May raise: the registry counts and logs the error,
        and the scrape shows the previous reading with this process's current numbers.
        """
        ...

    def close(self) -> None:
        """Release all resources; idempotent. Metrics have their numbers back."""
        ...


@runtime_checkable
class ForkAware(Protocol):
    """A store that must act when its process forks.

    Fallback: in the child, the registry only calls `storage` again for each metric.
    """

    def after_fork_in_child(self) -> None:
        """Begin a shard of the child's own, and release all inherited resources.

        Called in the child before any other method of the store, while the child has one thread. The registry then
        calls `storage` for each registered metric, whose numbers are zero. Must not raise.
        """
        ...


@runtime_checkable
class Batching(Protocol):
    """A storage that can make several changes visible to other processes at once.

    Fallback: another process may see some series of a metric before the others while it is registered or unregistered.
    """

    def batch(self) -> AbstractContextManager[None]:
        """Return a context; the series that are added or released within it appear or vanish together at its end.

        Contexts may nest, and another thread may add series meanwhile. They end soon, and run no foreign code.
        """
        ...


@runtime_checkable
class FlushOnRelease(Protocol):
    """A store that publishes by itself, and must do so after a metric has left.

    The metric may be registered elsewhere by then, and its numbers must not count twice. Fallback: the next scrape
    publishes the remaining metrics, if there is one.
    """

    def schedule_flush(self, remaining: Callable[[], Sequence[HasRows]], /) -> None:
        """Publish soon, because a metric was unregistered and took its numbers with it.

        `remaining` gives the metrics to publish. It keeps the registry alive, which may have no other reference; so
        drop it after publishing. Called from any thread; must neither block nor raise.
        """
        ...


@runtime_checkable
class RetiresRows(Protocol):
    """A store that publishes rows, and can move those of ended series, so that no sum of several processes goes back.

    Fallback: with a store that provides no storage, a series whose numbers count after its process stays until its
    metric removes it.
    """

    @property
    def retires_rows(self) -> bool:
        """Whether `publish` moves the rows of ended series, which an `EndedRows` among its metrics has.

        In the step that makes a publication visible, they leave this process's shard and count as if their process had
        ended. Then the store calls `EndedRows.moved`.
        """
        ...


@runtime_checkable
class HasClock(Protocol):
    """A store with a clock of its own, which orders the sets of gauges in a mode of "last".

    Fallback: the time of day, by which processes of several machines can be compared, but which may be set back.
    """

    def clock(self) -> float:
        """Seconds since any moment that all processes of the store share; greater than 0. Must not raise."""
        ...


@runtime_checkable
class HasHealth(Protocol):
    """A store that reports failures of its own threads.

    Fallback: `ShardedRegistry` makes a `ShardHealth` of its own.
    """

    @property
    def health(self) -> ShardHealth:
        """The health that the registry exposes and reports to; maybe new in a child."""
        ...


@runtime_checkable
class HasCollectors(Protocol):
    """A store that has metrics of its own.

    Fallback: a scrape shows the metrics of `ShardHealth` alone.
    """

    def collectors(self) -> Iterable[Collector]:
        """The store's own collectors, which every scrape shows after all others."""
        ...
