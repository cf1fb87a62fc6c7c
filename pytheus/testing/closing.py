"""Checks of a registry that has something to give back."""

from __future__ import annotations

from typing import cast

from pytheus.metrics.counter import Counter
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import Registry
from pytheus.testing.declarations import Declarations, check, promised

__all__ = ["ClosingChecks"]


class ClosingChecks(Declarations):
    """`Closable`, for registries that offer it."""

    @check("test_it_satisfies_the_protocol")
    def test_close_may_be_called_twice(self) -> None:
        """`close()` is idempotent."""
        registry = self._closable(self.fresh())
        with promised("close() may be called twice"):
            registry.close()
            registry.close()

    @check("test_close_may_be_called_twice", "test_collect_is_repeatable")
    def test_collectors_stay_when_it_is_closed(self) -> None:
        """Collectors stay registered, and metrics go on counting."""
        counter = Counter("kit_hits_total", "Hits.", registry=None)
        registry = self.filled(counter)
        promise = "after close() collectors stay registered and metrics go on counting"
        with promised(promise):
            self._closable(registry).close()
            counter.inc()
        self.require_held(registry, [counter], promise)

    def _closable(self, registry: Registry) -> Closable:
        self.need(isinstance(registry, Closable), "this registry has no close(), which is optional")
        return cast(Closable, registry)
