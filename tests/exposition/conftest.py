"""A custom collector, and a server with raw connections to it."""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from pytheus import Counter, Gauge, start_http_server
from pytheus.exposition import bodies, collection_lanes
from pytheus.exposition.server import MetricsServer
from pytheus.registry import Collector, CollectorRegistry
from pytheus.samples import Family, Sample


class Custom:
    """Yields what it was given."""

    def __init__(self, *parts: Family | Collector) -> None:
        self.parts = parts

    def collect(self) -> Iterator[Family | Collector]:
        yield from self.parts


class Plain:
    """A registry with the members of the protocol and no others."""

    def __init__(self, collect: Callable[[], Iterable[Collector]], prefix: str | None = None) -> None:
        self._collect = collect
        self.prefix = prefix

    def register(self, collector: Collector, /) -> None: ...

    def unregister(self, collector: Collector, /) -> None: ...

    def collect(self) -> Iterable[Collector]:
        return self._collect()


def fail() -> list[Collector]:
    """What the registry `Plain(fail)` does at each scrape."""
    raise ConnectionError("redis://:secret@store is down")


def gauge_family(name: str, *samples: Sample) -> Family:
    return Family(name, "gauge", "A gauge.", samples or [Sample("", {}, 1.0)])


def family_names(text: str) -> list[str]:
    return [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]


def add_queues(registry: CollectorRegistry) -> None:
    """Register so many series that compression is worth it."""
    depth = Gauge("queue_depth", "Jobs waiting.", ["queue"], registry=registry)
    for number in range(200):
        depth.labels(f"queue-{number}").set(number)


WaitUntil = Callable[[Callable[[], object], str], None]

_PATIENCE_SECONDS = 120


@pytest.fixture
def shop() -> CollectorRegistry:
    """A registry with a prefix and one counter."""
    registry = CollectorRegistry(prefix="shop")
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    return registry


@pytest.fixture
def server(shop: CollectorRegistry) -> Iterator[MetricsServer]:
    """A server of `shop` on a free port of the loopback."""
    with start_http_server(0, registry=shop) as server:
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
    """The names of the threads of all servers; a thread may need a moment to end after its connection is closed."""
    names = [thread.name for thread in threading.enumerate()]
    # The thread of series that end may still run after a test of those.
    return [name for name in names if name.startswith("pytheus-") and name != "pytheus-expiring"]


def waiting_clients() -> int:
    """How many clients wait for a collection that has not begun, in this process."""
    lanes = list(collection_lanes._lanes.values())
    return sum(len(collection._waits) for lane in lanes for collection in lane.waiting.values())


def held_bytes() -> int:
    """The size of all bodies that are not taken yet; without those that are garbage."""
    if sys.implementation.name != "cpython":
        gc.collect()
    return bodies.held_bytes()


class Gate:
    """A collector that waits to be let through."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.open = threading.Event()

    def collect(self) -> list[Family]:
        self.waiting.release()
        assert self.open.wait(_PATIENCE_SECONDS)
        return [Family("gate", "gauge", "Whether it is open.")]
