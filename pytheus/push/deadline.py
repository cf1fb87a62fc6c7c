"""Sockets and names within a limit of time.

Rules:

- A socket's timeout limits one operation. A receiver that sends a byte at a time could thus take forever, so the
  timeout of each operation is the time that is left.
- The system's resolver of names has no timeout. It runs in a thread of its own, which is left alone if it is late.
- Of several addresses of a name, each gets a share of the time, so that one which does not answer leaves time for the
  next.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from pytheus.background_threads import start_without_signals
from pytheus.exceptions import InvalidReceiverError
from pytheus.names import shown

__all__ = ["LONGEST_SECONDS", "Deadline", "TimedSocket", "checked_seconds", "connect"]

LONGEST_SECONDS: Final = 86_400.0
"""The longest limit of time, which every system's sockets and locks can wait for."""

_SEND_BYTES: Final = 64 * 1024
_LEAST_SECONDS: Final = 0.001

# Any: as typeshed has a socket's address, whose form depends on the family.
_Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class Deadline:
    """A moment `seconds` from now.

    >>> 0 < Deadline(5).remaining() <= 5
    True
    """

    __slots__ = ("_begun", "_moment", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = seconds
        self._begun: Final = time.monotonic()
        self._moment: Final = self._begun + seconds

    def elapsed(self) -> float:
        """Return the seconds since it was made."""
        return time.monotonic() - self._begun

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self._moment - time.monotonic() < _LEAST_SECONDS

    def remaining(self) -> float:
        """Return the seconds that are left, more than 0; raises `TimeoutError` if the time is over."""
        left = self._moment - time.monotonic()
        if left < _LEAST_SECONDS:
            raise TimeoutError("the time is over")
        return left


def checked_seconds(timeout_seconds: float, subject: str) -> float:
    """Return `timeout_seconds` if it is a positive number, at most a day; otherwise raise `InvalidReceiverError`."""
    is_number = isinstance(timeout_seconds, int | float) and not isinstance(timeout_seconds, bool)
    if not is_number or not 0 < timeout_seconds <= LONGEST_SECONDS:
        raise InvalidReceiverError(
            f"timeout_seconds for {subject} is a positive number, at most {LONGEST_SECONDS:.0f}, but got"
            f" {shown(timeout_seconds)}; pass seconds"
        )
    return float(timeout_seconds)


def connect(host: str, port: int, deadline: Deadline, context: ssl.SSLContext | None) -> TimedSocket:
    """Return a connection, with TLS if there is a `context`. Raises `OSError`, also for a name without an address."""
    addresses = _addresses(host, port, deadline)
    resolved = deadline.elapsed()
    failure: OSError | None = None
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(deadline.remaining() / (len(addresses) - place))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected = deadline.elapsed()
            if context is not None:
                connection.settimeout(deadline.remaining())
                # The limit of the whole handshake, not of each message.
                connection = context.wrap_socket(connection, server_hostname=host)
        except ssl.SSLError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return TimedSocket(connection, deadline, (resolved, connected, deadline.elapsed()))
    raise failure or OSError(f"the name {host!r} has no address")


class TimedSocket:
    """The part of a socket that `http.client` uses; each operation gets the time that is left.

    `moments` are when the name was resolved, the connection was made, and TLS was set up, in seconds of the deadline.
    """

    def __init__(
        self, connection: socket.socket, deadline: Deadline, moments: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> None:
        self._connection: Final = connection
        self._deadline: Final = deadline
        self.moments: Final = moments

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raises `TimeoutError` at the deadline, else `OSError`."""
        view = memoryview(data)
        while view:
            self._connection.settimeout(self._deadline.remaining())
            view = view[self._connection.send(view[:_SEND_BYTES]) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the receiving direction. Closing it leaves the connection open."""
        return io.BufferedReader(_Receiving(self._receive_into))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _receive_into(self, buffer: memoryview) -> int:
        self._connection.settimeout(self._deadline.remaining())
        return self._connection.recv_into(buffer)


class _Receiving(io.RawIOBase):
    def __init__(self, receive_into: Callable[[memoryview], int]) -> None:
        self._receive_into: Final = receive_into

    def readable(self) -> bool:
        return True

    # Any: as typeshed has the parameter, which is a buffer of any kind.
    def readinto(self, buffer: Any, /) -> int:
        return self._receive_into(memoryview(buffer))


def _addresses(host: str, port: int, deadline: Deadline) -> Sequence[_Address]:
    def resolve() -> Sequence[_Address]:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    if _is_number(host):
        return resolve()
    found: list[_Address] = []
    failures: list[OSError] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.extend(resolve())
        except OSError as error:
            failures.append(error)
        finally:
            done.set()

    try:
        start_without_signals(threading.Thread(target=work, name="pytheus-resolve", daemon=True))
    except RuntimeError:  # the limit of the system, or the interpreter is about to end
        return resolve()
    if not done.wait(deadline.remaining()):
        raise TimeoutError(f"the name {host!r} was not resolved in time")
    if failures:
        raise failures[0]
    return found


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
