"""Checks of the optional capability to find the collector that occupies a name."""

from __future__ import annotations

from unittest import SkipTest

from pytheus.metrics.gauge import Gauge
from pytheus.metrics.histogram import Histogram
from pytheus.registry.capabilities import Lookup
from pytheus.registry.contract import Collector, Registry
from pytheus.testing.checks.base import Declarations, check, promised

__all__ = ["LookupChecks"]


class LookupChecks(Declarations):
    """`Lookup`, for registries that offer it."""

    @check("test_it_holds_what_is_registered")
    def test_find_gives_who_occupies_a_name(self) -> None:
        """By its own name, and by each one that it produces."""
        histogram = Histogram("kit_wait", "Wait.", registry=None)
        registry = self.filled(histogram)
        for name in histogram.definition.occupied_names:
            found = self._find(registry, name)
            if found is not histogram:
                raise AssertionError(
                    f"find(name) gives the collector that occupies the name: expected {histogram!r} for {name!r} but"
                    f" got {found!r}"
                )

    @check("test_it_holds_what_is_registered")
    def test_find_gives_none_for_a_free_name(self) -> None:
        """A name that no collector occupies gives None."""
        found = self._find(self.filled(Gauge("kit_depth", "Depth.", registry=None)), "kit_dep")
        if found is not None:
            raise AssertionError(f"find(name) gives None for a name that is free: got {found!r}")

    @check("test_find_gives_who_occupies_a_name", "test_unregister_lets_go")
    def test_find_forgets_what_was_unregistered(self) -> None:
        """An unregistered collector is not found."""
        gauge = Gauge("kit_depth", "Depth.", registry=None)
        registry = self.filled(gauge)
        registry.unregister(gauge)
        found = self._find(registry, "kit_depth")
        if found is not None:
            raise AssertionError(f"find(name) does not return an unregistered collector: got {found!r}")

    def _find(self, registry: Registry, name: str) -> Collector | None:
        if not isinstance(registry, Lookup):
            raise SkipTest("this registry has no find(name), which is optional")
        with promised("find(name) returns a collector or None"):
            return registry.find(name)
