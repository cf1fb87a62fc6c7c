"""Responses that are streams, which last until their end, and streams of events, which are no requests of that time.

Numbers are those of the cases in the docstrings.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pytheus.exposition.asgi import Receive, Scope, Send
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.conftest import wait_until
from tests.middleware.measured import Measured, active, app_of, ask, exchanges, run, seconds, values, wait_for
from tests.serving import serving_by_hypercorn, serving_by_uvicorn

Server = Callable[[object], AbstractContextManager[int]]


class OfTheShop(Exception):
    """An exception of an application."""


def test_a_stream_lasts_to_its_last_byte(registry: CollectorRegistry) -> None:
    """1.1: 21. 1.3: 10."""
    may_end = threading.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.to_thread(may_end.wait, 60)
        yield b"last"

    async def stream(request: Request) -> Response:
        return StreamingResponse(parts())

    app = app_of(stream, registry, first_byte=True)
    with serving_by_uvicorn(app) as port, httpx.stream("GET", f"http://127.0.0.1:{port}/tea") as response:
        chunks = response.iter_bytes()
        assert next(chunks) == b"first"
        assert (exchanges(registry), active(registry)) == ({}, 1)
        may_end.set()
        assert b"".join(chunks) == b"last"
        wait_for(registry, {Measured("GET", "200", "/tea"): 1})

    first = seconds(registry, "http_server_time_to_first_byte_seconds")
    assert 0 < first < seconds(registry)


@pytest.mark.parametrize("server", [serving_by_uvicorn, serving_by_hypercorn])
def test_a_client_that_leaves_a_stream(registry: CollectorRegistry, server: Server) -> None:
    """1.1: 22. 1.3: 11: the status stays as sent."""

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"part" * 1000
            await asyncio.sleep(0.001)

    async def stream(request: Request) -> Response:
        return StreamingResponse(parts())

    with server(app_of(stream, registry)) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /tea HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert client.recv(100)
        wait_until(lambda: active(registry) == 1, "the stream")
        client.close()
        wait_for(registry, {Measured("GET", "200", "/tea", "client_disconnected"): 1})
        assert active(registry) == 0


@pytest.mark.parametrize("streams", ["drop", "separate", "count"])
def test_server_sent_events(registry: CollectorRegistry, streams: Any) -> None:
    """1.1: 22. 1.3: 12."""

    async def events() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        yield b"data: 2\n\n"

    async def stream(request: Request) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    ask(app_of(stream, registry, streams=streams), "/tea")

    one = {Measured("GET", "200", "/tea"): 1.0}
    assert exchanges(registry) == (one if streams == "count" else {})
    assert exchanges(registry, "http_server_stream_duration_seconds") == (one if streams == "separate" else {})
    assert active(registry) == 0


@pytest.mark.parametrize("end", ["returns", "cancelled", "raises"])
@pytest.mark.parametrize("streams", ["drop", "separate"])
def test_an_event_stream_that_ends_before_its_first_event(registry: CollectorRegistry, streams: Any, end: str) -> None:
    """1.1: 22. 1.3: 12: the time that a client has waited for an event is not that of a request."""

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        # The specification asks for pairs, of any type, and for names in lower case, which not all write.
        headers = [[b"x-accel", b"no"], [b"Content-Type", b"Text/Event-Stream; charset=utf-8"]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if end == "cancelled":
            raise asyncio.CancelledError
        if end == "raises":
            raise OfTheShop

    app = AsgiMiddleware(waiting, registry=registry, streams=streams)
    try:
        run(app, [])
    except (asyncio.CancelledError, OfTheShop):
        assert end != "returns"

    (measured,) = exchanges(registry, "http_server_stream_duration_seconds") or [None]
    assert exchanges(registry) == {}
    assert (measured is not None) == (streams == "separate")
    assert values(registry, "pytheus_middleware_failures_total") == {}
    assert active(registry) == 0


def test_a_client_that_leaves_before_the_first_event(registry: CollectorRegistry) -> None:
    """1.1: 22. 1.3: 11, 12: of a real server."""

    async def events() -> AsyncIterator[bytes]:
        await asyncio.sleep(3600)
        yield b"data: 1\n\n"

    async def stream(request: Request) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    app = app_of(stream, registry, streams="separate")
    with serving_by_uvicorn(app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /tea HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert client.recv(100)
        client.close()
        gone = {Measured("GET", "200", "/tea", "client_disconnected"): 1.0}
        wait_for(registry, gone, "http_server_stream_duration_seconds")

    assert exchanges(registry) == {}


def test_an_event_stream_of_one_part(registry: CollectorRegistry) -> None:
    """1.3: 12: by its type, like those in several parts."""

    async def complete(request: Request) -> Response:
        return Response(b"data: 1\n\n", media_type="text/event-stream")

    ask(app_of(complete, registry), "/tea")

    assert exchanges(registry) == {}


def test_a_program_says_which_responses_are_streams(registry: CollectorRegistry) -> None:
    """1.3: 12."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    async def stream(request: Request) -> Response:
        return StreamingResponse(parts(), headers={"x-live": request.query_params["live"]})

    app = app_of(stream, registry, is_stream=lambda scope, headers: headers["x-live"] == "1")
    ask(app, "/tea?live=1", "/tea?live=0")

    assert exchanges(registry) == {Measured("GET", "200", "/tea"): 1}
