"""The ASGI application on event loops: asyncio's, trio's, with tasks of the application beside it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from pytheus import make_asgi_app
from pytheus.exposition.asgi import ASGIApp, Message
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family

_PATIENCE_SECONDS = 60


class Held:
    """A collector that returns when it is let go."""

    def __init__(self) -> None:
        self.is_called = threading.Event()
        self.let_go = threading.Event()

    def collect(self) -> list[Family]:
        self.is_called.set()
        assert self.let_go.wait(_PATIENCE_SECONDS)
        return [Family("held", "gauge", "Held.")]


@pytest.fixture
def held(shop: CollectorRegistry) -> Iterator[Held]:
    held = Held()
    shop.register(held)
    yield held
    held.let_go.set()


def scope(timeout: str = "25") -> Message:
    headers = [(b"x-prometheus-scrape-timeout-seconds", timeout.encode())]
    return {"type": "http", "method": "GET", "headers": headers}


class Client:
    """The other end of one request; it leaves when it is told to."""

    def __init__(self, wait_until_it_leaves: Callable[[], Awaitable[object]]) -> None:
        self.sent: list[Message] = []
        self._leaves = wait_until_it_leaves
        self._events: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._events:
            return self._events.pop()
        await self._leaves()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def text(self) -> str:
        bodies = [message.get("body", b"") for message in self.sent]
        return b"".join(body for body in bodies if isinstance(body, bytes)).decode()


async def never_asyncio() -> None:
    await asyncio.Event().wait()


def scrape_on_asyncio(app: ASGIApp, timeout: str) -> Client:
    client = Client(never_asyncio)
    asyncio.run(app(scope(timeout), client.receive, client.send))  # type: ignore[arg-type]  # a coroutine, as here
    return client


def scrape_on_trio(app: ASGIApp, timeout: str) -> Client:
    client = Client(trio.sleep_forever)
    trio.run(app, scope(timeout), client.receive, client.send)
    return client


any_loop = pytest.mark.parametrize("scrape", [scrape_on_asyncio, scrape_on_trio])


@any_loop
def test_the_metrics_come_on_each_loop(shop: CollectorRegistry, scrape: Callable[[ASGIApp, str], Client]) -> None:
    client = scrape(make_asgi_app(shop), "25")

    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]
    assert "shop_orders_total 1.0" in client.text


@any_loop
def test_the_rest_comes_at_the_deadline(
    shop: CollectorRegistry, held: Held, scrape: Callable[[ASGIApp, str], Client]
) -> None:
    client = scrape(make_asgi_app(shop), "0.4")

    assert "shop_orders_total 1.0" in client.text
    assert 'shop_pytheus_collector_errors_total{collector="Held"} 1.0' in client.text


@any_loop
def test_a_request_that_is_repeated_without_end_keeps_no_loop_busy(
    shop: CollectorRegistry, held: Held, scrape: Callable[[ASGIApp, str], Client]
) -> None:
    async def repeated() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    app = make_asgi_app(shop)
    client = scrape(lambda scope, _, send: app(scope, repeated, send), "0.4")

    assert "shop_orders_total 1.0" in client.text


def test_asyncio_goes_on_without_a_client_that_leaves(shop: CollectorRegistry, held: Held) -> None:
    async def main() -> None:
        leaves = asyncio.Event()
        client = Client(leaves.wait)
        request = asyncio.ensure_future(make_asgi_app(shop)(scope(), client.receive, client.send))
        while not held.is_called.is_set():
            await asyncio.sleep(0.01)
        leaves.set()
        await request
        assert client.sent == []

    asyncio.run(asyncio.wait_for(main(), _PATIENCE_SECONDS))


def test_trio_goes_on_without_a_client_that_leaves(shop: CollectorRegistry, held: Held) -> None:
    async def main() -> None:
        leaves = trio.Event()
        client = Client(leaves.wait)
        with trio.fail_after(_PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make_asgi_app(shop), scope(), client.receive, client.send)
                while not held.is_called.is_set():
                    await trio.sleep(0.01)
                leaves.set()
        assert client.sent == []

    trio.run(main)


def test_a_request_that_is_cancelled_leaves_the_collection_to_the_others(shop: CollectorRegistry, held: Held) -> None:
    app = make_asgi_app(shop)

    async def main() -> str:
        first, second = Client(never_asyncio), Client(never_asyncio)
        cancelled = asyncio.ensure_future(app(scope(), first.receive, first.send))
        while not held.is_called.is_set():
            await asyncio.sleep(0.01)
        waiting = asyncio.ensure_future(app(scope(), second.receive, second.send))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        held.let_go.set()
        await waiting
        return second.text

    assert "# TYPE shop_held gauge" in asyncio.run(asyncio.wait_for(main(), _PATIENCE_SECONDS))


def test_the_default_executor_is_the_applications_own(shop: CollectorRegistry, held: Held) -> None:
    app = make_asgi_app(shop)

    async def main() -> None:
        clients = [Client(never_asyncio) for _ in range(40)]
        requests = [asyncio.ensure_future(app(scope(), each.receive, each.send)) for each in clients]
        while not held.is_called.is_set():
            await asyncio.sleep(0.01)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), _PATIENCE_SECONDS) == "done"
        assert not any(request.done() for request in requests)
        for request in requests:
            request.cancel()
        await asyncio.get_running_loop().shutdown_default_executor()
        held.let_go.set()
        late = Client(never_asyncio)
        await app(scope(), late.receive, late.send)
        assert "# TYPE shop_held gauge" in late.text

    asyncio.run(main())


_GREEN = """
from gevent import monkey
monkey.patch_all()
import gevent, signal, threading, time
from gevent.pywsgi import WSGIServer
from urllib.request import Request, urlopen
from pytheus import Counter, generate_metrics, make_wsgi_app
from pytheus.registry import CollectorRegistry

registry = CollectorRegistry()
Counter("orders_total", "Orders placed.", registry=registry).inc()

class Hanging:
    def collect(self):
        threading.Event().wait()

class Late:
    def collect(self):
        with gevent.Timeout(0.05):
            gevent.sleep(60)

registry.register(Hanging())
registry.register(Late())
server = WSGIServer(("127.0.0.1", 0), make_wsgi_app(registry), log=None)
server.start()
url = f"http://127.0.0.1:{server.server_port}/"

def scrape():
    return urlopen(Request(url, headers={"X-Prometheus-Scrape-Timeout-Seconds": "1"})).read().decode()

texts = [each.get() for each in [gevent.spawn(scrape) for _ in range(20)]]
assert all("orders_total 1.0" in text for text in texts)
assert all('collector="Hanging"' in text and 'collector="Late"' in text for text in texts), texts
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set(), "signals stay blocked"

# A timeout of the caller ends the scrape of the caller.
one = CollectorRegistry()
one.register(Hanging())
try:
    with gevent.Timeout(0.05):
        generate_metrics(one)
except gevent.Timeout:
    print("timeout")
scraping = gevent.spawn(generate_metrics, one)
gevent.sleep(0.01)
scraping.kill()
print(type(scraping.value).__name__)
"""


@pytest.mark.once
def test_under_gevent_a_scrape_has_its_deadline_and_ends_with_its_greenlet(tmp_path: Path) -> None:
    program = [sys.executable, "-c", _GREEN]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=100)

    assert ended.stdout == "timeout\nGreenletExit\n", ended.stderr
