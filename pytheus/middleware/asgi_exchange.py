"""One HTTP request to an ASGI application, as far as it is measured.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, cast

from pytheus.exposition.asgi import Message, Receive, Scope, Send
from pytheus.middleware.exchange import EVENT_STREAM, METHODS, OTHER, PROTOCOLS, SCHEMES, Exchange, content_length

__all__ = ["AsgiExchange"]

# The last two are extensions: https://asgi.readthedocs.io/en/latest/extensions.html
_EVENT_STREAM: Final = EVENT_STREAM.encode()
_BODIES: Final = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")


class AsgiExchange(Exchange[Scope]):
    """A request to an ASGI application, with the `receive` and `send` that the application gets."""

    receive_from: Receive
    send_to: Send

    headers: Iterable[Iterable[bytes]] = ()
    has_trailers: bool = False
    has_parts: bool = False
    """Whether the body comes in several parts."""

    counts_request: bool = False
    """Whether the size of the request is the sum of its parts."""

    def read_request(self) -> None:
        """Read the scope before routers change it."""
        scope = self.source
        self.method: str = METHODS.get(scope["method"], OTHER)
        self.scheme: str = SCHEMES.get(scope.get("scheme", "http"), OTHER)
        self.protocol: str = PROTOCOLS.get(scope.get("http_version", "1.1"), OTHER)
        self.path: str = scope["path"]  # type: ignore[assignment]  # a str, and a cast is a call
        if self.recorder.measures_sizes:
            length = content_length(
                _by_name(cast("Iterable[Iterable[bytes]]", scope.get("headers", ()))).get("content-length")
            )
            self.counts_request = length is None
            self.request_size = length or 0

    def response_headers(self) -> dict[str, str]:
        """Return the headers of the response by their names in lower case."""
        return _by_name(self.headers)

    async def receive(self) -> Message:
        """Return the next message of the server, which is only looked at."""
        message = await self.receive_from()
        try:
            self.note_received(message)
        except Exception:
            self.recorder.failed("receive")
        return message

    async def send(self, message: Message) -> None:
        """Send `message`, and note it once the server has taken it."""
        try:
            await self.send_to(message)
        except OSError:
            self.is_disconnected = True  # the specification's error for a client that has left
            raise
        if not self.has_ended:
            try:
                self.note_sent(message)
            except Exception:
                self.recorder.failed("send")

    def note_received(self, message: Message) -> None:
        """Note a message that the application receives."""
        if message["type"] == "http.disconnect":
            self.is_disconnected: bool = True
        elif self.counts_request:
            self.request_size: int = self.request_size + len(cast("bytes", message.get("body", b"")))

    def note_sent(self, message: Message) -> None:
        """Note a message that the server has taken."""
        kind = message["type"]
        if kind == "http.response.start":
            self.headers = message.get("headers", ())  # type: ignore[assignment]  # pairs, and a cast is a call
            if "trailers" in message:
                self.has_trailers = bool(message["trailers"])
            self.start(message["status"])  # type: ignore[arg-type]  # an int, and a cast is a call
            if self.is_disconnected:
                self.leave_unanswered()  # such as by an error page for the exception that says so
            # By the headers, because the first event may come much later. The specification wants names in lower case.
            for name, value in self.headers:
                if name == b"content-type" or (len(name) == 12 and name.lower() == b"content-type"):
                    self.is_stream: bool = value[5:6] in (b"e", b"E") and value[:17].lower() == _EVENT_STREAM
                    break
            return
        if kind in _BODIES:
            if self.recorder.measures_sizes:
                self.response_size: int = self.response_size + _size(message)
            if message.get("more_body", False):
                if not self.has_parts:
                    self.has_parts = True
                    if not self.is_stream:
                        self.is_stream = self.recorder.is_stream(self)
                return
            if self.has_trailers:
                return
        elif kind != "http.response.trailers" or message.get("more_trailers", False):
            return
        self.end()


def _size(message: Message) -> int:
    """Return the size of this part of the body."""
    path = message.get("path")
    if path is not None:
        return os.stat(cast("str", path)).st_size
    if "file" in message:
        return cast("int", message.get("count") or 0)
    return len(cast("bytes", message.get("body", b"")))


def _by_name(headers: Iterable[Iterable[bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
