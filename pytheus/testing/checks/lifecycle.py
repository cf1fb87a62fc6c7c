"""Checks of a registry's life: it takes the place of another, is replaced itself, and is closed."""

from __future__ import annotations

from unittest import SkipTest

from pytheus.exceptions import ConflictError
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.registry.capabilities import Closable
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.proxy import CollectorRegistryProxy
from pytheus.testing.checks.base import Declarations, Probe, check, promised

__all__ = ["LifecycleChecks"]


class LifecycleChecks(Declarations):
    """Moves by `REGISTRY.set_registry`, and `Closable` for registries that offer it."""

    @check("test_unregister_lets_go", "test_what_was_unregistered_can_come_back", "test_values_are_kept")
    def test_collectors_move_to_it(self) -> None:
        """`REGISTRY.set_registry` moves every collector to the registry, in order and with its values."""
        self._moved_to(CollectorRegistryProxy(CollectorRegistry()))

    @check("test_collectors_move_to_it", needs=["originals"])
    def test_collectors_move_away_again(self) -> None:
        """`REGISTRY.set_registry` moves every collector away from the registry, in order."""
        promise = "REGISTRY.set_registry(...) moves every collector away from the registry that it replaces"
        proxy, replacement = CollectorRegistryProxy(CollectorRegistry()), CollectorRegistry()
        registry, collectors = self._moved_to(proxy)
        with promised(promise):
            proxy.set_registry(replacement)
        self.require_held(registry, [], promise)
        self.require_held(replacement, collectors, promise)

    def _moved_to(self, proxy: CollectorRegistryProxy) -> tuple[Registry, list[Collector]]:
        promise = "REGISTRY.set_registry(...) moves every collector, with its values"
        registry = self.fresh()
        counter, probe = Counter("kit_hits_total", "Hits.", registry=proxy), Probe("kit_probe")
        proxy.register(probe)
        counter.inc(2)
        with promised(promise):
            proxy.set_registry(registry)
        self.require_held(registry, [counter, probe], promise)
        if counter.value != 2.0:
            raise AssertionError(f"{promise}: the value 2 became {counter.value:g}")
        return registry, [counter, probe]

    @check("test_collectors_move_to_it", "test_a_conflicting_metric_is_not_held", needs=["errors"])
    def test_all_collectors_move_to_it_or_none(self) -> None:
        """If one collector is refused, both registries hold the collectors that they held before."""
        promise = "REGISTRY.set_registry(...) moves all collectors or none"
        taken = Gauge("kit_b", "B.", registry=None)
        registry = self.filled(taken)
        former = CollectorRegistry()
        moving = [Counter(name, "Moving.", registry=former) for name in ("kit_a", "kit_b", "kit_c")]
        with promised(promise):
            try:
                CollectorRegistryProxy(former).set_registry(registry)
            except ConflictError:
                pass
        self.require_held(registry, [taken], promise)
        self.require_held(former, moving, promise)

    @check("test_it_satisfies_the_protocol")
    def test_close_may_be_called_twice(self) -> None:
        """`close()` is idempotent."""
        registry = self._closable(self.fresh())
        with promised("close() may be called twice"):
            registry.close()
            registry.close()

    @check("test_close_may_be_called_twice", "test_collect_is_repeatable")
    def test_collectors_stay_when_it_is_closed(self) -> None:
        """After `close()` collectors stay registered, and metrics keep counting."""
        counter = Counter("kit_hits_total", "Hits.", registry=None)
        registry = self.filled(counter)
        promise = "after close() collectors stay registered and metrics keep counting"
        with promised(promise):
            self._closable(registry).close()
            counter.inc()
        self.require_held(registry, [counter], promise)

    def _closable(self, registry: Registry) -> Closable:
        if not isinstance(registry, Closable):
            raise SkipTest("this registry has no close(), which is optional")
        return registry
