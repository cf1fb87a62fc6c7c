"""Servers of other projects in a thread of the test. Each closes its sockets itself, never while it waits for them."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import WSGIApplication

import hypercorn.asyncio
import uvicorn
import waitress.server  # type: ignore[import-untyped]  # has no types
from uvicorn._types import ASGIApplication

from tests.conftest import wait_until


@contextmanager
def serving_by_uvicorn(app: object, lifespan: Literal["on", "off"] = "off") -> Iterator[int]:
    """The port of a uvicorn with `app` on loopback."""
    asgi = cast("ASGIApplication", app)
    config = uvicorn.Config(asgi, lifespan=lifespan, log_level="critical", loop="asyncio", timeout_graceful_shutdown=5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), "uvicorn to start")
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving_by_waitress(app: WSGIApplication, threads: int = 2) -> Iterator[int]:
    """The port of a waitress with `app` on loopback."""
    channels: dict[int, Any] = {}  # of its own, because several servers may run
    server: Any = waitress.server.create_server(app, map=channels, host="127.0.0.1", port=0, threads=threads)
    logging.getLogger("waitress").setLevel(logging.CRITICAL)

    def close() -> None:
        server.close()
        for channel in list(channels.values()):
            channel.close()

    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        # Called by its loop, which selects among descriptors and would fail, or hang, if they were closed meanwhile.
        server.trigger.pull_trigger(close)
        thread.join()
        server.task_dispatcher.shutdown()


@contextmanager
def serving_by_hypercorn(app: object) -> Iterator[int]:
    """The port of a hypercorn with `app` on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        config = hypercorn.Config()
        config.bind = [f"fd://{listener.detach()}"]  # hypercorn closes it
        config.graceful_timeout = 5
        config.errorlog = None
        stop = threading.Event()

        async def main() -> None:
            trigger = partial(asyncio.to_thread, stop.wait)
            await hypercorn.asyncio.serve(app, config, shutdown_trigger=trigger)  # type: ignore[arg-type]  # any app

        thread = threading.Thread(target=asyncio.run, args=[main()])
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def serving_by_wsgiref(app: WSGIApplication) -> Iterator[int]:
    """The port of the standard library's server with `app` on loopback."""
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield int(server.server_port)
        finally:
            server.shutdown()
            thread.join()
