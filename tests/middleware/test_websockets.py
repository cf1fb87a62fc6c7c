"""WebSockets on real servers: accepted, refused, closed by either side. Numbers are those of the cases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pytheus.exposition.asgi import Message, Receive, Scope, Send
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.conftest import wait_until
from tests.middleware.measured import exchanges, values
from tests.serving import serving_by_uvicorn

FAMILY = "http_server_websocket_duration_seconds"


def found(registry: CollectorRegistry) -> list[tuple[str, ...]]:
    """Status, route, scheme, close code and error of each WebSocket that has ended."""
    return [tuple(value for _, value in labels) for labels in values(registry, f"{FAMILY}_count")]


def app_of() -> FastAPI:
    app = FastAPI()

    @app.websocket("/echo/{topic}")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while (text := await socket.receive_text()) != "end":
                await socket.send_text(text)
        except WebSocketDisconnect:
            return
        await socket.close(4001)

    @app.websocket("/refuses")
    async def refuses(socket: WebSocket) -> None:
        await socket.close()

    @app.websocket("/answers")
    async def answers(socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("no", status_code=418))

    @app.websocket("/fails")
    async def fails(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError

    return app


def closed_by_client(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/echo/5") as socket:
        socket.send("tea")
        assert socket.recv() == "tea"
        socket.close(1001)


def closed_by_server(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/echo/6") as socket:
        _until_closed(socket, "end")


def _until_closed(socket: ClientConnection, *texts: str) -> None:
    with pytest.raises(ConnectionClosed):
        for text in texts:
            socket.send(text)
        socket.recv()


def refused(port: int) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{port}/refuses")


def answered(port: int) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{port}/answers")


def unmatched(port: int) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{port}/nothing")


def failed(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/fails") as socket:
        _until_closed(socket)


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (closed_by_client, ("101", "/echo/{topic}", "ws", "1001", "")),
        (closed_by_server, ("101", "/echo/{topic}", "ws", "4xxx", "")),
        (refused, ("403", "/refuses", "ws", "", "")),
        (answered, ("418", "/answers", "ws", "", "")),
        (unmatched, ("403", "", "ws", "", "")),
        (failed, ("101", "/fails", "ws", "", "RuntimeError")),
    ],
)
def test_a_websocket(registry: CollectorRegistry, talk: Any, expected: tuple[str, ...]) -> None:
    """1.1: 22, 42. 1.3: 13."""
    with serving_by_uvicorn(AsgiMiddleware(app_of(), registry=registry, websockets=True)) as port:
        talk(port)
        wait_until(lambda: found(registry), "the end of the WebSocket")

    assert found(registry) == [expected]
    assert list(values(registry, "http_server_active_websockets").values()) == [0]
    assert exchanges(registry) == {}


def test_websockets_are_not_measured_by_default(registry: CollectorRegistry) -> None:
    """1.3: 13."""
    with serving_by_uvicorn(AsgiMiddleware(app_of(), registry=registry)) as port:
        closed_by_client(port)

    assert [metric for metric in registry.collect() if "websocket" in str(metric)] == []


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], ("", "", "ws", "", "incomplete_response")),
        ([{"type": "websocket.accept"}], ("101", "", "ws", "", "incomplete_response")),
        ([{"type": "websocket.accept"}, {"type": "websocket.close", "code": 17}], ("101", "", "ws", "_OTHER", "")),
    ],
)
def test_the_messages_of_an_application(
    registry: CollectorRegistry, messages: list[Message], expected: tuple[str, ...]
) -> None:
    """1.3: 13: by the protocol."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def nothing(*arguments: object) -> Any: ...

    measured = AsgiMiddleware(app, registry=registry, websockets=True)
    asyncio.run(measured({"type": "websocket", "path": "/"}, nothing, nothing))

    assert found(registry) == [expected]
