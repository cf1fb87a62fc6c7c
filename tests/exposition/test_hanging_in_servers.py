"""A collector that never returns, in each server: clients that leave, the other metrics, and SIGTERM."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program, Start, wait_until

_APP = """
import asyncio, signal, sys, threading, time

from pytheus import Counter, make_asgi_app, make_wsgi_app, start_http_server
from pytheus.registry import CollectorRegistry

registry = CollectorRegistry()
Counter("orders_total", "Orders placed.", registry=registry).inc()


class Hanging:
    def collect(self):
        print("called", flush=True)
        threading.Event().wait()


registry.register(Hanging())
wsgi = make_wsgi_app(registry)
metrics = make_asgi_app(registry)


async def asgi(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/work":
        body = str(await asyncio.to_thread(lambda: "done")).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    else:
        await metrics(scope, receive, send)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    start_http_server(int(sys.argv[1]), registry=registry)
    while True:
        time.sleep(60)
"""

_SERVERS = {
    "built-in": ["app.py", "PORT"],
    "uvicorn": ["-m", "uvicorn", "app:asgi", "--port", "PORT"],
    "hypercorn": ["-m", "hypercorn", "app:asgi", "--bind", "127.0.0.1:PORT"],
    "hypercorn-trio": ["-m", "hypercorn", "app:metrics", "--bind", "127.0.0.1:PORT", "--worker-class", "trio"],
    "gunicorn-sync": ["-m", "gunicorn", "app:wsgi", "--bind", "127.0.0.1:PORT"],
    "gunicorn-gthread": ["-m", "gunicorn", "app:wsgi", "--bind", "127.0.0.1:PORT", "--threads", "4"],
    "gunicorn-gevent": ["-m", "gunicorn", "app:wsgi", "--bind", "127.0.0.1:PORT", "--worker-class", "gevent"],
    "waitress": ["-m", "waitress", "--listen", "127.0.0.1:PORT", "app:wsgi"],
}

_PATIENCE_SECONDS = 60


def ask(port: int, path: str = "/metrics", timeout: str = "20") -> socket.socket:
    """Send a request, and give its connection."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
    fields = f"Host: shop\r\nX-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\nConnection: close\r\n"
    connection.sendall(f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode())
    return connection


def read(connection: socket.socket) -> tuple[int, str]:
    with connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read().decode()


_QUICK = ("built-in", "uvicorn", "gunicorn-sync")


def servers(*names: str) -> pytest.MarkDecorator:
    marked = [pytest.param(name, marks=[] if name in _QUICK else [pytest.mark.slow]) for name in names]
    return pytest.mark.parametrize("serving", marked, indirect=True)


@pytest.fixture
def serving(
    request: pytest.FixtureRequest, start: Start, tmp_path: Path, unused_port: Callable[[], int]
) -> tuple[str, Program, int]:
    """The server's name, the program, and its port."""
    server = str(request.param)
    (tmp_path / "app.py").write_text(_APP)
    port = unused_port()
    arguments = [argument.replace("PORT", str(port)) for argument in _SERVERS[server]]
    program = start(sys.executable, *arguments, cwd=tmp_path)

    def accepts() -> bool:
        assert program.process.poll() is None, program.output
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    wait_until(accepts, f"{server} to listen")
    return server, program, port


@servers(*_SERVERS)
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM that a server handles")
def test_clients_that_leave_delay_neither_the_others_nor_the_end(serving: tuple[str, Program, int]) -> None:
    server, program, port = serving
    for _ in range(40):
        ask(port).close()

    begun = time.monotonic()
    status, body = read(ask(port, timeout="2"))
    took = time.monotonic() - begun

    assert status == 200
    assert "orders_total 1.0" in body
    assert 'pytheus_collector_errors_total{collector="Hanging"}' in body
    assert took < 10  # the collector never returns, and each client before has waited for 20 seconds
    if ":asgi" in " ".join(_SERVERS[server]):
        assert read(ask(port, "/work")) == (200, "done")
    for _ in range(40):
        ask(port).close()
    begun = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    program.process.wait(_PATIENCE_SECONDS)
    ended = time.monotonic() - begun
    print(f"{server}: metrics after {took:.2f} s, ended {ended:.2f} s after SIGTERM")
    assert ended < 5


# Not hypercorn, which waits 3 seconds for its clients and tells the application nothing; the others end at once.
@servers("uvicorn", "gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
def test_a_client_that_waits_gets_the_rest_when_the_server_is_told_to_end(serving: tuple[str, Program, int]) -> None:
    server, program, port = serving
    waiting = ask(port)
    program.wait_for("called")
    begun = time.monotonic()
    program.process.send_signal(signal.SIGTERM)

    status, body = read(waiting)

    assert status == 200
    assert "orders_total 1.0" in body
    program.process.wait(_PATIENCE_SECONDS)
    ended = time.monotonic() - begun
    print(f"{server}: ended {ended:.2f} s after SIGTERM")
    assert ended < 5
