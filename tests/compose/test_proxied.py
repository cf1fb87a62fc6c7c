"""Layers behind a proxy: they are added, removed, and never below themselves."""

from __future__ import annotations

import pytest

from pytheus import Counter, generate_metrics
from pytheus.compose import filtered, labelled, prefixed, read_only, union
from pytheus.exceptions import NotARegistryError
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from tests.compose.conftest import Wrap

LAYERS: dict[str, Wrap] = {
    "union": lambda registry: union(registry, CollectorRegistry()),
    "filtered": lambda registry: filtered(registry, names=[]),
    "prefixed": lambda registry: prefixed(registry, "app"),
    "labelled": lambda registry: labelled(registry, region="eu"),
    "read only": read_only,
}

layers = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


@pytest.mark.parametrize("migrate", [True, False])
@pytest.mark.parametrize("layer", [*LAYERS.values(), CollectorRegistryProxy], ids=[*LAYERS, "proxy"])
def test_adding_and_removing_a_layer_leaves_the_collectors_where_they_are(
    below: CollectorRegistry, layer: Wrap, migrate: bool
) -> None:
    proxy, chosen = CollectorRegistryProxy(below), layer(below)
    hits = Counter("hits_total", "Hits.", registry=proxy)
    # A warning would name collectors that stay behind, and warnings are errors here.
    proxy.set_registry(chosen, migrate=migrate)
    assert proxy.registry is chosen
    assert list(below) == [hits]
    assert list(proxy) == list(chosen.collect())
    proxy.set_registry(below, migrate=migrate)
    assert proxy.registry is below
    assert list(proxy) == list(below) == [hits]


@pytest.mark.parametrize("layer", [LAYERS[name] for name in LAYERS if name != "read only"])
def test_the_originals_move_to_another_registry(below: CollectorRegistry, layer: Wrap) -> None:
    other = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", registry=below)
    CollectorRegistryProxy(layer(below)).set_registry(other)
    assert list(other.collect()) == [hits]
    assert list(below.collect()) == []


@layers
def test_a_layer_around_the_proxy_cannot_be_behind_it(below: CollectorRegistry, layer: Wrap) -> None:
    proxy = CollectorRegistryProxy(below)
    Counter("hits_total", "Hits.", registry=proxy)
    with pytest.raises(NotARegistryError, match="cannot be the registry behind itself"):
        proxy.set_registry(prefixed(layer(proxy), "outer"))
    assert proxy.registry is below
    assert generate_metrics(proxy, strict=True).endswith("hits_total 0.0\n")


def test_another_layer_around_the_same_registry_keeps_the_collectors(below: CollectorRegistry) -> None:
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
