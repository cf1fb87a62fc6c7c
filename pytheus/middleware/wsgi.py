"""Middleware that measures a WSGI application.

https://peps.python.org/pep-3333/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar, Final, cast

from pytheus.compilation import mypyc_attr
from pytheus.exposition.exchange_mark import expect_adapters, find_mark
from pytheus.middleware.exchange import EVENT_STREAM, METHODS, OTHER, PROTOCOLS, SCHEMES, Exchange, content_length
from pytheus.middleware.recorder import Recorder
from pytheus.middleware.wsgi_routes import KEPT_RULE, keep_rules_of_flask, mount_path, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Unpack
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from pytheus.exposition.exchange_mark import MarkedExchange
    from pytheus.middleware.options import MiddlewareOptions

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["WsgiMiddleware"]


@mypyc_attr(allow_interpreted_subclasses=True)
class WsgiMiddleware:
    """Measures the requests to a WSGI application: their duration, route, status, and how many are in progress.

        >>> from pytheus.registry import CollectorRegistry
        >>> def app(environ, start_response):
        ...     start_response("204 No Content", [])
        ...     return []
        >>> measured = WsgiMiddleware(app, registry=CollectorRegistry())

    In Flask: ``app.wsgi_app = WsgiMiddleware(app.wsgi_app)``; its route is the `url_rule`, after the path at which
    Werkzeug's DispatcherMiddleware mounts the application, if that is within this middleware. The options are those of
    `MiddlewareOptions`; docs/how-to/middleware.md tells about each. A request that several of these middlewares see is
    measured by the outermost one. Nothing of the response is changed or held back, and a file that the server sends by
    its own means (``wsgi.file_wrapper``) stays one. May be called from any thread.

    Raises `ConflictError` if another metric has a name of its metrics, `TypeError` or `ValueError` for an option that
    does not exist or a value that it cannot have.
    """

    is_automatic: ClassVar[bool] = False
    """Whether pytheus put it around an application by itself: it then gives way to those of the program."""

    def __init__(self, app: WSGIApplication, **options: Unpack[MiddlewareOptions[WSGIEnvironment]]) -> None:
        self.app: Final = app
        self._recorder: Final[Recorder[WSGIEnvironment]] = Recorder(
            options, partial(_route_of, app), "WsgiMiddleware", is_automatic=self.is_automatic
        )
        keep_rules_of_flask()
        expect_adapters()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve and measure one request by the application."""
        exchange = WsgiExchange(self._recorder, environ)
        exchange.start_response_of = start_response
        if not self._recorder.begin(exchange, looks_around=True):
            return self.app(environ, start_response if exchange.around is None else exchange.start_unmeasured)
        try:
            body = self.app(environ, exchange.start_response)
        except BaseException as error:
            exchange.end_early(error)
            raise
        return exchange.measured(body)

    def __repr__(self) -> str:
        return f"<WsgiMiddleware of {self.app!r}>"


def _route_of(app: WSGIApplication, exchange: Exchange[WSGIEnvironment]) -> str | None:
    environ = exchange.source
    own: WsgiExchange = exchange  # type: ignore[assignment]  # it is one, and a cast is a call
    rule = own.url_rule
    if rule is None:
        rule = environ.get(KEPT_RULE)
        if rule is None:
            return None
    extended = environ.get("SCRIPT_NAME")
    return rule if extended == own.script_name else mount_path(app, own.script_name or "", extended or "") + rule


class WsgiExchange(Exchange["WSGIEnvironment"]):
    """A request to a WSGI application, with the `start_response` that the application gets."""

    start_response_of: StartResponse

    headers: Iterable[tuple[str, str]] = ()
    url_rule: str | None = None
    """The rule of Flask, if it has started a response."""

    script_name: str | None = None
    """The path of the application before dispatchers extend it."""

    around: MarkedExchange | None = None
    """The exchange of middleware of ASGI, whose adapter made the environ."""

    parts: int = 0
    """The parts of the body until now."""

    def read_request(self) -> None:
        """Read the environ before dispatchers change it."""
        environ = self.source
        self.method: str = METHODS.get(environ["REQUEST_METHOD"], OTHER)
        self.scheme: str = SCHEMES.get(environ["wsgi.url_scheme"], OTHER)
        self.protocol: str = PROTOCOLS.get(environ.get("SERVER_PROTOCOL"), OTHER)
        self.script_name = environ.get("SCRIPT_NAME")
        if self.recorder.needs_path:
            self.path: str = _decoded((self.script_name or "") + environ.get("PATH_INFO", ""))
        if self.recorder.measures_sizes:
            self.request_size: int = content_length(environ.get("CONTENT_LENGTH")) or 0

    def response_headers(self) -> dict[str, str]:
        """Return the headers of the response by their names in lower case."""
        return {name.lower(): value for name, value in self.headers}

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Start the response, or start it again after an error, as PEP 3333 has it."""
        if exc_info is None:
            write = self.start_response_of(status, headers)
        else:
            write = self.start_response_of(status, headers, exc_info)
            self.is_stream: bool = False
        try:
            self.headers = headers
            self.status: int = int(status.partition(" ")[0])
            if self.recorder.measures_first_byte:
                self.first_byte: float = perf_counter() - self.began
            self.note_route()
            for name, value in headers:  # and not by the parts, because the first event may come much later
                if len(name) == 12 and name.lower() == "content-type":
                    self.is_stream = value[:17].lower() == EVENT_STREAM
                    break
        except Exception:
            self.recorder.failed("start_response")
        if not self.recorder.measures_sizes:
            return write

        def measured_write(data: bytes) -> object:
            self.response_size += len(data)
            return write(data)

        return measured_write

    def start_unmeasured(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Start the response, which the middleware around this one measures."""
        try:
            self.note_route()
        except Exception:
            self.recorder.failed("start_response")
        if exc_info is None:
            return self.start_response_of(status, headers)
        return self.start_response_of(status, headers, exc_info)

    def note_route(self) -> None:
        """Note the route of Flask, which it forgets before the end, and tell it the middleware of ASGI around it."""
        request = self.source.get("werkzeug.request")
        if request is not None:
            self.url_rule = rule_of(request)
            if self.around is not None and self.url_rule:
                self.around.take_route(self.url_rule)

    def find_mark(self) -> MarkedExchange | None:
        """Return the exchange of middleware of ASGI around this one."""
        self.around = find_mark(self.source)
        return self.around

    def close(self) -> None:
        """End the exchange, whose body is not exhausted: the client has left."""
        if self.parts and not self.is_stream:
            self.is_stream = self.recorder.is_stream(self)
        self.end_early()

    def measured(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return `body` as the server gets it: the exchange ends when it is exhausted or closed."""
        if isinstance(body, (list, tuple)):
            return _SizedBody(self, body)
        wrapper: object = self.source.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            if self.recorder.measures_sizes:
                self.response_size: int = content_length(self.response_headers().get("content-length")) or 0
            return self._measured_file(body)
        return _Body(self, body)

    def _measured_file(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return `body` itself, because only that is sent without a copy; its `close` ends the exchange."""
        close: object = getattr(body, "close", None)

        def measured_close() -> None:
            try:
                if callable(close):
                    close()
            finally:
                self.end()

        try:
            body.close = measured_close  # type: ignore[attr-defined]  # as the servers' classes for files allow
        except AttributeError:
            self.end()
        return body


def _decoded(path: str) -> str:
    """Return a path of the environ as text: PEP 3333 has its bytes as latin-1."""
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return path  # the server has decoded it


class _Body:
    """The body of a response; ends the exchange."""

    __slots__ = ("_body", "_exchange")

    def __init__(self, exchange: WsgiExchange, body: Iterable[bytes]) -> None:
        self._exchange: Final = exchange
        self._body: Final = body

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        has_sizes = exchange.recorder.measures_sizes
        try:
            for part in self._body:
                exchange.parts += 1
                if exchange.parts == 2 and not exchange.is_stream:
                    exchange.is_stream = exchange.recorder.is_stream(exchange)
                if has_sizes:
                    exchange.response_size += len(part)
                yield part
        except GeneratorExit:
            raise  # the server has left it, and calls `close`
        except BaseException as error:
            exchange.end_early(error)
            raise
        if exchange.status:
            exchange.end()
        else:
            exchange.end_early()

    def close(self) -> None:
        """Close the body of the application; the client has left if it is not exhausted."""
        try:
            close: object = getattr(self._body, "close", None)
            if callable(close):
                close()
        finally:
            if not self._exchange.has_ended:
                self._exchange.close()


class _SizedBody(_Body):
    """A body whose number of parts the server may ask for, to derive the length of the response."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("Sized", self._body))
