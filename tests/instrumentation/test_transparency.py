"""A program runs as it would without the instrumentation, whatever it does itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Run

pytestmark = pytest.mark.once

ASK = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
import asyncio, httpx

def ask(app, *paths):
    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            return [(await client.get(path)).text for path in paths]
    return asyncio.run(main())

async def item(request):
    return PlainTextResponse("item")

routes = [Route("/items/{item}", item)]
"""
COUNT = 'http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",'


# The program has middleware of its own -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ["", "labels={'region': 'eu'}", "buckets=[1, 2]"])
@pytest.mark.parametrize(
    "wrap",
    [
        "app = Starlette(routes=routes); app.add_middleware(AsgiMiddleware, {options})",
        "app = AsgiMiddleware(Starlette(routes=routes), {options})",
    ],
    ids=["inside", "outside"],
)
def test_an_application_that_the_program_wraps_is_measured_once(wrap: str, options: str, run: Run) -> None:
    printed, _ = run(f"""{ASK}
from pytheus.middleware import AsgiMiddleware
{wrap.format(options=options)}
assert ask(app, "/items/1", "/items/2") == ["item", "item"]
counts()
""")
    (line,) = printed
    assert line.startswith(COUNT)
    assert line.endswith(" 2.0")
    assert ('region="eu"' in line) == ("region" in options)


def test_names_that_the_program_chose_are_the_only_ones(run: Run) -> None:
    printed, _ = run(f"""{ASK}
from pytheus.middleware import AsgiMiddleware
app = Starlette(routes=routes)
app.add_middleware(AsgiMiddleware, names="starlette-exporter")
ask(app, "/items/1")
counts()
""")
    assert [line.partition("{")[0] for line in printed] == [
        "starlette_requests_total",
        "starlette_request_duration_seconds_count",
    ]


def test_requests_that_the_program_excludes_are_not_measured(run: Run) -> None:
    printed, _ = run(f"""{ASK}
from pytheus.middleware import AsgiMiddleware
app = Starlette(routes=routes)
app.add_middleware(AsgiMiddleware, exclude=["/items/1"])
ask(app, "/items/1", "/items/2")
counts()
import pytheus
assert 'active_requests{{http_request_method="GET",url_scheme="http"}} 0.0' in pytheus.generate_metrics()
""")
    assert [line[-4:] for line in printed] == [" 1.0"]


def test_middleware_that_comes_later_with_other_labels_replaces_it(run: Run) -> None:
    printed, errors = run(f"""{ASK}
from pytheus.middleware import AsgiMiddleware
inner = Starlette(routes=routes)
inner.add_middleware(AsgiMiddleware, labels={{"region": "eu"}})
app = Starlette(routes=[*routes, Mount("/inner", inner)])
assert ask(app, "/items/1", "/inner/items/1", "/items/2") == ["item"] * 3
counts()
""")
    (line,) = printed
    assert 'http_route="/inner/items/{item}"' in line
    assert 'region="eu"' in line
    assert line.endswith(" 1.0")
    assert len(errors) == 1


@pytest.mark.parametrize("position", ["before", "after"])
def test_flask_that_the_program_wraps_is_measured_once(position: str, run: Run) -> None:
    printed, _ = run("""
from flask import Flask
from pytheus.middleware import WsgiMiddleware
app = Flask(__name__)
app.get("/items/<item>")(lambda item: item)
app.wsgi_app = WsgiMiddleware(app.wsgi_app, labels={"region": "eu"})
assert [app.test_client().get(path).text for path in ("/items/1", "/items/2")] == ["1", "2"]
counts()
""")
    (line,) = printed
    assert 'region="eu"' in line
    assert line.endswith(" 2.0")


def test_a_django_project_that_names_the_middleware_keeps_it(run: Run) -> None:
    printed, errors = run("""
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=["pytheus.contrib.django.MetricsMiddleware"],
    PYTHEUS_MIDDLEWARE={"labels": {"region": "eu"}},
)
import django
django.setup()
from django.http import HttpResponse
from django.test import Client
from django.urls import path
urlpatterns = [path("items/<item>", lambda request, item: HttpResponse(item))]
assert Client().get("/items/1").status_code == 200
counts()
""")
    (line,) = printed
    assert 'region="eu"' in line
    assert errors == []


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["starlette", "litestar", "flask", "django"])
def test_a_metric_of_the_program_with_the_same_name_stays(program: str, run: Run) -> None:
    applications = {
        "starlette": f"{ASK}\nassert ask(Starlette(routes=routes), '/items/1', '/items/2') == ['item'] * 2",
        "litestar": f"""{ASK}
from litestar import Litestar
ask(Litestar([], openapi_config=None, logging_config=None), "/items/1")
""",
        "flask": """
from flask import Flask
app = Flask(__name__)
app.get("/items")(lambda: "item")
assert [app.test_client().get("/items").text for _ in range(2)] == ["item"] * 2
""",
        "django": """
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
import django
django.setup()
from django.http import HttpResponse
from django.test import Client
from django.urls import path
urlpatterns = [path("items", lambda request: HttpResponse("item"))]
assert Client().get("/items").status_code == 200
""",
    }
    printed, errors = run(f"""
from pytheus import Gauge, generate_metrics
mine = Gauge("http_server_request_duration_seconds", "Mine.")
{applications[program]}
assert "http_server_active_requests" not in generate_metrics()
counts()
""")
    assert printed == []
    (line,) = errors
    assert line.startswith(f"pytheus: not measuring {program} ")
    assert "ConflictError" in line


def test_a_framework_that_is_not_as_expected(run: Run, tmp_path: Path) -> None:
    (tmp_path / "flask").mkdir()
    (tmp_path / "flask/__init__.py").write_text("from flask.app import hello")
    (tmp_path / "flask/app.py").write_text("def hello(): print('hello')")
    printed, errors = run("import flask; flask.hello()")
    assert printed == ["hello"]
    (line,) = errors
    assert line.startswith("pytheus: not measuring flask ")


def test_an_unsupported_framework_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bottle.py").write_text("print('served')")
    printed, errors = run("import bottle")
    assert printed == ["served"]
    assert errors == [
        "pytheus: not measuring bottle: it is not supported; put a middleware of pytheus around the application"
    ]


def test_a_setting_that_is_not_valid(run: Run) -> None:
    printed, errors = run(f"{ASK}\nprint(ask(Starlette(routes=routes), '/items/1'))", "starlet")
    assert printed == ["['item']"]
    (line,) = errors
    assert "did you mean 'starlette'?" in line


def test_a_registry_that_cannot_be_created(run: Run) -> None:
    printed, errors = run(f"{ASK}\nprint(ask(Starlette(routes=routes), '/items/1'))", PYTHEUS_REGISTRY="defualt")
    assert printed == ["['item']"]
    (line,) = errors
    assert line.startswith("pytheus: not measuring starlette ")
    assert "did you mean 'default'?" in line


# What it costs others ------------------------------------------------------------------------------------------------


def test_a_program_without_a_framework_imports_nothing_of_pytheus(run: Run) -> None:
    printed, errors = run("import sys; print([name for name in sys.modules if name.partition('.')[0] == 'pytheus'])")
    assert (printed, errors) == (["[]"], [])


def test_the_modules_have_their_own_loaders_afterwards(run: Run) -> None:
    printed, _ = run("""
import inspect, sys
import fastapi.applications, flask.app
for module in (sys.modules["starlette.applications"], fastapi.applications, flask.app):
    assert type(module.__loader__).__module__.startswith("_frozen_importlib")
    assert module.__spec__.loader is module.__loader__
assert str(inspect.signature(flask.Flask)).startswith("(import_name: 'str'")
assert inspect.getsource(flask.Flask.__init__)
print("same")
""")
    assert printed == ["same"]


def test_it_says_nothing_where_quiet_is_set(run: Run) -> None:
    printed, errors = run(f"{ASK}\nask(Starlette(routes=routes), '/items/1')\ncounts()", PYTHEUS_RUN_QUIET="true")
    assert (len(printed), errors) == (1, [])
