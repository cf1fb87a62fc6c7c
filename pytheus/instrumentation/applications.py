"""Instruments the classes of Starlette, FastAPI, Litestar and Flask.

Rules:

- The middleware is created at an application's first request, when the program has defined its own metrics. If one of
  them has a name of the middleware's, the application stays unmeasured, and the program gets no error.
- Nothing is called per request but the middleware.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol

from pytheus.exposition.exchange_mark import expect_adapters
from pytheus.instrumentation.report import created, say_not_measured
from pytheus.middleware import AsgiMiddleware, WsgiMiddleware
from pytheus.middleware.options import Names

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from pytheus.exposition.asgi import ASGIApp, Receive, Scope, Send

__all__ = ["instrument_fastapi", "instrument_flask", "instrument_litestar", "instrument_starlette"]


class AutomaticAsgiMiddleware(AsgiMiddleware):
    """The middleware that gives way to those of the program."""

    is_automatic = True


class AutomaticWsgiMiddleware(WsgiMiddleware):
    """The middleware that gives way to those of the program."""

    is_automatic = True


def instrument_starlette(module: ModuleType, names: Names) -> None:
    """Measure the applications of ``starlette.applications``."""
    _instrument_stack(module.Starlette, "starlette", names)


def instrument_fastapi(module: ModuleType, names: Names) -> None:
    """Measure the applications of ``fastapi.applications``."""
    _instrument_stack(module.FastAPI, "fastapi", names)


class _Stacked(Protocol):
    build_middleware_stack: Callable[[object], ASGIApp]


def _instrument_stack(application: type[_Stacked], framework: str, names: Names) -> None:
    """Let `application` build its stack of middleware, which it does at its first event, with one around it."""
    build = application.build_middleware_stack

    @functools.wraps(build)
    def build_middleware_stack(self: object) -> ASGIApp:
        stack = build(self)
        return stack if isinstance(stack, AutomaticAsgiMiddleware) else _measured_asgi(stack, framework, names)

    application.build_middleware_stack = build_middleware_stack


def _measured_asgi(app: ASGIApp, framework: str, names: Names) -> ASGIApp:
    return created(framework, names, lambda: AutomaticAsgiMiddleware(app, names=names)) or app


class _HasHandler(Protocol):
    asgi_handler: ASGIApp


def instrument_litestar(module: ModuleType, names: Names) -> None:
    """Measure the applications of ``litestar.app``, each of which creates its handler once."""
    create: Callable[[_HasHandler], ASGIApp] = module.Litestar._create_asgi_handler

    @functools.wraps(create)
    def create_asgi_handler(self: _HasHandler) -> ASGIApp:
        handler = create(self)

        async def first_request(scope: Scope, receive: Receive, send: Send) -> None:
            if self.asgi_handler is first_request:
                self.asgi_handler = _measured_asgi(handler, "litestar", names)
            await self.asgi_handler(scope, receive, send)

        return first_request

    module.Litestar._create_asgi_handler = create_asgi_handler


def instrument_flask(module: ModuleType, names: Names) -> None:
    """Measure the applications of ``flask.app``."""
    initialize: Callable[..., None] = module.Flask.__init__

    @functools.wraps(initialize)
    def initialize_measured(self: _HasWsgiApp, *args: object, **options: object) -> None:
        initialize(self, *args, **options)
        try:
            self.wsgi_app = _FirstRequest(self, names)
        except Exception as error:
            say_not_measured("flask", error)

    module.Flask.__init__ = initialize_measured


class _HasWsgiApp(Protocol):
    wsgi_app: WSGIApplication


class _FirstRequest:
    """The WSGI application of Flask, until its first request; then the middleware, also within other middleware."""

    def __init__(self, app: _HasWsgiApp, names: Names) -> None:
        self._app: Final = app
        self._names: Final[Names] = names
        self._unmeasured: Final = app.wsgi_app
        self._measured: WSGIApplication | None = None
        expect_adapters()  # which may call it for its first request

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return (self._measured or self._begin())(environ, start_response)

    def __getattr__(self, name: str) -> object:
        return getattr(self._unmeasured, name)

    def _begin(self) -> WSGIApplication:
        middleware = created("flask", self._names, lambda: AutomaticWsgiMiddleware(self._unmeasured, names=self._names))
        measured = self._measured = middleware or self._unmeasured
        if self._app.wsgi_app is self:
            self._app.wsgi_app = measured
        return measured
