"""The metrics in web frameworks: each recipe of docs/how-to/expose.md, and mounts at other paths."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from pytheus import REGISTRY, make_asgi_app
from pytheus.exposition.asgi import ASGIApp
from pytheus.registry import CollectorRegistry

if TYPE_CHECKING:
    pass

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "expose.md"


def recipe(framework: str) -> list[str]:
    """The code blocks below the heading `framework`."""
    section = re.search(rf"^### {framework}$(.*?)^##", _DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert section is not None, framework
    return re.findall(r"^```python\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)


def made_by(source: str) -> object:
    """The application that a recipe calls `app`."""
    names: dict[str, object] = {}
    exec(compile(source, str(_DOCUMENT), "exec"), names)
    return names["app"]


def fetch(app: object, path: str, root_path: str = "") -> httpx.Response:
    """The response of an ASGI application at `path`; redirects are not followed."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(cast("ASGIApp", app), root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.get(path, headers={"accept-encoding": "identity"})

    return asyncio.run(ask())


@pytest.fixture(autouse=True)
def orders(shop: CollectorRegistry) -> object:
    """One order in the registry of the recipes."""
    with REGISTRY.use(shop):
        yield


@pytest.mark.once
@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
@pytest.mark.parametrize("framework", ["Starlette", "FastAPI", "Litestar"])
def test_the_recipe_of_an_asgi_framework(framework: str, path: str) -> None:
    (source,) = recipe(framework)
    app = made_by(source)

    response = fetch(app, path)

    assert response.status_code == 200
    assert "shop_orders_total 1.0" in response.text
    assert fetch(app, "/metricsx").status_code == 404
    assert fetch(app, "/elsewhere").status_code == 404


@pytest.mark.once
@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
def test_the_recipe_of_flask(path: str) -> None:
    (source,) = recipe("Flask")
    app = made_by(source)
    assert isinstance(app, Flask)
    client = app.test_client()

    response = client.get(path)

    assert response.status_code == 200
    assert "shop_orders_total 1.0" in response.text
    assert client.get("/metricsx").status_code == 404


_DJANGO = """
import asyncio, importlib, json, sys

from pytheus import Counter

Counter("orders_total", "Orders placed.").inc()
paths = ("/metrics", "/metrics/", "/metricsx", "/tea")
answers = {}
if sys.argv[1] == "wsgi":
    from wsgiref.util import setup_testing_defaults

    from shop.wsgi import application

    for path in paths:
        environ, status = {"PATH_INFO": path}, []
        setup_testing_defaults(environ)
        chunks = application(environ, lambda line, headers, exc_info=None: status.append(int(line.split()[0])))
        answers[path] = status[0], b"".join(chunks).decode()
else:
    import httpx

    from shop.asgi import application

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://shop") as client:
            for path in paths:
                response = await client.get(path)
                answers[path] = response.status_code, response.text

    asyncio.run(ask())
print(json.dumps(answers))
"""
_SETTINGS = 'ROOT_URLCONF = "shop.urls"\nALLOWED_HOSTS = ["*"]\nSECRET_KEY = "of a test"\nUSE_TZ = True\n'
_URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("tea", lambda request: HttpResponse("green"))]
"""


@pytest.mark.once
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_the_recipes_of_django(tmp_path: Path, kind: str) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    files = {"wsgi": recipe("Django")[0], "asgi": recipe("Django")[1], "settings": _SETTINGS, "urls": _URLS}
    for name, text in (files | {"__init__": ""}).items():
        (project / f"{name}.py").write_text(text)
    (tmp_path / "ask.py").write_text(_DJANGO)
    command = [sys.executable, "ask.py", kind]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [answers[path][0] for path in answers] == [200, 200, 404, 200]
    assert "orders_total 1.0" in answers["/metrics"][1]
    assert answers["/metrics"] == answers["/metrics/"]
    assert answers["/tea"][1] == "green"


# Mounts in Starlette and FastAPI -------------------------------------------------------------------------------------


def _in_fastapi_router() -> FastAPI:
    app, router = FastAPI(), APIRouter()
    router.mount("/metrics", make_asgi_app())
    app.include_router(router, prefix="/admin")
    return app


def _in_fastapi_below_another() -> FastAPI:
    app, inner = FastAPI(), FastAPI()
    inner.mount("/metrics", make_asgi_app())
    app.mount("/admin", inner)
    return app


MOUNTS: dict[str, tuple[Callable[[], object], str]] = {
    "deeper path": (lambda: Starlette(routes=[Mount("/admin/metrics", make_asgi_app())]), "/admin/metrics"),
    "slash at the end": (lambda: Starlette(routes=[Mount("/metrics/", make_asgi_app())]), "/metrics"),
    "nested": (lambda: Starlette(routes=[Mount("/a", routes=[Mount("/m", make_asgi_app())])]), "/a/m"),
    "router": (lambda: Router([Mount("/metrics", make_asgi_app())]), "/metrics"),
    "host": (lambda: Starlette(routes=[Host("shop", Router([Mount("/m", make_asgi_app())]))]), "/m"),
    "parameter": (lambda: Starlette(routes=[Mount("/{tenant}/metrics", make_asgi_app())]), "/tea/metrics"),
    "middleware": (
        lambda: Starlette(routes=[Mount("/m", make_asgi_app(), middleware=[Middleware(GZipMiddleware)])]),
        "/m",
    ),
    "FastAPI router": (_in_fastapi_router, "/admin/metrics"),
    "FastAPI below another": (_in_fastapi_below_another, "/admin/metrics"),
}


@pytest.mark.once
@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("make", "path"), MOUNTS.values(), ids=MOUNTS.keys())
def test_a_mount_answers_with_and_without_a_slash(
    make: Callable[[], object], path: str, slash: str, root_path: str
) -> None:
    response = fetch(make(), root_path + path + slash, root_path)

    assert response.status_code == 200
    assert "shop_orders_total 1.0" in response.text


@pytest.mark.once
def test_mounts_of_other_applications_stay_as_they_are() -> None:
    async def tea(scope: object, receive: object, send: object) -> None:
        await PlainTextResponse("tea")(scope, receive, send)  # type: ignore[arg-type]  # as Starlette calls it

    app = Starlette(routes=[Mount("/metrics", make_asgi_app()), Mount("/tea", tea)])

    assert fetch(app, "/tea").headers["location"] == "http://shop/tea/"
    assert fetch(app, "/tea/").text == "tea"


@pytest.mark.once
def test_routes_take_the_application_as_it_is() -> None:
    app = Starlette(routes=[Route("/metrics", make_asgi_app())])

    assert "shop_orders_total 1.0" in fetch(app, "/metrics").text


@pytest.mark.once
def test_an_application_made_before_starlette_is_loaded(tmp_path: Path) -> None:
    program = """
import sys
from pytheus import make_asgi_app
app = make_asgi_app()
assert "starlette" not in sys.modules, "the application loads Starlette"
from starlette.routing import Match, Mount
make_asgi_app()
print(Mount("/metrics", app).matches({"type": "http", "path": "/metrics", "root_path": ""})[0] is Match.FULL)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100)

    assert (done.stdout, done.stderr) == ("True\n", "")
