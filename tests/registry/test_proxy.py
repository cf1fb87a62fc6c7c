"""The proxy: it passes each call on to the registry in use."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.exceptions import NotRegisteredError
from pytheus.registry import REGISTRY, Collector, CollectorRegistry, CollectorRegistryProxy, NullRegistry, Registry
from tests.registry.conftest import Custom, EqualToAll, Plain


def test_it_is_a_registry(proxy: CollectorRegistryProxy) -> None:
    assert isinstance(proxy, Registry)
    assert isinstance(REGISTRY, CollectorRegistryProxy)


def test_calls_reach_the_registry(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    assert list(registry) == list(proxy) == list(proxy.collect()) == [hits]
    assert hits in proxy
    assert "hits_total" in proxy
    assert proxy.find("hits_total") is hits
    assert proxy.registry is registry
    proxy.unregister(hits)
    assert len(registry) == 0
    with pytest.raises(NotRegisteredError):
        proxy.unregister(hits)


def test_an_empty_registry_that_is_falsy_is_accepted() -> None:
    empty = Plain()
    proxy = CollectorRegistryProxy(empty)
    assert proxy.registry is empty
    Counter("hits_total", "Hits.", registry=proxy)
    assert [getattr(collector, "name", "") for collector in empty.held] == ["hits_total"]


def test_clear_empties_the_registry(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=proxy)
    proxy.clear()
    assert len(registry) == 0


def test_the_prefix_is_read_live(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=proxy)
    registry.prefix = "app"
    assert proxy.prefix == "app"
    assert "\napp_hits_total 0.0\n" in generate_metrics(proxy)
    proxy.set_registry(CollectorRegistry("other"))
    assert proxy.prefix == "other"
    assert "\nother_hits_total 0.0\n" in generate_metrics(proxy)


def test_repr_has_the_registry_in_use(proxy: CollectorRegistryProxy) -> None:
    assert repr(proxy) == "<CollectorRegistryProxy for <CollectorRegistry 0 collectors>>"


def test_close_closes_the_registry() -> None:
    closed: list[str] = []

    class WithClose(Plain):
        def close(self) -> None:
            closed.append("closed")

    CollectorRegistryProxy(WithClose()).close()
    assert closed == ["closed"]


def test_close_ignores_a_registry_that_is_not_closable(proxy: CollectorRegistryProxy) -> None:
    proxy.close()


def test_membership_in_a_registry_of_any_kind_is_by_object_and_by_name() -> None:
    proxy = CollectorRegistryProxy(Plain())
    held, other = EqualToAll(), EqualToAll()
    hits = Counter("hits_total", "Hits.", registry=proxy)
    proxy.register(held)
    assert (hits in proxy, held in proxy, other in proxy) == (True, True, False)
    assert ("hits" in proxy, "hits_created" in proxy, "misses" in proxy) == (True, True, False)


def test_clear_empties_a_registry_of_any_kind() -> None:
    class Live(Plain):
        def collect(self) -> Iterable[Collector]:
            return self.held

    live = Live()
    proxy = CollectorRegistryProxy(live)
    for letter in "abcd":
        Counter(f"hits_{letter}_total", "Hits.", registry=proxy)
    proxy.clear()
    assert live.held == []


# none -----------------------------------------------------------------------------------------------------------------


def test_the_null_registry_accepts_every_collector_and_keeps_none() -> None:
    quiet = NullRegistry()
    hits = Counter("hits_total", "Hits.", registry=quiet)
    Gauge("hits_total", "No conflict.", registry=quiet)
    hits.inc()
    quiet.unregister(hits)
    quiet.unregister(Custom())
    assert (hits.value, list(quiet.collect()), generate_metrics(quiet)) == (1.0, [], "")
