"""Checks of a registry's life: it replaces another, is replaced itself, forks, and is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from unittest import SkipTest

from pytheus.exceptions import ConflictError
from pytheus.exposition.text import generate_metrics
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.summary import Summary
from pytheus.registry.capabilities import Closable
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.proxy import CollectorRegistryProxy
from pytheus.testing.checks.base import Declarations, Probe, check, promised
from pytheus.testing.checks.children import error_in_child

__all__ = ["LifecycleChecks"]


class _Slow(Probe):
    """A collector that keeps one thread for a while in the registry's `register`, by its definition."""

    def __init__(self, probe: str) -> None:
        super().__init__(probe)
        self.entered = threading.Event()
        self.released = threading.Event()
        self.thread: threading.Thread | None = None

    @property
    def definition(self) -> None:
        if threading.current_thread() is self.thread:
            self.entered.set()
            self.released.wait()


class LifecycleChecks(Declarations):
    """Moves by `REGISTRY.set_registry`, forks, and `Closable` for registries that offer it."""

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
        self.require_same(list(replacement.collect()), collectors, promise)

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
        taken = Summary("kit_b", "B.", registry=None)
        registry = self.filled(taken)
        former = CollectorRegistry()
        moving = [Gauge(name, "Moving.", registry=former) for name in ("kit_a", "kit_b", "kit_c")]
        with promised(promise):
            try:
                CollectorRegistryProxy(former).set_registry(registry)
            except ConflictError:
                pass
        self.require_held(registry, [taken], promise)
        self.require_same(list(former.collect()), moving, promise)

    @check("test_unregister_lets_go", "test_values_are_kept", needs=["kept"])
    def test_it_works_in_the_child_of_a_fork(self) -> None:
        """The child has the parent's collectors, can change and close its registry, and the parent's stays as it is."""
        promise = "in the child of a fork a registry works as in the parent"
        counter, probe, other = Counter("kit_hits_total", "Hits.", registry=None), Probe("kit_a"), Probe("kit_b")
        registry = self.filled(counter, probe)

        def use() -> None:
            writable = self.write_to(registry)
            self.require_held(registry, [counter, probe], "the child of a fork has the collectors of the parent")
            writable.register(other)
            self.require_held(registry, [counter, probe, other], "in the child of a fork register works")
            generate_metrics(self.scraped(registry), strict=True)
            writable.unregister(probe)
            self.require_held(registry, [counter, other], "in the child of a fork unregister works")
            if isinstance(registry, Closable):
                registry.close()

        self._in_child(use, promise)
        promise = "a child of a fork changes nothing in the parent's registry"
        self.require_held(registry, [counter, probe], promise)
        with promised(promise):
            self.write_to(registry).register(other)
            generate_metrics(self.scraped(registry), strict=True)
        self.require_held(registry, [counter, probe, other], promise)

    @check("test_it_works_in_the_child_of_a_fork", needs=["kept"])
    def test_a_fork_may_come_at_any_time(self) -> None:
        """The child works if another thread of the parent was within `register` at the moment of the fork."""
        promise = "a fork may come while another thread is within the registry"
        slow, probe = _Slow("kit_slow"), Probe("kit_probe")
        registry = self.fresh()
        writable = self.write_to(registry)

        def use() -> None:
            writable.register(probe)
            list(self.listing(registry))
            writable.unregister(probe)

        slow.thread = threading.Thread(target=writable.register, args=(slow,), daemon=True)
        slow.thread.start()
        # It need not read the definition: the fork then comes when the registration is over.
        while slow.thread.is_alive() and not slow.entered.wait(0.01):
            pass
        try:
            self._in_child(use, promise)
        finally:
            slow.released.set()
            slow.thread.join(self.patience_seconds)

    def _in_child(self, use: Callable[[], None], promise: str) -> None:
        failure = error_in_child(use, self.patience_seconds)
        if failure:
            raise AssertionError(f"{promise}: {failure}")

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
