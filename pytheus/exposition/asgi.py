"""An ASGI application that serves a registry's metrics.

https://asgi.readthedocs.io/en/latest/specs/main.html

Collecting and rendering run in a thread, so that a registry with many series, or a collector that waits, does not block
the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TypeAlias, cast

from pytheus.exposition.respond import Response, answer_scrape, servable
from pytheus.registry import REGISTRY, Registry

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "make_asgi_app"]

Scope: TypeAlias = MutableMapping[str, object]
"""The server's description of a connection; ``scope["type"]`` is "http", "lifespan" or "websocket"."""

Message: TypeAlias = MutableMapping[str, object]
"""One event of a connection; ``message["type"]`` is its type."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_asgi_app(registry: Registry = REGISTRY) -> ASGIApp:
    """Return an ASGI application that serves the metrics of `registry`.

    It can be mounted at any path. Methods other than GET and HEAD get status 405, WebSockets are refused, and lifespan
    events are confirmed. The metrics are rendered in a thread, or directly on an event loop other than asyncio's. The
    application may serve several scrapes at once. Raises `NotARegistryError` if `registry` is not a registry.

        >>> import asyncio
        >>> from pytheus.registry import CollectorRegistry
        >>> app = make_asgi_app(CollectorRegistry())
        >>> async def receive():
        ...     return {"type": "http.request", "body": b"", "more_body": False}
        >>> async def send(message):
        ...     print(message["type"])
        >>> asyncio.run(app({"type": "http", "method": "GET", "headers": []}, receive, send))
        http.response.start
        http.response.body
    """
    served = servable(registry)

    async def metrics_app(scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            response = await _off_the_loop(served, scope)
            await _send(response, send)
        elif kind == "lifespan":
            await _live(receive, send)
        elif kind == "websocket":
            # The server responds with 403 if the connection is closed before it is accepted.
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"the metrics app serves 'http' but got the scope {kind!r}; mount it under an HTTP route")

    return metrics_app


async def _off_the_loop(registry: Registry, scope: Scope) -> Response:
    import asyncio

    method, accept, accept_encoding = str(scope["method"]), _field(scope, b"accept"), _field(scope, b"accept-encoding")
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # a server on another event loop, such as trio's
        return answer_scrape(registry, method, accept=accept, accept_encoding=accept_encoding)
    return await asyncio.to_thread(answer_scrape, registry, method, accept=accept, accept_encoding=accept_encoding)


async def _send(response: Response, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for part in response.parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    last = response.parts[-1] if response.parts else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def _live(receive: Receive, send: Send) -> None:
    """Confirm the start and the end of the server, which need no work."""
    while True:
        event = (await receive())["type"]
        if event == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def _field(scope: Scope, wanted: bytes) -> str:
    # The specification has no type but "an iterable of [name, value] two-item iterables", with names in lower case.
    headers = cast("Iterable[tuple[bytes, bytes]]", scope.get("headers", ()))
    return ", ".join(value.decode("latin-1") for name, value in headers if name.lower() == wanted)
