"""The application of each framework is measured, in a program that knows no pytheus."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Run

pytestmark = pytest.mark.once

ASK = """
def ask(app, *paths):
    import asyncio, httpx
    async def main():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [(await client.get(path)).status_code for path in paths]
    return asyncio.run(main())
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

async def item(request):
    return PlainTextResponse(request.path_params["item"])

app = Starlette(routes=[Mount("/shops/{shop}", Starlette(routes=[Route("/items/{item}", item)]))])
assert ask(app, "/shops/1/items/2", "/shops/1/items/3", "/none") == [200, 200, 404]
"""

FASTAPI = """
from fastapi import APIRouter, FastAPI

inner = APIRouter(prefix="/items")
inner.get("/{item}")(lambda item: item)
outer = APIRouter(prefix="/api")
outer.include_router(inner, prefix="/v1")
mounted = FastAPI()
mounted.get("/fails")(lambda: 1 / 0)
app = FastAPI()
app.include_router(outer)
app.mount("/sub/{tenant}", mounted)
assert ask(app, "/api/v1/items/5", "/api/v1/items/6", "/sub/t1/fails", "/none") == [200, 200, 500, 404]
"""

LITESTAR = """
from litestar import Litestar, Router, get
from litestar.params import FromPath

@get("/items/{item:int}")
async def item(item: FromPath[int]) -> int:
    return item

app = Litestar([Router("/api", route_handlers=[item])], openapi_config=None, logging_config=None)
assert ask(app, "/api/items/5", "/api/items/6", "/none") == [200, 200, 404]
"""

FLASK = """
from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

shop = Blueprint("shop", __name__, url_prefix="/shops/<shop>")
shop.get("/items/<int:item>")(lambda shop, item: str(item))
app = Flask(__name__)
app.register_blueprint(shop)
app.wsgi_app = ProxyFix(app.wsgi_app)
client = app.test_client()
assert [client.get(path).text[:2] for path in ("/shops/1/items/5", "/shops/1/items/6", "/n")] == ["5", "6", "<!"]
"""

DJANGO = """
import asyncio, sys
from django.conf import settings

async def item(request, item):
    return HttpResponse(str(item))

def fails(request):
    1 / 0

MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE, LOGGING_CONFIG=None)
import django, logging
logging.disable()
django.setup()
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path

urlpatterns = [path("api/", include([path("items/<int:item>", item), path("fails", fails)]))]
client = Client(raise_request_exception=False)
assert [client.get(path).status_code for path in ("/api/items/5", "/api/fails", "/none")] == [200, 500, 404]
assert asyncio.run(AsyncClient().get("/api/items/5")).status_code == 200
assert settings.MIDDLEWARE is MIDDLEWARE
"""


@pytest.mark.parametrize(
    ("framework", "program", "expected"),
    [
        ("starlette", ASK + STARLETTE, {"200 /shops/{shop}/items/{item}": 2, "404 ": 1}),
        ("fastapi", ASK + FASTAPI, {"200 /api/v1/items/{item}": 2, "500 /sub/{tenant}/fails": 1, "404 ": 1}),
        ("litestar", ASK + LITESTAR, {"200 /api/items/{item}": 2, "404 ": 1}),
        ("flask", FLASK, {"200 /shops/<shop>/items/<int:item>": 2, "404 ": 1}),
        ("django", DJANGO, {"200 /api/items/<int:item>": 2, "500 /api/fails": 1, "404 ": 1}),
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_an_application(framework: str, program: str, expected: dict[str, int], by_name: bool, run: Run) -> None:
    printed, errors = run(f"{program}\ncounts()", framework if by_name else "auto")
    found = {}
    for line in printed:
        match = re.search(r'status_code="(\d*)",http_route="([^"]*)".* (\d+)\.0$', line)
        assert match is not None, line
        found[f"{match[1]} {match[2]}"] = int(match[3])
    assert found == expected
    assert errors == [f"pytheus: measuring {framework} {version(framework)} (names: otel)"]


MOUNTED_DJANGO = """
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
import django
django.setup()
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("items/<item>", lambda request, item: HttpResponse(item))]
"""

MOUNTED_FLASK = """
from flask import Flask

shop = Flask(__name__)
shop.get("/items/<item>")(lambda item: item)
"""

MOUNT = """
from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI

app = FastAPI()
app.mount("/v1", {inner})
assert ask(app, "/v1/items/1", "/v1/items/2") == [200, 200]
counts()
"""

WRAP = """
from pytheus.middleware import AsgiMiddleware

assert ask(AsgiMiddleware(get_asgi_application()), "/items/1", "/items/2") == [200, 200]
counts()
"""


@pytest.mark.parametrize(
    ("program", "route"),
    [
        (MOUNTED_FLASK + MOUNT.format(inner="WsgiToAsgi(shop)"), "/v1/items/<item>"),
        (MOUNTED_DJANGO + MOUNT.format(inner="get_asgi_application()"), "/v1/items/<item>"),
        (MOUNTED_DJANGO + MOUNT.format(inner="WsgiToAsgi(get_wsgi_application())"), "/v1/items/<item>"),
        (MOUNTED_DJANGO + WRAP, "/items/<item>"),
    ],
    ids=["flask", "django", "django by wsgi", "django that the program wraps"],
)
def test_applications_within_each_other_are_measured_once(program: str, route: str, run: Run) -> None:
    printed, _ = run(ASK + program)
    (line,) = printed
    assert f'http_route="{route}"' in line
    assert line.endswith(" 2.0")


@pytest.mark.parametrize(
    ("program", "instrument", "line"),
    [
        (ASK + FASTAPI, "fastapi=fastapi-instrumentator", 'http_requests_total{method="GET",status="2xx"'),
        (FLASK, "auto,flask=flask-exporter", 'flask_http_request_duration_seconds_count{method="GET",path="/shops'),
        (DJANGO, "django=django-prometheus", "django_http_requests_latency_seconds_by_view_method_count{view="),
    ],
)
def test_names_of_other_libraries(program: str, instrument: str, line: str, run: Run) -> None:
    printed, errors = run(f"{program}\ncounts()", instrument)
    assert any(each.startswith(line) for each in printed), printed
    assert errors[0].endswith(f"(names: {instrument.partition('=')[2]})")


@pytest.mark.parametrize("instrument", ["flask", "no-framework"])
def test_other_frameworks_than_those_named_are_not_measured(instrument: str, run: Run) -> None:
    printed, errors = run(f"{ASK}{STARLETTE}\ncounts()", instrument)
    assert printed == []
    assert errors == [] if instrument == "flask" else len(errors) == 1


CELERY = """
from celery import Celery

app = Celery("shop", broker="memory://", backend="cache+memory://")

@app.task(name="send")
def send():
    return 1
{by_hand}
send.delay()
assert send.apply().get(disable_sync_subtasks=False) == 1
import pytheus
print("\\n".join(line for line in pytheus.generate_metrics({registry}).splitlines() if "_total{{" in line))
"""
SENT = [
    'celery_tasks_published_total{task="send"} 1.0',
    'celery_tasks_finished_total{task="send",state="success",error_type=""} 1.0',
]


def test_the_tasks_of_celery(run: Run) -> None:
    printed, errors = run(CELERY.format(by_hand="", registry=""))
    assert printed == SENT
    assert errors == [f"pytheus: measuring celery {version('celery')} (names: celery)"]


def test_tasks_that_the_program_measures_are_measured_once(run: Run) -> None:
    by_hand = """
from pytheus.contrib.celery import measure_tasks
from pytheus.registry import CollectorRegistry
own = CollectorRegistry()
measure_tasks(app, registry=own)
"""
    assert run(CELERY.format(by_hand=by_hand, registry="own")) == (SENT, [])
    assert run(CELERY.format(by_hand=by_hand, registry="")) == ([""], [])
