"""Sockets of a thread beside a program that may close every file descriptor, as programs that become daemons do.

Rules:

- A number of a descriptor is not an identity: after the program has closed ours, it may open its own under the same
  number. So before a socket is read, written, shut down or closed, `fstat` must show the file that it had at first.
- It waits for the socket itself and checks afterwards, because the descriptor may change hands during a long wait.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["LostSocketError", "OwnSocket"]


class LostSocketError(OSError):
    """The program has closed the socket's descriptor."""


class OwnSocket(socket.socket):
    """A socket that is lost, and used no more, if something else has closed its descriptor.

    Every method that would use a descriptor of the program raises `LostSocketError` instead; `close` does nothing then.

        >>> import os
        >>> one, other = (OwnSocket.of(each) for each in socket.socketpair())
        >>> os.close(one.fileno())
        >>> one.is_own()
        False
        >>> one.close(), other.close()
        (None, None)
    """

    __slots__ = ("_identity",)

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, type, proto, fileno)
        self._identity: tuple[int, int] = _identity_of(self.fileno())

    @classmethod
    def of(cls, plain: socket.socket) -> Self:
        """The socket of `plain`, which has none afterwards."""
        timeout = plain.gettimeout()
        own = cls(plain.family, plain.type, plain.proto, fileno=plain.detach())
        own.settimeout(timeout)
        return own

    def is_own(self) -> bool:
        """Whether the descriptor still has the socket."""
        try:
            return self.fileno() >= 0 and _identity_of(self.fileno()) == self._identity
        except OSError:
            return False

    def accept(self) -> tuple[Self, Any]:  # as in typeshed: an address has a type for each family
        """As `socket.accept`; the connection is an own socket as well."""
        self._check()
        descriptor, address = self._accept()  # type: ignore[attr-defined]  # as in socket.py, which has no other way
        return type(self)(self.family, self.type, self.proto, fileno=descriptor), address

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As `socket.recv`."""
        self._wait(reading=True, deadline=_deadline(self.gettimeout()))
        return super().recv(size, flags)

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """As `socket.send`."""
        self._wait(reading=False, deadline=_deadline(self.gettimeout()))
        return super().send(data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """As `socket.sendall`."""
        deadline = _deadline(self.gettimeout())
        left = memoryview(data).cast("B")
        while left:
            self._wait(reading=False, deadline=deadline)
            left = left[super().send(left, flags) :]

    def shutdown(self, how: int, /) -> None:
        """As `socket.shutdown`."""
        self._check()
        super().shutdown(how)

    def close(self) -> None:
        """As `socket.close`, if the descriptor is still the socket's; otherwise it only forgets the descriptor."""
        if self.fileno() >= 0 and not self.is_own():
            self.detach()
        super().close()

    def _check(self) -> None:
        if not self.is_own():
            self.detach()
            raise LostSocketError(errno.EBADF, "the program has closed this descriptor")

    def _wait(self, *, reading: bool, deadline: float | None) -> None:
        if self.gettimeout() != 0:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not _poll(self.fileno(), left, reading=reading):
                raise TimeoutError("timed out")
        self._check()


def _identity_of(descriptor: int) -> tuple[int, int]:
    if sys.platform == "win32":
        return (descriptor, 0)  # there a socket is not a descriptor of the program
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _poll(descriptor: int, seconds: float | None, *, reading: bool) -> bool:
    """Wait until the descriptor is ready, closed or broken; returns False if none of these happens in time."""
    if descriptor < 0:
        return True  # the check that follows raises
    if not hasattr(select, "poll"):
        sets: tuple[list[int], list[int]] = ([descriptor], []) if reading else ([], [descriptor])
        return any(select.select(*sets, [], seconds))
    poll = select.poll()
    poll.register(descriptor, select.POLLIN if reading else select.POLLOUT)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
