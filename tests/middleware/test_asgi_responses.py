"""Status, duration and end of an exchange, on a real server and clients that stream, leave and upgrade.

Numbers are those of the cases in the docstrings.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from pytheus.exposition.asgi import Message, Receive, Scope, Send
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import Measured, active, app_of, ask, exchanges, run, values, wait_for
from tests.serving import serving_by_uvicorn

Server = Callable[[object], AbstractContextManager[int]]


async def tea(request: Request) -> Response:
    return PlainTextResponse("green")


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"]


@pytest.mark.parametrize("method", [*METHODS, "get", "EVIL", "PROPFIND"])
def test_methods(registry: CollectorRegistry, method: str) -> None:
    """1.1: 16, 18. 1.3: 8: also of the requests in progress."""
    ask(AsgiMiddleware(PlainTextResponse("tea"), registry=registry), "/", method=method)

    expected = method if method in METHODS else "_OTHER"
    if method == "get":
        expected = "GET"  # the client writes it so
    assert exchanges(registry) == {Measured(expected, "200", ""): 1}
    (labels,) = values(registry, "http_server_active_requests")
    assert labels == (("http_request_method", expected), ("url_scheme", "http"))


@pytest.mark.parametrize("status", [204, 302, 404, 418, 503, 599, HTTPStatus.CREATED, HTTPStatus.BAD_GATEWAY])
def test_status(registry: CollectorRegistry, status: int) -> None:
    """1.1: 26. 1.3: 9."""

    async def answer(request: Request) -> Response:
        return Response(status_code=status)

    ask(app_of(answer, registry), "/tea")

    error = str(int(status)) if status >= 500 else ""
    assert exchanges(registry) == {Measured("GET", str(int(status)), "/tea", error): 1}


@pytest.mark.parametrize(("status", "error"), [(40001, "_OTHER"), (600, "_OTHER"), (99, ""), (-1, ""), (True, "")])
@pytest.mark.parametrize("groups", [False, True])
def test_a_status_that_http_does_not_have(registry: CollectorRegistry, status: int, error: str, groups: bool) -> None:
    """1.3: 9: is one value."""

    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})

    run(AsgiMiddleware(odd, registry=registry, group_status=groups), [])

    assert exchanges(registry) == {Measured("GET", "_OTHER", "", error): 1}


class OfTheShop(Exception):
    """An exception of an application."""


class Busy(Exception):
    status_code = 503


class OfBusiness(Exception):
    """An exception with a code of the program."""

    def __init__(self, code: object) -> None:
        self.status_code = code


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (OfTheShop(), "500", f"{__name__}.OfTheShop"),
        (Busy(), "503", f"{__name__}.Busy"),
        (HTTPException(404), "404", "starlette.exceptions.HTTPException"),
        (OfBusiness(HTTPStatus.CONFLICT), "409", f"{__name__}.OfBusiness"),
        (OfBusiness(40001), "500", f"{__name__}.OfBusiness"),
        (OfBusiness(99), "500", f"{__name__}.OfBusiness"),
        (OfBusiness(True), "500", f"{__name__}.OfBusiness"),
        (OfBusiness("404"), "500", f"{__name__}.OfBusiness"),
        (ValueError(), "500", "ValueError"),
        (asyncio.CancelledError(), "500", "asyncio.exceptions.CancelledError"),
        (SystemExit(), "500", "SystemExit"),
    ],
)
def test_an_exception_before_the_response(
    registry: CollectorRegistry, error: BaseException, status: str, name: str
) -> None:
    """1.1: 9, 23, 24. 1.3: 9: it is counted and goes on to the caller."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        run(AsgiMiddleware(failing, registry=registry), [])

    assert raised.value is error
    assert exchanges(registry) == {Measured("GET", status, "", name): 1}
    assert active(registry) == 0


def test_an_unhandled_exception_in_a_framework(registry: CollectorRegistry) -> None:
    """1.1: 23. 1.3: 9: inside of the framework it is still an exception, around it a response."""

    async def failing(request: Request) -> Response:
        raise OfTheShop

    inside, around = CollectorRegistry(), registry
    app = Starlette(routes=[Route("/tea", failing)])
    app.add_middleware(AsgiMiddleware, registry=inside)
    (response,) = ask(AsgiMiddleware(app, names="otel", registry=around), "/tea")

    assert response.status_code == 500
    assert exchanges(inside) == {Measured("GET", "500", "/tea", f"{__name__}.OfTheShop"): 1}
    assert exchanges(around) == {Measured("GET", "500", "/tea", "500"): 1}


START: Message = {"type": "http.response.start", "status": 201, "headers": []}


@pytest.mark.parametrize(
    ("messages", "error", "expected"),
    [
        ([], None, Measured("GET", "", "", "incomplete_response")),
        ([START], None, Measured("GET", "201", "", "client_disconnected")),
        ([START], OfTheShop(), Measured("GET", "201", "", f"{__name__}.OfTheShop")),
        ([START, {"type": "http.response.body", "more_body": True}], None,
         Measured("GET", "201", "", "client_disconnected")),
        ([START, {"type": "http.response.body"}], OfTheShop(), Measured("GET", "201", "")),
        ([{"type": "http.response.debug"}, START, {"type": "http.response.body", "body": b"x"}], None,
         Measured("GET", "201", "")),
        ([{**START, "trailers": True}, {"type": "http.response.body"}], None,
         Measured("GET", "201", "", "client_disconnected")),
        ([{**START, "trailers": True}, {"type": "http.response.body"},
          {"type": "http.response.trailers", "more_trailers": True}, {"type": "http.response.trailers"}], None,
         Measured("GET", "201", "")),
        ([START, {"type": "http.response.pathsend", "path": __file__}], None, Measured("GET", "201", "")),
        ([START, {"type": "http.response.zerocopysend", "file": 0, "more_body": False}], None,
         Measured("GET", "201", "")),
    ],
)  # fmt: skip
def test_the_messages_that_end_a_response(
    registry: CollectorRegistry, messages: list[Message], error: Exception | None, expected: Measured
) -> None:
    """1.3: 9, 10, 11: by the protocol, in the order in which an application sends them; none is changed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    try:
        assert run(AsgiMiddleware(app, registry=registry), []) == messages
    except OfTheShop:
        assert error is not None

    assert exchanges(registry) == {expected: 1}
    assert active(registry) == 0


def test_a_client_that_left_before_the_response(registry: CollectorRegistry) -> None:
    """1.1: 25. 1.3: 11."""

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    run(AsgiMiddleware(waiting, registry=registry), [{"type": "http.request"}, {"type": "http.disconnect"}])

    assert exchanges(registry) == {Measured("GET", "499", "", "client_disconnected"): 1}


def test_a_client_that_left_by_the_error_of_send(registry: CollectorRegistry) -> None:
    """1.3: 11: the specification's other sign, an OSError of `send`."""

    async def send(message: Message) -> None:
        raise ConnectionResetError

    async def receive() -> Message:
        raise AssertionError("the middleware receives nothing by itself")

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(ConnectionResetError):
        asyncio.run(AsgiMiddleware(PlainTextResponse("tea"), registry=registry)(scope, receive, send))

    assert exchanges(registry) == {Measured("GET", "499", "", "client_disconnected"): 1}


def test_background_tasks_are_not_part_of_the_duration(registry: CollectorRegistry) -> None:
    """1.1: 19, 20. 1.3: 10: neither they nor the requests in progress."""
    may_end, began = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert may_end.wait(60)

    async def later(request: Request) -> Response:
        return PlainTextResponse("soon", background=BackgroundTask(work))

    app = FastAPI()

    @app.get("/fast")
    async def fast(tasks: BackgroundTasks) -> str:
        tasks.add_task(work)
        return "soon"

    app.mount("/star", Starlette(routes=[Route("/tea", later)]))
    expected: dict[Measured, float] = {}
    with serving_by_uvicorn(AsgiMiddleware(app, registry=registry)) as port:
        for path in "/fast", "/star/tea":
            began.clear()
            may_end.clear()
            assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200
            assert began.wait(60)
            expected[Measured("GET", "200", path)] = 1

            assert exchanges(registry) == expected
            assert active(registry) == 0
            may_end.set()


def test_a_disconnect_after_a_complete_response_does_not_count(registry: CollectorRegistry, tmp_path: Path) -> None:
    """1.3: 11: of a file, which a client reads to its end before it leaves."""
    (tmp_path / "tea").write_bytes(b"t" * 300_000)

    async def file(request: Request) -> Response:
        return FileResponse(tmp_path / "tea")

    with serving_by_uvicorn(app_of(file, registry, sizes=True)) as port:
        assert len(httpx.get(f"http://127.0.0.1:{port}/tea").content) == 300_000
        wait_for(registry, {Measured("GET", "200", "/tea"): 1})

    (size,) = values(registry, "http_server_response_body_size_bytes_sum").values()
    assert size == 300_000


@pytest.mark.parametrize(
    ("path", "headers", "content", "request_size", "response_size"),
    [
        ("/tea", {}, b"t" * 70, 70, 5),
        ("/tea", {"transfer-encoding": "chunked"}, b"t" * 70, 70, 5),
        ("/tea", {"content-length": "+7"}, b"t" * 7, 7, 5),
        ("/head", {}, None, 0, 0),
    ],
)
def test_sizes(
    registry: CollectorRegistry, path: str, headers: Any, content: bytes | None, request_size: int, response_size: int
) -> None:
    """1.1: 29, 30. 1.3: 15: by the header if it is a number, otherwise by the parts that the application read."""

    async def read(request: Request) -> Response:
        await request.body()
        return PlainTextResponse("green")

    app = app_of(read, registry, sizes=True)
    method = "HEAD" if path == "/head" else "POST"
    ask(app, "/tea", method=method, headers=headers, content=content)

    assert list(values(registry, "http_server_request_body_size_bytes_sum").values()) == [request_size]
    assert list(values(registry, "http_server_response_body_size_bytes_sum").values()) == [response_size]


@pytest.mark.parametrize("kind", ["lifespan", "websocket", "of.the.future"])
def test_other_connections_pass_untouched(registry: CollectorRegistry, kind: str) -> None:
    """1.1: 42. 1.3: 13, 14."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send))

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope: Scope = {"type": kind}
    asyncio.run(AsgiMiddleware(app, registry=registry)(scope, receive, send))

    assert seen == [{"type": kind}, receive, send]
    assert seen[0] is scope
    assert exchanges(registry) == {}


def test_protocol_and_scheme(registry: CollectorRegistry) -> None:
    """1.2: values that a proxy or client could make up are one value."""

    async def run(**given: str) -> None:
        async def send(message: Message) -> None: ...

        async def receive() -> Message:
            return {"type": "http.request"}

        app = AsgiMiddleware(PlainTextResponse("tea"), registry=registry)
        await app({"type": "http", "method": "GET", "path": "/", "headers": [], **given}, receive, send)

    for given in {"scheme": "https", "http_version": "2"}, {"scheme": "x", "http_version": "9"}, {}:
        asyncio.run(run(**given))

    found = {dict(labels)["url_scheme"] + " " + dict(labels)["network_protocol_version"]
             for labels in values(registry, "http_server_request_duration_seconds_count")}  # fmt: skip
    assert found == {"https 2", "_OTHER _OTHER", "http 1.1"}


def test_contexts_reach_the_application(registry: CollectorRegistry) -> None:
    """1.3: 1: the application runs in the task of the server, so context variables are its own."""
    tasks: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())

    async def main() -> None:
        tasks.append(asyncio.current_task())

        async def nothing(*arguments: object) -> Any: ...

        scope: Scope = {"type": "http", "method": "GET", "path": "/"}
        await AsgiMiddleware(app, registry=registry)(scope, nothing, nothing)

    asyncio.run(main())
    assert tasks[0] is tasks[1]
