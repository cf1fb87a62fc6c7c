"""The conformance kit: whether a registry keeps the contract."""

from __future__ import annotations

from pytheus.testing.closing import ClosingChecks
from pytheus.testing.conflicts import ConflictChecks
from pytheus.testing.finding import FindingChecks
from pytheus.testing.holding import HoldingChecks
from pytheus.testing.migration import MigrationChecks
from pytheus.testing.packaging import PackagingChecks
from pytheus.testing.scraping import ScrapingChecks
from pytheus.testing.threads import ThreadChecks

__all__ = ["RegistryConformance"]


class RegistryConformance(
    HoldingChecks,
    ConflictChecks,
    FindingChecks,
    ScrapingChecks,
    ThreadChecks,
    ClosingChecks,
    MigrationChecks,
    PackagingChecks,
):
    """A class of tests that a registry passes if it keeps the contract of `pytheus.registry.Registry`.

    Subclass it in a test module, under a name that pytest collects, and say how a registry is made:

        >>> from pytheus.registry import CollectorRegistry
        >>> class TestCollectorRegistry(RegistryConformance):
        ...     def make_registry(self):
        ...         return CollectorRegistry()
        ...
        ...     def make_prefixed_registry(self, prefix):
        ...         return CollectorRegistry(prefix=prefix)

    Each registry that `make_registry` gives must be empty and independent of the ones before; the kit closes it after
    the test. What the registry can do is declared by class attributes (see `pytheus.testing.declarations`). A check
    that does not apply is skipped and says why; one that rests on another is skipped where that one fails, so that what
    fails names the defect and not its consequences.

    Needs no pytest: `pytheus.testing.run_conformance` runs it as well.
    """
