"""Checks of a registry that takes the place of another one, and is replaced itself."""

from __future__ import annotations

from pytheus.exceptions import ConflictError
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.proxy import CollectorRegistryProxy
from pytheus.testing.declarations import Declarations, Probe, check, promised

__all__ = ["MigrationChecks"]


class MigrationChecks(Declarations):
    """What `REGISTRY.set_registry` does with it."""

    @check("test_unregister_lets_go", "test_what_was_unregistered_can_come_back", "test_values_are_kept")
    def test_collectors_move_to_it_and_away_again(self) -> None:
        """Every collector moves, in order and with its values."""
        promise = "REGISTRY.set_registry(...) moves every collector, with its values"
        former, registry, latter = CollectorRegistry(), self.fresh(), CollectorRegistry()
        proxy = CollectorRegistryProxy(former)
        counter, probe = Counter("kit_hits_total", "Hits.", registry=proxy), Probe("kit_probe")
        proxy.register(probe)
        counter.inc(2)
        with promised(promise):
            proxy.set_registry(registry)
        self.require_held(registry, [counter, probe], promise)
        if counter.value != 2.0:
            raise AssertionError(f"{promise}: 2 came to {counter.value:g}")
        self.need(self.gives_originals, "gives_originals = False: what moves away would be objects of its own")
        with promised(promise):
            proxy.set_registry(latter)
        self.require_held(registry, [], promise)
        self.require_held(latter, [counter, probe], promise)

    @check("test_collectors_move_to_it_and_away_again", "test_a_conflicting_metric_is_not_held")
    def test_all_collectors_move_to_it_or_none(self) -> None:
        """Where one is refused, the registry holds what it held, and the former one serves on."""
        self.need(self.on_conflict == "raise", "on_conflict = 'keep': this registry refuses nothing")
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
