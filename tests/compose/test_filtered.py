"""`filtered`: a registry that shows only some families."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.compose import FamilyHead, filtered, prefixed
from pytheus.exceptions import ConflictError, InvalidNameError
from pytheus.registry import CollectorRegistry, Registry
from tests.compose.conftest import Queue


def shown(registry: Registry) -> list[str]:
    text = generate_metrics(registry, strict=True)
    return [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry)
    Histogram("wait_seconds", "Wait.", registry=registry)
    registry.register(Queue())
    return registry


def test_without_a_filter_all_families_show(shop: CollectorRegistry) -> None:
    assert shown(filtered(shop)) == shown(shop)


def test_names_are_those_that_are_exposed(shop: CollectorRegistry) -> None:
    assert shown(filtered(shop, names=["shop_orders_total", "wait_seconds"])) == ["shop_orders_total"]


def test_a_produced_name_selects_its_family(shop: CollectorRegistry) -> None:
    assert shown(filtered(shop, names=["shop_wait_seconds_bucket"])) == ["shop_wait_seconds"]


def test_no_names_show_nothing(shop: CollectorRegistry) -> None:
    assert generate_metrics(filtered(shop, names=[])) == ""


def test_the_families_of_a_custom_collector_are_filtered_one_by_one(shop: CollectorRegistry) -> None:
    assert shown(filtered(shop, names=["shop_queue_age_seconds"])) == ["shop_queue_age_seconds"]


def test_a_layer_s_prefix_counts_as_exposed(shop: CollectorRegistry) -> None:
    assert shown(filtered(prefixed(shop, "eu"), names=["eu_shop_orders_total"])) == ["eu_shop_orders_total"]


def test_a_prefix_above_does_not_count(shop: CollectorRegistry) -> None:
    assert shown(prefixed(filtered(shop, names=["shop_orders_total"]), "eu")) == ["eu_shop_orders_total"]


def test_the_predicate_gets_name_type_and_description(shop: CollectorRegistry) -> None:
    heads: list[FamilyHead] = []

    def note(family: FamilyHead) -> bool:
        heads.append(family)
        return False

    assert generate_metrics(filtered(shop, predicate=note)) == ""
    assert heads == [
        ("shop_orders_total", "counter", "Orders."),
        ("shop_wait_seconds", "histogram", "Wait."),
        ("shop_queue_depth", "gauge", "Depth."),
        ("shop_queue_age_seconds", "gauge", "Age."),
    ]


def test_names_and_predicate_must_both_agree(shop: CollectorRegistry) -> None:
    both = filtered(shop, names=["shop_orders_total", "shop_queue_depth"], predicate=lambda head: head.type == "gauge")
    assert shown(both) == ["shop_queue_depth"]


def test_a_predicate_that_raises_affects_only_that_family(shop: CollectorRegistry) -> None:
    def predicate(family: FamilyHead) -> bool:
        if family.name == "shop_orders_total":
            raise RuntimeError("cannot tell")
        return True

    text = generate_metrics(filtered(shop, predicate=predicate))
    assert 'shop_pytheus_collector_errors_total{collector="orders_total"} 1.0' in text
    assert "shop_wait_seconds_count 0.0" in text


def test_a_hidden_collector_occupies_its_name(shop: CollectorRegistry) -> None:
    nothing = filtered(shop, names=[])
    with pytest.raises(ConflictError):
        Gauge("orders_total", "Orders.", registry=nothing)
    Counter("orders_total", "Orders.", registry=nothing).inc()
    assert "shop_orders_total 1.0" in generate_metrics(shop)


def test_a_hidden_collector_can_be_unregistered(below: CollectorRegistry) -> None:
    nothing = filtered(below, names=[])
    counter = Counter("orders_total", "Orders.", registry=nothing)
    nothing.unregister(counter)
    assert len(below) == 0


@pytest.mark.parametrize("names", ["orders", b"orders", ["a-b"], [1]], ids=repr)
def test_invalid_names_are_refused(names: Iterable[str]) -> None:
    with pytest.raises(InvalidNameError):
        filtered(CollectorRegistry(), names=names)


def test_a_predicate_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="callable"):
        filtered(CollectorRegistry(), predicate=True)  # type: ignore[arg-type]  # a mistake
