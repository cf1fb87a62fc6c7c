"""Whether a client has left before its response.

A client that closes its connection, or only its own direction, counts as gone, as in asyncio and Go's net/http. Clients
that close their direction and wait get the response of a scrape that takes no more than a moment.
"""

from __future__ import annotations

import select
import socket

__all__ = ["has_ended"]


def has_ended(connection: object) -> bool:
    """Return whether the other side of the socket `connection` has ended it; False if that cannot be told.

    Never waits, and reads nothing.
    """
    if not isinstance(connection, socket.socket) or not hasattr(socket, "MSG_PEEK"):
        return False
    try:
        if not _is_readable(connection):
            return False
        return socket.socket.recv(connection, 1, socket.MSG_PEEK) == b""
    except ValueError:
        return False  # TLS does not allow it, or the socket is closed here
    except OSError:
        return True


def _is_readable(connection: socket.socket) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
