"""Receivers for tests: an HTTP server whose answers a test writes byte by byte, with or without TLS."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

__all__ = ["Answer", "Receiver", "Received", "answering", "closed_port"]

_PATIENCE_SECONDS: Final = 120


class Received(NamedTuple):
    """A request; `headers` by name in lower case, `body` without its compression."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer: TypeAlias = Callable[[socket.socket, Received], object]


def answering(status: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with `status` and `body`; an underscore in a header's name is a hyphen."""
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    def answer(connection: socket.socket, request: Received) -> None:
        head = f"HTTP/1.1 {status} Some Reason\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
        connection.sendall(head.encode() + body)

    return answer


class Receiver:
    """A server at `url`, which answers each request by `answer` and keeps it in `requests`.

    With `reads` false it answers before it has read anything.
    """

    def __init__(self, answer: Answer, *, context: ssl.SSLContext | None = None, reads: bool = True) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.released: Final = threading.Event()
        """Set at the end; an answer that hangs waits for it."""
        self._reads: Final = reads
        self._context: Final = context
        self._listener: Final = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._listener.getsockname()[1]
        self.url: Final = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
            assert not thread.is_alive()
        self._listener.close()

    def _start(self, target: Callable[[], object]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.released.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(lambda connection=connection: self._serve(connection))  # type: ignore[misc]  # bound now

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_SECONDS)
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            request = _read(connection) if self._reads else Received("", "", {}, b"")
            self.requests.append(request)
            self.answer(connection, request)
        except (OSError, ValueError):
            pass  # the client has left, does not trust this server, or speaks another protocol
        finally:
            connection.close()


def closed_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _read(connection: socket.socket) -> Received:
    with connection.makefile("rb") as stream:
        method, target, _ = stream.readline().decode().split(" ")  # a ValueError for another protocol
        headers: dict[str, str] = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            assert name.lower() not in headers
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return Received(method, target, headers, body)
