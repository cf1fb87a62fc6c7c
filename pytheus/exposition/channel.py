"""The bytes of one connection of the metrics server, without TLS; `pytheus.exposition.tls` has it with TLS.

Rules:

- The thread that reads heads uses `receive`, `queue`, `flush` and `discard`, which never wait. The thread of a scrape
  then uses `send_all`, `finish` and `has_left`. No two threads use a channel at the same time, except for `abort`.
- An error of the connection is an OSError, whatever its layer.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from pytheus.exposition.disconnection import has_ended
from pytheus.exposition.own_socket import OwnSocket

__all__ = ["Channel"]

_RECEIVED_BYTES: Final = 16 * 1024
_SENT_BYTES: Final = 64 * 1024
_LINGER_BYTES: Final = 1024 * 1024


class Channel:
    """A connection that was accepted; `sent_bytes` counts the bytes of `send_all`."""

    def __init__(self, connection: OwnSocket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # the client may have left already
            # Each part is sent at once, because the last one would wait for the client's delayed acknowledgement.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: Final = connection
        self.sent_bytes: int = 0
        self._outgoing = bytearray()
        self._is_ending = False
        self._discarded_bytes = 0

    # Without waiting -----------------------------------------------------------------------------------------------

    def receive(self) -> bytes | None:
        """Return the bytes that have arrived, b"" if the client has ended its direction, or None."""
        try:
            return self.socket.recv(_RECEIVED_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    def queue(self, data: bytes | memoryview) -> None:
        """Keep `data` for `flush`; for short responses."""
        self._outgoing += data

    def end(self) -> None:
        """End this direction of the connection as soon as all of it is flushed."""
        self._is_ending = True

    @property
    def is_flushed(self) -> bool:
        """Whether nothing is queued."""
        return not self._outgoing

    def flush(self) -> bool:
        """Send the queued bytes, as far as the client takes it; return whether nothing is left."""
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
        except (BlockingIOError, InterruptedError):
            return False
        if self._is_ending:
            self._is_ending = False
            self.socket.shutdown(socket.SHUT_WR)
        return True

    def discard(self) -> bool:
        """Read bytes that have arrived and forget them; return whether the client may send more, which is limited."""
        try:
            data = self.socket.recv(_RECEIVED_BYTES)
        except (BlockingIOError, InterruptedError):
            return True
        self._discarded_bytes += len(data)
        return bool(data) and self._discarded_bytes < _LINGER_BYTES

    # With waiting --------------------------------------------------------------------------------------------------

    def send_all(self, parts: Iterable[bytes], seconds: float) -> None:
        """Send `parts`, all of them within `seconds`; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        if self._outgoing:  # messages of TLS itself
            self.socket.settimeout(seconds)
            self.socket.sendall(bytes(self._outgoing))
            self._outgoing.clear()
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), _SENT_BYTES):
                piece = view[start : start + _SENT_BYTES]
                # Set again each time, because the limit is for all; never 0, which means "do not wait".
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                self.socket.sendall(self._encoded(piece))
                self.sent_bytes += len(piece)

    def finish(self, linger_seconds: float = 0.0) -> None:
        """End this direction, and read for `linger_seconds` at most until the client has ended its own.

        Closing before the client has sent all would discard the response.
        """
        self.socket.settimeout(1.0)
        self.socket.sendall(self._closing())
        self.socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + linger_seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            if not self.discard():
                return

    def has_left(self) -> bool:
        """Return whether the client has ended the connection, or its direction of it."""
        return not self.socket.is_own() or has_ended(self.socket)

    # From any thread -----------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Break the connection, so that the thread that uses it gets an error."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # already closed

    # For TLS -------------------------------------------------------------------------------------------------------

    def _encoded(self, piece: memoryview) -> bytes | memoryview:
        """Return the bytes on the wire for `piece`."""
        return piece

    def _closing(self) -> bytes:
        """Return the bytes on the wire that end this direction."""
        return b""
