"""Which registries a scrape reaches."""

from __future__ import annotations

import pytest

from pytheus import Counter
from pytheus.compose import labelled, prefixed, union
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from pytheus.registry.traversal import below, standing


def test_a_registry_that_holds_its_collectors_stands_alone() -> None:
    registry = CollectorRegistry()
    assert list(standing(registry)) == [registry]


def test_layers_and_proxies_are_looked_through_the_outermost_first() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    proxy = CollectorRegistryProxy(first)
    both = union(proxy, second)
    outer = prefixed(both, "app")
    assert [id(found) for found in standing(outer)] == [id(each) for each in (outer, both, proxy, second, first)]


def test_each_is_met_once() -> None:
    registry = CollectorRegistry()
    both = union(prefixed(registry, "a"), prefixed(registry, "b"))
    assert sum(found is registry for found in standing(both)) == 1


def test_an_attribute_that_means_something_else_is_none() -> None:
    class Cake(CollectorRegistry):
        layers = 3

    assert below(Cake()) == ()


@pytest.mark.parametrize("meaning", [3, (), ["sponge"], ("sponge", "cream"), lambda: None], ids=repr)
def test_what_a_registry_holds_moves_whatever_it_calls_its_layers(meaning: object) -> None:
    class Cake(CollectorRegistry):
        layers = meaning

    cake, plate = Cake(), CollectorRegistry()
    proxy = CollectorRegistryProxy(cake)
    eaten = Counter("eaten_total", "Eaten.", registry=labelled(proxy, kind="plum"))
    assert eaten in proxy
    proxy.set_registry(labelled(plate, kind="plum"))
    assert eaten in plate
    proxy.set_registry(cake)
    assert eaten in cake
    assert eaten not in plate
