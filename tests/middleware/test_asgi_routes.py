"""The route of a request in Starlette, FastAPI and Litestar. Numbers are those of the cases in the docstrings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar, asgi, get
from litestar import Router as LitestarRouter
from litestar.types import Receive as LitestarReceive
from litestar.types import Scope as LitestarScope
from litestar.types import Send as LitestarSend
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import Measured, ask, exchanges, routes


async def tea(request: Request) -> Response:
    return PlainTextResponse("green")


async def shared(request: Request) -> Response:
    return PlainTextResponse("of several routes")


def of_starlette(*given: BaseRoute, **options: Any) -> Starlette:
    return Starlette(routes=list(given), **options)


def registry_of_others() -> CollectorRegistry:
    """The registry of another middleware, which measures on its own."""
    return CollectorRegistry()


def nested_starlette(folder: Path) -> Starlette:
    """Mounts with parameters in mounts, other applications, hosts, and an endpoint of several routes."""
    inner = of_starlette(Route("/items/{item}", tea), Route("/same", shared), middleware=[Middleware(GZipMiddleware)])
    return of_starlette(
        Route("/", tea),
        Route("/items/{item:int}", tea),
        Route("/one/{x}", shared),
        Route("/two/{x}", shared),
        Mount("/sub/{tenant}", inner),
        Mount("/again", inner),
        Mount(
            "/deep", routes=[Mount("/er/{a}", routes=[Route("/est/{b}", tea)], middleware=[Middleware(GZipMiddleware)])]
        ),
        Mount("/wrapped", AsgiMiddleware(of_starlette(Route("/{x}", tea)), registry=registry_of_others())),
        Mount("/static", StaticFiles(directory=folder)),
        Host("api.{domain}", Router([Route("/of-host/{x}", tea)])),
        Mount("/lit", AsgiMiddleware(Litestar([_litestar_item()]), registry=registry_of_others())),
    )


def _litestar_item() -> Any:
    @get("/l/{x:int}")
    async def item() -> str:
        return "item"

    return item


STARLETTE = {
    "/": "/",
    "/items/5": "/items/{item}",
    "/one/5": "/one/{x}",
    "/two/5": "/two/{x}",
    "/sub/t1/items/7": "/sub/{tenant}/items/{item}",
    "/sub/t1/same": "/sub/{tenant}/same",
    "/again/items/7": "/again/items/{item}",
    "/again/same": "/again/same",
    "/deep/er/1/est/2": "/deep/er/{a}/est/{b}",
    "/wrapped/1": "/wrapped/{x}",
    "/static/there.txt": "/static",
    "/static/missing.txt": "/static",
    "/lit/l/7": "/lit/l/{x}",
    "/nothing": "",
    "/items/5/": "",
    "/sub/t1/nothing": "/sub/{tenant}",
}


@pytest.mark.parametrize("place", ["around", "inside"])
@pytest.mark.parametrize("path", STARLETTE)
def test_starlette(tmp_path: Path, registry: CollectorRegistry, path: str, place: str) -> None:
    """1.1: 1, 2, 3, 8, 10, 11, 12. 1.3: 2, 3, 5, 6."""
    (tmp_path / "there.txt").write_text("tea")
    app = nested_starlette(tmp_path)
    if place == "inside":
        app.add_middleware(AsgiMiddleware, registry=registry)
        ask(app, path)
    else:
        ask(AsgiMiddleware(app, registry=registry), path)

    assert routes(registry) == {STARLETTE[path]}


def test_a_host_of_starlette(registry: CollectorRegistry, tmp_path: Path) -> None:
    """1.3: 3."""
    ask(AsgiMiddleware(nested_starlette(tmp_path), registry=registry), "/of-host/1", headers={"host": "api.shop"})

    assert routes(registry) == {"/of-host/{x}"}


def test_a_root_path_is_not_part_of_the_route(registry: CollectorRegistry, tmp_path: Path) -> None:
    """1.1: 4, 5, 9. 1.3: 3."""
    app = AsgiMiddleware(nested_starlette(tmp_path), registry=registry)
    ask(app, "/front/sub/t1/same", "/front/again/same", "/front/one/5", "/two/5", root_path="/front")

    assert routes(registry) == {"/sub/{tenant}/same", "/again/same", "/one/{x}", "/two/{x}"}


def test_an_instrumented_application_in_another_has_the_whole_route(registry: CollectorRegistry) -> None:
    """1.1: 2, 4."""
    inner = of_starlette(Route("/items/{item}", tea))
    inner.add_middleware(AsgiMiddleware, registry=registry)
    ask(of_starlette(Mount("/sub/{tenant}", inner)), "/sub/t1/items/7")

    assert routes(registry) == {"/sub/{tenant}/items/{item}"}


def fastapi_with_routers() -> FastAPI:
    """Routers in routers, one of them included twice, an endpoint with two paths, and a mounted application."""
    app = FastAPI()
    inner, middle = APIRouter(prefix="/inner"), APIRouter()

    @inner.get("/a/{b}")
    async def a(b: str) -> str:
        return b

    @app.get("/first/{x}")
    @app.get("/second/{y}")
    async def both(x: str = "", y: str = "") -> str:
        return x or y

    inner.add_route("/plain/{z}", shared, include_in_schema=False)
    inner.add_route("/plain/{z}", shared, methods=["GET"])
    middle.include_router(inner, prefix="/mid")
    app.include_router(middle, prefix="/v1")
    app.include_router(middle, prefix="/v2")
    app.add_route("/own/{x}", shared)
    mounted = FastAPI()

    @mounted.get("/items/{item}")
    async def item(tenant: str, item: str) -> str:
        return tenant + item

    app.mount("/sub/{tenant}", mounted)
    return app


FASTAPI = {
    "/v1/mid/inner/a/5": "/v1/mid/inner/a/{b}",
    "/v2/mid/inner/a/5": "/v2/mid/inner/a/{b}",
    "/first/1": "/first/{x}",
    "/second/1": "/second/{y}",
    "/own/1": "/own/{x}",
    "/sub/t1/items/3": "/sub/{tenant}/items/{item}",
    "/sub/t1/docs": "/sub/{tenant}/docs",
    "/docs": "/docs",
    "/nothing": "",
    "/own/1/": "",
}


@pytest.mark.parametrize("place", ["around", "inside"])
@pytest.mark.parametrize("path", FASTAPI)
def test_fastapi(registry: CollectorRegistry, path: str, place: str) -> None:
    """1.0: 2. 1.1: 1, 3, 4, 6, 7. 1.3: 3, 6."""
    app = fastapi_with_routers()
    if place == "inside":
        app.add_middleware(AsgiMiddleware, registry=registry)
        ask(app, path)
    else:
        ask(AsgiMiddleware(app, registry=registry), path)

    assert routes(registry) == {FASTAPI[path]}


def test_routes_that_are_added_later(registry: CollectorRegistry) -> None:
    """1.1: 6. 1.3: 3: the order of inclusion and instrumentation does not matter."""
    app = FastAPI()
    app.add_middleware(AsgiMiddleware, registry=registry)
    ask(app, "/late/1", "/included/1")
    router = APIRouter()

    @router.get("/included/{x}")
    @app.get("/late/{x}")
    async def late(x: str) -> str:
        return x

    app.include_router(router)
    ask(app, "/late/1", "/included/1")

    assert exchanges(registry) == {
        Measured("GET", "404", ""): 2,
        Measured("GET", "200", "/late/{x}"): 1,
        Measured("GET", "200", "/included/{x}"): 1,
    }


def test_a_known_path_with_another_method_keeps_its_route(registry: CollectorRegistry, tmp_path: Path) -> None:
    """1.3: 7."""
    ask(AsgiMiddleware(nested_starlette(tmp_path), registry=registry), "/items/5", method="POST")
    ask(AsgiMiddleware(fastapi_with_routers(), registry=registry), "/v2/mid/inner/a/5", "/first/1", method="POST")

    assert exchanges(registry) == {
        Measured("POST", "405", "/items/{item}"): 1,
        Measured("POST", "405", "/v2/mid/inner/a/{b}"): 1,
        Measured("POST", "405", "/first/{x}"): 1,
    }


def test_an_answer_before_routing_has_no_route(registry: CollectorRegistry) -> None:
    """1.3: 6: a CORS preflight that the middleware of the application answers."""
    app = of_starlette(Route("/tea", tea), middleware=[Middleware(CORSMiddleware, allow_origins=["*"])])
    headers = {"origin": "http://elsewhere", "access-control-request-method": "GET"}
    ask(AsgiMiddleware(app, registry=registry), "/tea", method="OPTIONS", headers=headers)

    assert exchanges(registry) == {Measured("OPTIONS", "200", ""): 1}


class Odd(BaseRoute):
    """A route without a path or anything else that Starlette's have."""

    def matches(self, scope: Any) -> tuple[Match, Any]:
        return (Match.FULL, {"endpoint": self}) if scope["path"] == "/odd" else (Match.NONE, {})

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("odd")(scope, receive, send)


def test_objects_that_are_not_routes_are_skipped(registry: CollectorRegistry) -> None:
    """1.1: 7, 8. 1.3: 3."""
    app = AsgiMiddleware(of_starlette(Odd(), Route("/tea", tea)), registry=registry)
    responses = ask(app, "/odd", "/odd", "/tea")

    assert [response.status_code for response in responses] == [200, 200, 200]
    assert exchanges(registry) == {Measured("GET", "200", ""): 2, Measured("GET", "200", "/tea"): 1}


def test_an_application_that_is_mounted_in_itself(registry: CollectorRegistry) -> None:
    """1.3: 3: the walk ends."""
    app = of_starlette(Route("/tea", tea))
    app.mount("/self", app)
    ask(AsgiMiddleware(app, registry=registry), "/self/self/tea", "/tea")

    assert routes(registry) == {"/self/self/tea", "/tea"}


@pytest.mark.parametrize("copies", [True, False])
def test_litestar(registry: CollectorRegistry, copies: bool) -> None:
    """1.1: 15. 1.3: 2, 4, 5, 6: routes in a mount are only seen if it writes into the same scope."""

    @asgi("/mounted", is_mount=True, copy_scope=copies)
    async def mounted(scope: LitestarScope, receive: LitestarReceive, send: LitestarSend) -> None:
        await of_starlette(Route("/in/{x}/", tea))(scope, receive, send)  # type: ignore[arg-type]  # the same protocol

    app = Litestar([_litestar_item(), LitestarRouter("/pre", route_handlers=[mounted])])
    measured = AsgiMiddleware(app, registry=registry)
    ask(measured, "/l/7", "/l/8", "/nothing", "/pre/mounted/in/5", "/l/x")
    ask(measured, "/l/7", method="POST")

    assert exchanges(registry) == {
        Measured("GET", "200", "/l/{x}"): 2,
        Measured("GET", "404", ""): 2,
        Measured("GET", "200", "/pre/mounted" + ("" if copies else "/in/{x}/")): 1,
        Measured("POST", "405", ""): 1,
    }


def test_litestar_takes_it_as_middleware(registry: CollectorRegistry) -> None:
    """1.3: 1, 4."""
    app = Litestar([_litestar_item()], middleware=[partial(AsgiMiddleware, registry=registry)])  # type: ignore[list-item]  # narrower types of scopes
    ask(app, "/l/7")

    assert exchanges(registry) == {Measured("GET", "200", "/l/{x}"): 1}


def test_a_bare_application_has_no_route_unless_a_function_returns_it(registry: CollectorRegistry) -> None:
    """1.3: 4."""
    own = CollectorRegistry()
    ask(AsgiMiddleware(PlainTextResponse("tea"), registry=registry), "/a/5")
    ask(AsgiMiddleware(PlainTextResponse("tea"), registry=own, route=lambda scope: f"/{scope['path']}"[1:3]), "/a/5")

    assert (routes(registry), routes(own)) == ({""}, {"/a"})


def test_many_paths_of_a_scanner_are_one_series(registry: CollectorRegistry, tmp_path: Path) -> None:
    """1.1: 10, 16, 17."""
    app = AsgiMiddleware(nested_starlette(tmp_path), registry=registry)
    ask(app, *(f"/{number}.php" for number in range(50)))

    assert exchanges(registry) == {Measured("GET", "404", ""): 50}
