"""The conformance kits: the classes of checks that a registry and a store of shards must pass."""

from __future__ import annotations

from pytheus.testing.checks.conflicts import ConflictChecks
from pytheus.testing.checks.distribution import DistributionChecks
from pytheus.testing.checks.lifecycle import LifecycleChecks
from pytheus.testing.checks.lookup import LookupChecks
from pytheus.testing.checks.registration import RegistrationChecks
from pytheus.testing.checks.scrape import ScrapeChecks
from pytheus.testing.checks.store_rows import StoreRowChecks
from pytheus.testing.checks.threads import ThreadChecks

__all__ = ["RegistryConformance", "ShardStoreConformance"]


class RegistryConformance(
    RegistrationChecks,
    ConflictChecks,
    LookupChecks,
    ScrapeChecks,
    ThreadChecks,
    LifecycleChecks,
    DistributionChecks,
):
    """A class of tests that a registry passes if it keeps the contract of `pytheus.registry.Registry`.

    Subclass it in a test module, under a name that pytest collects, and define how a registry is made:

        >>> from pytheus.registry import CollectorRegistry
        >>> class TestCollectorRegistry(RegistryConformance):
        ...     def make_registry(self):
        ...         return CollectorRegistry()
        ...
        ...     def make_prefixed_registry(self, prefix):
        ...         return CollectorRegistry(prefix=prefix)

    Each registry that `make_registry` returns must be empty and independent of the previous ones; the kit closes it
    after the test. Class attributes declare the abilities of the registry (`pytheus.testing.checks.base.Declarations`).
    A check that needs a declaration which the class does not make is not part of the class. A check that relies on
    another one is skipped if that one fails, so that the failures name the defect and not its consequences.

    Needs no pytest: `pytheus.testing.run_conformance` runs it as well.
    """


class ShardStoreConformance(StoreRowChecks):
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
    `RegistryConformance` beside it, with ``gives_originals = False``, to check the registry that the store makes. Needs
    no pytest: `pytheus.testing.run_conformance` runs it as well.
    """
