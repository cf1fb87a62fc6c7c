"""One connection of the metrics server: a request in, a response out, then the end.

Rules:

- One request a connection. Scrapes are seconds apart, and an idle connection would keep a thread.
- Everything is bounded: the head in bytes and in time however slowly it trickles in, the sending in time.
- A connection that breaks is the client's affair and raises nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from pytheus.exposition.request import HEAD_END, BadRequestError, Request, parse_head
from pytheus.exposition.response import Response, answer_text

__all__ = ["serve_connection"]

_HEAD_BYTES: Final = 16 * 1024
_HEAD_SECONDS: Final = 10.0
_SEND_SECONDS: Final = 30.0
_LINGER_BYTES: Final = 1024 * 1024
_LINGER_SECONDS: Final = 1.0

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def serve_connection(connection: socket.socket, respond: Callable[[Request], Response]) -> None:
    """Read one request from `connection`, send what `respond` makes of it, and end the conversation.

    Returns when that is done, when the client is gone, or when it was too slow. Leaves the closing to the caller.
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
        # Set anew each time, so that the limit is one for the whole head.
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            chunk = connection.recv(_HEAD_BYTES)
        except TimeoutError:
            raise BadRequestError(f"no whole request within {_HEAD_SECONDS:g} seconds", status=408) from None
        if not chunk:
            raise ConnectionResetError("the client is gone, or the server is closing")
        head += chunk
        if len(head) == len(chunk):
            head = bytearray(head.lstrip(b"\r\n"))  # RFC 9112 section 2.2: ignore empty lines before the request line
        end = HEAD_END.search(head)
        if end is not None and end.start() <= _HEAD_BYTES:
            return parse_head(bytes(head[: end.start()]))
        if len(head) > _HEAD_BYTES:
            raise BadRequestError(f"the request's head is larger than {_HEAD_BYTES} bytes", status=431)


def _send(connection: socket.socket, response: Response) -> None:
    deadline = time.monotonic() + _SEND_SECONDS
    for part in (_head(response), *response.parts):
        # What is left of the time for all parts together; never 0, which would mean "do not wait".
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
    """IMF-fixdate of RFC 9110 section 5.6.7; strftime() would write it in the locale's language."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"


def _linger(connection: socket.socket) -> None:
    """Read what the client still sends, within bounds: closing before would reset the connection under the answer."""
    deadline = time.monotonic() + _LINGER_SECONDS
    left = _LINGER_BYTES
    while left > 0:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(min(left, 65536))
        if not chunk:
            return
        left -= len(chunk)
