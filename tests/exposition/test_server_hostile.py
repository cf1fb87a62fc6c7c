"""Hostile clients beside a server in a process of its own: it serves on, says nothing, and keeps nothing of them.

A round is one of each kind of client. Memory, threads and descriptors are the system's figures for the process.
"""

from __future__ import annotations

import random
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.conftest import Program, Start, wait_until
from tests.exposition.conftest import read

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

_PATIENCE_SECONDS = 60
_MOST_KEPT_BYTES = 8 * 1024 * 1024
"""More than an allocator keeps; a kilobyte of each client would be more after 20 rounds."""

_PROGRAM = """
import sys, threading
from pytheus import Counter, start_http_server
from pytheus.registry import CollectorRegistry

registry = CollectorRegistry()
orders = Counter("orders_total", "Orders placed.", ["customer"], registry=registry)
for number in range(2000):
    orders.labels(f"customer {number}").inc()
server = start_http_server(0, registry=registry, web_config=sys.argv[1] if len(sys.argv) > 1 else None)
print(f"port {server.port}", flush=True)
threading.Event().wait()
"""

_GET = b"GET /metrics HTTP/1.1\r\nHost: shop\r\n"
_HELLO = bytes.fromhex("160301002f0100002b0303") + bytes(32) + bytes.fromhex("000004130113020100")

# What a client sends, by its name. The server answers or closes each of them.
SENT: dict[str, bytes] = {
    "nothing": b"",
    "a part of the request line": b"GET /metr",
    "a part of the head": _GET + b"Accept: text/pl",
    "an empty line": b"\r\n\r\n",
    "only empty lines": b"\r\n" * 50_000,
    "zeros": bytes(20_000),
    "ones": b"\xff" * 20_000,
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "HTTP/0.9": b"GET /metrics\r\n\r\n",
    "HTTP/9.9": b"GET /metrics HTTP/9.9\r\n\r\n",
    "a head of TLS": _HELLO,
    "a tunnel": b"CONNECT shop:443 HTTP/1.1\r\nHost: shop\r\n\r\n",
    "an upgrade": _GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    "a strange method": b"BREW /metrics HTTP/1.1\r\nHost: shop\r\n\r\n",
    "paths upwards": b"GET /../../etc/passwd HTTP/1.1\r\nHost: shop\r\n\r\n",
    "a large request line": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "a large query": b"GET /metrics?" + b"name[]=x&" * 1500 + b" HTTP/1.1\r\nHost: shop\r\n\r\n",
    "many selected names": b"GET /metrics?" + b"&".join(b"name[]=%d" % n for n in range(1000)) + b" HTTP/1.0\r\n\r\n",
    "a large field": _GET + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    "many fields": _GET + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    "many short fields": _GET + b"a:\r\n" * 3900 + b"\r\n",
    "much white space": _GET + b"X:" + b" \t" * 8000 + b"\0\r\n\r\n",
    "many lengths": _GET + b"Content-Length: 0\r\n" * 800 + b"\r\n",
    "many hosts": _GET + b"Host: shop\r\n" * 1000 + b"\r\n",
    "many accepted types": _GET + b"Accept: " + b"a/b;q=0.1;c=d," * 1100 + b"*/*\r\n\r\n",
    "many commas": _GET + b"Accept: " + b"," * 15_000 + b"\r\n\r\n",
    "many parameters": _GET + b"Accept: text/plain" + b";a=b" * 3500 + b"\r\n\r\n",
    "an open quotation": _GET + b'Accept: text/plain;a="' + b'\\"' * 7000 + b"\r\n\r\n",
    "many codings": _GET + b"Accept-Encoding: " + b"gzip;q=0.001," * 1100 + b"\r\n\r\n",
    "timeouts": _GET + b"X-Prometheus-Scrape-Timeout-Seconds: 1e999\r\n\r\n",
    "a negative timeout": _GET + b"X-Prometheus-Scrape-Timeout-Seconds: -1\r\n\r\n",
    "no number for a timeout": _GET + b"X-Prometheus-Scrape-Timeout-Seconds: nan\r\n\r\n",
    "spaces before a colon": _GET + b"Content-Length : 5\r\n\r\nhello",
    "a folded field": _GET + b"X: y\r\n Content-Length: 5\r\n\r\nhello",
    "lone carriage returns": b"GET /metrics HTTP/1.1\rHost: shop\r\r",
    "control characters": _GET + b"X: \x00\x01\x02\r\n\r\n",
    "length and chunks": _GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _GET + b"\r\n",
    "chunks and length": _GET + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + _GET + b"\r\n",
    "two lengths": _GET + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + _GET + b"\r\n",
    "two codings": _GET + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + _GET + b"\r\n",
    "an unknown coding": _GET + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + _GET + b"\r\n",
    "a huge length": _GET + b"Content-Length: 99999999999999999999\r\n\r\n" + bytes(1000),
    "a body of chunks without end": _GET + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + bytes(100_000),
    "many requests at once": (_GET + b"\r\n") * 500,
    "a continuation": b"POST /metrics HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    "no password": _GET + b"Authorization: Basic\r\n\r\n",
    "a wrong password": _GET + b"Authorization: Basic cHJvbWV0aGV1czp3cm9uZw==\r\n\r\n",
    "a large password": _GET + b"Authorization: Basic " + b"eHh4" * 3800 + b"\r\n\r\n",
    "a password that is no base64": _GET + b"Authorization: Basic !!!\xff\r\n\r\n",
    "a wrong token": _GET + b"Authorization: Bearer " + b"x" * 15_000 + b"\r\n\r\n",
}

_Leave = Callable[[socket.socket], None]


def _read_all(connection: socket.socket) -> None:
    """End the client's direction, and read what comes."""
    connection.shutdown(socket.SHUT_WR)
    read(connection)


def _read_some(connection: socket.socket) -> None:
    """Leave in the middle of the response."""
    connection.settimeout(0.005)
    connection.recv(10)


def _reset(connection: socket.socket) -> None:
    """Break the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _reset_in_response(connection: socket.socket) -> None:
    _reset(connection)
    _read_some(connection)


LEAVING: dict[str, _Leave] = {
    "reads": _read_all,
    "leaves": lambda connection: None,
    "resets": _reset,
    "leaves in the response": _read_some,
    "resets in the response": _reset_in_response,
}


def attack(port: int, data: bytes, leave: _Leave, context: ssl.SSLContext | None = None) -> None:
    """Send `data`, and leave; errors of the connection are the server's good right."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        if context is None:
            connection.sendall(data)
            leave(connection)
            return
        with context.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted:
            encrypted.sendall(data)
            leave(encrypted)


class Figures:
    """Threads, descriptors and resident bytes of a process, now."""

    def __init__(self, process: int) -> None:
        home = Path(f"/proc/{process}")
        self.threads = len(list((home / "task").iterdir()))
        self.descriptors = len(list((home / "fd").iterdir()))
        fields = dict(line.split(":", 1) for line in (home / "status").read_text().splitlines())
        self.resident = int(fields["VmRSS"].split()[0]) * 1024


class Victim:
    """The server's process, its port, and how a healthy client gets its metrics."""

    def __init__(self, program: Program, context: ssl.SSLContext | None, authorization: str) -> None:
        self.program = program
        self.port = int(program.wait_for(r"^port (\d+)$")[1])
        self.context = context
        self._request = _GET + f"Authorization: {authorization}\r\n\r\n".encode()

    def serves(self) -> bool:
        """Whether a healthy client gets the metrics."""
        with ExitStack() as stack:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_SECONDS)
            connection = stack.enter_context(plain)
            if self.context is not None:
                connection = stack.enter_context(self.context.wrap_socket(plain, server_hostname="127.0.0.1"))
            connection.sendall(self._request)
            return b'orders_total{customer="customer 7"} 1.0' in read(connection)

    def round(self, randomness: random.Random) -> int:
        """Let each kind of client attack; returns how many there were."""
        count = 0
        for data in SENT.values():
            for leave in LEAVING.values():
                attack(self.port, data, leave, self.context)
                count += 1
        for _ in range(20):
            changed = bytearray(_GET + b"Accept: text/plain\r\n\r\n")
            for _ in range(randomness.randrange(4)):
                changed[randomness.randrange(len(changed))] = randomness.randrange(256)
            attack(self.port, bytes(changed), _read_all, self.context)
            attack(self.port, randomness.randbytes(randomness.randrange(20_000)), _reset, None)
            count += 2
        if self.context is not None:
            for data in SENT.values():
                attack(self.port, data, _reset, None)
            for cut in range(1, len(_HELLO), 5):
                attack(self.port, _HELLO[:cut] + randomness.randbytes(cut), _read_all, None)
            count += len(SENT) + len(_HELLO) // 5
        return count


@pytest.fixture(params=["plain", "TLS and a password"])
def victim(request: pytest.FixtureRequest, tmp_path: Path, start: Start) -> Iterator[Victim]:
    """A server in a process of its own, which must not print anything."""
    arguments, context, authorization = [], None, "none"
    if request.param != "plain":
        web_configs = pytest.importorskip("tests.exposition.web_configs", exc_type=ImportError)
        scene = web_configs.Scene(tmp_path)
        arguments = [str(scene.write(web_configs.TLS + web_configs.USERS))]
        context, authorization = scene.client(), "Basic cHJvbWV0aGV1czpjb3JyZWN0IGhvcnNl"
    (tmp_path / "program.py").write_text(_PROGRAM)
    program = start(sys.executable, "program.py", *arguments, cwd=tmp_path)
    victim = Victim(program, context, authorization)
    yield victim
    assert victim.serves()
    assert program.process.poll() is None
    assert program.lines == [f"port {victim.port}"]


def _settled(victim: Victim, at_first: Figures) -> Figures:
    process = victim.program.process.pid

    def is_settled() -> bool:
        now = Figures(process)
        return now.threads <= at_first.threads and now.descriptors <= at_first.descriptors

    wait_until(is_settled, "threads and descriptors to be as before")
    return Figures(process)


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(40, marks=[pytest.mark.once, pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_nothing_of_hostile_clients_is_kept(victim: Victim, rounds: int) -> None:
    randomness = random.Random(rounds)
    assert victim.serves()
    wait_until(lambda: Figures(victim.program.process.pid).threads == 2, "the thread of the scrape to end")
    at_first = Figures(victim.program.process.pid)
    victim.round(randomness)
    before = _settled(victim, at_first)

    count = sum(victim.round(randomness) for _ in range(rounds))
    assert victim.serves()

    after = _settled(victim, at_first)
    print(
        f"{count} hostile clients: {after.threads} threads, {after.descriptors} descriptors,"
        f" {(after.resident - before.resident) / 1024:.0f} KiB more than the {before.resident / 1024:.0f} KiB before"
    )
    assert after.resident - before.resident < _MOST_KEPT_BYTES


def test_trickling_clients_keep_no_scrape_out(victim: Victim) -> None:
    """600 clients send a byte at a time, more than the server keeps, while a healthy one scrapes."""
    with ExitStack() as stack:
        trickling: list[socket.socket] = []
        for number in range(600):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", victim.port), timeout=1))
            trickling.append(connection)
            for client in trickling[-50:]:
                with suppress(OSError):
                    client.sendall(_GET[number % 10 : number % 10 + 1])
            if number % 100 == 0:
                assert victim.serves()
        assert victim.serves()
        now = Figures(victim.program.process.pid)
        assert now.threads <= 10  # none of them has one
        assert now.descriptors < 300
