"""The server, over real sockets: what it serves, whom it turns away, and what is left of it."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, start_http_server
from pytheus.exceptions import NotARegistryError
from pytheus.exposition import connection as connection_module
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family

WaitUntil = Callable[[Callable[[], object], str], None]

_PATIENCE_SECONDS = 120


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    return registry


@pytest.fixture
def server(registry: CollectorRegistry) -> Iterator[MetricsServer]:
    with start_http_server(0, registry=registry) as server:
        yield server


def open_to(server: MetricsServer) -> socket.socket:
    return socket.create_connection((server.addr, server.port), timeout=_PATIENCE_SECONDS)


def read(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def talk(server: MetricsServer, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields by name in lower case, and body of the answer to `request`."""
    with open_to(server) as connection:
        connection.sendall(request)
        head, _, body = read(connection).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value for name, value in fields.items()}, body


def get(server: MetricsServer, path: str, *fields: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return talk(server, "\r\n".join([f"{method} {path} HTTP/1.1", "Host: shop", *fields, "", ""]).encode())


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pytheus-")]


class Gate:
    """A collector that waits to be let through."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.open = threading.Event()

    def collect(self) -> list[Family]:
        self.waiting.release()
        assert self.open.wait(_PATIENCE_SECONDS)
        return [Family("gate", "gauge", "Whether it is open.")]


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
    assert connection_module._http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_head_gives_the_headers_alone(server: MetricsServer) -> None:
    status, fields, body = get(server, "/metrics", method="HEAD")

    assert (status, body) == (200, b"")
    assert int(fields["content-length"]) > 0


def test_gzip_goes_to_who_takes_it(server: MetricsServer, registry: CollectorRegistry) -> None:
    depth = Gauge("queue_depth", "Jobs waiting.", ["queue"], registry=registry)
    for number in range(200):
        depth.labels(str(number)).set(number)

    _, fields, body = get(server, "/metrics", "Accept-Encoding: gzip")

    assert fields["content-encoding"] == "gzip"
    assert gzip.decompress(body) == get(server, "/metrics")[2]


def test_the_query_does_not_change_the_path(server: MetricsServer) -> None:
    assert get(server, "/metrics?name=x")[0] == 200


def test_several_registries_at_several_paths(registry: CollectorRegistry) -> None:
    tenant = CollectorRegistry(prefix="tenant")
    Counter("logins_total", "Logins.", registry=tenant).inc(2)

    with start_http_server(0, registry=registry, registries={"/tenant": tenant}) as server:
        assert b"shop_orders_total 1.0" in get(server, "/metrics")[2]
        assert b"tenant_logins_total 2.0" in get(server, "/tenant")[2]
        assert b"shop" not in get(server, "/tenant")[2]


def test_the_root_lists_the_paths(registry: CollectorRegistry) -> None:
    with start_http_server(0, registry=registry, registries={"/tenant": registry}) as server:
        assert get(server, "/")[::2] == (200, b"metrics are served at:\n/metrics\n/tenant\n")


def test_the_root_can_be_a_registrys(registry: CollectorRegistry) -> None:
    with start_http_server(0, registry=registry, registries={"/": registry}) as server:
        assert b"shop_orders_total 1.0" in get(server, "/")[2]


def test_another_path_is_not_found(server: MetricsServer) -> None:
    assert get(server, "/metric")[0] == 404


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_another_method_is_refused(server: MetricsServer, path: str) -> None:
    status, fields, _ = get(server, path, method="DELETE")

    assert (status, fields["allow"]) == (405, "GET, HEAD")


def test_a_body_that_nobody_reads_does_not_cost_the_answer(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        connection_module, "_LINGER_SECONDS", _PATIENCE_SECONDS
    )  # for a client that a busy machine delays
    request = b"POST /metrics HTTP/1.1\r\nHost: shop\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000

    assert talk(server, request)[0] == 405


def test_ipv6_is_served(registry: CollectorRegistry) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")

    with start_http_server(0, "::1", registry) as server:
        assert server.url == f"http://[::1]:{server.port}/metrics"
        assert get(server, "/metrics")[0] == 200


def test_a_hosts_name_is_an_address(registry: CollectorRegistry) -> None:
    with start_http_server(0, "localhost", registry) as server:
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
        for byte in b"\r\nGET /metrics HTTP/1.1\r\n\r\n":
            connection.send(bytes([byte]))

        assert read(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_says_nothing_is_cut_off(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_HEAD_SECONDS", 0.2)

    with open_to(server) as connection:
        assert read(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_trickles_is_cut_off(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_HEAD_SECONDS", 0.5)
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

    wait_until(lambda: "pytheus-scrape" not in own_threads(), "the abandoned connection to end")
    assert get(server, "/metrics")[0] == 200


def test_a_collector_that_raises_costs_only_itself(server: MetricsServer, registry: CollectorRegistry) -> None:
    class Broken:
        def collect(self) -> list[Family]:
            raise ConnectionError("the store is down")

    registry.register(Broken())

    status, _, body = get(server, "/metrics")

    assert status == 200
    assert b"shop_orders_total 1.0" in body


def test_connections_are_bounded(server: MetricsServer, registry: CollectorRegistry, wait_until: WaitUntil) -> None:
    gate = Gate()
    registry.register(gate)
    scrapes = [threading.Thread(target=get, args=(server, "/metrics")) for _ in range(16)]
    for scrape in scrapes:
        scrape.start()
    try:
        for _ in scrapes:
            assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)

        assert get(server, "/metrics")[0] == 503
    finally:
        gate.open.set()
        for scrape in scrapes:
            scrape.join()

    wait_until(lambda: "pytheus-scrape" not in own_threads(), "the scrapes to end")
    assert get(server, "/metrics")[0] == 200


def test_without_threads_to_spare_it_serves_one_after_the_other(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    assert get(server, "/metrics")[0] == 200
    assert get(server, "/metrics")[0] == 200


def test_a_slow_scrape_does_not_hold_up_another(registry: CollectorRegistry) -> None:
    slow = CollectorRegistry()
    gate = Gate()
    slow.register(gate)
    with start_http_server(0, registry=registry, registries={"/slow": slow}) as server:
        scrape = threading.Thread(target=get, args=(server, "/slow"))
        scrape.start()
        try:
            assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)

            assert get(server, "/metrics")[0] == 200
        finally:
            gate.open.set()
            scrape.join()


# What it takes to start ----------------------------------------------------------------------------------------------


def test_a_taken_port_is_an_error_at_once(server: MetricsServer) -> None:
    before = own_threads()

    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1 port {server.port}: .*; choose another port"):
        start_http_server(server.port)

    assert own_threads() == before


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1 port 0: "):
        start_http_server(0, "192.0.2.1")


@pytest.mark.parametrize("port", [-1, 65536, True, "80", 1.0, None])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port must be a whole number from 0"):
        start_http_server(port)


@pytest.mark.parametrize("path", ["", "tenant", "/a b", "/a?b", "/a#b", "/\u00e9", "/a\r\nX: y"])
def test_a_path_that_cannot_be_asked_for_is_refused(registry: CollectorRegistry, path: str) -> None:
    with pytest.raises(ValueError, match="cannot be served"):
        start_http_server(0, registries={path: registry})


def test_the_path_of_the_registry_cannot_be_given_twice(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="'/metrics'"):
        start_http_server(0, registries={"/metrics": registry})


def test_what_is_no_registry_is_refused() -> None:
    with pytest.raises(NotARegistryError):
        start_http_server(0, registry={})  # type: ignore[arg-type]  # the error under test


# What is left of it --------------------------------------------------------------------------------------------------


def test_nothing_is_left_once_closed(registry: CollectorRegistry) -> None:
    server = start_http_server(0, registry=registry)
    get(server, "/metrics")

    server.close()

    assert own_threads() == []
    with pytest.raises(ConnectionRefusedError):
        open_to(server)


def test_closing_again_does_nothing(registry: CollectorRegistry) -> None:
    server = start_http_server(0, registry=registry)
    server.close()

    server.close()

    assert "closed" in repr(server)


def test_the_port_can_be_taken_again(registry: CollectorRegistry) -> None:
    with start_http_server(0, registry=registry) as first:
        get(first, "/metrics")

    with start_http_server(first.port, registry=registry) as second:
        assert get(second, "/metrics")[0] == 200


def test_closing_cuts_off_who_has_not_asked_yet(registry: CollectorRegistry, wait_until: WaitUntil) -> None:
    server = start_http_server(0, registry=registry)
    with open_to(server) as connection:
        wait_until(lambda: "pytheus-scrape" in own_threads(), "the connection to be accepted")

        server.close()

        assert read(connection) == b""
    assert own_threads() == []


def test_closing_finishes_the_answers_under_way(registry: CollectorRegistry) -> None:
    gate = Gate()
    registry.register(gate)
    server = start_http_server(0, registry=registry)
    with open_to(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert gate.waiting.acquire(timeout=_PATIENCE_SECONDS)
        closing = threading.Thread(target=server.close)
        closing.start()

        gate.open.set()

        assert b"# TYPE shop_gate gauge" in read(connection)
        closing.join()
    assert own_threads() == []


def test_its_threads_block_the_signals_that_belong_to_the_program(server: MetricsServer) -> None:
    masks: list[str] = []
    for thread in threading.enumerate():
        if thread.name == "pytheus-metrics":
            status = Path(f"/proc/self/task/{thread.native_id}/status")
            if not status.exists():
                pytest.skip("no /proc here to read a thread's signal mask from")
            masks += [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigBlk:")]

    assert len(masks) == 1
    assert int(masks[0], 16) >> (signal.SIGTERM - 1) & 1


_FORKING = """
import os, sys, threading, urllib.request
from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

server = start_http_server(0, registry=CollectorRegistry())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writing)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    sockets = []
    for descriptor in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:"):
            sockets.append(target)
    server.close()
    os.write(1, f"{left} {sockets}\\n".encode())
    os.read(reading, 1)  # until the parent has looked
    os._exit(0)
assert opener.open(server.url).status == 200
server.close()
try:
    opener.open(server.url)
except OSError as error:
    print("refused" if "refused" in str(error) else error)
os.close(writing)
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_holds_nothing_of_it_and_the_parent_serves_on(tmp_path: Path) -> None:
    script = tmp_path / "forking.py"
    script.write_text(_FORKING)

    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
    )

    assert sorted(ended.stdout.splitlines()) == ["[] []", "refused"], ended.stderr


_FORKING_UNDER_LOAD = """
import os, threading, urllib.request
from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

server = start_http_server(0, registry=CollectorRegistry())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
done = threading.Event()

def scrape():
    while not done.is_set():
        assert opener.open(server.url).status == 200

def fork():
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

scraping = threading.Thread(target=scrape)
forking = [threading.Thread(target=fork) for _ in range(3)]
for thread in (scraping, *forking):
    thread.start()
for thread in forking:
    thread.join()
done.set()
scraping.join()
print(opener.open(server.url).status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_forks_in_several_threads_while_it_serves(tmp_path: Path) -> None:
    script = tmp_path / "forking.py"
    script.write_text(_FORKING_UNDER_LOAD)

    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
    )

    assert (ended.stdout, ended.stderr) == ("200\n", "")


_SHORT_OF_DESCRIPTORS = """
import os, resource, urllib.request
from pytheus import start_http_server
from pytheus.registry import CollectorRegistry

start_http_server(0, registry=CollectorRegistry()).close()  # so that all modules are loaded
taken = [os.open(os.devnull, os.O_RDONLY)]
resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for _ in range(3):  # the listener, and the two that wake its thread
    os.close(taken.pop())
server = start_http_server(0, registry=CollectorRegistry())
for descriptor in taken:
    os.close(descriptor)
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(server.url, timeout=60).status)
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has no such limit")
def test_its_thread_takes_no_descriptor_which_may_be_the_one_too_many(tmp_path: Path) -> None:
    script = tmp_path / "short.py"
    script.write_text(_SHORT_OF_DESCRIPTORS)

    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
    )

    assert (ended.stdout, ended.stderr) == ("200\n", "")


def test_a_program_that_forgets_to_close_ends_quietly(tmp_path: Path) -> None:
    program = "import pytheus; pytheus.start_http_server(0)"

    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def test_loading_it_does_not_load_the_standard_librarys_server(tmp_path: Path) -> None:
    program = (
        "import sys, pytheus.exposition.server; print(sys.modules.keys() & {'http', 'email', 'asyncio', 'logging'})"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
    )

    assert ended.stdout == "set()\n"
