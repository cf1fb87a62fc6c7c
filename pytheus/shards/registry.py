"""The registry of several processes, over any store of shards."""

from __future__ import annotations

from collections.abc import Iterator

from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.protocols import Collector, Portable, Registry
from pytheus.shards.store import ShardStore

__all__ = ["ShardedRegistry"]


class ShardedRegistry:
    """A registry whose scrape shows all processes that share a store, as one.

    `store` is where the shards are; `prefix` is as in `CollectorRegistry`; `hosts` as in `Merger`. Metrics are kept in
    the store's memory, or published by it; other collectors are those of this process alone. May be used from any
    thread, and in the children of a fork, which begin with numbers of zero.
    """

    def __init__(self, store: ShardStore, *, prefix: str | None = None, hosts: bool = False) -> None:
        self._store = store
        self._hosts = hosts
        self._local = CollectorRegistry(prefix=prefix)

    @property
    def store(self) -> ShardStore:
        """The store that it was made with."""
        return self._store

    @property
    def layers(self) -> tuple[Registry, ...]:
        """The registry that holds what was registered here, as it was registered."""
        return (self._local,)

    @property
    def prefix(self) -> str | None:
        """What stands before every exposed family's name, or None."""
        return self._local.prefix

    def register(self, collector: Collector, /) -> None:
        """Hold `collector`, and keep its numbers in the store if it is portable; see `Registry.register`."""
        raise NotImplementedError

    def unregister(self, collector: Collector, /) -> None:
        """Let go of `collector`, which takes its numbers along; see `Registry.unregister`."""
        raise NotImplementedError

    def collect(self) -> Iterator[Collector]:
        """The families of all processes, and then the collectors of this one that are not portable."""
        raise NotImplementedError

    def find(self, name: str, /) -> Collector | None:
        """The collector registered in this process that occupies `name`, or None; see `Lookup.find`."""
        return self._local.find(name)

    def portables(self) -> list[Portable]:
        """What is registered and portable, as `ShardStore.publish` takes it."""
        raise NotImplementedError

    def publish(self) -> None:
        """Refresh what functions give, and hand everything to the store, as each scrape does: for a store's own thread.

        Raises what the store raised. One thread at a time publishes or scrapes; others wait.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the metrics their numbers back, and close the store; idempotent. They stay registered, and count on."""
        raise NotImplementedError
