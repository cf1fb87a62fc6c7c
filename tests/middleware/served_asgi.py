"""The application that test_servers.py lets ASGI servers run, with its metrics at /metrics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from pytheus import make_asgi_app
from pytheus.middleware import AsgiMiddleware


async def item(request: Request) -> Response:
    return PlainTextResponse(request.path_params["item"])


async def fails(request: Request) -> Response:
    raise RuntimeError("on purpose")


async def upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _wait_for(name: str) -> None:
    while not os.path.exists(name):  # another process makes it
        await asyncio.sleep(0.01)


async def waits(request: Request) -> Response:
    await _wait_for("may-end")
    return PlainTextResponse("waited")


async def background(request: Request) -> Response:
    return PlainTextResponse("answered", background=BackgroundTask(_wait_for, "may-end"))


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"part"

    return StreamingResponse(parts())


async def endless(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"part" * 10_000
            await asyncio.sleep(0)

    return StreamingResponse(parts())


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def file(request: Request) -> Response:
    return FileResponse("file")


app = AsgiMiddleware(
    Starlette(
        routes=[
            Route("/items/{item}", item),
            Route("/fails", fails),
            Route("/upload", upload, methods=["POST"]),
            Route("/waits", waits),
            Route("/background", background),
            Route("/stream", stream),
            Route("/endless", endless),
            Route("/file", file),
            WebSocketRoute("/echo/{topic}", echo),
            Mount("/metrics", make_asgi_app()),
        ]
    ),
    sizes=True,
    websockets=True,
)
