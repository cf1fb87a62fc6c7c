"""The exposition for a route of one's own."""

from __future__ import annotations

import gzip
import threading

import pytest

from pytheus import REGISTRY, Counter, Gauge, generate_metrics
from pytheus.exceptions import InvalidNameError, NotARegistryError
from pytheus.exposition import CONTENT_TYPE, Exposition, expose
from pytheus.exposition.respond import answer_scrape
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family
from tests.exposition.conftest import Plain, add_queues, fail, family_names


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    Gauge("carts", "Carts that are open.", registry=registry)
    return registry


def test_without_headers_it_is_text(shop: CollectorRegistry) -> None:
    assert expose(shop) == Exposition(generate_metrics(shop).encode(), CONTENT_TYPE)


def test_it_is_the_default_registry_that_is_exposed() -> None:
    with REGISTRY.use(CollectorRegistry()):
        Counter("orders_total", "Orders placed.").inc()
        assert b"orders_total 1.0" in expose().body


def test_names_select_families(shop: CollectorRegistry) -> None:
    assert family_names(expose(shop, names=["shop_carts", "other"]).body.decode()) == ["shop_carts"]
    assert family_names(expose(shop, names=iter(())).body.decode()) == ["shop_orders_total", "shop_carts"]


def test_one_text_is_no_several_names(shop: CollectorRegistry) -> None:
    with pytest.raises(InvalidNameError, match=r"takes names as several texts but got 'shop_carts'; write"):
        expose(shop, names="shop_carts")


@pytest.mark.parametrize(
    "accept", ["", "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5", "application/openmetrics-text"]
)
@pytest.mark.parametrize("accept_encoding", ["", "gzip", "identity"])
def test_it_has_the_headers_of_a_scrape_over_http(accept: str, accept_encoding: str) -> None:
    registry = CollectorRegistry()
    add_queues(registry)
    exposition = expose(registry, accept, accept_encoding=accept_encoding)
    response = answer_scrape(registry, "GET", accept=accept, accept_encoding=accept_encoding)
    length = ("Content-Length", str(len(exposition.body)))
    assert dict(response.headers) == dict([*exposition.headers.items(), length])
    assert exposition.body == response.body


def test_a_large_body_is_compressed() -> None:
    registry = CollectorRegistry()
    add_queues(registry)
    exposition = expose(registry, accept_encoding="gzip")
    assert exposition.content_encoding == "gzip"
    assert gzip.decompress(exposition.body) == expose(registry).body


def test_collectors_run_in_the_thread_of_the_caller() -> None:
    registry = CollectorRegistry()
    threads = []

    class Here:
        def collect(self) -> list[Family]:
            threads.append(threading.current_thread())
            return []

    registry.register(Here())
    expose(registry)
    assert threads == [threading.current_thread()]


def test_a_collector_that_fails_is_left_out(shop: CollectorRegistry) -> None:
    class Broken:
        def collect(self) -> list[Family]:
            raise ValueError("broken")

    shop.register(Broken())
    assert b'Broken"} 1.0' in expose(shop).body


def test_the_errors_of_a_registry_are_raised() -> None:
    with pytest.raises(ConnectionError):
        expose(Plain(fail))
    with pytest.raises(NotARegistryError):
        expose(object())  # type: ignore[arg-type]  # the error under test
