"""Families that a client selects by the query parameter name[]."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import Counter, Gauge, Histogram, make_asgi_app, make_wsgi_app, start_http_server
from pytheus.exposition import RenderRequest, collection_lanes
from pytheus.exposition.name_selection import TooManyNamesError, names_in
from pytheus.exposition.respond import answer_scrape
from pytheus.registry import CollectorRegistry, Registry
from pytheus.samples import Family
from tests.conftest import wait_until
from tests.exposition.conftest import Custom, Plain, fail, family_names, gauge_family

_PATIENCE_SECONDS = 60
_LONG = "25"


@pytest.fixture
def shop() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    Gauge("carts", "Carts that are open.", registry=registry)
    Histogram("wait_seconds", "Waits.", registry=registry)
    registry.register(Custom(gauge_family("queue"), gauge_family("depth")))
    return registry


def selected(registry: Registry, query: str, accept: str = "") -> list[str]:
    return family_names(answer_scrape(registry, "GET", query=query, accept=accept).body.decode())


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", set()),
        ("name[]=a", {"a"}),
        ("name[]=a&name[]=b&name[]=a", {"a", "b"}),
        ("name%5B%5D=http%2Erequests", {"http.requests"}),
        ("name[]=caf%C3%A9", {"café"}),
        ("name[]=", {""}),
        ("name=a&names[]=b&x", set()),
        ("x=1&name[]=a&y", {"a"}),
    ],
)
def test_each_name_is_read(query: str, names: set[str]) -> None:
    assert names_in(query) == names


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("&".join(f"name[]=a{number}" for number in range(101)), "has 101 names; at most 100"),
        ("name[]=" + "a" * 513, "a name of more than 512 characters"),
        ("x=" + "a" * 16 * 1024, "longer than 16384 characters"),
    ],
)
def test_a_selection_is_limited(query: str, words: str, shop: CollectorRegistry) -> None:
    with pytest.raises(TooManyNamesError, match=words):
        names_in(query)
    for method in ("GET", "HEAD"):
        response = answer_scrape(shop, method, query=query)
        assert response.status == 400
        assert words in response.body.decode() or method == "HEAD"


@pytest.mark.property
@given(query=st.text())
def test_any_query_is_read(query: str) -> None:
    assert all(isinstance(name, str) for name in names_in(query))


@pytest.mark.property
@given(names=st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_encoded_names_are_read_back(names: set[str]) -> None:
    assert names_in("&".join(f"name[]={quote(name, safe='')}" for name in names)) == names


def test_the_largest_selection_is_answered(shop: CollectorRegistry) -> None:
    query = "&".join([*(f"name[]=a{number}" for number in range(99)), "name[]=shop_carts"])
    assert selected(shop, query) == ["shop_carts"]


@pytest.mark.parametrize(
    ("query", "families"),
    [
        ("", ["shop_orders_total", "shop_carts", "shop_wait_seconds", "shop_queue", "shop_depth"]),
        ("name[]=shop_orders_total", ["shop_orders_total"]),
        ("name[]=shop_wait_seconds&name[]=shop_depth", ["shop_wait_seconds", "shop_depth"]),
        ("name[]=carts", []),
        ("name[]=shop_car", []),
        ("name[]=", []),
        ("other=shop_carts&name[]=shop_carts", ["shop_carts"]),
    ],
)
def test_families_are_selected_by_their_exposed_names(query: str, families: list[str], shop: CollectorRegistry) -> None:
    assert selected(shop, query) == families


def test_any_registry_can_be_asked(shop: CollectorRegistry) -> None:
    assert selected(Plain(shop.collect), "name[]=carts") == ["carts"]


def test_failures_are_a_family_like_others(shop: CollectorRegistry) -> None:
    def collect() -> Iterator[Family]:
        raise ValueError("broken")

    class Broken:
        def collect(self) -> Iterator[Family]:
            return collect()

    shop.register(Broken())
    assert selected(shop, "name[]=shop_carts") == ["shop_carts"]
    failures = "shop_pytheus_collector_errors_total"
    assert selected(shop, f"name[]={failures}") == [failures]


def test_every_way_to_serve_passes_them_on(shop: CollectorRegistry) -> None:
    query = "name[]=shop_carts&name%5B%5D=" + quote("shop_depth")
    expected = ["shop_carts", "shop_depth"]

    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": query}
    body = b"".join(make_wsgi_app(shop)(environ, lambda *_: lambda data: None))
    assert family_names(body.decode()) == expected

    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "headers": [], "query_string": query.encode()}
    asyncio.run(make_asgi_app(shop)(scope, receive, send))  # type: ignore[arg-type]  # a plain dict serves as well
    assert family_names(b"".join(sent).decode()) == expected

    with start_http_server(0, registry=shop) as server:
        with urllib.request.urlopen(f"{server.url}?{query}#name[]=shop_queue", timeout=30) as answer:
            assert family_names(answer.read().decode()) == expected
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(f"{server.url}?name[]={'a' * 600}", timeout=30)
        refused.value.close()


class Names:
    media_type = "text/x-names"

    def __init__(self) -> None:
        self.requests: list[RenderRequest] = []

    def render(self, registry: Registry, request: RenderRequest, /) -> Iterator[bytes]:
        self.requests.append(request)
        for collector in registry.collect():
            for family in collector.collect():
                assert isinstance(family, Family)
                yield f"{registry.prefix}_{family.name}\n".encode()


class OldNames:
    """As `Names`, without the request."""

    media_type = "text/x-names"

    def render(self, registry: Registry, /) -> Iterator[bytes]:
        return Names().render(registry, RenderRequest())


class Offering(CollectorRegistry):
    exposition_formats: tuple[Names | OldNames, ...] = ()


@pytest.mark.parametrize("offered", [Names(), OldNames()], ids=["with the request", "without the request"])
def test_the_format_of_a_plugin_gets_the_selected_families(offered: Names | OldNames) -> None:
    registry = Offering(prefix="shop")
    registry.exposition_formats = (offered,)
    Counter("orders_total", "Orders placed.", registry=registry)
    registry.register(Custom(gauge_family("queue"), gauge_family("depth")))

    def scrape(query: str) -> list[bytes]:
        return answer_scrape(registry, "GET", accept="text/x-names", query=query).body.splitlines()

    assert scrape("") == [b"shop_orders_total", b"shop_queue", b"shop_depth"]
    assert scrape("name[]=shop_depth&name[]=1st") == [b"shop_depth"]
    assert scrape("name[]=1st") == []


# Many selections at once ---------------------------------------------------------------------------------------------


class Gate:
    """A collector that returns when it is let go."""

    def __init__(self) -> None:
        self.running = 0
        self.most_running = 0
        self.let_go = threading.Event()
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Family]:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        assert self.let_go.wait(_PATIENCE_SECONDS)
        with self._lock:
            self.running -= 1
        yield gauge_family("gate")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.let_go.set()
    wait_until(lambda: gate.running == 0, "the collector to return")


def _running_and_waiting() -> tuple[int, int]:
    lanes = list(collection_lanes._lanes.values())
    return sum(len(lane.running) for lane in lanes), sum(len(lane.waiting) for lane in lanes)


def test_selections_wait_for_each_other_and_not_the_others_for_them(gate: Gate) -> None:
    registry = CollectorRegistry()
    registry.register(gate)
    orders = Counter("orders_total", "Orders placed.", registry=registry)

    def ask(query: str, timeout: str = _LONG) -> Callable[[], bytes]:
        asked = pool.submit(answer_scrape, registry, "GET", query=query, timeout=timeout)
        return lambda: asked.result().body

    with ThreadPoolExecutor(64) as pool:
        asked = [ask(f"name[]=orders_total&name[]=x{number}") for number in range(36)]
        wait_until(lambda: _running_and_waiting() == (4, 32), "4 to run and 32 to wait")
        assert gate.running == 4
        orders.inc()

        refused = answer_scrape(registry, "GET", query="name[]=another", timeout=_LONG)
        assert refused.status == 503
        assert b"too many scrapes with different name[]" in refused.body
        again = ask("name[]=x35&name[]=orders_total")  # shares the one that waits
        assert gate.running == 4

        whole = ask("")
        wait_until(lambda: gate.running == 5, "the scrape of everything, which waits for none of them")
        gate.let_go.set()

        assert b"orders_total 1.0" in whole()
        answers = [answer() for answer in asked]
        assert [b"orders_total 1.0" in answer for answer in answers[4:]] == [True] * 32
        assert again() == answers[35]
    assert gate.most_running == 5
    wait_until(lambda: _running_and_waiting() == (0, 0), "all to end")


def test_a_selection_whose_clients_have_left_is_not_collected(gate: Gate) -> None:
    registry = CollectorRegistry()
    registry.register(gate)
    with ThreadPoolExecutor(64) as pool:
        first = [pool.submit(answer_scrape, registry, "GET", query=f"name[]=x{n}", timeout=_LONG) for n in range(4)]
        wait_until(lambda: gate.running == 4, "4 to run")
        late = pool.submit(answer_scrape, registry, "GET", query="name[]=late", timeout="0.1")
        assert late.result().status == 503
        assert _running_and_waiting() == (4, 1)
        gate.let_go.set()
        assert {each.result().status for each in first} == {200}
    wait_until(lambda: _running_and_waiting() == (0, 0), "all to end")
    assert gate.most_running == 4


def test_a_registry_that_hangs_is_called_once_for_all_selections(gate: Gate) -> None:
    plain = Plain(lambda: [Custom(*gate.collect())])
    for number in range(6):
        assert answer_scrape(plain, "GET", query=f"name[]=x{number}", timeout="0.3").status == 503
    assert answer_scrape(plain, "GET", timeout="0.3").status == 503
    assert gate.most_running == 1


def test_a_registry_that_raises_is_a_500_for_each_selection() -> None:
    assert answer_scrape(Plain(fail), "GET", query="name[]=x").status == 500
