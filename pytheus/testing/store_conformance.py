"""The conformance kit for stores of shards: the class of checks that a store must pass."""

from __future__ import annotations

from pytheus.testing.checks.stores import StoreChecks

__all__ = ["ShardStoreConformance"]


class ShardStoreConformance(StoreChecks):
    """A class of tests that a store passes if it keeps the contract of `pytheus.shards.ShardStore`.

    Subclass it in a test module, under a name that pytest collects, and define a place on which several processes meet:

        >>> from pytheus.shards import MemoryBackend, MemoryShardStore
        >>> class TestMemoryShardStore(ShardStoreConformance):
        ...     crosses_processes = False
        ...
        ...     def make_place(self):
        ...         backend = MemoryBackend()
        ...         return lambda: MemoryShardStore(backend)
        ...
        ...     def kill(self, store):
        ...         store.kill()

    Each store on a place is that of another process. With `crosses_processes`, the default, it is opened in a child of
    a fork, which the kit kills by SIGKILL, also between two steps of an operation; a store that notices a death after a
    while overrides `notice_death`. Without, the store's processes are simulated, and `kill` simulates a death.

    The class attributes and the other methods are those of `pytheus.testing.checks.stores.StoreDeclarations`. Use
    `RegistryConformance` beside it, with ``gives_originals = False``, for the registry that the store makes. Needs no
    pytest: `pytheus.testing.run_conformance` runs it as well.
    """
