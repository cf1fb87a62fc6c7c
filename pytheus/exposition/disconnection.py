"""Whether a client has left before its response.

A client that closes its connection, or only its own direction, counts as gone, as in asyncio and Go's net/http. Clients
that close their direction and wait get the response of a scrape that takes no more than a moment.
"""

from __future__ import annotations

import select
import socket
import sys

__all__ = ["has_ended"]


def has_ended(connection: object) -> bool:
    """Return whether the other side of the socket `connection` has ended it; False if that cannot be told.

    Waits no more than a millisecond, and reads nothing.
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
    # The functions that gevent puts in their place see nothing without a turn of its loop.
    seconds = 0.001 if "gevent" in sys.modules else 0
    if not hasattr(select, "poll"):
        return bool(select.select([connection], [], [], seconds)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
