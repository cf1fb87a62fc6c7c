"""The formats that every scrape can use, over HTTP and in routes of one's own."""

from __future__ import annotations

import gzip
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, exemplar, start_http_server
from pytheus.exposition import NegotiatedFormat, RenderRequest, expose, openmetrics, protobuf, text
from pytheus.exposition.formats import content_type_of
from pytheus.exposition.respond import answer_scrape
from pytheus.exposition.response import Response
from pytheus.exposition.standard import STANDARD_FORMATS
from pytheus.registry import CollectorRegistry, Registry
from pytheus.samples import Family
from pytheus.testing import parse_exposition
from tests.conftest import wait_until
from tests.exposition.conftest import Custom, Plain, fail, gauge_family
from tests.exposition.test_negotiation import SERVERS, STANDARD

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_PATIENCE_SECONDS = 60
_UTF8_NAME: str = "carts.open"


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    orders = Counter("orders_total", "Orders placed.", registry=registry)
    with exemplar(trace_id="4bf92f35"):
        orders.inc(2)
    Gauge(_UTF8_NAME, "Carts that are open.", registry=registry, names="utf8").set(3)
    Histogram("wait_seconds", "Waits.", buckets=[1], registry=registry).observe(0.5)
    return registry


def scrape(registry: Registry, accept: str, query: str = "", timeout: str = "25") -> Response:
    return answer_scrape(registry, "GET", accept=accept, query=query, timeout=timeout)


def content_type(response: Response) -> str:
    return dict(response.headers)["Content-Type"]


def messages(body: bytes) -> list[bytes]:
    """The messages of a body in protobuf, each after its length."""
    found = []
    while body:
        # https://protobuf.dev/programming-guides/encoding/#varints
        size = next(place for place, byte in enumerate(body) if byte < 0x80) + 1
        length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(body[:size]))
        found.append(body[size : size + length])
        assert len(found[-1]) == length
        body = body[size + length :]
    return found


def family_names(response: Response) -> list[str]:
    """The names of the families, whatever the format."""
    if content_type(response).startswith("application/vnd.google.protobuf"):
        # Field 1, a text of less than 128 bytes, is the name.
        return [message[2 : 2 + message[1]].decode() for message in messages(response.body)]
    return list(parse_exposition(response.body, content_type(response)))


def test_these_are_offered_in_this_order() -> None:
    assert [each.media_type for each in STANDARD_FORMATS] == STANDARD
    assert {text.CONTENT_TYPE, openmetrics.CONTENT_TYPE, protobuf.CONTENT_TYPE} <= set(STANDARD)


@pytest.mark.parametrize("standard", STANDARD_FORMATS, ids=str)
def test_each_is_a_format_as_that_of_a_plugin(standard: NegotiatedFormat, shop: CollectorRegistry) -> None:
    assert isinstance(standard, NegotiatedFormat)
    body = b"".join(standard.render(shop, RenderRequest()))
    response = scrape(shop, standard.media_type)
    assert response.body == body
    assert content_type(response) == content_type_of(standard, RenderRequest())


@pytest.mark.parametrize(("accept", "media_type", "escaping"), SERVERS.values(), ids=SERVERS)
def test_each_client_gets_what_it_asks_for(
    accept: str, media_type: str, escaping: str, shop: CollectorRegistry
) -> None:
    response = answer_scrape(shop, "GET", accept=accept, page=False)
    answer = TEXT if media_type.startswith("text/plain") else media_type
    expected = answer if escaping == "underscores" else f"{answer}; escaping={escaping}"
    assert content_type(response) == expected
    carts = {"underscores": "shop_carts_open", "dots": "shop__carts_dot_open", "allow-utf-8": "shop_carts.open"}
    assert carts[escaping] in family_names(response)
    assert expose(shop, accept, page=False)[:2] == (response.body, expected)


def test_openmetrics_has_exemplars(shop: CollectorRegistry) -> None:
    response = scrape(shop, OPENMETRICS)
    families = parse_exposition(response.body, content_type(response))
    [sample] = families["shop_orders"].samples
    assert sample.exemplar is not None
    assert (sample.value, sample.exemplar.labels) == (2.0, {"trace_id": "4bf92f35"})


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS, PROTOBUF])
class TestEach:
    def test_names_select_families(self, accept: str, shop: CollectorRegistry) -> None:
        shop.register(Custom(gauge_family("queue"), gauge_family("depth")))
        response = scrape(shop, accept, "name[]=shop_wait_seconds&name[]=shop_depth")
        assert family_names(response) == ["shop_wait_seconds", "shop_depth"]
        assert family_names(scrape(shop, accept, "name[]=other")) == []

    @pytest.mark.parametrize("name", ["shop_carts_open", "shop_carts.open"])
    def test_a_family_is_selected_by_its_escaped_name_too(
        self, name: str, accept: str, shop: CollectorRegistry
    ) -> None:
        assert family_names(scrape(shop, accept, f"name[]={name}")) == ["shop_carts_open"]

    def test_an_empty_registry_has_no_families(self, accept: str) -> None:
        assert family_names(scrape(CollectorRegistry(), accept)) == []

    def test_a_collector_that_fails_is_left_out_and_counted(self, accept: str) -> None:
        class Broken:
            def collect(self) -> Iterator[Family]:
                yield gauge_family("before")
                raise ValueError("broken")

        registry = CollectorRegistry()
        registry.register(Broken())
        registry.register(Custom(gauge_family("after")))
        assert [name.removesuffix("_total") for name in family_names(scrape(registry, accept))] == [
            "after",
            "pytheus_collector_errors",
        ]

    def test_a_registry_that_raises_is_a_500(self, accept: str) -> None:
        assert scrape(Plain(fail), accept).status == 500

    def test_a_collector_that_takes_long_is_in_its_place_or_left_out(self, accept: str) -> None:
        let_go = threading.Event()
        reached = threading.Event()
        returned = threading.Event()

        class Slow:
            def collect(self) -> Iterator[Family]:
                assert let_go.wait(_PATIENCE_SECONDS)
                returned.set()
                yield gauge_family("slow")

        class Last:
            def collect(self) -> Iterator[Family]:
                reached.set()
                yield gauge_family("last")

        registry = CollectorRegistry()
        Gauge("first", "First.", registry=registry)
        registry.register(Slow())
        registry.register(Last())

        def wait_for_last() -> None:
            reached.wait(_PATIENCE_SECONDS)
            let_go.set()

        waiter = threading.Thread(target=wait_for_last)
        waiter.start()
        assert family_names(scrape(registry, accept)) == ["first", "slow", "last"]
        waiter.join()

        let_go.clear()
        returned.clear()
        names = family_names(scrape(registry, accept, timeout="1"))
        assert [name.removesuffix("_total") for name in names] == ["first", "last", "pytheus_collector_errors"]
        let_go.set()
        wait_until(returned.is_set, "the collector to return")

    def test_it_is_compressed_over_http(self, accept: str) -> None:
        registry = CollectorRegistry()
        depth = Gauge("queue_depth", "Jobs waiting.", ["queue"], registry=registry)
        for number in range(200):
            depth.labels(f"queue-{number}").set(number)
        with start_http_server(0, registry=registry) as server:
            request = urllib.request.Request(server.url, headers={"Accept": accept, "Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert (answer.headers["Content-Type"], answer.headers["Content-Encoding"]) == (accept, "gzip")
                assert answer.headers["Vary"] == "Accept, Accept-Encoding"
                assert gzip.decompress(answer.read()) == scrape(registry, accept).body
