"""The built-in server, an ASGI and a WSGI application in real servers: the same response to the same request.

They share registries in one process, so that a difference is that of the way to them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pytheus import Counter, make_asgi_app, make_wsgi_app, start_http_server
from pytheus.exposition import bodies, respond_async
from pytheus.registry import CollectorRegistry, Registry
from pytheus.samples import Family, Sample
from tests.conftest import wait_until
from tests.exposition.conftest import Custom, Gate, Plain, add_queues, fail, held_bytes, read, waiting_clients
from tests.serving import serving_by_uvicorn, serving_by_waitress

_PATIENCE_SECONDS = 120
_COMPARED = ("content-type", "content-encoding", "content-length", "vary", "allow")

Serve = Callable[[Registry], dict[str, int]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Call it with a registry; gives the ports of the servers of it by their names."""
    with ExitStack() as stack:

        def serve(registry: Registry) -> dict[str, int]:
            ports = {"built-in": stack.enter_context(start_http_server(0, registry=registry)).port}
            ports["uvicorn"] = stack.enter_context(serving_by_uvicorn(make_asgi_app(registry)))
            ports["waitress"] = stack.enter_context(serving_by_waitress(make_wsgi_app(registry), threads=16))
            return ports

        yield serve


def ask(port: int, method: str = "GET", query: str = "", *fields: str) -> tuple[int, dict[str, str], bytes]:
    """Status, the headers that must be equal, and the body."""
    lines = [f"{method} /metrics{query} HTTP/1.1", "Host: shop", "Connection: close", *fields, "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode())
        head, _, body = read(connection).partition(b"\r\n\r\n")
    status, *rest = head.decode("latin-1").split("\r\n")
    named = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    return int(status.split()[1]), {name: named[name] for name in _COMPARED if name in named}, body


_OPENMETRICS = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
_PROTOBUF = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
_TOO_MANY_NAMES = "?" + "&".join(f"name[]=x{n}" for n in range(101))

REQUESTS = {
    "text": ("GET", ""),
    "head": ("HEAD", ""),
    "head of a failure": ("HEAD", _TOO_MANY_NAMES),
    "openmetrics": ("GET", "", _OPENMETRICS),
    "protobuf": ("GET", "", _PROTOBUF),
    "of several": ("GET", "", "Accept: text/html", "Accept: */*;q=0.1"),
    "nothing acceptable": ("GET", "", "Accept: image/png"),
    "escaping": ("GET", "", "Accept: text/plain;version=1.0.0;escaping=allow-utf-8"),
    "gzip": ("GET", "", "Accept-Encoding: gzip"),
    "gzip of no preference": ("HEAD", "", "Accept-Encoding: br;q=1, gzip;q=0.2"),
    "no gzip": ("GET", "", "Accept-Encoding: gzip;q=0"),
    "one name": ("GET", "?name[]=shop_orders_total"),
    "two names, encoded": ("GET", "?name%5B%5D=shop_orders_total&name%5B%5D=shop_refunds_total"),
    "a name that does not exist": ("GET", "?name[]=nothing"),
    "too many names": ("GET", _TOO_MANY_NAMES),
    "another query": ("GET", "?match=x&name=y"),
    "post": ("POST", "", "Content-Length: 0"),
    "put": ("PUT", "", "Content-Length: 0"),
    "options": ("OPTIONS", ""),
    "a strange method": ("BREW", ""),
    "a timeout that is no number": ("GET", "", "X-Prometheus-Scrape-Timeout-Seconds: soon"),
}


def test_the_responses_are_equal(shop: CollectorRegistry, serve: Serve) -> None:
    add_queues(shop)
    Counter("refunds_total", "Refunds.", registry=shop).inc()
    ports = serve(shop)

    for name, (method, query, *fields) in REQUESTS.items():
        responses = {server: ask(port, method, query, *fields) for server, port in ports.items()}
        assert responses["built-in"][0] in (200, 400, 405), name
        for server, response in responses.items():
            assert response == responses["built-in"], f"{name}: {server}"


def test_they_fail_alike(serve: Serve) -> None:
    ports = serve(Plain(fail))
    for server, port in ports.items():
        status, _, body = ask(port)
        assert status == 500, server
        assert b"secret" not in body
        assert body == ask(ports["built-in"])[2]


class _Counted:
    """A collector that counts how often it is called, and takes as long as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = Gate()

    def collect(self) -> list[Family]:
        self.calls += 1
        return self.gate.collect()


def test_the_clients_of_all_of_them_share_a_collection(shop: CollectorRegistry, serve: Serve) -> None:
    counted = _Counted()
    shop.register(counted)
    ports = serve(shop)
    statuses: list[int] = []

    def scrape(port: int) -> None:
        statuses.append(ask(port, "GET", "", "X-Prometheus-Scrape-Timeout-Seconds: 60")[0])

    first = threading.Thread(target=scrape, args=(ports["built-in"],))
    first.start()
    assert counted.gate.waiting.acquire(timeout=_PATIENCE_SECONDS)
    others = [threading.Thread(target=scrape, args=(port,)) for port in ports.values() for _ in range(10)]
    for thread in others:
        thread.start()
    wait_until(lambda: waiting_clients() == len(others), "all clients to wait for the next collection")
    counted.gate.open.set()
    for thread in [first, *others]:
        thread.join()

    assert statuses == [200] * 31
    assert counted.calls == 2  # that of the first, and one for all who asked meanwhile


def test_they_keep_the_same_deadline(shop: CollectorRegistry, serve: Serve) -> None:
    gate = Gate()
    shop.register(gate)
    try:
        for server, port in serve(shop).items():
            begun = time.monotonic()
            status, _, body = ask(port, "GET", "", "X-Prometheus-Scrape-Timeout-Seconds: 0.4")
            assert status == 200, server
            assert b"shop_orders_total 1.0" in body
            assert b'collector="Gate"' in body
            assert time.monotonic() - begun < 30, server  # not the 120 seconds for which the collector waits
        wait_until(lambda: held_bytes() == 0, "the responses to be forgotten, although a thread still collects")
    finally:
        gate.open.set()


def test_it_serves_while_the_event_loop_of_the_application_is_blocked(shop: CollectorRegistry) -> None:
    responses: list[tuple[int, dict[str, str], bytes]] = []

    async def application() -> None:
        with start_http_server(0, registry=shop) as server:
            scrape = threading.Thread(target=lambda: responses.append(ask(server.port)))
            scrape.start()
            scrape.join()  # a call that blocks: nothing else runs on this loop until it returns

    asyncio.run(application())

    assert responses[0][0] == 200


def test_a_metric_of_the_application_is_seen_by_all(serve: Serve) -> None:
    registry = CollectorRegistry()
    ports = serve(registry)
    orders = Counter("orders_total", "Orders placed.", registry=registry)
    for count, (server, port) in enumerate(ports.items(), start=1):
        orders.inc()
        assert f"\norders_total {count}.0\n".encode() in ask(port)[2], server


# A large response that a client does not take -------------------------------------------------------------------------


def large_registry() -> CollectorRegistry:
    """A registry whose text has 25 megabytes, more than the system keeps for a connection."""
    samples = [Sample("", {"n": f"{n:01000}"}, 1.0) for n in range(25_000)]
    registry = CollectorRegistry()
    registry.register(Custom(Family("bytes", "gauge", "Much.", samples)))
    return registry


def _takes_nothing(stack: ExitStack, port: int) -> None:
    """Ask for the metrics, and take the status alone until the stack ends."""
    connection = stack.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(_PATIENCE_SECONDS)
    connection.connect(("127.0.0.1", port))
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"


def test_responses_that_clients_do_not_take_are_limited_for_all_servers(
    shop: CollectorRegistry, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_HELD_BYTES_AT_MOST", 20_000_000)
    registry = large_registry()
    small = serve(shop)
    port = serve(registry)["uvicorn"]

    with ExitStack() as stack:
        _takes_nothing(stack, port)
        refused = {server: ask(small[server]) for server in ("uvicorn", "waitress")}
        assert {status for status, _, _ in refused.values()} == {503}
        assert refused["uvicorn"] == refused["waitress"]
    wait_until(lambda: held_bytes() == 0, "the response to be given up")

    assert [ask(port)[0] for port in small.values()] == [200] * 3


def test_an_asgi_server_leaves_a_client_that_takes_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond_async, "_SEND_SECONDS", 0.1)
    registry = large_registry()
    port = serve(registry)["uvicorn"]
    with ExitStack() as stack:
        _takes_nothing(stack, port)
        wait_until(lambda: held_bytes() == 0, "the response to be given up")
