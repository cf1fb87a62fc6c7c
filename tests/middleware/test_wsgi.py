"""WsgiMiddleware by PEP 3333, on real servers, and in Flask. Numbers are those of the cases in the docstrings."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import httpx
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pytheus import make_wsgi_app
from pytheus.middleware import WsgiMiddleware
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import Measured, active, call, exchanges, routes, seconds, values, wait_for
from tests.serving import serving_by_wsgiref

GREEN = Measured("GET", "200", "")


def app_of(*parts: bytes, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()) -> WSGIApplication:
    """An application whose body is a generator, as most bodies of frameworks are."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response(status, [("Content-Type", "text/plain"), *headers])
        yield from parts

    return app


def test_the_protocol_is_kept(registry: CollectorRegistry) -> None:
    """1.3: 1: by the checks of `wsgiref.validate` on both sides."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return [b"returned"]

    wrapped = WsgiMiddleware(validator(app), registry=registry, sizes=True)
    assert call(validator(wrapped), QUERY_STRING="") == b"returned"

    assert exchanges(registry) == {GREEN: 1}
    assert list(values(registry, "http_server_response_body_size_bytes_sum").values()) == [16]
    assert active(registry) == 0


def test_a_list_keeps_its_length(registry: CollectorRegistry) -> None:
    """1.3: 1: servers derive Content-Length from a body of one part."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"tea"]

    with serving_by_wsgiref(WsgiMiddleware(app, registry=registry)) as port:
        response = httpx.get(f"http://127.0.0.1:{port}/")

    assert response.headers["content-length"] == "3"
    wait_for(registry, {GREEN: 1})


def test_a_generator_is_measured_to_its_end(registry: CollectorRegistry) -> None:
    """1.1: 21. 1.3: 10."""
    body = WsgiMiddleware(app_of(b"1", b"2"), registry=registry, first_byte=True)(
        {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"}, lambda *of: lambda data: None
    )
    parts = iter(body)
    assert next(parts) == b"1"
    assert (exchanges(registry), active(registry)) == ({}, 1)

    assert list(parts) == [b"2"]
    assert exchanges(registry) == {GREEN: 1}
    assert 0 < seconds(registry, "http_server_time_to_first_byte_seconds") < seconds(registry)


def test_a_client_that_leaves(registry: CollectorRegistry) -> None:
    """1.3: 11: the server closes a body that it has not exhausted."""
    call(WsgiMiddleware(app_of(b"1", b"2"), registry=registry), read=1)

    assert exchanges(registry) == {Measured("GET", "200", "", "client_disconnected"): 1}
    assert active(registry) == 0


class OfTheShop(Exception):
    """An exception of an application."""


def failing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise OfTheShop


def failing_later(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("201 Created", [])
    yield b"1"
    raise OfTheShop


def failing_to_close(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    class Body(list[bytes]):
        def close(self) -> None:
            raise OfTheShop

    start_response("201 Created", [])
    return Body([b"1"])


@pytest.mark.parametrize(
    ("app", "status", "error"),
    [
        (failing, "500", f"{__name__}.OfTheShop"),
        (failing_later, "201", f"{__name__}.OfTheShop"),
        (failing_to_close, "201", ""),
    ],
)
def test_exceptions(registry: CollectorRegistry, app: WSGIApplication, status: str, error: str) -> None:
    """1.1: 23, 28. 1.3: 9."""
    with pytest.raises(OfTheShop):
        call(WsgiMiddleware(app, registry=registry))

    assert exchanges(registry) == {Measured("GET", status, "", error): 1}
    assert active(registry) == 0


def test_an_application_that_never_starts_a_response(registry: CollectorRegistry) -> None:
    """1.3: 9."""
    call(WsgiMiddleware(lambda environ, start_response: [], registry=registry))

    assert exchanges(registry) == {Measured("GET", "", "", "incomplete_response"): 1}


def test_a_response_that_is_started_again_after_an_error(registry: CollectorRegistry) -> None:
    """1.3: 9: PEP 3333 allows it with `exc_info`."""
    given: list[object] = []

    def start(*arguments: object) -> Callable[[bytes], object]:
        given.append(arguments)
        return lambda data: None

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        error = OfTheShop()
        start_response("502 Bad Gateway", [], (OfTheShop, error, None))  # type: ignore[arg-type]  # without traceback
        return [b""]

    body = WsgiMiddleware(app, registry=registry)({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"}, start)
    assert list(body) == [b""]

    assert exchanges(registry) == {Measured("GET", "502", "", "502"): 1}
    assert [len(cast("tuple[object, ...]", each)) for each in given] == [2, 3]


@pytest.mark.parametrize(
    ("events", "read"), [((b"1", b"2"), None), ((b"1",), None), ((), None), ((b"1", b"2"), 1), ((b"1", b"2"), 0)]
)
@pytest.mark.parametrize("content_type", ["text/event-stream", "Text/Event-Stream; charset=utf-8"])
def test_server_sent_events(
    registry: CollectorRegistry, events: tuple[bytes, ...], read: int | None, content_type: str
) -> None:
    """1.3: 12: by the headers, whatever events there are until the client leaves."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("X-Accel", "no"), ("Content-Type", content_type)])
        return iter(events)

    call(WsgiMiddleware(app, registry=registry, streams="separate"), read)

    assert exchanges(registry) == {}
    error = "client_disconnected" if read is not None else ""
    assert exchanges(registry, "http_server_stream_duration_seconds") == {Measured("GET", "200", "", error): 1}
    assert active(registry) == 0


def test_an_error_in_place_of_an_event_stream(registry: CollectorRegistry) -> None:
    """1.3: 9, 12: a response that is started again is no such stream any more."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        start_response("503 Busy", [], (OfTheShop, OfTheShop(), None))  # type: ignore[arg-type]  # without traceback
        return [b""]

    body = WsgiMiddleware(app, registry=registry)(
        {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"}, lambda *of: lambda data: None
    )
    assert list(body) == [b""]

    assert exchanges(registry) == {Measured("GET", "503", "", "503"): 1}


@pytest.mark.parametrize("read", [None, 1])
def test_a_program_says_which_responses_are_streams(registry: CollectorRegistry, read: int | None) -> None:
    """1.3: 12: also if the client leaves."""
    app = app_of(b"1", b"2", headers=[("X-Live", "1")])
    call(WsgiMiddleware(app, registry=registry, is_stream=lambda environ, headers: headers["x-live"] == "1"), read)

    assert exchanges(registry) == {}
    assert active(registry) == 0


@pytest.mark.parametrize("status", ["40001 Of the shop", "99 Less", "777 More"])
def test_a_status_that_http_does_not_have(registry: CollectorRegistry, status: str) -> None:
    """1.3: 9: is one value."""
    call(WsgiMiddleware(app_of(b"tea", status=status), registry=registry))

    error = "" if status.startswith("99") else "_OTHER"
    assert exchanges(registry) == {Measured("GET", "_OTHER", "", error): 1}


@pytest.mark.parametrize("written", ["utf-8", "decoded"])
def test_a_path_is_excluded_by_its_text(registry: CollectorRegistry, written: str) -> None:
    """1.3: 18: PEP 3333 has the bytes of the path as latin-1; some servers decode it."""
    measured = WsgiMiddleware(app_of(b"tea"), registry=registry, exclude=["^/straße/€$"])
    for path in "/straße/€", "/strasse":
        call(measured, PATH_INFO=path.encode().decode("latin-1") if written == "utf-8" else path)
    call(measured, PATH_INFO="/stra\xdfe")  # no UTF-8

    assert exchanges(registry) == {GREEN: 2}


def test_files_are_sent_by_the_server(registry: CollectorRegistry, tmp_path: Path) -> None:
    """1.3: 10: the object of `wsgi.file_wrapper` reaches the server as it is."""
    (tmp_path / "tea").write_bytes(b"tea")
    with (tmp_path / "tea").open("rb") as file:
        made = FileWrapper(file)

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            start_response("200 OK", [])
            return made

        environ: WSGIEnvironment = {
            "REQUEST_METHOD": "GET",
            "wsgi.url_scheme": "http",
            "wsgi.file_wrapper": FileWrapper,
        }
        body = WsgiMiddleware(app, registry=registry)(environ, lambda *of: lambda data: None)

        assert body is made
        assert exchanges(registry) == {}
        made.close()
        assert file.closed
        assert exchanges(registry) == {GREEN: 1}


class SealedFile:
    """A wrapper without a place for another `close`, like uWSGI's."""

    __slots__ = ("file",)

    def __init__(self, file: object) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"tea"])

    def close(self) -> None: ...


def test_a_wrapper_that_cannot_be_observed(registry: CollectorRegistry) -> None:
    """1.3: 10."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return SealedFile(None)

    environ: dict[str, Any] = {"wsgi.file_wrapper": SealedFile}
    body = call(WsgiMiddleware(app, registry=registry), **environ)

    assert body == b"tea"
    assert exchanges(registry) == {GREEN: 1}


@pytest.mark.parametrize(("method", "size"), [("POST", 4), ("HEAD", 0)])
def test_sizes(registry: CollectorRegistry, method: str, size: int) -> None:
    """1.3: 15."""
    app = WsgiMiddleware(app_of(b"te", b"a!"), registry=registry, sizes=True)
    call(app, REQUEST_METHOD=method, CONTENT_LENGTH="70")

    assert list(values(registry, "http_server_request_body_size_bytes_sum").values()) == [70]
    assert list(values(registry, "http_server_response_body_size_bytes_sum").values()) == [size]


def test_the_environ_is_read_before_it_changes_and_leaves_no_cycle(registry: CollectorRegistry) -> None:
    """1.3: 2, 8: values that a client could make up are one value."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.update(REQUEST_METHOD="GET", PATH_INFO="/healthz")
        return app_of()(environ, start_response)

    environ: WSGIEnvironment = {"SERVER_PROTOCOL": "HTTP/7.7", "wsgi.url_scheme": "gopher", "PATH_INFO": "/"}
    environ["REQUEST_METHOD"] = "EVIL"
    kept = set(environ)
    body = WsgiMiddleware(app, registry=registry, exclude=["/healthz"])(environ, lambda *of: lambda data: None)
    list(body)

    ((method, _, _, scheme, protocol, _),) = values(registry, "http_server_request_duration_seconds_count")
    assert (method[1], scheme[1], protocol[1]) == ("_OTHER", "_OTHER", "_OTHER")
    assert set(environ) == kept


def test_a_middleware_within_another_and_the_metrics_application(registry: CollectorRegistry) -> None:
    """1.3: 16, 18."""
    inner = WsgiMiddleware(app_of(b"tea"), registry=registry)
    app = DispatcherMiddleware(inner, {"/metrics": make_wsgi_app(registry)})
    measured = WsgiMiddleware(app, registry=registry)
    call(measured, PATH_INFO="/tea")
    text = call(measured, PATH_INFO="/metrics").decode()

    assert exchanges(registry) == {GREEN: 1}
    assert 'http_server_active_requests{http_request_method="GET",url_scheme="http"} 0.0' in text


# Servers --------------------------------------------------------------------------------------------------------------


def test_a_route_by_function(registry: CollectorRegistry) -> None:
    """1.3: 4."""
    call(WsgiMiddleware(app_of(), registry=registry, route=lambda environ: "/" + environ["REQUEST_METHOD"]))

    assert routes(registry) == {"/GET"}


def test_a_client_that_resets_a_stream(registry: CollectorRegistry) -> None:
    """1.3: 11: of a real server."""
    endless = app_of(*[b"t" * 65536] * 2000)
    with serving_by_wsgiref(WsgiMiddleware(endless, registry=registry)) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(100)
        wait_for(registry, {Measured("GET", "200", "", "client_disconnected"): 1})
