"""Collectors as they appear through a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from pytheus import Counter, Gauge, Histogram, StateSet, generate_metrics
from pytheus.compose import filtered, labelled, prefixed, union
from pytheus.definitions import Definition
from pytheus.exceptions import LabelError, NotRegisteredError
from pytheus.registry import Collector, CollectorRegistry, HasDefinition, Registry
from pytheus.samples import Family, Sample

Wrap = Callable[[Registry], Registry]

WRAPS: dict[str, Wrap] = {
    "union": lambda registry: union(prefixed(registry, "app")),
    "filtered": lambda registry: filtered(registry, predicate=lambda family: True),
    "labelled": lambda registry: labelled(registry, region="eu"),
}

wraps = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)


class Changing:
    """A collector whose definition changes, as that of a metric that starts to share another one's values."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    def collect(self) -> Iterable[Family]:
        yield Family(self.definition.name, "gauge", "Changing.", [Sample("", {}, 1.0)])


class Undefinable:
    """A collector whose definition raises."""

    name = "undefinable"

    @property
    def definition(self) -> Definition:
        raise ConnectionError("away")

    def collect(self) -> Iterable[Family]:
        yield Family("undefinable", "gauge", "Undefinable.", [Sample("", {}, 1.0)])


class Selfish:
    """A collector that yields itself."""

    def collect(self) -> Iterable[Collector]:
        yield self


def definition(registry: Registry) -> Definition:
    [collector] = registry.collect()
    assert isinstance(collector, HasDefinition)
    return collector.definition


@pytest.mark.parametrize("wrap", [WRAPS["union"], WRAPS["labelled"]], ids=["union", "labelled"])
def test_the_rest_of_a_definition_stays(wrap: Wrap) -> None:
    for metric in (
        Histogram("wait_seconds", "Wait.", ["queue"], buckets=(0.1, 1.0), registry=None),
        StateSet("door", "Door.", states=["open", "shut"], registry=None),
        Gauge("depth", "Depth.", registry=None),
    ):
        below = CollectorRegistry()
        below.register(metric)
        origin, derived = metric.definition, definition(wrap(below))
        assert derived is not origin
        for kept in ("type", "description", "bounds", "states", "mode", "location"):
            assert getattr(derived, kept) == getattr(origin, kept), kept


def test_the_name_or_the_labels_change() -> None:
    below = CollectorRegistry()
    Counter("hits_total", "Hits.", ["path"], registry=below)
    assert definition(WRAPS["union"](below)).name == "app_hits_total"
    assert definition(WRAPS["labelled"](below)).labels == ("path", "region")


def test_a_definition_that_changes_is_followed() -> None:
    first, second = (Gauge(name, "G.", registry=None).definition for name in "ab")
    below = CollectorRegistry()
    changing = Changing(first)
    below.register(changing)
    layer = union(prefixed(below, "app"))
    [derived] = layer.collect()
    assert isinstance(derived, HasDefinition)
    before = derived.definition
    assert derived.definition is before
    changing.definition = second
    assert (before.name, derived.definition.name) == ("app_a", "app_b")
    assert derived.definition is derived.definition


@wraps
def test_a_definition_that_raises_affects_no_other_collector(wrap: Wrap) -> None:
    class Plain(CollectorRegistry):
        """It registers any object without a check."""

        __slots__ = ()

        def collect(self) -> Iterable[Collector]:  # type: ignore[override]  # as wide as the protocol has it
            return [Undefinable(), *super().collect()]

    below = Plain()
    Counter("hits_total", "Hits.", registry=below).inc(2)
    assert "hits_total" in generate_metrics(wrap(below))


@wraps
def test_a_collector_that_yields_itself_fails_with_a_reason(wrap: Wrap) -> None:
    below = CollectorRegistry()
    below.register(Selfish())
    [derived] = wrap(below).collect()
    with pytest.raises(RecursionError, match="more than 16 levels deep; does one yield itself"):
        list(derived.collect())


@wraps
@pytest.mark.parametrize("make", [lambda: Gauge("depth", "D.", registry=None), Selfish], ids=["metric", "custom"])
def test_a_derived_collector_counts_as_registered(wrap: Wrap, make: Callable[[], Collector]) -> None:
    below = CollectorRegistry()
    collector = make()
    below.register(collector)
    layer = wrap(below)
    [given] = layer.collect()
    layer.register(given)
    assert list(below.collect()) == [collector]


@wraps
@pytest.mark.parametrize("make", [lambda: Gauge("depth", "D.", registry=None), Selfish], ids=["metric", "custom"])
def test_a_derived_collector_is_unregistered_through_its_layer(wrap: Wrap, make: Callable[[], Collector]) -> None:
    below = CollectorRegistry()
    below.register(make())
    layer = wrap(below)
    [given] = layer.collect()
    layer.unregister(given)
    assert list(below.collect()) == []


def test_a_layer_recognises_only_its_own_derived_collectors() -> None:
    below = CollectorRegistry()
    gauge = Gauge("depth", "D.", registry=below)
    [given] = labelled(below, region="eu").collect()
    with pytest.raises(NotRegisteredError):
        labelled(below, region="us").unregister(given)
    assert list(below.collect()) == [gauge]


def test_the_constant_labels_cannot_be_changed() -> None:
    layer = labelled(CollectorRegistry(), region="eu")
    layer.constant_labels["region"] = "us"
    assert layer.constant_labels == {"region": "eu"}


class Yielding:
    """A collector that yields the object that it was made with."""

    name = "yielding"

    def __init__(self, part: object) -> None:
        self.part = part

    def collect(self) -> Iterable[Family | Collector]:
        yield self.part  # type: ignore[misc]  # any object


@wraps
@pytest.mark.parametrize(("levels", "fails"), [(15, False), (16, True)])
def test_collectors_may_be_nested_to_16_levels(wrap: Wrap, levels: int, fails: bool) -> None:
    nested = Yielding(Family("depth", "gauge", "D.", [Sample("", {}, 1.0)]))
    for _ in range(levels):
        nested = Yielding(nested)
    below = CollectorRegistry()
    below.register(nested)
    [derived] = wrap(below).collect()
    if fails:
        with pytest.raises(RecursionError, match="more than 16 levels deep"):
            list(derived.collect())
    else:
        assert len(list(derived.collect())) == 1


@wraps
def test_an_object_that_is_neither_family_nor_collector_is_refused(wrap: Wrap) -> None:
    below = CollectorRegistry()
    below.register(Yielding("nonsense"))
    [derived] = wrap(below).collect()
    with pytest.raises(LabelError, match=r"collect\(\) of 'yielding' yielded str 'nonsense'"):
        list(derived.collect())


@wraps
def test_the_name_in_messages(wrap: Wrap) -> None:
    below = CollectorRegistry()
    below.register(Yielding("nonsense"))
    [derived] = wrap(below).collect()
    prefix = "app_" if wrap is WRAPS["union"] else ""
    assert getattr(derived, "name") == f"{prefix}yielding"  # noqa: B009  # the protocol does not have it


@wraps
@pytest.mark.parametrize("make", [lambda name: Gauge(name, "G.", registry=None), Yielding], ids=["metric", "custom"])
def test_a_derived_collector_is_the_same_after_another_one_was_unregistered(
    wrap: Wrap, make: Callable[[str], Collector]
) -> None:
    below = CollectorRegistry()
    first, second = make("a"), make("b")
    below.register(first)
    below.register(second)
    layer = wrap(below)
    given = list(layer.collect())
    layer.unregister(first)
    assert [other is given[1] for other in layer.collect()] == [True]


def test_a_metric_that_the_predicate_raises_for_keeps_its_definition() -> None:
    def fails(_: object) -> bool:
        raise ConnectionError("away")

    below = CollectorRegistry()
    gauge = Gauge("depth", "D.", registry=below)
    assert definition(filtered(below, predicate=fails)) is gauge.definition
