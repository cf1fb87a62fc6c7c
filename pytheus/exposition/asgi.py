"""An ASGI application that serves a registry's metrics (https://asgi.readthedocs.io/en/latest/specs/main.html).

Collecting and rendering run in a thread, so that a registry with many series, or a collector that waits for something,
does not stop the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TypeAlias, cast

from pytheus.exposition.response import Response, answer_scrape, servable
from pytheus.registry import REGISTRY, Registry

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "make_asgi_app"]

Scope: TypeAlias = MutableMapping[str, object]
"""What the server tells about a connection; ``scope["type"]`` is "http", "lifespan" or "websocket"."""

Message: TypeAlias = MutableMapping[str, object]
"""One event of a connection; ``message["type"]`` says which."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_asgi_app(registry: Registry = REGISTRY) -> ASGIApp:
    """An ASGI application that answers every request with `registry`'s metrics, whatever path it is mounted at.

    GET and HEAD are answered, other methods with 405, WebSockets are refused, and a server's lifespan events are
    confirmed. Raises `NotARegistryError` if `registry` is none.

    On an event loop other than asyncio's the metrics are rendered in place.

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
            # Closing before accepting makes the server answer 403.
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"the metrics app serves 'http' but was asked for {kind!r}; mount it under an HTTP route")

    return metrics_app


async def _off_the_loop(registry: Registry, scope: Scope) -> Response:
    import asyncio  # loaded late: a program that serves ASGI has it already, and one that does not need not pay for it

    method, accept, accept_encoding = str(scope["method"]), _field(scope, b"accept"), _field(scope, b"accept-encoding")
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another event loop's server, such as trio's
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
    """Confirm the start and the end of the server, for both of which there is nothing to do."""
    while True:
        event = (await receive())["type"]
        if event == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def _field(scope: Scope, wanted: bytes) -> str:
    # Untyped by nature: the specification says "an iterable of [name, value] two-item iterables", names in lower case.
    headers = cast("Iterable[tuple[bytes, bytes]]", scope.get("headers", ()))
    return ", ".join(value.decode("latin-1") for name, value in headers if name.lower() == wanted)
