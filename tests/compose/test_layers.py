"""All layers: they accept any registry, are registries, nest, and refuse cycles.

`tests/testing/test_our_registries.py` runs the conformance kit on each, whose checks are not repeated here.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from operator import attrgetter

import pytest

from pytheus import Counter, generate_metrics
from pytheus.compose import filtered, labelled, limited, prefixed, read_only, union
from pytheus.exceptions import NotARegistryError
from pytheus.registry import (
    Collector,
    CollectorRegistry,
    CollectorRegistryProxy,
    Registry,
    check_registry,
)
from pytheus.registry.traversal import leads_to
from tests.compose.conftest import WRAPS, Queue, Wrap, fill
from tests.registry.conftest import EqualRegistry


def names(registry: Registry) -> list[str]:
    return [line.split()[2] for line in generate_metrics(registry).splitlines() if line.startswith("# TYPE ")]


def test_it_is_a_registry_in_which_a_metric_can_be_defined(below: CollectorRegistry, layer: Registry) -> None:
    assert check_registry(layer) is layer
    counter = Counter("hits_total", "Hits.", registry=layer)
    counter.inc(2)
    assert list(below.collect()) == [counter]
    assert generate_metrics(layer, strict=True).endswith(" 2.0\n")


def test_any_registry_that_satisfies_the_protocol_can_be_wrapped(wrap: Wrap) -> None:
    below = EqualRegistry()
    layer = wrap(below)
    counter = Counter("hits_total", "Hits.", registry=layer)
    assert below.held == [counter]
    layer.unregister(counter)
    assert below.held == []


def test_a_collector_registered_below_later_shows(below: CollectorRegistry, layer: Registry) -> None:
    assert generate_metrics(layer) == ""
    Counter("hits_total", "Hits.", ["path"], registry=below).labels("/").inc()
    assert 'hits_total{path="/"' in generate_metrics(layer, strict=True)


def test_a_series_created_later_shows(below: CollectorRegistry, layer: Registry) -> None:
    counter = Counter("hits_total", "Hits.", ["path"], registry=layer)
    generate_metrics(layer)
    counter.labels("/late").inc()
    assert 'path="/late"' in generate_metrics(layer, strict=True)


def test_a_collector_from_collect_is_unregistered_through_it(below: CollectorRegistry, layer: Registry) -> None:
    fill(layer)
    for collector in list(layer.collect()):
        layer.unregister(collector)
    assert list(below.collect()) == []


def test_collect_returns_the_same_objects_each_time(layer: Registry) -> None:
    fill(layer)
    first = list(layer.collect())
    assert all(one is other for one, other in zip(first, layer.collect(), strict=True))


def test_no_reference_is_left_to_a_collector_unregistered_below(below: CollectorRegistry, layer: Registry) -> None:
    queue = Queue()
    layer.register(queue)
    assert len(list(layer.collect())) == 1
    reference = weakref.ref(queue)
    below.unregister(queue)
    assert list(layer.collect()) == []
    del queue
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("wrap", [WRAPS["labelled"], WRAPS["union, prefixed"], WRAPS["nested"]])
def test_no_reference_is_left_to_a_metric_unregistered_by_another_handle(wrap: Wrap) -> None:
    layer = wrap(CollectorRegistry())
    counter = Counter("hits_total", "Hits.", ["path"], registry=layer)
    other = Counter("hits_total", "Hits.", ["path"], registry=layer)
    given = weakref.ref(next(iter(layer.collect())))
    assert given() is not counter
    layer.unregister(other.labels("/"))
    gc.collect()
    assert given() is None


def test_the_same_metric_defined_through_it_shares_its_values(below: CollectorRegistry, layer: Registry) -> None:
    Counter("hits_total", "Hits.", registry=below).inc()
    Counter("hits_total", "Hits.", registry=layer).inc()
    assert generate_metrics(below).endswith("hits_total 2.0\n")


def test_closing_it_closes_the_registries_below(wrap: Wrap) -> None:
    class Closing(EqualRegistry):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    below = Closing()
    close = getattr(wrap(below), "close", None)
    assert close is not None
    close()
    close()
    assert below.closed == 2


def test_closing_it_over_a_registry_without_close_does_nothing(wrap: Wrap) -> None:
    getattr(wrap(EqualRegistry()), "close")()  # noqa: B009  # the protocol does not have it


@pytest.mark.parametrize("candidate", [None, CollectorRegistry, "default"], ids=str)
def test_an_invalid_registry_is_refused(wrap: Wrap, candidate: Registry) -> None:
    with pytest.raises(NotARegistryError):
        wrap(candidate)


def test_the_registry_below_is_exposed_as_before(below: CollectorRegistry, layer: Registry) -> None:
    fill(below)
    before = generate_metrics(below)
    generate_metrics(layer)
    assert generate_metrics(below) == before


@pytest.mark.parametrize(
    "wrap",
    [
        WRAPS["union"],
        WRAPS["prefixed"],
        lambda registry: filtered(registry, names=["hits_total"]),
        labelled,
        limited,
        read_only,
    ],
    ids=["union", "prefixed", "filtered", "labelled without labels", "limited", "read only"],
)
def test_collectors_that_do_not_change_are_the_originals(below: CollectorRegistry, layer: Registry) -> None:
    hits = Counter("hits_total", "Hits.", registry=below)
    assert [collector is hits for collector in layer.collect()] == [True]


def test_prefixes_and_labels_apply_exactly_once_at_any_depth() -> None:
    below = CollectorRegistry(prefix="shop")
    fill(below)
    layer = prefixed(
        union(labelled(prefixed(filtered(read_only(below)), "eu"), region="x"), CollectorRegistry()), "all"
    )
    text = generate_metrics(layer, strict=True)
    plain = CollectorRegistry()
    fill(plain)
    assert names(layer) == [f"all_eu_shop_{name}" for name in names(plain)]
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.count('region="x"') == 1 for line in samples)
    assert all(line.startswith("all_eu_shop_") for line in samples)


def test_layers_name_the_registries_directly_below() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    layer = filtered(union(first, second))
    assert [type(below).__name__ for below in layer.wrapped] == ["UnionRegistry"]
    assert leads_to(layer, second, resolve=True)
    assert not leads_to(first, second, resolve=True)


def test_a_proxy_is_not_resolved_when_a_layer_is_made_of_it() -> None:
    proxy = CollectorRegistryProxy("no-such-registry")
    for wrap in WRAPS.values():
        wrap(proxy)
    read_only(proxy)


def test_a_proxy_that_is_changed_later_is_followed() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry(prefix="old"))
    layer = prefixed(proxy, "app")
    proxy.set_registry(CollectorRegistry(prefix="new"))
    assert layer.prefix == "app_new"


class Changeable:
    """A registry that passes calls on to another one, and is not a proxy of pytheus."""

    def __init__(self) -> None:
        self.target: Registry = CollectorRegistry()

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        return (self.target,)

    @property
    def prefix(self) -> str | None:
        return self.target.prefix

    def register(self, collector: Collector, /) -> None:
        self.target.register(collector)

    def unregister(self, collector: Collector, /) -> None:
        self.target.unregister(collector)

    def collect(self) -> Iterable[Collector]:
        return self.target.collect()


@pytest.mark.parametrize(
    ("wrap", "use"),
    [
        *((wrap, generate_metrics) for wrap in WRAPS.values()),
        *((wrap, lambda layer: list(layer.collect())) for wrap in (*WRAPS.values(), limited, read_only)),
        *((WRAPS[name], attrgetter("prefix")) for name in ("filtered", "prefixed", "labelled")),
        (read_only, attrgetter("prefix")),
    ],
)
def test_a_cycle_is_refused(wrap: Wrap, use: Callable[[Registry], object]) -> None:
    changeable = Changeable()
    layer = wrap(changeable)
    changeable.target = layer
    with pytest.raises(NotARegistryError, match="is part of a cycle"):
        use(layer)


def test_the_registry_behind_a_proxy_is_below() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    layer = prefixed(CollectorRegistryProxy(union(first, second)), "app")
    assert leads_to(layer, first, resolve=True)
    assert leads_to(layer, second, resolve=True)
    assert not leads_to(layer, CollectorRegistry(), resolve=True)


@pytest.mark.parametrize("wrap", [*WRAPS.values(), read_only])
def test_an_iteration_is_a_snapshot_of_any_registry_below(wrap: Wrap) -> None:
    class Live(EqualRegistry):
        def collect(self) -> Iterable[Collector]:
            return iter(self.held)

    below = Live()
    layer = wrap(below)
    below.register(Counter("hits_total", "Hits.", registry=None))
    iteration = iter(layer.collect())
    below.register(Counter("misses_total", "Misses.", registry=None))
    assert len(list(iteration)) == 1


def test_a_cycle_through_a_proxy_is_refused() -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    layer = labelled(proxy, region="eu")
    with pytest.raises(NotARegistryError):
        proxy.set_registry(layer)
        generate_metrics(proxy)
