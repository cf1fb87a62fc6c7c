"""The built-in server and clients that take its connections and its time: the healthy ones are served meanwhile."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from pytheus import start_http_server
from pytheus.exposition import arrivals as arrivals_module
from pytheus.exposition import bodies
from pytheus.exposition import scrapes as scrapes_module
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.exposition.conftest import (
    Gate,
    WaitUntil,
    get,
    held_bytes,
    open_to,
    own_threads,
    read,
    talk,
    waiting_clients,
)

_PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def nothing_is_left(wait_until: WaitUntil) -> Iterator[None]:
    """After each test, no thread of a server, and no descriptor more than before."""
    before = _descriptors()
    yield
    wait_until(lambda: own_threads() == [] and _descriptors() <= before, "threads and sockets to end")


@pytest.fixture
def server(nothing_is_left: None, shop: CollectorRegistry) -> Iterator[MetricsServer]:
    """A server that is closed before it is looked at what is left."""
    with start_http_server(0, registry=shop) as server:
        yield server


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("count", [40, 600], ids=["fewer than it keeps", "more than it keeps"])
@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTT"], ids=["silent", "half a request"])
def test_idle_clients_keep_no_scrape_out(server: MetricsServer, count: int, sent: bytes) -> None:
    with ExitStack() as idle:
        for _ in range(count):
            connection = idle.enter_context(open_to(server))
            connection.sendall(sent)

        assert [get(server, "/metrics")[0] for _ in range(5)] == [200] * 5


def test_of_too_many_the_one_that_waits_longest_is_closed(server: MetricsServer, wait_until: WaitUntil) -> None:
    with ExitStack() as idle:
        connections = [idle.enter_context(open_to(server)) for _ in range(arrivals_module._ARRIVALS)]
        wait_until(lambda: len(list(server._arrivals)) == len(connections), "all connections to be accepted")

        assert get(server, "/metrics")[0] == 200

        assert read(connections[0]) == b""
        connections[1].sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert read(connections[1]).startswith(b"HTTP/1.1 200 ")


def test_a_burst_of_clients_is_served_completely(shop: CollectorRegistry) -> None:
    """All connect before the first of them sends its request."""
    with start_http_server(0, registry=shop, max_scrapes=1000) as server, ExitStack() as stack:
        connections = [stack.enter_context(open_to(server)) for _ in range(350)]
        for connection in connections:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        responses = [read(connection)[:13] for connection in connections]
    assert responses == [b"HTTP/1.1 200 "] * len(connections)


def test_idle_clients_do_not_keep_a_health_check_out_while_all_scrapes_are_taken(
    shop: CollectorRegistry, wait_until: WaitUntil
) -> None:
    gate = Gate()
    shop.register(gate)
    with start_http_server(0, registry=shop, max_scrapes=1) as server, ExitStack() as stack:
        scrape = threading.Thread(target=get, args=(server, "/metrics"))
        scrape.start()
        stack.callback(scrape.join)
        stack.callback(gate.open.set)
        for _ in range(300):
            stack.enter_context(open_to(server))
        assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)
        assert get(server, "/-/healthy")[0] == 200
        assert get(server, "/-/healthy", method="HEAD")[::2] == (200, b"")
        assert get(server, "/-/healthy", method="POST")[0] == 405


def test_a_request_waits_a_moment_for_a_scrape_to_end(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(arrivals_module, "_TURN_SECONDS", _PATIENCE_SECONDS)
    gate = Gate()
    shop.register(gate)
    statuses: list[int] = []
    with start_http_server(0, registry=shop, max_scrapes=1) as server:
        scrapes = [threading.Thread(target=lambda: statuses.append(get(server, "/metrics")[0])) for _ in range(10)]
        for scrape in scrapes:
            scrape.start()
        wait_until(lambda: len(server._arrivals.ready()) == 9, "nine requests to wait")
        gate.open.set()
        for scrape in scrapes:
            scrape.join()
    assert statuses == [200] * 10


def _large(registry: CollectorRegistry) -> None:
    family = Family("bytes", "gauge", "Much.", [Sample("", {"n": f"{n:01000}"}, 1.0) for n in range(25_000)])

    class Large:
        def collect(self) -> list[Family]:
            return [family]

    registry.register(Large())


def test_a_client_that_takes_its_response_slowly_gives_way(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(arrivals_module, "_TURN_SECONDS", _PATIENCE_SECONDS)
    monkeypatch.setattr(scrapes_module, "_SLOW_SECONDS", 0.1)
    slow, quick = CollectorRegistry(), shop
    _large(slow)
    with (
        start_http_server(0, registry=quick, registries={"/large": slow}, max_scrapes=2) as server,
        ExitStack() as idle,
    ):
        for _ in range(2):
            connection = idle.enter_context(open_to(server))
            connection.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        wait_until(lambda: own_threads().count("pytheus-scrape") == 2, "both to take a scrape")

        assert get(server, "/metrics")[0] == 200


def test_large_responses_that_clients_do_not_take_are_limited(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(arrivals_module, "_TURN_SECONDS", _PATIENCE_SECONDS)
    monkeypatch.setattr(scrapes_module, "_SLOW_SECONDS", 0.1)
    monkeypatch.setattr(bodies, "_HELD_BYTES_AT_MOST", 10_000_000)
    large = CollectorRegistry()
    _large(large)
    with start_http_server(0, registry=shop, registries={"/large": large}) as server, ExitStack() as idle:
        for _ in range(3):
            connection = idle.enter_context(open_to(server))
            connection.sendall(b"GET /large HTTP/1.0\r\n\r\n")
            # Either it holds a response now, or the one before has given way to it.
            assert connection.recv(13) == b"HTTP/1.1 200 "
            assert held_bytes() > 10_000_000

        assert get(server, "/metrics")[0] == 200

        assert own_threads().count("pytheus-scrape") <= 1


def test_a_response_that_clients_share_is_held_once(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    _large(shop)
    gate = Gate()
    shop.register(gate)
    with start_http_server(0, registry=shop) as server, ExitStack() as stack:
        clients = [stack.enter_context(open_to(server)) for _ in range(6)]
        stack.callback(gate.open.set)
        clients[0].sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)
        for client in clients[1:]:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(lambda: waiting_clients() == 5, "all others to wait for the next collection")
        gate.open.set()
        for client in clients:
            assert client.recv(13) == b"HTTP/1.1 200 "
        one = held_bytes()
        for client in clients[2:]:
            client.close()
        wait_until(lambda: own_threads().count("pytheus-scrape") == 2, "the others to leave")

        assert held_bytes() == one


def test_a_client_that_reads_nothing_is_cut_off(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(scrapes_module, "_SEND_SECONDS", 0.2)
    _large(shop)
    with start_http_server(0, registry=shop) as server, open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(lambda: "pytheus-scrape" in own_threads(), "the scrape to begin")
        wait_until(lambda: "pytheus-scrape" not in own_threads(), "the scrape to end")


def test_without_threads_to_spare_a_client_that_takes_nothing_gives_way(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrapes_module, "_SLOW_SECONDS", 0.1)
    start = threading.Thread.start

    def start_others(thread: threading.Thread) -> None:
        if thread.name == "pytheus-scrape":
            raise RuntimeError("can't start new thread")
        start(thread)

    large = CollectorRegistry()
    _large(large)
    with start_http_server(0, registry=shop, registries={"/large": large}) as server, open_to(server) as connection:
        monkeypatch.setattr(threading.Thread, "start", start_others)
        connection.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        assert connection.recv(13) == b"HTTP/1.1 200 "

        assert get(server, "/metrics")[0] == 200

        with suppress(ConnectionError):
            assert len(read(connection)) < 25_000_000


# Broken and hostile connections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.0\r\n\r\n", b"nonsense\r\n\r\n"])
def test_resets_do_no_harm(server: MetricsServer, sent: bytes, wait_until: WaitUntil) -> None:
    for _ in range(50):
        connection = open_to(server)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(sent)
        connection.close()

    assert get(server, "/metrics")[0] == 200
    wait_until(lambda: not list(server._arrivals) and own_threads() == ["pytheus-metrics"], "all of them to end")


def test_a_client_that_ends_its_direction_gets_its_response(server: MetricsServer) -> None:
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)

        assert read(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "smuggling",
    [
        b"Content-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
        b"Content-Length: 0, 44\r\n\r\n",
        b"Content-Length: +0\r\n\r\n",
        b"Content-Length : 0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n",
        b" Transfer-Encoding: chunked\r\n\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_there_is_one_response_whatever_follows_the_head(server: MetricsServer, smuggling: bytes) -> None:
    """A second request, smuggled in as the body of the first or behind it, is never served."""
    second = b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: shop\r\n" + smuggling + second)
        connection.shutdown(socket.SHUT_WR)
        response = read(connection)

    assert response.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in response
    assert b"there are no metrics at this path" not in response


def test_a_body_without_end_is_not_read_without_end(server: MetricsServer) -> None:
    with open_to(server) as connection:
        connection.sendall(b"POST /metrics HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert connection.recv(16).startswith(b"HTTP/1.1 405")
        with pytest.raises(OSError, match=r"reset|pipe|abort"):
            for _ in range(1000):
                connection.sendall(bytes(65536))


def test_a_head_without_end_is_not_read_without_end(server: MetricsServer) -> None:
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        with pytest.raises(OSError, match=r"reset|pipe|abort"):
            for _ in range(100_000):
                connection.sendall(b"A: " + b"b" * 997 + b"\r\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_request_that_is_half_sent_survives_a_fork(server: MetricsServer, wait_until: WaitUntil) -> None:
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTT")
        wait_until(lambda: list(server._arrivals), "the connection to be accepted")
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        connection.sendall(b"P/1.0\r\n\r\n")

        assert read(connection).startswith(b"HTTP/1.1 200 ")


def test_closing_tells_a_request_that_waits_to_come_again(
    shop: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(arrivals_module, "_TURN_SECONDS", _PATIENCE_SECONDS)
    gate = Gate()
    shop.register(gate)
    statuses: list[int] = []
    server = start_http_server(0, registry=shop, max_scrapes=1)
    with ExitStack() as stack:
        stack.callback(gate.open.set)
        scrape = stack.enter_context(open_to(server))
        scrape.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)
        waiting = threading.Thread(target=lambda: statuses.append(talk(server, b"GET /metrics HTTP/1.0\r\n\r\n")[0]))
        waiting.start()
        wait_until(server._arrivals.ready, "the request to wait")
        closing = threading.Thread(target=server.close)
        closing.start()
        waiting.join()
        assert statuses == [503]
        gate.open.set()
        assert read(scrape).startswith(b"HTTP/1.1 200 ")
        closing.join()


@pytest.mark.parametrize("max_scrapes", [0, -1, True, 1.0, "40", None])
def test_a_limit_that_is_none_is_refused(max_scrapes: int) -> None:
    with pytest.raises(ValueError, match="max_scrapes must be a whole number of at least 1 but got"):
        start_http_server(0, max_scrapes=max_scrapes)
