"""The registries below a registry, its original collectors, and the definition and families of a collector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge
from pytheus.compose import labelled, prefixed, union
from pytheus.exceptions import LabelError, SelectionError
from pytheus.metrics import Family, Metric
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, Registry
from pytheus.registry.traversal import (
    FailedCollector,
    definition_of,
    flatten,
    leads_to,
    originals,
    walk,
    wrapped_registries,
)
from tests.registry.conftest import Custom, same

# walk() ---------------------------------------------------------------------------------------------------------------


def test_a_registry_that_wraps_none_is_alone() -> None:
    registry = CollectorRegistry()
    assert list(walk(registry, resolve=True)) == [registry]


@pytest.mark.parametrize("resolve", [True, False])
def test_wrappers_and_proxies_come_before_the_registries_below_them(resolve: bool) -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    proxy = CollectorRegistryProxy(first)
    both = union(proxy, second)
    outer = prefixed(both, "app")
    assert same(walk(outer, resolve=resolve), [outer, both, proxy, first, second])


def test_each_registry_is_visited_once() -> None:
    registry = CollectorRegistry()
    both = union(prefixed(registry, "a"), prefixed(registry, "b"))
    assert sum(found is registry for found in walk(both, resolve=True)) == 1


def test_a_proxy_is_resolved_only_where_that_is_wanted() -> None:
    proxy = CollectorRegistryProxy("no-such-registry")
    outer = prefixed(proxy, "app")
    assert same(walk(outer, resolve=False), [outer, proxy])
    with pytest.raises(SelectionError):
        list(walk(outer, resolve=True))


def test_without_resolving_a_proxy_leads_to_all_registries_that_it_may_use_after_a_block() -> None:
    base, outer, inner = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    proxy = CollectorRegistryProxy(base)
    with proxy.use(outer), proxy.use(inner):
        assert same(wrapped_registries(proxy, resolve=False), [inner, outer, base])
        assert same(wrapped_registries(proxy, resolve=True), [inner])
        assert leads_to(proxy, base, resolve=False)
        assert not leads_to(proxy, base, resolve=True)


@pytest.mark.parametrize("meaning", [3, (), ["sponge"], ("sponge", "cream"), print], ids=repr)
def test_an_attribute_with_another_meaning_wraps_nothing(meaning: object) -> None:
    class Cake(CollectorRegistry):
        wrapped = meaning

    cake, plate = Cake(), CollectorRegistry()
    assert wrapped_registries(cake, resolve=True) == ()
    proxy = CollectorRegistryProxy(cake)
    eaten = Counter("eaten_total", "Eaten.", registry=labelled(proxy, kind="plum"))
    assert eaten in proxy
    proxy.set_registry(labelled(plate, kind="plum"))
    assert eaten in plate
    proxy.set_registry(cake)
    assert eaten in cake
    assert eaten not in plate


def test_a_tuple_of_collectors_wraps_nothing() -> None:
    class Box(CollectorRegistry):
        wrapped = (Custom(),)

    assert wrapped_registries(Box(), resolve=True) == ()


# originals() ----------------------------------------------------------------------------------------------------------


def test_originals_are_below_all_wrappers_and_proxies_in_order_and_each_once() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    hits, depth = Counter("hits_total", "H.", registry=first), Gauge("depth", "D.", registry=second)
    second.register(hits)
    registry: Registry = union(CollectorRegistryProxy(labelled(first, region="eu")), prefixed(second, "app"))
    assert same(originals(registry), [hits, depth])


# definition_of() ------------------------------------------------------------------------------------------------------


def test_all_handles_on_a_metric_have_one_definition() -> None:
    hits = Counter("hits_total", "H.", ["a"], registry=None)
    assert definition_of(hits) is definition_of(hits.labels("x")) is hits.definition


class Raising:
    @property
    def definition(self) -> object:
        raise RuntimeError("no definition")


class Other:
    definition = "a tart"


@pytest.mark.parametrize(
    "collector", [Raising(), Other(), Custom(), Counter, None], ids=["raising", "other", "custom", "class", "None"]
)
def test_an_object_without_a_usable_definition_has_none(collector: object) -> None:
    assert definition_of(collector) is None


@pytest.mark.parametrize("make", [Raising, Other])
def test_such_a_collector_is_registered_without_a_definition(make: type[Raising | Other]) -> None:
    class Registered(make, Custom):  # type: ignore[misc, valid-type]  # a base that a test chooses
        pass

    registry = CollectorRegistry()
    collector = Registered()
    registry.register(collector)
    assert collector in registry
    registry.unregister(collector)
    assert list(registry) == []


# flatten() ------------------------------------------------------------------------------------------------------------


class Nested:
    """Yields what it was given."""

    name = "nested"

    def __init__(self, *parts: Collector | Family) -> None:
        self.parts = parts

    def collect(self) -> Iterator[Collector | Family]:
        yield from self.parts


def test_collectors_in_collectors_become_families_in_order() -> None:
    first, last = Family("first", "gauge", "F."), Family("last", "gauge", "L.")
    hits = Counter("hits_total", "H.", registry=None)
    nested = Nested(first, Nested(Nested(hits)), last)
    assert [family.name for family in flatten(nested)] == ["first", "hits_total", "last"]
    assert same(flatten(nested, Metric), [first, hits, last])


def test_collectors_are_flattened_to_16_levels() -> None:
    family = Family("deep", "gauge", "D.")
    nested = Nested(family)
    for _ in range(15):
        nested = Nested(nested)
    assert list(flatten(nested)) == [family]
    with pytest.raises(RecursionError, match="more than 16 levels deep; does one yield itself"):
        list(flatten(Nested(nested)))


def test_an_object_that_is_neither_family_nor_collector_is_refused() -> None:
    with pytest.raises(LabelError, match=r"collect\(\) of 'nested' yielded int 3; it should yield metrics or pytheus"):
        list(flatten(Nested(Nested(3))))  # type: ignore[arg-type]  # a mistake


def test_a_failed_collector_raises_its_error() -> None:
    with pytest.raises(ConnectionError, match="away"):
        FailedCollector("shop", ConnectionError("away")).collect()
