"""What a plugin implements to bring processes together: where shards are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from pytheus.definitions import Definition
from pytheus.registry.capabilities import StorageAware
from pytheus.registry.contract import Collector
from pytheus.registry.storage import NumberStorage
from pytheus.shards.archive import Archive
from pytheus.shards.health import Failure, ShardHealth
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.snapshot import Snapshot

__all__ = ["ForkAware", "FlushOnRelease", "ShardStore", "HasCollectors"]


class Reading(NamedTuple):
    """All that is there at one moment: no shard is missing in both, and none is in both.

    >>> Reading([], Archive()).skipped
    ()
    """

    snapshots: Sequence[Snapshot]
    archive: Archive
    """The same object while nothing was folded, for the same reason as a snapshot's layout."""
    skipped: Sequence[Failure] = ()


class ShardStore(Protocol):
    """Where this process's shard is written, and all shards are read: `ShardedRegistry` works over one.

    `MemoryShardStore` shows how to write one.
    """

    @property
    def identity(self) -> ShardIdentity:
        """Of the shard that this process writes now. Another one after a fork, or when the store began a new shard."""
        ...

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """Where a metric that was registered keeps its numbers, or None: in itself, and `publish` is given them.

        Called when a metric is registered, from any thread, and again in the child after a fork. Each call gives an
        object of its own. A series may have been in the shard before, and been forgotten; it begins at zero again. Must
        not raise: what finds no room in the shard is kept in this process's memory, and exposed by it alone. A gauge
        in a mode of "last" asks it for two doubles, see `Slot`.
        """
        ...

    def publish(self, collectors: Sequence[StorageAware], /) -> None:
        """Let others see this process's numbers as they stand now; what `storage` was given for is there already.

        `collectors` are all that are registered and portable, after `refresh()`; the rows of a gauge in a mode of
        "last" have two numbers. Called before this process's own scrape and before `close`, by one thread at a time.
        May raise: the failure is counted and logged, and the scrape goes on.
        """
        ...

    def read(self) -> Reading:
        """All shards, this process's own included, and the archive: a state in which nothing is missing or double.

        Folds shards of dead processes, if that is due. Called for each scrape, by one thread at a time. May block, and
        may raise: the scrape then shows what was read last, with this process's numbers as they are now.
        """
        ...

    def close(self) -> None:
        """Give everything back; idempotent. Metrics have taken their numbers back then, and go on counting."""
        ...


@runtime_checkable
class ForkAware(Protocol):
    """A store that must do something where its process forks.

    Fallback: the child asks `storage` anew for each metric, and that is all.
    """

    def after_fork_in_child(self) -> None:
        """Begin a shard of the child's own, and give back what was inherited, locks included.

        Called in the child before anything else of the store, while it has one thread. `storage` is called next for
        each metric that is registered, whose numbers are zero then. Must not raise.
        """
        ...


@runtime_checkable
class FlushOnRelease(Protocol):
    """A store that publishes by itself, and must do so when a metric has left: its numbers may be on their way back.

    Fallback: what is left is published by the next scrape, if there is one.
    """

    def schedule_flush(self, remaining: Callable[[], Sequence[StorageAware]], /) -> None:
        """A metric was unregistered, and took its numbers along: let others see that soon.

        `remaining` gives what is to be published then. It keeps the registry alive, which nobody else may refer to any
        more; so let go of it when that is done. Called by any thread; must neither block nor raise.
        """
        ...


@runtime_checkable
class HasHealth(Protocol):
    """A store that reports failures of its own threads.

    Fallback: `ShardedRegistry` makes a `ShardHealth` of its own.
    """

    @property
    def health(self) -> ShardHealth:
        """The `ShardHealth` that the registry exposes and reports to as well; another one after a fork is allowed."""
        ...


@runtime_checkable
class HasCollectors(Protocol):
    """A store that has metrics of its own.

    Fallback: none are shown but those that `ShardedRegistry` has.
    """

    def collectors(self) -> Iterable[Collector]:
        """Metrics, made with ``registry=None``, or other collectors, which every scrape shows after all others."""
        ...
