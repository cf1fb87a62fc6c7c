"""What tests of the middleware share: the exchanges that a registry has, applications, and calls of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pytheus.exposition.asgi import ASGIApp, Message
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry, Registry
from pytheus.samples import Family
from tests.conftest import wait_until

DURATION = "http_server_request_duration_seconds"
ACTIVE = "http_server_active_requests"


class Measured(NamedTuple):
    """The labels of an exchange that tests ask for most."""

    method: str
    status: str
    route: str
    error: str = ""


def values(registry: Registry, sample: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The values of the samples with this name, by their labels."""
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for collector in registry.collect():
        for family in cast("Iterator[Family]", collector.collect()):
            for each in family.samples:
                if family.name + each.suffix == sample:
                    found[tuple(each.labels.items())] = each.value
    return found


def exchanges(registry: Registry, family: str = DURATION) -> dict[Measured, float]:
    """How many exchanges were counted, by their labels."""
    found: dict[Measured, float] = {}
    for pairs, value in values(registry, f"{family}_count").items():
        labels = dict(pairs)
        key = Measured(
            labels["http_request_method"],
            labels["http_response_status_code"],
            labels["http_route"],
            labels["error_type"],
        )
        found[key] = found.get(key, 0) + value
    return found


def routes(registry: Registry) -> set[str]:
    return {measured.route for measured in exchanges(registry)}


def active(registry: Registry) -> float:
    return sum(values(registry, ACTIVE).values())


def seconds(registry: Registry, family: str = DURATION) -> float:
    return sum(values(registry, f"{family}_sum").values())


def ask(
    app: object,
    *paths: str,
    method: str = "GET",
    root_path: str = "",
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> list[httpx.Response]:
    """The responses of an ASGI application, called in this thread; its exceptions are not raised."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(cast("ASGIApp", app), raise_app_exceptions=False, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [await client.request(method, path, headers=headers, content=content) for path in paths]

    return asyncio.run(main())


def wait_for(registry: CollectorRegistry, expected: dict[Measured, float], family: str = DURATION) -> None:
    """Return once exactly these exchanges were counted: a client may have the response before the server ends it."""
    try:
        wait_until(lambda: exchanges(registry, family) == expected, "the exchange")
    except BaseException:
        assert exchanges(registry, family) == expected
        raise


Endpoint = Callable[[Request], Awaitable[Response]]


def app_of(endpoint: Endpoint, registry: CollectorRegistry, **options: Any) -> AsgiMiddleware:
    """An application with one route, /tea, measured from outside."""
    methods = ["GET", "POST", "OPTIONS", "HEAD"]
    return AsgiMiddleware(Starlette(routes=[Route("/tea", endpoint, methods=methods)]), registry=registry, **options)


def run(app: AsgiMiddleware, events: list[Message], method: str = "GET") -> list[Message]:
    """Call `app` as a server would; returns the messages that it sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return events.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": method, "path": "/", "headers": []}, receive, send))
    return sent


def call(app: WSGIApplication, read: int | None = None, **environ: Any) -> bytes:
    """The body of the response; of at most `read` parts if given."""
    setup_testing_defaults(environ)

    def start_response(status: str, headers: object, exc_info: object = None, /) -> Callable[[bytes], object]:
        return lambda data: None

    body = app(environ, start_response)
    parts = []
    for number, part in enumerate(body if read != 0 else (), 1):
        parts.append(part)
        if number == read:
            break
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return b"".join(parts)
