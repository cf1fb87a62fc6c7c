"""The proxy: it passes each call on to the registry in use, which `use` replaces within a block."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.exceptions import NotARegistryError, NotRegisteredError
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


@pytest.mark.pitfall
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

        def unregister(self, collector: Collector) -> None:
            self.held.remove(collector)

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


# use() ----------------------------------------------------------------------------------------------------------------


def test_use_replaces_the_registry_within_a_block(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    before = Counter("before_total", "Before.", registry=proxy)
    tenant = CollectorRegistry("tenant")
    with proxy.use(tenant) as used:
        assert used is tenant
        within = Counter("within_total", "Within.", registry=proxy)
        assert (list(proxy), proxy.prefix, proxy.registry) == ([within], "tenant", tenant)
        assert before not in proxy
    assert (list(proxy), proxy.prefix, proxy.registry) == ([before], None, registry)
    assert list(tenant) == [within]


def test_a_block_has_its_own_metric_of_each_name(proxy: CollectorRegistryProxy) -> None:
    outside = Counter("hits_total", "Hits.", registry=proxy)
    outside.inc(5)
    tenant = CollectorRegistry()
    with proxy.use(tenant):
        assert proxy.find("hits_total") is None
        inside = Counter("hits_total", "Hits.", registry=proxy)
        assert proxy.find("hits_total") is inside
    assert inside.value == 0.0
    assert proxy.find("hits_total") is outside


def test_close_closes_the_registry_in_use() -> None:
    class Closing(Plain):
        closed = False

        def close(self) -> None:
            self.closed = True

    outside, inside = Closing(), Closing()
    proxy = CollectorRegistryProxy(outside)
    with proxy.use(inside):
        proxy.close()
    assert (outside.closed, inside.closed) == (False, True)
    proxy.close()
    assert outside.closed


def test_use_ends_with_an_exception_too(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="no"), proxy.use(CollectorRegistry()):
        raise ValueError("no")
    assert proxy.registry is registry


def test_blocks_nest(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    outer, inner = CollectorRegistry(), CollectorRegistry()
    with proxy.use(outer):
        with proxy.use(inner):
            assert proxy.registry is inner
        assert proxy.registry is outer
    assert proxy.registry is registry


def test_the_same_registry_can_be_used_twice_at_once(proxy: CollectorRegistryProxy) -> None:
    tenant = CollectorRegistry()
    with proxy.use(tenant):
        with proxy.use(tenant):
            pass
        assert proxy.registry is tenant


def test_blocks_may_overlap(proxy: CollectorRegistryProxy, registry: CollectorRegistry) -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    one, two = proxy.use(first), proxy.use(second)
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert proxy.registry is second
    two.__exit__(None, None, None)
    assert proxy.registry is registry


def test_set_registry_within_a_block_shows_after_it(proxy: CollectorRegistryProxy) -> None:
    hits = Counter("hits_total", "Hits.", registry=proxy)
    chosen, tenant = CollectorRegistry(), CollectorRegistry()
    with proxy.use(tenant):
        proxy.set_registry(chosen)
        assert proxy.registry is tenant
    assert proxy.registry is chosen
    assert list(proxy) == [hits]


def test_an_empty_falsy_registry_can_be_used(proxy: CollectorRegistryProxy) -> None:
    with proxy.use(Plain()) as tenant:
        Counter("hits_total", "Hits.", registry=proxy)
        assert len(list(tenant.collect())) == 1


def test_a_cycle_of_other_registries_is_visited_once(proxy: CollectorRegistryProxy) -> None:
    class Circular(Plain):
        @property
        def wrapped(self) -> tuple[Registry, ...]:
            return (self,)

    circular = Circular()
    with proxy.use(circular):
        assert proxy.registry is circular


def test_proxies_cannot_use_each_other(proxy: CollectorRegistryProxy) -> None:
    other = CollectorRegistryProxy(CollectorRegistry())
    with proxy.use(other):
        with pytest.raises(NotARegistryError, match="a proxy cannot be the registry behind itself"), other.use(proxy):
            pass
        assert proxy.prefix is None


def test_a_block_may_be_entered_inside_of_itself_and_again() -> None:
    proxy = CollectorRegistryProxy()
    other = CollectorRegistry()
    block = proxy.use(other)
    for _ in range(2):
        with block, block as used:
            assert used is other
            assert proxy.registry is other
        assert proxy.registry is not other


def test_a_block_is_a_decorator() -> None:
    proxy = CollectorRegistryProxy()
    other = CollectorRegistry()

    @proxy.use(other)
    def used(depth: int) -> bool:
        return proxy.registry is other and (depth == 0 or used(depth - 1))

    assert used(2)
    assert proxy.registry is not other
