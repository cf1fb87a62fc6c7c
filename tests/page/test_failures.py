"""The page says of failures what they are, keeps the last numbers, and asks again later each time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import pytest

from bench.chromium import Tab
from pytheus import start_http_server
from pytheus.exposition.server import MetricsServer
from tests.page.conftest import Opener
from tests.page.reading import row, until, until_details
from tests.page.shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


class Between:
    """A proxy of a metrics server, that fails as it is told to."""

    def __init__(self, target: MetricsServer) -> None:
        between = self
        self.failure: tuple[int, dict[str, str], bytes] | None = None
        self.query_characters = 10_000
        self.open = threading.Event()
        self.open.set()
        self.seen = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                between.seen += 1
                if "text/html" not in self.headers["Accept"]:
                    between.open.wait(60)
                if between.failure is not None and "text/html" not in self.headers["Accept"]:
                    status, fields, body = between.failure
                elif len(self.path) > between.query_characters:
                    status, fields, body = 414, {}, b"too long"
                else:
                    request = Request(
                        target.url + self.path.removeprefix("/metrics"), headers={"Accept": self.headers["Accept"]}
                    )
                    with urlopen(request, timeout=60) as response:
                        status, fields, body = 200, {"Content-Type": response.headers["Content-Type"]}, response.read()
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def between(shop: Shop) -> Iterator[Between]:
    with start_http_server(0, registry=shop.registry) as server:
        between = Between(server)
        yield between
        between.close()


@pytest.mark.parametrize(
    ("status", "fields", "body", "told"),
    [
        (401, {}, b"Sign in <b>first</b>", "Not signed in"),
        (503, {"Retry-After": "40"}, b"all scrapes are taken", "The server is busy"),
        (500, {}, b"<script>alert(1)</script>", "The server failed"),
        (200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>", "Unexpected response"),
        (200, {"Content-Type": "application/vnd.pytheus.overview+json"}, b"[nonsense", "Unexpected response"),
    ],
)
def test_a_failure_is_told_and_retried_later(
    tab: Tab, between: Between, status: int, fields: dict[str, str], body: bytes, told: str
) -> None:
    tab.open(f"http://127.0.0.1:{between.port}/metrics")
    until(tab, "shop_queue_depth", "max 12")
    between.failure = (status, fields, body)
    tab.run("poller.overviewDue = 0")
    tab.wait(f"byId('state-text').textContent.startsWith({json.dumps(told)})")
    assert told in tab.text("#banner")
    assert "max 12" in row(tab, "shop_queue_depth")
    assert tab.run("document.querySelector('#banner b, #banner script, #banner h1')") is None
    if "Retry-After" in fields:
        assert tab.run("poller.retryAt - performance.now()") > 30_000
    seen = between.seen
    tab.run("await new Promise((resolve) => setTimeout(resolve, 700))")
    assert between.seen - seen <= 1
    between.failure = None
    tab.run("poller.retry()")
    tab.wait("byId('state').dataset.state === 'live' && byId('banner').hidden")
    tab.errors[:] = [error for error in tab.errors if "status of" not in error]


def test_a_server_that_takes_short_queries_gets_those(tab: Tab, between: Between) -> None:
    between.query_characters = 120
    tab.open(f"http://127.0.0.1:{between.port}/metrics")
    until(tab, "shop_queue_depth", "max 12")
    tab.wait("list.families.every((family) => family.reading > 0)")
    assert tab.run("poller.failures") == 0
    tab.errors[:] = [error for error in tab.errors if "status of 414" not in error]


def test_a_server_that_takes_its_time_is_told_as_slow(tab: Tab, between: Between) -> None:
    tab.open(f"http://127.0.0.1:{between.port}/metrics")
    until(tab, "shop_queue_depth", "max 12")
    between.open.clear()
    tab.wait("byId('state-text').textContent.startsWith('Slow')")
    between.open.set()
    tab.wait("byId('state-text').textContent === 'Live'")


def test_a_tab_in_the_background_asks_rarely(tab: Tab, between: Between) -> None:
    tab.open(f"http://127.0.0.1:{between.port}/metrics")
    until(tab, "shop_queue_depth", "max 12")
    tab.run("Object.defineProperty(document, 'hidden', {get: () => globalThis.isHidden, configurable: true})")
    tab.run("isHidden = true")
    tab.run("await new Promise((resolve) => setTimeout(resolve, 1200))")  # a request of before may be under way
    seen = between.seen
    tab.run("await new Promise((resolve) => setTimeout(resolve, 2500))")
    assert between.seen - seen <= 1
    tab.run("isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    tab.wait_for(lambda: between.seen - seen > 1, "a request")


def test_a_server_that_is_away_and_comes_back(tab: Tab, shop: Shop) -> None:
    with start_http_server(0, registry=shop.registry) as server:
        tab.open(server.url)
        until(tab, "shop_queue_depth", "max 12")
    tab.wait("byId('state-text').textContent.startsWith('No connection')")
    tab.wait("poller.failures > 1")
    assert tab.run("poller.retryAt - performance.now()") > 500
    shop.depth.labels("mail").set(77)
    with start_http_server(server.port, registry=shop.registry):
        tab.click("#retry")
        until(tab, "shop_queue_depth", "max 77")
        assert tab.text("#state").startswith("Live")
    tab.errors[:] = [error for error in tab.errors if "ERR_" not in error]


def test_a_restart_is_told(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.wait("poller.took > 0")
    tab.run("await takeOverview({...page.data, pid: 1, uptime_seconds: -5})")
    tab.wait("byId('state-text').textContent.includes('restarted')")


def test_several_processes_that_take_turns_are_told(show: Opener, shop: Shop) -> None:
    tab = show(shop.registry)
    tab.press("p")
    tab.wait("poller.isPaused && !poller.isBusy")
    for pid in 11, 12, 11:
        tab.run(f"await takeOverview({{...page.data, pid: {pid}, uptime_seconds: 9999}})")
    until_details(tab, "Several processes answer at this address in turn, such as")
    assert "restarted" not in tab.text("#state")
