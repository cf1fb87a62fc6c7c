"""`assert_increments` and `assert_exposition`."""

from __future__ import annotations

import pytest

from pytheus import Counter, Gauge
from pytheus.exceptions import CollectorError, LabelError
from pytheus.registry import Collector, CollectorRegistry
from pytheus.samples import Family
from pytheus.testing import assert_exposition, assert_increments


@pytest.fixture
def orders() -> Counter:
    return Counter("orders_total", "Orders.", ["method", "country"], registry=None)


def test_an_increment_of_one_is_the_default() -> None:
    counter = Counter("hits_total", "Hits.", registry=None)
    counter.inc(5)
    with assert_increments(counter):
        counter.inc()


def test_fractions_may_be_rounded() -> None:
    counter = Counter("busy_seconds_total", "Busy.", registry=None)
    counter.inc(5)
    with assert_increments(counter, by=0.3):
        for _ in range(3):
            counter.inc(0.1)


@pytest.mark.parametrize(("by", "counted"), [(2, 1), (1234567891, 1234567890)])
def test_too_little_fails(by: int, counted: int) -> None:
    counter = Counter("hits_total", "Hits.", registry=None)
    with (
        pytest.raises(AssertionError, match=rf"^counter 'hits_total' was to grow by {by} but grew by {counted}$"),
        assert_increments(counter, by=by),
    ):
        counter.inc(counted)


def test_what_must_not_be_counted_fails(orders: Counter) -> None:
    with (
        pytest.raises(AssertionError, match=r"by 0 but grew by 1: \{'method': 'card', 'country': 'at'\} by 1"),
        assert_increments(orders, by=0),
    ):
        orders.labels("card", "at").inc()


def test_only_the_series_with_the_labels_count(orders: Counter) -> None:
    orders.labels("card", "at").inc()
    with assert_increments(orders, by=3, labels={"method": "card"}):
        orders.labels("card", "at").inc()
        orders.labels("card", "fr").inc(2)
        orders.labels("cash", "fr").inc(7)


def test_no_series_is_made(orders: Counter) -> None:
    with assert_increments(orders, by=0, labels={"method": "card", "country": "at"}):
        pass
    assert next(orders.collect()).samples == ()


def test_a_label_that_there_is_not_is_refused_before_the_block(orders: Counter) -> None:
    with pytest.raises(LabelError, match="takes labels"), assert_increments(orders, labels={"methd": "card"}):
        pytest.fail("the block ran")


def test_an_error_of_the_block_passes_through(orders: Counter) -> None:
    with pytest.raises(ZeroDivisionError), assert_increments(orders):
        raise ZeroDivisionError


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders.", registry=registry).inc()
    Gauge("carts", "Carts.", registry=registry)
    return registry


def test_the_same_text_passes(shop: CollectorRegistry) -> None:
    assert_exposition(
        shop,
        """
        # HELP shop_orders_total Orders.
        # TYPE shop_orders_total counter
        shop_orders_total 1.0
        # HELP shop_carts Carts.
        # TYPE shop_carts gauge
        shop_carts 0.0
        """,
    )


def test_a_difference_is_shown_as_a_diff(shop: CollectorRegistry) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_exposition(
            shop,
            """
            # HELP shop_carts Carts.
            # TYPE shop_carts gauge
            shop_carts 3.0
            """,
            names=["shop_carts"],
        )
    assert str(caught.value).splitlines()[-5:] == [
        "@@ -1,3 +1,3 @@",
        " # HELP shop_carts Carts.",
        " # TYPE shop_carts gauge",
        "-shop_carts 3.0",
        "+shop_carts 0.0",
    ]


def test_nothing_is_an_expectation_too() -> None:
    assert_exposition(CollectorRegistry(), "")


def test_a_collector_that_raises_fails_it() -> None:
    class Raising:
        def collect(self) -> list[Family | Collector]:
            raise ConnectionError("away")

    registry = CollectorRegistry()
    registry.register(Raising())
    with pytest.raises(CollectorError):
        assert_exposition(registry, "")
