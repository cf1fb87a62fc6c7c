"""All layers: they accept any registry, are registries, nest, and refuse cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.compose import filtered, labelled, limited, prefixed, read_only, union
from pytheus.exceptions import ConflictError, NotARegistryError, NotRegisteredError
from pytheus.registry import (
    Collector,
    CollectorRegistry,
    CollectorRegistryProxy,
    NullRegistry,
    Registry,
    check_registry,
)
from pytheus.registry.traversal import leads_to

Wrap = Callable[[Registry], Registry]

WRAPS: dict[str, Wrap] = {
    "union": lambda registry: union(registry),
    "union, prefixed": lambda registry: union(prefixed(registry, "app")),
    "filtered": lambda registry: filtered(registry, predicate=lambda family: True),
    "prefixed": lambda registry: prefixed(registry, "app"),
    "labelled": lambda registry: labelled(registry, region="eu"),
    "nested": lambda registry: union(labelled(prefixed(filtered(registry), "app"), region="eu"), NullRegistry()),
}


class Plain:
    """A registry with only the members of the protocol; always falsy, and equal to every object."""

    __slots__ = ("held", "prefix")

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix
        self.held: list[Collector] = []

    def register(self, collector: Collector) -> None:
        if not any(held is collector for held in self.held):
            self.held.append(collector)

    def unregister(self, collector: Collector) -> None:
        if not any(held is collector for held in self.held):
            raise NotRegisteredError("not held")
        self.held = [held for held in self.held if held is not collector]

    def collect(self) -> Iterable[Collector]:
        return list(self.held)

    def __len__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # as in every class with __eq__


def fill(registry: Registry) -> None:
    """One metric of each type, with values that need escaping."""
    Counter("hits_total", "Hits.\nAll of \\them.", ["path"], registry=registry).labels('a"b\nc\\').inc()
    Gauge("depth", "Depth.", registry=registry).set(-1.5)
    Histogram("wait_seconds", "Wait.", ["queue"], buckets=(0.1, 1.0), registry=registry).labels("mail").observe(0.5)
    Summary("size_bytes", "Size.", registry=registry).observe(3)
    Info("build", "Build.", registry=registry).info(version="1")
    StateSet("door", "Door.", states=["open", "shut"], registry=registry).state("open")


def names(registry: Registry) -> list[str]:
    return [line.split()[2] for line in generate_metrics(registry).splitlines() if line.startswith("# TYPE ")]


wraps = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)


@wraps
def test_it_is_a_registry_in_which_a_metric_can_be_defined(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = check_registry(wrap(below))
    counter = Counter("hits_total", "Hits.", registry=layer)
    counter.inc(2)
    assert list(below.collect()) == [counter]
    assert generate_metrics(layer, strict=True).endswith(" 2.0\n")


@wraps
def test_any_registry_that_satisfies_the_protocol_can_be_wrapped(wrap: Wrap) -> None:
    below = Plain()
    layer = wrap(below)
    counter = Counter("hits_total", "Hits.", registry=layer)
    assert below.held == [counter]
    layer.unregister(counter)
    assert below.held == []


@wraps
def test_a_collector_registered_below_later_shows(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = wrap(below)
    assert generate_metrics(layer) == ""
    Counter("hits_total", "Hits.", ["path"], registry=below).labels("/").inc()
    assert 'hits_total{path="/"' in generate_metrics(layer, strict=True)


@wraps
def test_a_series_created_later_shows(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = wrap(below)
    counter = Counter("hits_total", "Hits.", ["path"], registry=layer)
    generate_metrics(layer)
    counter.labels("/late").inc()
    assert 'path="/late"' in generate_metrics(layer, strict=True)


@wraps
def test_the_original_collector_is_unregistered_through_it(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = wrap(below)
    first = Counter("hits_total", "Hits.", registry=layer)
    second = Counter("misses_total", "Misses.", registry=layer)
    layer.unregister(first)
    assert list(below.collect()) == [second]


@wraps
def test_a_collector_from_collect_is_unregistered_through_it(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = wrap(below)
    fill(layer)
    for collector in list(layer.collect()):
        layer.unregister(collector)
    assert list(below.collect()) == []


@wraps
def test_collect_returns_the_same_objects_each_time(wrap: Wrap) -> None:
    layer = wrap(CollectorRegistry())
    fill(layer)
    first = list(layer.collect())
    assert all(one is other for one, other in zip(first, layer.collect(), strict=True))


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


@wraps
def test_an_unknown_collector_cannot_be_unregistered(wrap: Wrap) -> None:
    below = Plain()
    layer = wrap(below)
    held = Counter("hits_total", "Hits.", registry=layer)
    if "NullRegistry" in repr(layer):
        pytest.skip("a member that keeps no collectors accepts every unregistration")
    with pytest.raises(NotRegisteredError):
        layer.unregister(Counter("hits_total", "Hits.", registry=None))
    assert below.held == [held]


@wraps
def test_the_same_metric_defined_through_it_shares_its_values(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = wrap(below)
    Counter("hits_total", "Hits.", registry=below).inc()
    Counter("hits_total", "Hits.", registry=layer).inc()
    assert generate_metrics(below).endswith("hits_total 2.0\n")


@wraps
def test_a_conflict_below_is_refused(wrap: Wrap) -> None:
    below = CollectorRegistry()
    layer = wrap(below)
    incumbent = Counter("hits_total", "Hits.", registry=below)
    with pytest.raises(ConflictError):
        Gauge("hits_total", "Hits.", registry=layer)
    assert list(below.collect()) == [incumbent]


@wraps
def test_closing_it_closes_the_registries_below(wrap: Wrap) -> None:
    class Closing(Plain):
        __slots__ = ("closed",)

        closed: int

        def close(self) -> None:
            self.closed += 1

    below = Closing()
    below.closed = 0
    layer = wrap(below)
    close = getattr(layer, "close", None)
    assert close is not None
    close()
    close()
    assert below.closed == 2


@wraps
def test_closing_it_over_a_registry_without_close_does_nothing(wrap: Wrap) -> None:
    layer = wrap(Plain())
    getattr(layer, "close")()  # noqa: B009  # the protocol does not have it


@wraps
@pytest.mark.parametrize("candidate", [None, CollectorRegistry, "default"], ids=str)
def test_an_invalid_registry_is_refused(wrap: Wrap, candidate: Registry) -> None:
    with pytest.raises(NotARegistryError):
        wrap(candidate)


def test_prefixes_and_labels_apply_exactly_once_at_any_depth() -> None:
    below = CollectorRegistry(prefix="shop")
    fill(below)
    layer = prefixed(
        union(labelled(prefixed(filtered(read_only(below)), "eu"), region="x"), CollectorRegistry()), "all"
    )
    text = generate_metrics(layer, strict=True)
    assert names(layer) == [f"all_eu_shop_{name}" for name in names_of_plain_fill()]
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.count('region="x"') == 1 for line in samples)
    assert all(line.startswith("all_eu_shop_") for line in samples)


def names_of_plain_fill() -> list[str]:
    plain = CollectorRegistry()
    fill(plain)
    return names(plain)


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


@wraps
def test_a_cycle_is_refused_when_it_is_scraped(wrap: Wrap) -> None:
    changeable = Changeable()
    layer = wrap(changeable)
    changeable.target = layer
    with pytest.raises(NotARegistryError, match="is part of a cycle"):
        generate_metrics(layer)


@pytest.mark.parametrize("wrap", [*WRAPS.values(), limited, read_only])
def test_a_cycle_is_refused_by_collect(wrap: Wrap) -> None:
    changeable = Changeable()
    layer = wrap(changeable)
    changeable.target = layer
    with pytest.raises(NotARegistryError, match="is part of a cycle"):
        list(layer.collect())


@pytest.mark.parametrize("wrap", [WRAPS["filtered"], WRAPS["prefixed"], WRAPS["labelled"], read_only])
def test_a_cycle_is_refused_by_prefix(wrap: Wrap) -> None:
    changeable = Changeable()
    layer = wrap(changeable)
    changeable.target = layer
    with pytest.raises(NotARegistryError, match="is part of a cycle"):
        assert layer.prefix


def test_a_cycle_of_other_registries_is_visited_once() -> None:
    changeable = Changeable()
    changeable.target = changeable
    assert not leads_to(changeable, CollectorRegistry(), resolve=True)


def test_the_registry_behind_a_proxy_is_below() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    layer = prefixed(CollectorRegistryProxy(union(first, second)), "app")
    assert leads_to(layer, first, resolve=True)
    assert leads_to(layer, second, resolve=True)
    assert not leads_to(layer, CollectorRegistry(), resolve=True)


@pytest.mark.parametrize("wrap", [*WRAPS.values(), read_only])
def test_an_iteration_is_a_snapshot_of_any_registry_below(wrap: Wrap) -> None:
    class Live(Plain):
        __slots__ = ()

        def register(self, collector: Collector) -> None:
            self.held.append(collector)

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
