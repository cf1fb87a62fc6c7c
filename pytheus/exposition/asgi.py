"""An ASGI application that serves a registry's metrics.

https://asgi.readthedocs.io/en/latest/specs/main.html

Collecting and rendering run in threads of pytheus, so that a registry with many series, or a collector that waits,
blocks neither the event loop nor its default executor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from pytheus.exposition.exchange_mark import leave_unmeasured
from pytheus.exposition.response import LIMIT_SECONDS, Response, checked_limit, servable
from pytheus.exposition.starlette_mount import answer_without_slash
from pytheus.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from pytheus.exposition.respond import ScrapeRequest

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "make_asgi_app"]

Scope: TypeAlias = MutableMapping[str, object]
"""The server's description of a connection; ``scope["type"]`` is "http", "lifespan" or "websocket"."""

Message: TypeAlias = MutableMapping[str, object]
"""One event of a connection; ``message["type"]`` is its type."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_asgi_app(
    registry: Registry = REGISTRY, *, timeout_seconds: float = LIMIT_SECONDS, page: bool = True
) -> ASGIApp:
    """Return an ASGI application that serves the metrics of `registry`.

    It can be mounted at any path, and Starlette serves it with and without a slash at the end. Methods other than GET
    and HEAD get status 405, WebSockets are refused, and lifespan
    events are confirmed. It may serve several scrapes at once, which share collections. Collectors run in threads of
    pytheus. Those that have not finished when the client's timeout is over, or after `timeout_seconds`, are left out
    and counted; see docs/how-to/expose.md. With `page`, a browser gets a page that shows the metrics; see
    docs/how-to/look-at-metrics.md. On event loops other than those of asyncio and trio, it blocks the loop.
    Raises `NotARegistryError` if `registry` is not a registry, and `ValueError` if `timeout_seconds` is not positive.

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
    return MetricsApp(servable(registry), checked_limit(timeout_seconds), page=page)


class MetricsApp:
    """The application that `make_asgi_app` returns.

    An object, because Starlette takes a function for an endpoint that gets a request: ``Route("/metrics", app)``.
    """

    __slots__ = ("_limit_seconds", "_page", "_registry")

    def __init__(self, registry: Registry, limit_seconds: float, *, page: bool) -> None:
        self._registry: Final = registry
        self._page: Final = page
        self._limit_seconds: Final = limit_seconds
        answer_without_slash(MetricsApp)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            from pytheus.exposition.respond_async import answer_scrape_async, send_in_time

            leave_unmeasured(scope)
            answer_without_slash(MetricsApp)
            request = _request(scope, self._limit_seconds, page=self._page)
            response = await answer_scrape_async(self._registry, request, receive)
            if response is not None:
                await send_in_time(_messages(response), send)
        elif kind == "lifespan":
            await _live(receive, send)
        elif kind == "websocket":
            # The server responds with 403 if the connection is closed before it is accepted.
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"the metrics app serves 'http' but got the scope {kind!r}; mount it under an HTTP route")

    def __repr__(self) -> str:
        return f"<MetricsApp of {self._registry!r}>"


def _request(scope: Scope, limit_seconds: float, *, page: bool) -> ScrapeRequest:
    from pytheus.exposition.respond import ScrapeRequest

    return ScrapeRequest(
        str(scope["method"]),
        accept=_field(scope, b"accept"),
        accept_encoding=_field(scope, b"accept-encoding"),
        timeout=_field(scope, b"x-prometheus-scrape-timeout-seconds"),
        query=cast("bytes", scope.get("query_string", b"")).decode("latin-1"),
        limit_seconds=limit_seconds,
        page=page,
    )


def _messages(response: Response) -> Iterator[Message]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    yield {"type": "http.response.start", "status": response.status, "headers": headers}
    for part in response.parts[:-1]:
        yield {"type": "http.response.body", "body": part, "more_body": True}
    last = response.parts[-1] if response.parts else b""
    yield {"type": "http.response.body", "body": last, "more_body": False}


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
