"""Middleware that measures an ASGI application.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from pytheus.middleware.asgi_routes import AsgiRoutes
from pytheus.middleware.exchange import METHODS, OTHER, PROTOCOLS, SCHEMES, Exchange, content_length
from pytheus.middleware.recorder import Recorder

if TYPE_CHECKING:
    from typing import Unpack

    from pytheus.exposition.asgi import Message, Receive, Scope, Send
    from pytheus.middleware.options import MiddlewareOptions

__all__ = ["AsgiMiddleware"]

# The last two are extensions: https://asgi.readthedocs.io/en/latest/extensions.html
_BODIES: Final = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")


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

    def __init__(self, app: Callable[..., Awaitable[None]], **options: Unpack[MiddlewareOptions[Scope]]) -> None:
        # Not ASGIApp, because some frameworks declare narrower types of scopes and messages.
        self.app: Final = app
        self._recorder: Final[Recorder[Scope]] = Recorder(options, AsgiRoutes().template, "AsgiMiddleware")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection by the application, and measure it if it is HTTP."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = AsgiExchange(self._recorder, scope)
        if not self._recorder.begin(exchange):
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

    def __repr__(self) -> str:
        return f"<AsgiMiddleware of {self.app!r}>"


class AsgiExchange(Exchange["Scope"]):
    """A request to an ASGI application, with the `receive` and `send` that the application gets."""

    receive_from: Receive
    send_to: Send

    headers: object = ()
    has_trailers = False
    has_parts = False
    """Whether the body comes in several parts."""

    counts_request = False
    """Whether the size of the request is the sum of its parts."""

    def read_request(self) -> None:
        """Read the scope before routers change it."""
        scope = self.source
        self.method = METHODS.get(cast("str", scope["method"]), OTHER)
        self.scheme = SCHEMES.get(cast("str", scope.get("scheme", "http")), OTHER)
        self.protocol = PROTOCOLS.get(cast("str", scope.get("http_version", "1.1")), OTHER)
        self.path = cast("str", scope["path"])
        if self.recorder.measures_sizes:
            length = content_length(_by_name(scope.get("headers", ())).get("content-length"))
            self.counts_request = length is None
            self.request_size = length or 0

    def response_headers(self) -> dict[str, str]:
        """Return the headers of the response by their names in lower case."""
        return _by_name(self.headers)

    async def receive(self) -> Message:
        """Return the next message of the server, which is only looked at."""
        message = await self.receive_from()
        if message["type"] == "http.disconnect":
            self.is_disconnected = True
        elif self.counts_request:
            self.request_size += len(cast("bytes", message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """Send `message`, and note it once the server has taken it."""
        try:
            await self.send_to(message)
        except OSError:
            self.is_disconnected = True  # the specification's error for a client that has left
            raise
        if not self.has_ended:
            try:
                self._note(message)
            except Exception:
                self.recorder.failed("send")

    def _note(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.headers = message.get("headers", ())
            if "trailers" in message:
                self.has_trailers = bool(message["trailers"])
            self.start(cast("int", message["status"]))
            return
        if kind in _BODIES:
            if self.recorder.measures_sizes:
                self.response_size += _size(message)
            if message.get("more_body", False):
                if not self.has_parts:
                    self.has_parts = True
                    self.is_stream = self.recorder.is_stream(self)
                return
            if self.has_trailers:
                return
        elif kind != "http.response.trailers" or message.get("more_trailers", False):
            return
        self.end()


def _size(message: Message) -> int:
    """Return the size of this part of the body."""
    path = message.get("path")
    if path is not None:
        return os.stat(cast("str", path)).st_size
    if "file" in message:
        return cast("int", message.get("count") or 0)
    return len(cast("bytes", message.get("body", b"")))


def _by_name(headers: object) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in cast("Iterable[tuple[bytes, bytes]]", headers)
    }
