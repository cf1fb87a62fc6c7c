"""The route of a request in Starlette, FastAPI and Litestar. Numbers are those of the cases in the docstrings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

from pytheus.exposition.asgi import Receive, Scope, Send
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


def test_an_endpoint_that_is_added_again_later(registry: CollectorRegistry) -> None:
    """1.3: 3: on another path, in an included router, in an application that is mounted, and by another mount."""

    async def item(x: str) -> str:
        return x

    app, router, mounted = FastAPI(), APIRouter(), FastAPI()
    app.add_middleware(AsgiMiddleware, registry=registry)
    app.include_router(router, prefix="/r")
    app.mount("/m", mounted)
    app.add_api_route("/a/{x}", item)
    router.add_api_route("/b/{x}", item)
    expected = {"/a/1": "/a/{x}", "/r/b/1": "/r/b/{x}"}
    ask(app, *expected)

    app.add_api_route("/c/{x}", item)
    expected["/c/1"] = "/c/{x}"
    ask(app, *expected)
    router.add_api_route("/d/{x}", item)
    router.add_route("/plain/{x}", tea, include_in_schema=False)
    mounted.add_api_route("/e/{x}", item)
    expected.update({"/r/d/1": "/r/d/{x}", "/r/plain/1": "/r/plain/{x}", "/m/e/1": "/m/e/{x}"})
    ask(app, *expected)
    app.mount("/n/{tenant}", mounted)
    app.include_router(router, prefix="/s")
    expected.update({"/n/t1/e/1": "/n/{tenant}/e/{x}", "/s/d/1": "/s/d/{x}", "/s/plain/1": "/s/plain/{x}"})
    ask(app, *expected)

    assert routes(registry) == set(expected.values())
    counts = {measured.route: count for measured, count in exchanges(registry).items()}
    assert (counts["/a/{x}"], counts["/c/{x}"], counts["/m/e/{x}"], counts["/s/plain/{x}"]) == (4, 3, 2, 1)


def in_a_function(app: Any) -> Any:
    """A middleware that is a function, so that `app` is no attribute of it."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return middleware


class Inner:
    """A middleware whose application is not its attribute `app`."""

    def __init__(self, app: Any) -> None:
        self.inner_app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.inner_app(scope, receive, send)


def application_with_hidden_ones(hide: Callable[[Any], Any], folder: Path) -> Starlette:
    """Mounts of applications that a walk does not reach, whose routes and endpoints the outer one has, too."""
    inner = of_starlette(
        Route("/x/{i}", tea), Route("/shared/{i}", shared), Mount("/static", StaticFiles(directory=folder))
    )
    fast = FastAPI()
    router = APIRouter()

    @router.get("/a/{b:path}")
    async def a(b: str) -> str:
        return b

    router.add_route("/plain/{i}", tea)
    fast.include_router(router, prefix="/v1")
    return of_starlette(
        Mount("/tenants/{t}", hide(inner)),
        Mount("/deep", routes=[Mount("/{a}/er", hide(inner))]),
        Mount("/fast/{t}", hide(fast)),
        Route("/x/{i}", tea),
        Route("/of-outer/{i}", shared),
        Mount("/", hide(inner)),
    )


HIDDEN = {
    "/tenants/5/x/1": "/tenants/{t}/x/{i}",
    "/tenants/5/shared/1": "/tenants/{t}/shared/{i}",
    "/tenants/5/static/there.txt": "/tenants/{t}/static",
    "/tenants/5/nothing": "/tenants/{t}",
    "/deep/5/er/x/1": "/deep/{a}/er/x/{i}",
    "/fast/5/v1/a/b/c": "/fast/{t}/v1/a/{b}",
    "/fast/5/v1/plain/7": "/fast/{t}/v1/plain/{i}",
    "/x/1": "/x/{i}",
    "/of-outer/1": "/of-outer/{i}",
    "/shared/1": "/shared/{i}",
}


@pytest.mark.parametrize("hide", [in_a_function, Inner])
@pytest.mark.parametrize("root_path", ["", "/front"])
def test_applications_that_a_walk_does_not_reach(
    registry: CollectorRegistry, tmp_path: Path, hide: Callable[[Any], Any], root_path: str
) -> None:
    """1.1: 1, 2, 3, 10. 1.3: 3: the template of the mount is before that of the route."""
    (tmp_path / "there.txt").write_text("tea")
    app = AsgiMiddleware(application_with_hidden_ones(hide, tmp_path), registry=registry)
    for path, route in [*HIDDEN.items(), *HIDDEN.items()]:
        before = exchanges(registry)
        ask(app, root_path + path, root_path=root_path)
        grown = {measured.route for measured, count in exchanges(registry).items() if count != before.get(measured)}
        assert (path, grown) == (path, {route})


def test_routes_that_are_new_for_each_request(registry: CollectorRegistry) -> None:
    """1.3: 3, 25: as of a mount that makes an application each time; the walks for them end."""

    async def each_time(scope: Scope, receive: Receive, send: Send) -> None:
        await of_starlette(Route("/x/{i}", tea))(scope, receive, send)

    class Counted(list[BaseRoute]):
        walks = 0

        def __iter__(self) -> Iterator[BaseRoute]:
            Counted.walks += 1
            return super().__iter__()

    app = of_starlette(Mount("/tenants/{t}", each_time))
    app.router.routes = Counted(app.router.routes)
    measured = AsgiMiddleware(app, registry=registry)
    ask(measured, *(f"/tenants/5/x/{number}" for number in range(1100)))
    before = Counted.walks
    ask(measured, *(f"/tenants/5/x/{number}" for number in range(50)))

    assert exchanges(registry) == {Measured("GET", "200", "/tenants/{t}/x/{i}"): 1150}
    assert Counted.walks - before == 50  # those of Starlette


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
