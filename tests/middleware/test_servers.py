"""What real clients do to real servers, and what the middleware counts. Numbers are those of the cases.

Each server is a process of its own, which serves its metrics itself.
"""

from __future__ import annotations

import shutil
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from websockets.sync.client import connect

from pytheus.testing import ParsedSample, parse_exposition
from tests.middleware.measured import Measured

if TYPE_CHECKING:
    from tests.conftest import Start

pytestmark = pytest.mark.once

HERE = Path(__file__).resolve().parent
FILE_BYTES = 3_000_000

DURATION = "http_server_request_duration_seconds"
ACTIVE = "http_server_active_requests"


class Server(NamedTuple):
    """A server's command, and how it treats what the protocol leaves open."""

    command: str
    is_asgi: bool = False
    has_threads: bool = True
    """Whether a scrape can run beside a request."""

    reads_first: bool = False
    """Whether the application is called when the whole request is there."""


SERVERS = {
    "uvicorn": Server("uvicorn served_asgi:app --timeout-graceful-shutdown 5 --port {port}", is_asgi=True),
    "hypercorn": Server("hypercorn served_asgi:app --workers 1 -b 127.0.0.1:{port}", is_asgi=True),
    "gunicorn with uvicorn's worker": Server(
        "gunicorn served_asgi:app -k uvicorn.workers.UvicornWorker -b 127.0.0.1:{port}", is_asgi=True
    ),
    "gunicorn gthread": Server("gunicorn served_wsgi:app --threads 4 -b 127.0.0.1:{port}"),
    "gunicorn sync": Server("gunicorn served_wsgi:app -b 127.0.0.1:{port}", has_threads=False),
    "waitress": Server("waitress --listen 127.0.0.1:{port} served_wsgi:app", reads_first=True),
}
SLOW = ("hypercorn", "gunicorn with uvicorn's worker", "gunicorn sync", "waitress")


class Served:
    """A server with the application, and what it has counted."""

    def __init__(self, server: Server, port: int, directory: Path, wait_until: Callable[..., None]) -> None:
        self.server = server
        self.port = port
        self.directory = directory
        self._wait_until = wait_until
        self.expected: dict[Measured, float] = {}

    def samples(self, name: str) -> list[ParsedSample]:
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", follow_redirects=True, timeout=60).text
        return [each for family in parse_exposition(text).values() for each in family.samples if each.name == name]

    def sum_of(self, sample: str, **labels: str) -> float:
        return sum(each.value for each in self.samples(sample) if labels.items() <= dict(each.labels).items())

    def counted(self) -> dict[Measured, float]:
        found: dict[Measured, float] = {}
        for each in self.samples(f"{DURATION}_count"):
            labels = dict(each.labels)
            key = Measured(
                labels["http_request_method"],
                labels["http_response_status_code"],
                labels["http_route"],
                labels["error_type"],
            )
            found[key] = found.get(key, 0) + each.value
        return found

    def expect(self, method: str, status: str, route: str, error: str = "", times: int = 1) -> None:
        """Wait until this is counted `times` more often than was expected before."""
        key = Measured(method, status, route, error)
        self.expected[key] = self.expected.get(key, 0) + times
        self.wait_for(lambda: self.counted().get(key) == self.expected[key], f"{key}")

    def expect_one_of(self, method: str, route: str, *statuses: tuple[str, str]) -> None:
        """Wait until one more is counted, with one of these statuses and errors."""

        def more() -> dict[Measured, float]:
            counted = self.counted()
            return {key: value for key, value in counted.items() if value != self.expected.get(key, 0)}

        self.wait_for(more, f"one more {method} {route}")
        ((key, value),) = more().items()
        assert (key.method, key.route) == (method, route)
        assert (key.status, key.error) in statuses
        assert value == self.expected.get(key, 0) + 1
        self.expected[key] = value

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        self._wait_until(condition, f"{what} beside {self.expected}")

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            yield client

    def send(self, head: str, body: bytes = b"") -> bytes:
        """Send a request on a connection of its own, and return all that comes back until the server closes it."""
        with self.connection() as client:
            client.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
            return b"".join(iter(lambda: client.recv(65536), b""))


def reset(client: socket.socket) -> None:
    """Close with a reset instead of the orderly end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in SERVERS]
)
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    unused_port: Callable[[], int],
    wait_until: Callable[..., None],
) -> Iterator[Served]:
    server = SERVERS[request.param]
    directory = tmp_path_factory.mktemp("served")
    for name in ("served_asgi.py", "served_wsgi.py"):
        shutil.copy(HERE / name, directory)
    (directory / "file").write_bytes(b"f" * FILE_BYTES)
    port = unused_port()
    program = start_for_module(sys.executable, "-m", *server.command.format(port=port).split(), cwd=directory)

    def answers() -> bool:
        assert program.process.poll() is None, program.output
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics", follow_redirects=True).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, "the server")
    yield Served(server, port, directory, wait_until)
    (directory / "may-end").touch()


def test_methods_and_protocols(served: Served) -> None:
    """1.1: 16, 18. 1.3: 2, 7, 8: one connection for several requests, HTTP/1.0, HEAD, and a method of the client's."""
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}") as client:
        assert [client.get(f"/items/{n}").text for n in range(3)] == ["0", "1", "2"]
        assert client.head("/items/5").status_code == 200
    template = "/items/{item}" if served.server.is_asgi else "/items/<item>"
    served.expect("GET", "200", template, times=3)
    served.expect("HEAD", "200", template)
    assert served.send("GET /items/5 HTTP/1.0\nHost: shop").endswith(b"5")
    served.expect("GET", "200", template)
    assert served.sum_of(f"{DURATION}_count", network_protocol_version="1.0") == 1
    answer = served.send("EVIL /items/5 HTTP/1.1\nHost: shop\nConnection: close")
    # A server may refuse it, and the application then sees nothing.
    status = answer.split()[1].decode()
    if status == "405":
        served.expect("_OTHER", "405", template if served.server.is_asgi else "")
    assert status in ("400", "405", "501")


def test_requests_that_come_together(served: Served) -> None:
    """1.3: 10: each ends by itself."""
    request = "GET /nothing HTTP/1.1\nHost: shop\n\n"
    answer = served.send(f"{request * 2}GET /nothing HTTP/1.1\nHost: shop\nConnection: close")
    served.expect("GET", "404", "", times=answer.count(b"HTTP/1.1 404"))


def test_an_exception(served: Served) -> None:
    """1.1: 23. 1.3: 9."""
    answer = served.send("GET /fails HTTP/1.1\nHost: shop\nConnection: close")
    assert b" 500 " in answer.splitlines()[0]
    served.expect("GET", "500", "/fails", "500")


def test_sizes(served: Served) -> None:
    """1.1: 29, 30. 1.3: 15: uploads with and without a length, streams, and a file that the server sends."""
    url = f"http://127.0.0.1:{served.port}"
    name = "http_server_{}_body_size_bytes_sum"
    assert httpx.post(f"{url}/upload", content=b"u" * 200_000, timeout=60).text == "200000"
    served.expect("POST", "200", "/upload")
    assert served.sum_of(name.format("request"), http_route="/upload") == 200_000
    assert served.sum_of(name.format("response"), http_route="/upload") == len("200000")
    answer = httpx.post(f"{url}/upload", content=iter([b"c" * 50_000] * 2), timeout=60)
    assert answer.text == "100000"
    served.expect("POST", "200", "/upload")
    # WSGI does not tell how much of a body without a length was read, unless the server has put it together.
    chunked = 100_000 if served.server.is_asgi or served.server.reads_first else 0
    assert served.sum_of(name.format("request"), http_route="/upload") == 200_000 + chunked
    assert httpx.get(f"{url}/stream").content == b"part" * 3
    served.expect("GET", "200", "/stream")
    assert served.sum_of(name.format("response"), http_route="/stream") == 12
    assert len(httpx.get(f"{url}/file", timeout=60).content) == FILE_BYTES
    served.expect("GET", "200", "/file")
    assert served.sum_of(name.format("response"), http_route="/file") == FILE_BYTES


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_client_that_leaves_a_stream(served: Served, leave: Callable[[socket.socket], None]) -> None:
    """1.1: 22. 1.3: 11."""
    with served.connection() as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert client.recv(1000)
        leave(client)
    served.expect("GET", "200", "/endless", "client_disconnected")


def test_a_client_that_leaves_its_upload(served: Served) -> None:
    """1.3: 9, 11: the application learns of it while it reads."""
    with served.connection() as client:
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n" + b"u" * 70_000)
        if served.server.is_asgi and served.server.has_threads:
            served.wait_for(lambda: served.sum_of(ACTIVE) == 1, "the upload")
    if served.server.is_asgi:
        served.expect("POST", "499", "/upload", "client_disconnected")
    elif not served.server.reads_first:
        # gunicorn lets the application read a part as if it were the whole.
        served.expect_one_of("POST", "/upload", ("200", ""), ("200", "client_disconnected"))


def test_a_client_that_leaves_before_the_response(served: Served) -> None:
    """1.3: 11, 22: it is in progress until the application has ended; no client gets the response then."""
    (served.directory / "may-end").unlink(missing_ok=True)
    with served.connection() as client:
        client.sendall(b"GET /waits HTTP/1.1\r\nHost: shop\r\n\r\n")
        if served.server.has_threads:
            served.wait_for(lambda: served.sum_of(ACTIVE) == 1, "the request in progress")
    (served.directory / "may-end").touch()
    answers = ("200", ""), ("200", "client_disconnected"), ("499", "client_disconnected")
    served.expect_one_of("GET", "/waits", *answers)
    assert served.sum_of(ACTIVE) == 0


def test_background_tasks(served: Served) -> None:
    """1.1: 19, 20. 1.3: 10: they are neither in the duration nor in progress."""
    if not served.server.is_asgi:
        return
    (served.directory / "may-end").unlink(missing_ok=True)
    with served.connection() as client:
        client.sendall(b"GET /background HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert client.recv(1000)
        served.expect("GET", "200", "/background")
        assert served.sum_of(ACTIVE) == 0
        (served.directory / "may-end").touch()


def test_upgrades(served: Served) -> None:
    """1.1: 22, 42. 1.3: 13: a WebSocket that the client closes, and one that it leaves; no request is counted."""
    if not served.server.is_asgi:
        return
    sample = "http_server_websocket_duration_seconds_count"
    url = f"ws://127.0.0.1:{served.port}/echo/tea"
    with connect(url) as client:
        client.send("one")
        assert client.recv() == "one"
        served.wait_for(lambda: served.sum_of("http_server_active_websockets") == 1, "the WebSocket")
    served.wait_for(lambda: served.sum_of(sample, http_route="/echo/{topic}") == 1, "the end")
    with connect(url) as client:
        client.socket.shutdown(socket.SHUT_RDWR)  # without the closing handshake
        served.wait_for(lambda: served.sum_of(sample) == 2, "the end of the other one")
    assert served.sum_of("http_server_active_websockets") == 0
    # Servers tell the application different codes.
    assert {dict(each.labels)["websocket_close_code"] for each in served.samples(sample)} <= {"1000", "1005", "1006"}
    assert served.counted() == served.expected


def test_http_2(served: Served) -> None:
    """1.1: 42. 1.3: 2: several requests on one connection of a server that has it."""
    if "hypercorn" not in served.server.command:
        return
    with httpx.Client(http1=False, http2=True, base_url=f"http://127.0.0.1:{served.port}") as client:
        assert [client.get(f"/items/{n}").text for n in range(3)] == ["0", "1", "2"]
    served.expect("GET", "200", "/items/{item}", times=3)
    assert served.sum_of(f"{DURATION}_count", network_protocol_version="2") == 3


def test_nothing_else_was_counted(served: Served) -> None:
    """1.1: 28. 1.3: 16: each request once, and none is left in progress."""
    assert served.counted() == served.expected
    assert served.sum_of(ACTIVE) == 0
    assert served.sum_of("pytheus_middleware_failures_total") == 0
