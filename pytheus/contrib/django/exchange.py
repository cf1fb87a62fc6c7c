"""One request to a Django project, as far as it is measured.

Rules:

- A response that has its content is measured until the middleware returns it. Nothing of it is changed, so that
  middleware outside may store it, or respond with another one.
- The content of a streaming response is iterated through an object that counts it. The exchange ends when Django closes
  the response: after the last part, or before, if the client has left. If another middleware drops the response, the
  exchange ends with that object.
- Django's ASGI handler cancels a view, and the content of a response, if the client leaves.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterable, Iterator
from time import perf_counter
from typing import Final, Protocol, cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse

from pytheus.exposition.exchange_mark import EXCHANGE_KEY, MarkedExchange, find_mark
from pytheus.middleware.exchange import METHODS, OTHER, PROTOCOLS, SCHEMES, Exchange, class_name, content_length
from pytheus.middleware.recorder import Recorder

__all__ = ["DjangoExchange", "note_exception", "route_of", "scope_of", "view_of"]

_ATTRIBUTE: Final = "pytheus_exchange"


class DjangoExchange(Exchange["dict[str, object]"]):
    """A request to a Django project."""

    is_measured: bool = False
    headers: _HasItems | None = None
    file_size: int = 0
    """The size of a file that the server sends by its own means."""

    answered: float = 0.0
    """When the middleware returned the response, on the clock of `began`."""

    def __init__(self, recorder: Recorder[dict[str, object]], request: HttpRequest) -> None:
        super().__init__(recorder, request.META)
        self.request: HttpRequest | None = request
        self.is_measured = recorder.begin(self, looks_around=True)

    def find_mark(self) -> MarkedExchange | None:
        """Return the exchange of middleware of ASGI around this one, whose scope is the request's."""
        assert self.request is not None
        return find_mark(self.request.META, scope_of(self.request))

    def read_request(self) -> None:
        """Read the request before its view does."""
        request = self.request
        assert request is not None
        setattr(request, _ATTRIBUTE, self)
        self.method: str = METHODS.get(request.method, OTHER)
        self.scheme: str = SCHEMES.get(request.scheme, OTHER)
        protocol = request.META.get("SERVER_PROTOCOL") or getattr(request, "scope", {}).get("http_version", "1.1")
        self.protocol: str = PROTOCOLS.get(str(protocol).removeprefix("HTTP/"), OTHER)
        self.path: str = request.path
        if self.recorder.measures_sizes:
            self.request_size: int = content_length(request.headers.get("Content-Length")) or 0

    def response_headers(self) -> dict[str, str]:
        """Return the headers of the response by their names in lower case."""
        return {} if self.headers is None else {name.lower(): value for name, value in self.headers.items()}

    def measured(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return `response`, which ends the exchange now, or after its last part if it is streaming."""
        try:
            self._tell_route()
        except Exception:
            self.recorder.failed("route")
        if not self.is_measured:
            self.request = None  # would be a cycle otherwise
            return response
        try:
            # Not the response, whose content refers to this exchange.
            self.headers = response.headers
            if response.status_code < 500:
                self.raised = self.error_type = ""  # another middleware handled it
            self.start(response.status_code)
            if response.streaming:
                self._stream(cast("StreamingHttpResponse", response))
                return response
            if self.recorder.measures_sizes:
                self.response_size: int = len(cast("HttpResponse", response).content)
        except Exception:
            self.recorder.failed("response")
        self.end()
        return response

    def end(self) -> None:
        """Record the exchange, and let go of the request, which refers to it."""
        super().end()
        self.request = None

    def end_by(self, error: BaseException) -> None:
        """Record the exchange, which `error` ends before a response, or within its content."""
        if self.is_measured:
            if isinstance(error, CancelledError):
                self.is_disconnected: bool = True
                self.end_early()
            else:
                self.end_early(error)
        self.request = None  # would be a cycle otherwise

    def end_unsent(self) -> None:
        """Record the exchange, whose response was replaced, until the middleware returned that response."""
        if not self.has_ended:
            self.began: float = self.began + perf_counter() - self.answered
            self.end()

    def _tell_route(self) -> None:
        """Tell middleware around the project the route, which it does not find in its own scope or environ."""
        assert self.request is not None
        outer = self.outer or cast("MarkedExchange | None", self.request.META.get(EXCHANGE_KEY))
        # Another exchange of Django, or this one, reads the same request.
        if outer is not None and not isinstance(outer, DjangoExchange):
            route = route_of(self)
            if route is not None:
                outer.take_route(route)

    def _stream(self, response: StreamingHttpResponse) -> None:
        self.is_stream: bool = self.recorder.is_stream(self)
        file: object = getattr(response, "file_to_stream", None)
        if file is not None and self.recorder.measures_sizes and "wsgi.file_wrapper" in self.source:
            self.file_size = content_length(response.headers.get("Content-Length")) or 0
        self.answered = perf_counter()
        content = response.streaming_content
        response.streaming_content = (
            _AsyncContent(self, cast("AsyncIterator[bytes]", content))
            if response.is_async
            else _Content(self, cast("Iterator[bytes]", content))
        )
        if file is not None:
            # A new content takes it away, without which the server does not send the file by its own means.
            response.file_to_stream = file


class _HasItems(Protocol):
    """Headers of a response."""

    def items(self) -> Iterable[tuple[str, str]]: ...


class _CountedContent:
    """The content of a streaming response; Django calls `close` with that of the response."""

    def __init__(self, exchange: DjangoExchange) -> None:
        self._exchange: Final = exchange
        self._has_begun = False
        self._is_exhausted = False

    def _count(self, part: bytes) -> bytes:
        self._exchange.response_size += len(part)
        return part

    def close(self) -> None:
        exchange = self._exchange
        if self._has_begun and not self._is_exhausted:
            exchange.end_early()
            return
        if not self._has_begun:
            # The server sends a file by its own means, or the response to HEAD without content.
            exchange.response_size = exchange.file_size
        exchange.end()

    def __del__(self) -> None:
        if self._has_begun:
            self.close()
        else:
            self._exchange.end_unsent()


class _Content(_CountedContent):
    def __init__(self, exchange: DjangoExchange, parts: Iterator[bytes]) -> None:
        super().__init__(exchange)
        self._parts: Final = parts

    def __iter__(self) -> _Content:
        return self

    def __next__(self) -> bytes:
        self._has_begun = True
        try:
            return self._count(next(self._parts))
        except StopIteration:
            self._is_exhausted = True
            raise
        except BaseException as error:
            self._exchange.end_by(error)
            raise


class _AsyncContent(_CountedContent):
    def __init__(self, exchange: DjangoExchange, parts: AsyncIterator[bytes]) -> None:
        super().__init__(exchange)
        self._parts: Final = parts

    def __aiter__(self) -> _AsyncContent:
        return self

    async def __anext__(self) -> bytes:
        self._has_begun = True
        try:
            return self._count(await anext(self._parts))
        except StopAsyncIteration:
            self._is_exhausted = True
            raise
        except BaseException as error:
            self._exchange.end_by(error)
            raise


def note_exception(request: HttpRequest, error: Exception) -> None:
    """Note the exception of a view."""
    exchange = getattr(request, _ATTRIBUTE, None)
    if exchange is not None:
        exchange.raised = exchange.error_type = class_name(error)


def scope_of(request: HttpRequest) -> dict[str, object] | None:
    """Return the scope of a request that came by ASGI."""
    return cast("dict[str, object] | None", getattr(request, "scope", None))


def _match_of(exchange: Exchange[dict[str, object]]) -> object:
    return getattr(cast("DjangoExchange", exchange).request, "resolver_match", None)


def route_of(exchange: Exchange[dict[str, object]]) -> str | None:
    """Return the route of the URL pattern."""
    route: object = getattr(_match_of(exchange), "route", None)
    return f"/{route}" if isinstance(route, str) else None


def view_of(exchange: Exchange[dict[str, object]]) -> str | None:
    """Return the name of the view."""
    name: object = getattr(_match_of(exchange), "view_name", None)
    return name if isinstance(name, str) else None
