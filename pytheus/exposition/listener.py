"""The listening socket of the metrics server."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from pytheus.exposition.own_socket import OwnSocket

__all__ = ["listen"]

_LOOPBACK: Final = "127.0.0.1"


def listen(port: int, addr: str) -> OwnSocket:
    """Return a non-blocking socket that listens on TCP port `port` of `addr`.

    Port 0 is any free port. Raises `ValueError` for an invalid port, and `OSError` with port and address if they are
    not available.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be a whole number from 0 (any free port) to 65535 but got {port!r}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            addr.strip() or _LOOPBACK, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on other systems this would share the port with another program
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)  # the kernel may allow fewer
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        message = f"cannot listen on {addr.strip() or _LOOPBACK} port {port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            remedy = (
                "choose another port, or 0 for any free port. A server that reloads its program, such as Django's"
                " runserver, runs it in two processes: start the metrics server in one of them"
                " (if os.environ.get('RUN_MAIN') == 'true'), or use --noreload"
            )
        elif error.errno == errno.EACCES:
            remedy = "choose another port, or 0 for any free port"
        else:
            remedy = "choose an address of this machine, such as 127.0.0.1"
        raise type(error)(error.errno, f"{message}; {remedy}") from error
    return OwnSocket.of(listener)
