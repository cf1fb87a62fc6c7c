"""Applications of WSGI within those of ASGI: a request that two middlewares see. Numbers are those of the cases."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from asgiref.wsgi import WsgiToAsgi
from flask import Flask
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from werkzeug.test import run_wsgi_app

from pytheus import make_wsgi_app
from pytheus.middleware import AsgiMiddleware, WsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import Measured, active, ask, exchanges, values

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from pytheus.exposition.asgi import ASGIApp

Adapter = Callable[["WSGIApplication"], "ASGIApp"]


def by_starlette(app: WSGIApplication) -> ASGIApp:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names a2wsgi as its successor
        from starlette.middleware.wsgi import WSGIMiddleware

    return cast("ASGIApp", WSGIMiddleware(app))


def by_asgiref(app: WSGIApplication) -> ASGIApp:
    return cast("ASGIApp", WsgiToAsgi(app))  # type: ignore[no-untyped-call]  # asgiref has no types for it


adapters = pytest.mark.parametrize("adapter", [by_starlette, by_asgiref])


def shop(registry: CollectorRegistry, **options: object) -> Flask:
    """A measured application of Flask."""
    app = Flask("shop")
    app.add_url_rule("/items/<item>", "item", lambda item: str(item))
    app.wsgi_app = WsgiMiddleware(app.wsgi_app, registry=registry, **options)  # type: ignore[arg-type, method-assign]  # as Flask documents it
    return app


@adapters
@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
@pytest.mark.parametrize("wrap", ["around", "in the stack"])
def test_a_request_is_measured_by_the_outermost(
    registry: CollectorRegistry, adapter: Adapter, root_path: str, wrap: str
) -> None:
    """1.3: 16. The route is that of the mount, and of the application within it."""
    inner = Starlette(routes=[Mount("/v1", adapter(shop(registry)))])
    if wrap == "around":
        app: object = AsgiMiddleware(inner, registry=registry)
    else:
        inner.add_middleware(AsgiMiddleware, registry=registry)
        app = inner
    paths = ("/v1/items/caf%C3%A9?size=1", "/v1/items/2", "/v1/none")
    found = [each.status_code for each in ask(app, *(root_path + path for path in paths), root_path=root_path)]

    assert found == [200, 200, 404]
    assert exchanges(registry) == {Measured("GET", "200", "/v1/items/<item>"): 2, Measured("GET", "404", "/v1"): 1}
    assert active(registry) == 0


def test_middlewares_with_other_names_both_measure(registry: CollectorRegistry) -> None:
    """1.3: 16."""
    inner = shop(registry, names="flask-exporter")
    inner.wsgi_app = WsgiMiddleware(inner.wsgi_app, registry=registry)  # type: ignore[method-assign]  # as Flask documents it
    app = AsgiMiddleware(Starlette(routes=[Mount("/v1", by_starlette(inner))]), registry=registry)
    ask(app, "/v1/items/1")

    assert exchanges(registry) == {Measured("GET", "200", "/v1/items/<item>"): 1}
    (labels,) = values(registry, "flask_http_request_duration_seconds_count")
    assert dict(labels)["path"] == "/items/<item>"


@adapters
def test_what_the_outermost_excludes_is_not_measured_within(registry: CollectorRegistry, adapter: Adapter) -> None:
    """1.3: 18: as with two middlewares of one scope."""
    app = AsgiMiddleware(adapter(shop(registry)), registry=registry, exclude=["/items/1"])
    ask(app, "/items/1", "/items/2")

    assert exchanges(registry) == {Measured("GET", "200", "/items/<item>"): 1}


@adapters
def test_a_scrape_within_is_not_measured(registry: CollectorRegistry, adapter: Adapter) -> None:
    """1.3: 18."""
    app = AsgiMiddleware(Starlette(routes=[Mount("/metrics", adapter(make_wsgi_app(registry)))]), registry=registry)
    (response,) = ask(app, "/metrics/")

    assert "http_server_active_requests" in response.text
    assert exchanges(registry) == {}
    assert active(registry) == 0


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("host", ["shop", "stock"])
def test_a_request_by_the_application_is_measured_on_its_own(
    registry: CollectorRegistry, in_thread: bool, host: str
) -> None:
    """1.3: 16: to another application in the same process, also if its path is the same."""
    stock = shop(registry)

    def in_stock() -> str:
        with httpx.Client(transport=httpx.WSGITransport(stock), base_url=f"http://{host}") as client:
            return client.get("/items/1", headers={"user-agent": "shop"}).text

    async def item(request: Request) -> Response:
        return PlainTextResponse(await run_in_threadpool(in_stock) if in_thread else in_stock())

    app = AsgiMiddleware(Starlette(routes=[Route("/items/{item}", item)]), registry=registry)
    assert [each.text for each in ask(app, "/items/1")] == ["1"]
    assert exchanges(registry) == {
        Measured("GET", "200", "/items/{item}"): 1,
        Measured("GET", "200", "/items/<item>"): 1,
    }


def test_a_task_that_outlives_its_request_has_none(registry: CollectorRegistry) -> None:
    """1.3: 16: its requests are measured on their own, even if they are the same."""
    stock = shop(registry)
    environs: list[dict[str, object]] = []

    def capture(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
        environs.append(dict(environ))
        start_response("200 OK", [])
        return []

    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        answered = asyncio.Event()

        async def later() -> None:
            await answered.wait()
            environ = {key: value for key, value in environs[0].items() if not key.startswith("pytheus")}
            run_wsgi_app(stock.wsgi_app, environ, buffered=True)

        adapted = by_asgiref(cast("WSGIApplication", capture))

        async def app(scope: object, receive: object, send: object) -> None:
            tasks.append(asyncio.create_task(later()))
            await adapted(scope, receive, send)  # type: ignore[arg-type]  # as the server passes them

        transport = httpx.ASGITransport(cast("ASGIApp", AsgiMiddleware(app, registry=registry)))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await client.get("/items/1")
        answered.set()
        await tasks[0]

    asyncio.run(main())
    assert exchanges(registry) == {Measured("GET", "200", ""): 1, Measured("GET", "200", "/items/<item>"): 1}
