"""The ASGI application: by its protocol, mounted in Starlette, and in a real server."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pytheus import make_asgi_app
from pytheus.exceptions import NotARegistryError
from pytheus.exposition.asgi import ASGIApp, Message
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family
from tests.exposition.conftest import Plain, WaitUntil, add_queues, fail
from tests.serving import serving_by_uvicorn


def exchange(app: ASGIApp, scope: Message, *events: Message) -> list[Message]:
    """What `app` sends for `scope` when it receives `events`."""
    sent: list[Message] = []
    waiting = list(events)

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def main() -> None:
        await app(scope, receive, send)

    asyncio.run(main())
    return sent


def fetch(app: ASGIApp, path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.request(method, path, headers={"accept-encoding": "identity", **headers})

    return asyncio.run(ask())


def test_get_gives_the_metrics(shop: CollectorRegistry) -> None:
    response = fetch(make_asgi_app(shop))

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["content-length"] == str(len(response.content))
    assert "\nshop_orders_total 1.0\n" in response.text


def test_head_gives_no_body(shop: CollectorRegistry) -> None:
    app = make_asgi_app(shop)
    response = fetch(app, method="HEAD")

    assert response.content == b""
    assert response.headers["content-length"] == fetch(app).headers["content-length"]


def test_post_is_refused(shop: CollectorRegistry) -> None:
    response = fetch(make_asgi_app(shop), method="POST")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_gzip_goes_to_who_takes_it_in_any_of_several_headers(shop: CollectorRegistry) -> None:
    add_queues(shop)
    app = make_asgi_app(shop)
    headers = [(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip;q=0.5")]

    start, body = exchange(app, {"type": "http", "method": "GET", "headers": headers})

    sent = start["headers"]
    assert isinstance(sent, Iterable)
    assert (b"content-encoding", b"gzip") in sent
    content = body["body"]
    assert isinstance(content, bytes)
    assert gzip.decompress(content) == fetch(app).content


def test_it_is_served_under_the_path_where_it_is_mounted(shop: CollectorRegistry) -> None:
    app = Starlette(routes=[Mount("/metrics", make_asgi_app(shop))])

    assert "shop_orders_total 1.0" in fetch(app, "/metrics/").text
    assert fetch(app, "/elsewhere").status_code == 404


def test_a_registry_that_raises_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    response = fetch(make_asgi_app(Plain(fail)))

    assert response.status_code == 500
    assert "store" not in response.text
    assert "store is down" in caplog.text


def test_a_collector_that_waits_does_not_stop_the_event_loop(shop: CollectorRegistry) -> None:
    beating = threading.Event()

    class Patient:
        """Ends only once the event loop has gone on."""

        def collect(self) -> list[Family]:
            assert beating.wait(60)
            return [Family("patience", "gauge", "Whether it paid.")]

    shop.register(Patient())
    app = make_asgi_app(shop)

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            scrape = asyncio.create_task(client.get("/"))
            while not scrape.done():
                await asyncio.sleep(0)
                beating.set()
            return await scrape

    assert "# TYPE shop_patience gauge" in asyncio.run(main()).text


@pytest.mark.parametrize(
    ("protocol", "events", "answers"),
    [
        ("lifespan", ["startup", "shutdown"], ["startup.complete", "shutdown.complete"]),
        ("websocket", ["connect"], ["close"]),
    ],
)
def test_lifespan_is_confirmed_and_a_websocket_refused(
    shop: CollectorRegistry, protocol: str, events: list[str], answers: list[str]
) -> None:
    received: list[Message] = [{"type": f"{protocol}.{event}"} for event in events]
    sent = exchange(make_asgi_app(shop), {"type": protocol}, *received)

    assert [message["type"] for message in sent] == [f"{protocol}.{answer}" for answer in answers]


def test_an_unknown_protocol_is_refused_by_name(shop: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="got the scope 'smtp'"):
        exchange(make_asgi_app(shop), {"type": "smtp"})


def test_another_event_loop_than_asyncios_will_do(shop: CollectorRegistry) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    # Nothing is awaited that would need a loop, so that stepping by hand is one.
    steps = make_asgi_app(shop)({"type": "http", "method": "GET", "headers": []}, receive, send).__await__()

    with pytest.raises(StopIteration):
        next(iter(steps))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_what_is_no_registry_is_refused_when_the_app_is_made() -> None:
    with pytest.raises(NotARegistryError):
        make_asgi_app({})  # type: ignore[arg-type]  # the error under test


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_real_server_serves_it(shop: CollectorRegistry, wait_until: WaitUntil, method: str) -> None:
    with serving_by_uvicorn(make_asgi_app(shop), lifespan="on") as port:
        response = httpx.request(method, f"http://127.0.0.1:{port}/", trust_env=False)

    assert response.status_code == 200
    assert ("shop_orders_total 1.0" in response.text) is (method == "GET")
