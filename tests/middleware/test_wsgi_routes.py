"""The route of a request in Flask. Numbers are those of the cases in the docstrings."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import shift_path_info

import httpx
import pytest
from flask import Blueprint, Flask, abort, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from pytheus.middleware import WsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import Measured, active, call, exchanges, routes, wait_for
from tests.serving import serving_by_waitress, serving_by_wsgiref


class OfTheShop(Exception):
    """An exception of an application."""


def flask_app(tmp_path: Path) -> Flask:
    """A blueprint with a parameter in its prefix, a method that is not allowed, errors, and a file."""
    app = Flask("shop")
    blueprint = Blueprint("s", "shop")

    @blueprint.get("/x/<int:y>")
    def item(t: str, y: int) -> str:
        return t * y

    @app.get("/fails")
    def fails() -> str:
        raise OfTheShop

    @app.get("/aborts")
    def aborts() -> str:
        abort(404)

    @app.get("/file")
    def file() -> Any:
        return send_file(io.BytesIO(b"f" * 100_000), mimetype="text/plain")

    app.register_blueprint(blueprint, url_prefix="/api/s/<t>")
    return app


FLASK = {
    Measured("GET", "200", "/api/s/<t>/x/<int:y>"): 2,
    Measured("GET", "500", "/fails", "500"): 1,
    Measured("GET", "404", "/aborts"): 1,
    Measured("GET", "200", "/file"): 1,
    Measured("GET", "404", ""): 1,
    Measured("POST", "405", ""): 1,
}


@pytest.mark.parametrize("serving", [serving_by_wsgiref, serving_by_waitress])
def test_flask(tmp_path: Path, registry: CollectorRegistry, serving: Any) -> None:
    """1.1: 14, 23. 1.3: 4, 6, 24."""
    app = flask_app(tmp_path)
    app.logger.disabled = True
    app.wsgi_app = WsgiMiddleware(app.wsgi_app, registry=registry)  # type: ignore[method-assign]  # as Flask's documents say
    with serving(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for path in "/api/s/a/x/3", "/api/s/b/x/4", "/fails", "/aborts", "/nothing":
            client.get(path)
        assert len(client.get("/file").content) == 100_000
        client.post("/fails")
        wait_for(registry, {measured: float(count) for measured, count in FLASK.items()})

    assert active(registry) == 0


@pytest.mark.parametrize("place", ["of Flask", "around an error page"])
def test_an_exception_that_flask_does_not_handle_has_its_route(registry: CollectorRegistry, place: str) -> None:
    """1.3: 4, 24: Flask forgets its request before the middleware sees the exception."""
    app = Flask("shop")
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/fails/<int:item>")
    @app.get("/others/<int:item>")
    def fails(item: int) -> str:
        raise OfTheShop

    def error_page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app.wsgi_app(environ, start_response)
        except OfTheShop:
            start_response("503 Busy", [])
            return [b"busy"]

    is_raised = place == "of Flask"
    measured = WsgiMiddleware(app.wsgi_app if is_raised else error_page, registry=registry)
    for path in "/fails/5", "/others/5", "/fails/6", "/nothing":
        with pytest.raises(OfTheShop) if is_raised and path != "/nothing" else nullcontext():
            call(measured, PATH_INFO=path)

    status, error = ("500", f"{__name__}.OfTheShop") if is_raised else ("503", "503")
    assert exchanges(registry) == {
        Measured("GET", status, "/fails/<int:item>", error): 2,
        Measured("GET", status, "/others/<int:item>", error): 1,
        Measured("GET", "404", ""): 1,
    }


def dispatched() -> WSGIApplication:
    """Applications of Flask in each other, by paths and by a function that takes a name from the path."""

    def shop(name: str) -> Flask:
        app = Flask(name)
        app.get("/items")(lambda: name)
        return app

    def by_name(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        shift_path_info(environ)
        return shop("of a name").wsgi_app(environ, start_response)

    inner = shop("inner")
    inner.wsgi_app = DispatcherMiddleware(inner.wsgi_app, {"/v1": shop("v1")})  # type: ignore[method-assign]  # as Flask's documents say
    return DispatcherMiddleware(shop("outer"), {"/api": inner, "/api/own": shop("own"), "/names": by_name})


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items", "/items"),
        ("/api/items", "/api/items"),
        ("/api/v1/items", "/api/v1/items"),
        ("/api/own/items", "/api/own/items"),
        ("/names/tea/items", "/names/items"),
        ("/api/nothing", ""),
    ],
)
@pytest.mark.parametrize("place", ["outermost", "around ProxyFix", "below a path"])
def test_applications_that_a_dispatcher_mounts(registry: CollectorRegistry, path: str, route: str, place: str) -> None:
    """1.3: 4: the path of a mount is part of the route, and an id or the prefix of a proxy never is."""
    app = dispatched()
    environ: dict[str, Any] = {}
    if place == "around ProxyFix":
        app, environ = ProxyFix(app, x_prefix=1), {"HTTP_X_FORWARDED_PREFIX": "/front/door"}
    elif place == "below a path":
        environ = {"SCRIPT_NAME": "/front"}
    call(WsgiMiddleware(app, registry=registry), PATH_INFO=path, **environ)

    assert routes(registry) == {route}


def test_flasks_client_and_factories(tmp_path: Path, registry: CollectorRegistry) -> None:
    """1.1: 33, 36. 1.3: 16."""
    for _ in range(2):
        app = flask_app(tmp_path)
        app.wsgi_app = WsgiMiddleware(app.wsgi_app, registry=registry)  # type: ignore[method-assign]  # as above
        assert app.test_client().get("/api/s/a/x/3").text == "aaa"

    assert exchanges(registry) == {Measured("GET", "200", "/api/s/<t>/x/<int:y>"): 2}
