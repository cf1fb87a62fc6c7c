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
from tests.compose.conftest import WRAPS, Wrap

CHANGING = ("union, prefixed", "filtered", "labelled")


@pytest.fixture(params=[WRAPS[name] for name in CHANGING], ids=CHANGING)
def wrap(request: pytest.FixtureRequest) -> Wrap:
    """A layer whose `collect` may give other collectors than those below."""
    made: Wrap = request.param
    return made


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


class Yielding:
    """A collector that yields the object that it was made with."""

    name = "yielding"

    def __init__(self, part: object) -> None:
        self.part = part

    def collect(self) -> Iterable[Family | Collector]:
        yield self.part  # type: ignore[misc]  # any object


makers = pytest.mark.parametrize(
    "make", [lambda name: Gauge(name, "G.", registry=None), Yielding], ids=["metric", "custom"]
)


def definition(registry: Registry) -> Definition:
    [collector] = registry.collect()
    assert isinstance(collector, HasDefinition)
    return collector.definition


@pytest.mark.parametrize("name", ["union, prefixed", "labelled"])
def test_the_rest_of_a_definition_stays(name: str) -> None:
    for metric in (
        Histogram("wait_seconds", "Wait.", ["queue"], buckets=(0.1, 1.0), registry=None),
        StateSet("door", "Door.", states=["open", "shut"], registry=None),
        Gauge("depth", "Depth.", registry=None),
    ):
        below = CollectorRegistry()
        below.register(metric)
        origin, derived = metric.definition, definition(WRAPS[name](below))
        assert derived is not origin
        for kept in ("type", "description", "bounds", "states", "mode", "location"):
            assert getattr(derived, kept) == getattr(origin, kept), kept


def test_the_name_or_the_labels_change(below: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", ["path"], registry=below)
    assert definition(WRAPS["union, prefixed"](below)).name == "app_hits_total"
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


def test_a_definition_that_raises_affects_no_other_collector(wrap: Wrap) -> None:
    class Unchecked(CollectorRegistry):
        """It registers any object without a check."""

        __slots__ = ()

        def collect(self) -> Iterable[Collector]:  # type: ignore[override]  # as wide as the protocol has it
            return [Undefinable(), *super().collect()]

    below = Unchecked()
    Counter("hits_total", "Hits.", registry=below).inc(2)
    assert "hits_total" in generate_metrics(wrap(below))


@makers
def test_a_derived_collector_is_known_to_its_layer(
    below: CollectorRegistry, layer: Registry, make: Callable[[str], Collector]
) -> None:
    collector = make("depth")
    below.register(collector)
    [given] = layer.collect()
    layer.register(given)
    assert list(below) == [collector]
    layer.unregister(given)
    assert list(below) == []


def test_a_layer_recognises_only_its_own_derived_collectors(below: CollectorRegistry) -> None:
    gauge = Gauge("depth", "D.", registry=below)
    [given] = labelled(below, region="eu").collect()
    with pytest.raises(NotRegisteredError):
        labelled(below, region="us").unregister(given)
    assert list(below.collect()) == [gauge]


def test_the_constant_labels_cannot_be_changed() -> None:
    layer = labelled(CollectorRegistry(), region="eu")
    layer.constant_labels["region"] = "us"
    assert layer.constant_labels == {"region": "eu"}


@pytest.mark.parametrize(("levels", "fails"), [(15, False), (16, True)])
def test_collectors_may_be_nested_to_16_levels(
    below: CollectorRegistry, layer: Registry, levels: int, fails: bool
) -> None:
    nested = Yielding(Family("depth", "gauge", "D.", [Sample("", {}, 1.0)]))
    for _ in range(levels):
        nested = Yielding(nested)
    below.register(nested)
    [derived] = layer.collect()
    if fails:
        with pytest.raises(RecursionError, match="more than 16 levels deep; does one yield itself"):
            list(derived.collect())
    else:
        assert len(list(derived.collect())) == 1


def test_an_object_that_is_neither_family_nor_collector_is_refused(below: CollectorRegistry, layer: Registry) -> None:
    below.register(Yielding("nonsense"))
    [derived] = layer.collect()
    with pytest.raises(LabelError, match=r"collect\(\) of 'yielding' yielded str 'nonsense'"):
        list(derived.collect())


def test_the_name_in_messages(below: CollectorRegistry, layer: Registry, wrap: Wrap) -> None:
    below.register(Yielding("nonsense"))
    [derived] = layer.collect()
    prefix = "app_" if wrap is WRAPS["union, prefixed"] else ""
    assert getattr(derived, "name") == f"{prefix}yielding"  # noqa: B009  # the protocol does not have it


@makers
def test_a_derived_collector_is_the_same_after_another_one_was_unregistered(
    below: CollectorRegistry, layer: Registry, make: Callable[[str], Collector]
) -> None:
    first, second = make("a"), make("b")
    below.register(first)
    below.register(second)
    given = list(layer.collect())
    layer.unregister(first)
    assert [other is given[1] for other in layer.collect()] == [True]


def test_a_metric_that_the_predicate_raises_for_keeps_its_definition() -> None:
    def fails(_: object) -> bool:
        raise ConnectionError("away")

    below = CollectorRegistry()
    gauge = Gauge("depth", "D.", registry=below)
    assert definition(filtered(below, predicate=fails)) is gauge.definition
