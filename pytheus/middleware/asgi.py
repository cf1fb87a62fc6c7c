"""Middleware that measures an ASGI application.

https://asgi.readthedocs.io/en/latest/specs/main.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from pytheus.exposition.exchange_mark import ADAPTED, SERVING, end_serving
from pytheus.middleware.asgi_exchange import AsgiExchange
from pytheus.middleware.asgi_routes import AsgiRoutes
from pytheus.middleware.profiles import WEBSOCKETS
from pytheus.middleware.recorder import Recorder
from pytheus.middleware.websocket import WebSocketExchange

if TYPE_CHECKING:
    from typing import Unpack

    from pytheus.exposition.asgi import Receive, Scope, Send
    from pytheus.middleware.options import MiddlewareOptions

__all__ = ["AsgiMiddleware"]


class AsgiMiddleware:
    """Measures the requests to an ASGI application: their duration, route, status, and how many are in progress.

        >>> from pytheus.registry import CollectorRegistry
        >>> async def app(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 204, "headers": []})
        ...     await send({"type": "http.response.body"})
        >>> measured = AsgiMiddleware(app, registry=CollectorRegistry())

    It wraps the application, or is given to the framework: ``app.add_middleware(AsgiMiddleware, names="otel")``. The
    options are those of `MiddlewareOptions`; docs/how-to/middleware.md tells about each. A request that several of
    these middlewares see is measured by the outermost one. No message is changed, held back or read ahead. May be used
    by several event loops at once.

    Raises `ConflictError` if another metric has a name of its metrics, `TypeError` or `ValueError` for an option that
    does not exist or a value that it cannot have.
    """

    is_automatic: ClassVar[bool] = False
    """Whether pytheus put it around an application by itself: it then gives way to those of the program."""

    def __init__(self, app: Callable[..., Awaitable[None]], **options: Unpack[MiddlewareOptions[Scope]]) -> None:
        # Not ASGIApp, because some frameworks declare narrower types of scopes and messages.
        self.app: Final = app
        find_route = AsgiRoutes().template
        self._recorder: Final[Recorder[Scope]] = Recorder(
            options, find_route, "AsgiMiddleware", is_automatic=self.is_automatic
        )
        self._websockets: Final[Recorder[Scope] | None] = (
            Recorder(options, find_route, "AsgiMiddleware", WEBSOCKETS) if options.get("websockets", False) else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection by the application, and measure it."""
        kind = scope["type"]
        exchange: AsgiExchange
        if kind == "http":
            exchange = AsgiExchange(self._recorder, scope)
        elif kind == "websocket" and self._websockets is not None:
            exchange = WebSocketExchange(self._websockets, scope)
        else:
            await self.app(scope, receive, send)
            return
        serving: list[Mapping[str, object]] = []
        token = None
        if ADAPTED:
            serving.append(scope)
            token = SERVING.set(serving)
        try:
            if not exchange.recorder.begin(exchange):
                await self.app(scope, receive, send)
                return
            exchange.receive_from = receive
            exchange.send_to = send
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except BaseException as error:
                exchange.end_early(error)
                raise
            exchange.end_early()
        finally:
            if token is not None:
                end_serving(serving, token)

    def __repr__(self) -> str:
        return f"<AsgiMiddleware of {self.app!r}>"
