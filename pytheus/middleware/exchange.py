"""One request and its response, as far as they are measured, the same for ASGI and WSGI.

Rules:

- The exchange ends once: at the response's last byte, or when the application returns, raises or is closed before that.
- The status is that of the response. Without one, it is the exception's `status_code` if HTTP has such a status, else
  500; if the client left before the response started, it is 499.
- An error is named as OpenTelemetry names it: a status from 500 on by its number, an exception by its class.
  https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from time import perf_counter
from types import GenericAlias
from typing import TYPE_CHECKING, Final, Generic, Protocol, SupportsInt, TypeVar, cast

from pytheus.compilation import mypyc_attr

if TYPE_CHECKING:
    from pytheus.exposition.exchange_mark import MarkedExchange
    from pytheus.metrics import Gauge, LabelValue

__all__ = [
    "EVENT_STREAM",
    "INCOMPLETE",
    "METHODS",
    "OTHER",
    "PROTOCOLS",
    "SCHEMES",
    "STATUSES",
    "Exchange",
    "Measures",
    "class_name",
    "content_length",
    "header_is_stream",
]

S = TypeVar("S", bound=MutableMapping[str, object])

OTHER: Final = "_OTHER"
"""The value for everything that a client can make up: OpenTelemetry's word for an unknown method."""

# From each known value to itself, or to its other spelling.
METHODS: Final[dict[object, str]] = {
    method: method
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")
}
SCHEMES: Final[dict[object, str]] = {"http": "http", "https": "https", "ws": "ws", "wss": "wss"}
PROTOCOLS: Final[dict[object, str]] = {
    f"{protocol}{version}": text  # ASGI has the version alone
    for protocol in ("", "HTTP/")
    for version, text in {"1.0": "1.0", "1.1": "1.1", "2": "2", "2.0": "2", "3": "3", "3.0": "3"}.items()
}

STATUSES: Final = range(100, 600)
"""The statuses that HTTP has: https://www.rfc-editor.org/rfc/rfc9110#section-15"""

EVENT_STREAM: Final = "text/event-stream"
"""The type of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

CLIENT_GONE: Final = "client_disconnected"
INCOMPLETE: Final = "incomplete_response"
_CLIENT_CLOSED_REQUEST: Final = 499


class Measures(Protocol[S]):
    """The members of the recorder that an exchange needs."""

    @property
    def key(self) -> object:
        """Equal for recorders that count in the same metrics."""

    @property
    def is_automatic(self) -> bool: ...

    @property
    def needs_path(self) -> bool: ...

    @property
    def measures_first_byte(self) -> bool: ...

    @property
    def measures_sizes(self) -> bool: ...

    def begin(self, exchange: Exchange[S], /) -> bool:
        """Begin to measure `exchange`; returns False if it is not to be measured."""
        ...

    def end(self, exchange: Exchange[S], /) -> None:
        """Count `exchange`, which has ended."""

    def release(self, exchange: Exchange[S], /) -> None:
        """Count `exchange` as in progress no longer."""

    def is_stream(self, exchange: Exchange[S], /) -> bool:
        """Return whether the response, which has several parts, is a stream of events, also by the option for it."""
        ...

    def failed(self, place: str, /) -> None:
        """Count a failure. To be called where the error is handled."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange(Generic[S]):
    """The base of `AsgiExchange` and `WsgiExchange`, which tell it of the response."""

    # No __slots__: in plain Python, the defaults below cost nothing per request. A subclass has no other defaults for
    # them, which the code here would not see where it is compiled.

    method: str
    scheme: str
    protocol: str
    path: str
    began: float

    outer: Exchange[S] | None = None
    active: Gauge | None = None
    has_ended: bool = False
    is_stream: bool = False
    """Whether the response is a stream of events."""

    is_disconnected: bool = False

    status: int = 0
    """The status of the response, or 0 before it starts."""

    first_byte: float = 0.0
    """Seconds until the response started."""

    seconds: float = 0.0
    """Seconds until the last byte."""

    request_size: int = 0
    response_size: int = 0
    error_type: str = ""
    unfinished: str = CLIENT_GONE
    """The `error_type` of a response that has started, if the application returns before its end."""

    raised: str = ""
    """The class of an exception that the application raised."""

    inner_route: str = ""
    """The template of a framework within the application, from its mount on."""

    # Written by the recorder at the end, as the labels of the metrics.
    route: str = ""
    status_text: str = ""
    custom: tuple[LabelValue, ...] = ()

    def __init__(self, recorder: Measures[S], source: S) -> None:
        self.recorder: Final = recorder
        self.source = source

    def read_request(self) -> None:
        """Set `method`, `scheme`, `protocol` and `path`, which routers may change later."""
        raise NotImplementedError

    def find_mark(self) -> MarkedExchange | None:
        """Return the exchange of middleware around this one that has another scope or environ; None without one."""
        return None

    def response_headers(self) -> dict[str, str]:
        """Return the headers of the response by their names in lower case."""
        raise NotImplementedError

    def start(self, status: SupportsInt | str) -> None:
        """Note that the response has started."""
        self.status = int(status)
        if self.recorder.measures_first_byte:
            self.first_byte = perf_counter() - self.began

    def end(self) -> None:
        """Record the exchange, which is complete, or has an `error_type`."""
        if not self.has_ended:
            self.has_ended = True
            self.seconds = perf_counter() - self.began
            if self.method == "HEAD":
                self.response_size = 0  # the server sends none of it
            self.recorder.end(self)

    def end_early(self, error: BaseException | None = None) -> None:
        """Record the exchange if it has not ended: the application raised `error`, or sent no complete response."""
        if self.has_ended:
            return
        if error is not None:
            self.raised = class_name(error)
        if self.status:
            if error is None:
                self.error_type = self.unfinished
            else:
                self.error_type = CLIENT_GONE if self.is_disconnected else self.raised
        elif self.is_disconnected:
            self.leave_unanswered()
        elif error is None:
            self.error_type = INCOMPLETE
        else:
            status: object = getattr(error, "status_code", None)
            # Some programs have codes of their own there, each of which would be a series.
            is_status = isinstance(status, int) and not isinstance(status, bool) and status in STATUSES
            self.status, self.error_type = int(cast("int", status)) if is_status else 500, self.raised
        self.end()

    def leave_unanswered(self) -> None:
        """Note that the client had left before the response started, so that none reaches it."""
        self.status, self.error_type = _CLIENT_CLOSED_REQUEST, CLIENT_GONE

    def take_route(self, route: str) -> None:
        """Take the template that a framework within the application has found, which goes behind its own."""
        self.inner_route = route
        if self.outer is not None:
            self.outer.take_route(route)

    def leave_out(self) -> None:
        """End the exchange without a record, with those of middleware around it."""
        if not self.has_ended:
            self.has_ended = True
            self.recorder.release(self)
        if self.outer is not None:
            self.outer.leave_out()

    @classmethod
    def __class_getitem__(cls, item: object) -> GenericAlias:
        # The compiled build has no `typing.Generic` among its bases; see build_backend/erasing.py.
        return GenericAlias(cls, item)


def class_name(error: BaseException) -> str:
    """Return the class of `error` as OpenTelemetry names it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def content_length(text: str | None) -> int | None:
    """Return the number of a Content-Length header; None if it is absent or not a number."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 20 else None


def header_is_stream(headers: Mapping[str, str]) -> bool:
    """Return whether the response is a stream of server-sent events."""
    return headers.get("content-type", "")[: len(EVENT_STREAM)].lower() == EVENT_STREAM
