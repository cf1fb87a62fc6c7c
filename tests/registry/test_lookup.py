"""Finding the collector that occupies a name, in registries that offer it, that do not, and that only seem to."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytheus import Counter, Gauge
from pytheus.compose import union
from pytheus.metrics import Metric
from pytheus.registry import Collector, CollectorRegistry, Registry
from pytheus.registry.lookup import find_collector


class Plain:
    """A registry with the four members and nothing more."""

    prefix: str | None = None

    def __init__(self) -> None:
        self.held: list[Collector] = []
        self.searched = 0

    def register(self, collector: Collector) -> None:
        self.held.append(collector)

    def unregister(self, collector: Collector) -> None:
        self.held.remove(collector)

    def collect(self) -> Iterable[Collector]:
        self.searched += 1
        return list(self.held)


class Finds(Plain):
    """One with a method `find`, which gives what it is told to."""

    gives: object = None

    def find(self, name: str, /) -> Collector | None:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives  # type: ignore[return-value]  # the very thing that is tested


@pytest.mark.parametrize("name", ["hits_total", "hits", "hits_created"])
@pytest.mark.parametrize("make", [CollectorRegistry, Plain], ids=lambda make: make.__name__)
def test_each_name_that_a_metric_produces_finds_it(make: type[CollectorRegistry | Plain], name: str) -> None:
    registry: Registry = make()
    Gauge("depth", "Depth.", registry=registry)
    hits = Counter("hits_total", "Hits.", registry=registry)
    assert find_collector(registry, name) is hits
    assert find_collector(registry, "hits_sum") is None


def test_what_find_gives_is_taken_without_a_search() -> None:
    registry = Finds()
    registry.gives = hits = Counter("hits_total", "Hits.", registry=None)
    assert find_collector(registry, "hits") is hits
    assert registry.searched == 0


def test_where_find_gives_none_nothing_is_searched() -> None:
    registry = Finds()
    registry.held = [Counter("hits_total", "Hits.", registry=None)]
    assert find_collector(registry, "hits_total") is None
    assert registry.searched == 0


@pytest.mark.parametrize(
    "gives",
    [
        -1,
        "hits_total",
        [],
        True,
        Gauge("depth", "Depth.", registry=None),
        Counter("hits_total", "Hits.", registry=None).definition,
        Counter,
        TypeError("find() missing 1 required positional argument: 'pattern'"),
        KeyError("hits_total"),
    ],
    ids=repr,
)
def test_a_find_that_is_meant_for_something_else_is_passed_over(gives: object) -> None:
    registry = Finds()
    hits: Metric = Counter("hits_total", "Hits.", registry=None)
    registry.held = [hits]
    registry.gives = gives
    assert find_collector(registry, "hits_total") is hits
    assert find_collector(registry, "misses_total") is None


def test_a_metric_is_defined_again_in_spite_of_such_a_find() -> None:
    registry = Finds()
    registry.gives = []
    Counter("hits_total", "Hits.", registry=registry).inc()
    again = Counter("hits_total", "Hits.", registry=registry)
    assert again.value == 1.0


def test_layers_may_find_what_has_another_name_below() -> None:
    shop = CollectorRegistry(prefix="shop")
    hits = Counter("hits_total", "Hits.", registry=shop)
    assert find_collector(union(CollectorRegistry(), shop), "shop_hits_total") is hits
