"""The socket that a server listens on."""

from __future__ import annotations

import errno
import os
import socket

__all__ = ["listen"]


def listen(port: int, addr: str) -> socket.socket:
    """A non-blocking socket that listens on TCP port `port`, or on any that is free for 0, of the address `addr`.

    Raises `ValueError` for what is no port, and `OSError` that names port and address if they cannot be had.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be a whole number from 0 (any that is free) to 65535 but got {port!r}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            addr or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere this would share the port with whoever has it
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        message = f"cannot listen on {addr or 'any address'} port {port}: {error.strerror or error}"
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            remedy = "choose another port, or 0 for any that is free"
        else:
            remedy = "choose an address of this machine, such as 127.0.0.1"
        raise type(error)(error.errno, f"{message}; {remedy}") from error
    return listener
