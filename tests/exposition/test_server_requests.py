"""The built-in server over real connections: what it serves, and what it refuses."""

from __future__ import annotations

import gzip
import socket
import threading
import urllib.request

import pytest

from pytheus import Counter, start_http_server
from pytheus.exposition import arrivals as arrivals_module
from pytheus.exposition import http1 as http1_module
from pytheus.exposition import scrapes as scrapes_module
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from tests.exposition.conftest import WaitUntil, add_queues, get, open_to, read, talk

_PATIENCE_SECONDS = 120


# What it serves ------------------------------------------------------------------------------------------------------


def test_metrics_are_served(server: MetricsServer) -> None:
    status, fields, body = get(server, "/metrics")

    assert status == 200
    assert fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert fields["content-length"] == str(len(body))
    assert fields["connection"] == "close"
    assert b"\nshop_orders_total 1.0\n" in body


def test_a_client_of_the_standard_library_reads_it(server: MetricsServer) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.url, timeout=_PATIENCE_SECONDS) as response:
        assert b"shop_orders_total 1.0" in response.read()


def test_the_date_is_written_as_http_writes_it() -> None:
    assert http1_module._http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_head_gives_the_headers_alone(server: MetricsServer) -> None:
    status, fields, body = get(server, "/metrics", method="HEAD")

    assert (status, body) == (200, b"")
    assert int(fields["content-length"]) > 0


def test_gzip_goes_to_who_takes_it(server: MetricsServer, shop: CollectorRegistry) -> None:
    add_queues(shop)

    _, fields, body = get(server, "/metrics", "Accept-Encoding: gzip")

    assert fields["content-encoding"] == "gzip"
    assert gzip.decompress(body) == get(server, "/metrics")[2]


def test_the_query_does_not_change_the_path(server: MetricsServer) -> None:
    assert get(server, "/metrics?name=x")[0] == 200


def test_several_registries_at_several_paths(shop: CollectorRegistry) -> None:
    tenant = CollectorRegistry(prefix="tenant")
    Counter("logins_total", "Logins.", registry=tenant).inc(2)

    with start_http_server(0, registry=shop, registries={"/tenant": tenant}) as server:
        assert b"shop_orders_total 1.0" in get(server, "/metrics")[2]
        assert b"tenant_logins_total 2.0" in get(server, "/tenant")[2]
        assert b"shop" not in get(server, "/tenant")[2]


def test_the_root_lists_the_paths(shop: CollectorRegistry) -> None:
    with start_http_server(0, registry=shop, registries={"/tenant": shop}) as server:
        assert get(server, "/")[::2] == (200, b"metrics are available at:\n/metrics\n/tenant\n")


def test_the_root_can_be_a_registrys(shop: CollectorRegistry) -> None:
    with start_http_server(0, registry=shop, registries={"/": shop}) as server:
        assert b"shop_orders_total 1.0" in get(server, "/")[2]


def test_another_path_is_not_found(server: MetricsServer) -> None:
    assert get(server, "/metric")[0] == 404


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_another_method_is_refused(server: MetricsServer, path: str) -> None:
    status, fields, _ = get(server, path, method="DELETE")

    assert (status, fields["allow"]) == (405, "GET, HEAD")


def test_a_body_that_is_not_read_does_not_cost_the_response(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrapes_module, "_LINGER_SECONDS", _PATIENCE_SECONDS)  # for a client that a busy machine delays
    request = b"POST /metrics HTTP/1.1\r\nHost: shop\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000

    assert talk(server, request)[0] == 405


def test_ipv6_is_served(shop: CollectorRegistry) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")

    with start_http_server(0, "::1", shop) as server:
        assert server.url == f"http://[::1]:{server.port}/metrics"
        assert get(server, "/metrics")[0] == 200


def test_a_hosts_name_is_an_address(shop: CollectorRegistry) -> None:
    with start_http_server(0, "localhost", shop) as server:
        assert server.addr in ("127.0.0.1", "::1")
        assert get(server, "/metrics")[0] == 200


def test_nothing_is_written_of_what_is_served(server: MetricsServer, capfd: pytest.CaptureFixture[str]) -> None:
    get(server, "/metrics")
    get(server, "/nowhere")

    assert capfd.readouterr() == ("", "")


# What it turns away --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 505),
        (b"GET /" + b"x" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", 431),
    ],
    ids=["nonsense", "tls", "http2", "long line", "many headers"],
)
def test_what_is_no_request_is_refused(server: MetricsServer, request_: bytes, status: int) -> None:
    assert talk(server, request_)[0] == status


def test_a_request_may_come_in_pieces(server: MetricsServer) -> None:
    with open_to(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\nGET /metrics HTTP/1.0\r\n\r\n":
            connection.send(bytes([byte]))

        assert read(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_says_nothing_is_cut_off(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals_module, "_HEAD_SECONDS", 0.2)

    with open_to(server) as connection:
        assert read(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_trickles_is_cut_off(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals_module, "_HEAD_SECONDS", 0.5)
    ended = threading.Event()

    with open_to(server) as connection:

        def trickle() -> None:
            try:
                while not ended.wait(0.05):
                    connection.send(b"x")
            except OSError:
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert b"HTTP/1.1 408 " in read(connection)
        finally:
            ended.set()
            thread.join()


def test_a_client_that_goes_away_does_no_harm(server: MetricsServer, wait_until: WaitUntil) -> None:
    with open_to(server) as connection:
        connection.sendall(b"GET /metr")
        wait_until(lambda: list(server._arrivals), "the connection to be accepted")

    wait_until(lambda: not list(server._arrivals), "the abandoned connection to end")
    assert get(server, "/metrics")[0] == 200
