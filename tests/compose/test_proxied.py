"""Layers behind a proxy: they are added, removed, and never below themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus import Counter, generate_metrics
from pytheus.compose import filtered, labelled, prefixed, read_only, union
from pytheus.exceptions import NotARegistryError
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, Registry

LAYERS: dict[str, Callable[[Registry], Registry]] = {
    "union": lambda registry: union(registry, CollectorRegistry()),
    "filtered": lambda registry: filtered(registry, names=[]),
    "prefixed": lambda registry: prefixed(registry, "app"),
    "labelled": lambda registry: labelled(registry, region="eu"),
    "read only": read_only,
}

layers = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


@layers
def test_adding_a_layer_leaves_the_collectors_where_they_are(layer: Callable[[Registry], Registry]) -> None:
    below = CollectorRegistry()
    proxy = CollectorRegistryProxy(below)
    hits = Counter("hits_total", "Hits.", registry=proxy)
    chosen = layer(below)
    proxy.set_registry(chosen)
    assert list(below.collect()) == [hits]
    assert proxy.registry is chosen


@layers
def test_removing_a_layer_leaves_the_collectors_where_they_are(layer: Callable[[Registry], Registry]) -> None:
    below = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=below)
    proxy = CollectorRegistryProxy(layer(below))
    proxy.set_registry(below)
    assert list(below.collect()) == [hits]
    assert proxy.registry is below


@pytest.mark.parametrize("layer", [LAYERS[name] for name in LAYERS if name != "read only"])
def test_the_originals_move_to_another_registry(layer: Callable[[Registry], Registry]) -> None:
    below, other = CollectorRegistry(), CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=below)
    CollectorRegistryProxy(layer(below)).set_registry(other)
    assert list(other.collect()) == [hits]
    assert list(below.collect()) == []


@layers
def test_a_layer_around_the_proxy_cannot_be_behind_it(layer: Callable[[Registry], Registry]) -> None:
    below = CollectorRegistry()
    proxy = CollectorRegistryProxy(below)
    Counter("hits_total", "Hits.", registry=proxy)
    with pytest.raises(NotARegistryError, match="cannot be the registry behind itself"):
        proxy.set_registry(prefixed(layer(proxy), "outer"))
    assert proxy.registry is below
    assert generate_metrics(proxy, strict=True).endswith("hits_total 0.0\n")


def test_another_layer_around_the_same_registry_keeps_the_collectors() -> None:
    below = CollectorRegistry()
    proxy = CollectorRegistryProxy(prefixed(below, "a"))
    jobs = Counter("jobs_total", "Jobs.", registry=proxy)
    proxy.set_registry(prefixed(below, "b"))
    assert list(below) == [jobs]
    assert list(proxy.collect()) == [jobs]


def test_collectors_of_a_registry_below_only_the_former_one_move() -> None:
    shared, other = CollectorRegistry(), CollectorRegistry()
    proxy = CollectorRegistryProxy(union(shared, other))
    jobs, calls = Counter("jobs_total", "Jobs.", registry=shared), Counter("calls_total", "Calls.", registry=other)
    proxy.set_registry(prefixed(shared, "b"))
    assert list(shared) == [jobs, calls]
    assert list(other) == []


@layers
def test_adding_or_removing_a_layer_without_migration_keeps_the_collectors(
    layer: Callable[[Registry], Registry],
) -> None:
    below = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=below)
    proxy, chosen = CollectorRegistryProxy(below), layer(below)
    # A warning would name the collectors that stay, and warnings are errors here.
    proxy.set_registry(chosen, migrate=False)
    assert proxy.registry is chosen
    proxy.set_registry(below, migrate=False)
    assert list(proxy) == [hits]


@pytest.mark.parametrize("migrate", [True, False])
def test_adding_or_removing_a_proxy_leaves_the_collectors_where_they_are(migrate: bool) -> None:
    below = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=below)
    proxy = CollectorRegistryProxy(below)
    proxy.set_registry(CollectorRegistryProxy(below), migrate=migrate)
    assert list(proxy) == list(below) == [hits]
    proxy.set_registry(below, migrate=migrate)
    assert list(proxy) == list(below) == [hits]
