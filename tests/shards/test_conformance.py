"""A registry over shards keeps the contract, wherever its store has the numbers."""

from __future__ import annotations

from pytheus import Counter
from pytheus.registry import Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from pytheus.testing import RegistryConformance


class TestOverMemory(RegistryConformance):
    gives_originals = False  # but families that are merged of all processes

    def make_registry(self) -> Registry:
        return ShardedRegistry(MemoryShardStore())

    def make_prefixed_registry(self, prefix: str | None) -> Registry:
        return ShardedRegistry(MemoryShardStore(), prefix=prefix)


class TestOverAStoreThatIsPublishedTo(RegistryConformance):
    gives_originals = False

    def make_registry(self) -> Registry:
        return ShardedRegistry(MemoryShardStore(publishing=True))


class TestBesideAProcessThatIsGone(RegistryConformance):
    gives_originals = False

    def make_registry(self) -> Registry:
        backend = MemoryBackend()
        gone = MemoryShardStore(backend)
        metric = Counter("gone_total", "Of a process that is gone.", registry=None)
        registry = ShardedRegistry(gone)
        registry.register(metric)
        registry.unregister(metric)
        gone.kill()
        return ShardedRegistry(MemoryShardStore(backend))
