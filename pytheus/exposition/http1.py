"""One HTTP/1.1 connection of the metrics server.

Reads a request, sends the response, and ends the connection.

Rules:

- One request per connection. Scrapes are seconds apart, and an idle connection would occupy a thread.
- Everything is limited: the head in bytes and in time, however slowly it arrives, and the sending in time.
- A connection that breaks raises nothing.
- A request that deviates from the grammar of RFC 9112 is refused. The only exception is a bare LF at the end of a line
  (section 2.2). A body is never read.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from pytheus.exposition.response import Response, answer_text

__all__ = ["HEAD_END", "BadRequestError", "Request", "parse_head", "serve_connection"]

_HEAD_BYTES: Final = 16 * 1024
_HEAD_SECONDS: Final = 10.0
_SEND_SECONDS: Final = 30.0
_LINGER_BYTES: Final = 1024 * 1024
_LINGER_SECONDS: Final = 1.0

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# https://www.rfc-editor.org/rfc/rfc9112#section-2.1
#   HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]
HEAD_END: Final = re.compile(rb"\r?\n\r?\n")

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
#   tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# https://www.rfc-editor.org/rfc/rfc9112#section-3
#   request-line = method SP request-target SP HTTP-version
_REQUEST_LINE: Final = re.compile(rf"({_TOKEN}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
#   absolute-form = absolute-URI       proxies send it, and servers must accept it
_ABSOLUTE_FORM: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9112#section-5
#   field-line = field-name ":" OWS field-value OWS       with no folding (section 5.2) and no space before the colon
_FIELD_LINE: Final = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)", re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9110#section-8.6
#   Content-Length = 1*DIGIT           here at most 20; repeated and joined with commas if all are equal
_CONTENT_LENGTH: Final = re.compile(r"([0-9]{1,20})(?:[ \t]*,[ \t]*\1)*", re.ASCII)


class BadRequestError(Exception):
    """A request that is refused with the HTTP status `status`."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    """The `method`, `target` and header `fields` of a request.

    Field names are in lower case. Fields with the same name are joined by commas (RFC 9110 section 5.3).
    """

    method: str
    target: str
    fields: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path in the target, without scheme, host, query and fragment."""
        path = self.target if self.target.startswith("/") else _ABSOLUTE_FORM.sub("", self.target, count=1)
        return re.split(r"[?#]", path, maxsplit=1)[0] or "/"

    @property
    def query(self) -> str:
        """The part of the target after "?", without the fragment."""
        return self.target.partition("?")[2].partition("#")[0]

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return "transfer-encoding" in self.fields or self.fields.get("content-length", "0").strip("0, \t") != ""


def parse_head(head: bytes) -> Request:
    """Return the request in `head`, the bytes before the empty line.

    Raises `BadRequestError` if it is malformed.

    >>> parse_head(b"GET /metrics?x=1 HTTP/1.1\\r\\nHost: shop").path
    '/metrics'
    """
    lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise BadRequestError("the request line is not 'METHOD TARGET HTTP/1.1'")
    method, target, major, minor = match.groups()
    if major != "1":
        raise BadRequestError("this server supports only HTTP/1.0 and HTTP/1.1", status=505)
    fields: dict[str, str] = {}
    for line in lines[1:]:
        field = _FIELD_LINE.fullmatch(line)
        if field is None:
            raise BadRequestError("a header line is not 'NAME: VALUE'")
        name, value = field[1].lower(), field[2].rstrip(" \t")
        if name in fields and name == "host":
            raise BadRequestError("the request has more than one Host header")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    _check_fields(fields, minor)
    return Request(method, target, fields)


def _check_fields(fields: Mapping[str, str], minor: str) -> None:
    if "host" not in fields and minor != "0":
        # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        raise BadRequestError("the request has no Host header, which HTTP/1.1 requires")
    # https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    if _CONTENT_LENGTH.fullmatch(fields.get("content-length", "0")) is None:
        raise BadRequestError("Content-Length is not a whole number")
    if fields.get("transfer-encoding", "chunked").lower() != "chunked":
        raise BadRequestError("the only Transfer-Encoding that this server supports is chunked", status=501)


def serve_connection(connection: socket.socket, respond: Callable[[Request], Response]) -> None:
    """Read one request from `connection` and send the response of `respond`.

    Returns when that is done, when the client has closed the connection, or after a time limit. The caller closes the
    socket.
    """
    try:
        unread = True
        try:
            request = _read_request(connection)
            unread = request.has_body
            response = respond(request)
        except BadRequestError as error:
            response = answer_text("GET", error.status, f"{error}\n")
        _send(connection, response)
        if unread:
            _linger(connection)
    except OSError:
        pass


def _read_request(connection: socket.socket) -> Request:
    deadline = time.monotonic() + _HEAD_SECONDS
    head = bytearray()
    while True:
        # Set again each time, because the limit is for the whole head.
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            chunk = connection.recv(_HEAD_BYTES)
        except TimeoutError:
            raise BadRequestError(f"no complete request within {_HEAD_SECONDS:g} seconds", status=408) from None
        if not chunk:
            raise ConnectionResetError("the client has closed the connection, or the server is closing")
        head += chunk
        if len(head) == len(chunk):
            head = bytearray(head.lstrip(b"\r\n"))  # RFC 9112 section 2.2: ignore empty lines before the request line
        end = HEAD_END.search(head)
        if end is not None and end.start() <= _HEAD_BYTES:
            return parse_head(bytes(head[: end.start()]))
        if len(head) > _HEAD_BYTES:
            raise BadRequestError(f"the head of the request is larger than {_HEAD_BYTES} bytes", status=431)


def _send(connection: socket.socket, response: Response) -> None:
    deadline = time.monotonic() + _SEND_SECONDS
    for part in (_head(response), *response.parts):
        # The time that is left for all parts together; never 0, which means "do not wait".
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        connection.sendall(part)
    connection.shutdown(socket.SHUT_WR)


def _head(response: Response) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {response.phrase}",
        f"Date: {_http_date(time.time())}",
        *(f"{name}: {value}" for name, value in response.headers),
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def _http_date(seconds: float) -> str:
    """Return the IMF-fixdate of RFC 9110 section 5.6.7.

    strftime() would use the language of the locale.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"


def _linger(connection: socket.socket) -> None:
    """Read the rest of the request, within limits.

    An earlier close would discard the response.
    """
    deadline = time.monotonic() + _LINGER_SECONDS
    left = _LINGER_BYTES
    while left > 0:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(min(left, 65536))
        if not chunk:
            return
        left -= len(chunk)
