"""The scrapes that are in progress, each in a thread of its own.

Rules:

- At most `limit` run at once; a client counts until it has its whole response, because the response takes memory.
- None starts while the responses that clients have not taken yet are large together (`pytheus.exposition.bodies`).
- A client that takes its response slowly gives way to a request that waits: the slowest first, by bytes per second.
- The threads start in the thread that accepts, so they inherit its signal mask (`pytheus.background_threads`).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from pytheus.exposition.bodies import is_too_much_held
from pytheus.exposition.channel import Channel
from pytheus.exposition.http1 import Request, response_head
from pytheus.exposition.response import Response
from pytheus.interruption import is_interruption
from pytheus.lazy import logger

__all__ = ["Scrapes"]

_SEND_SECONDS: Final = 30.0
_SLOW_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 1.0

Respond = Callable[[Request, Channel], Response]


class _Scrape:
    """A request, and when its response began to be sent."""

    __slots__ = ("channel", "request", "sent_since", "thread")

    def __init__(self, request: Request, channel: Channel) -> None:
        self.request: Final = request
        self.channel: Final = channel
        self.sent_since: float | None = None
        self.thread: threading.Thread | None = None

    def bytes_per_second(self, now: float) -> float | None:
        """Return how fast the client takes the response; None if that is not known yet."""
        seconds = 0.0 if self.sent_since is None else now - self.sent_since
        return None if seconds < _SLOW_SECONDS else self.channel.sent_bytes / seconds


class Scrapes:
    """Runs scrapes; calls `ended` after each. `limit` is the number that run at once."""

    def __init__(self, limit: int, ended: Callable[[], object]) -> None:
        self._limit: Final = limit
        self._ended: Final = ended
        self._lock = threading.RLock()  # re-entrant, because a signal handler may fork or close
        self._running: Final[set[_Scrape]] = set()
        # Also those whose connection is closed, because a thread lives a moment longer.
        self._threads: Final[weakref.WeakSet[threading.Thread]] = weakref.WeakSet()

    @property
    def is_full(self) -> bool:
        """Whether no other scrape may start."""
        return len(self._running) >= self._limit or is_too_much_held()

    def start(self, request: Request, channel: Channel, respond: Respond) -> None:
        """Send the response of `respond` from a new thread, which closes the connection."""
        scrape = _Scrape(request, channel)
        arguments = (scrape, respond, _SEND_SECONDS)
        thread = threading.Thread(target=self._serve, args=arguments, name="pytheus-scrape", daemon=True)
        scrape.thread = thread
        with self._lock:
            self._running.add(scrape)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the machine's limit, or the interpreter is about to end
            # This thread reads the requests of all clients, so a slow one gives way at once.
            self._serve(scrape, respond, _SLOW_SECONDS)

    def abort_slowest(self) -> None:
        """Break the connection of the client that takes its response slowest, if one is slow."""
        now = time.monotonic()
        with self._lock:
            speeds = {each: speed for each in self._running if (speed := each.bytes_per_second(now)) is not None}
        if speeds:
            min(speeds, key=speeds.__getitem__).channel.abort()

    def join(self, seconds: float) -> None:
        """Wait at most `seconds` for all of them to end."""
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0))

    def abort(self) -> None:
        """Break all connections."""
        with self._lock:
            running = list(self._running)
        for scrape in running:
            scrape.channel.abort()

    def forget(self) -> list[Channel]:
        """In a forked child, where the threads do not exist: return the channels, and forget them."""
        self._lock = threading.RLock()  # the thread that held it may not exist here
        channels = [scrape.channel for scrape in self._running]
        self._running.clear()
        return channels

    def _serve(self, scrape: _Scrape, respond: Respond, send_seconds: float) -> None:
        channel = scrape.channel
        try:
            response = respond(scrape.request, channel)
            scrape.sent_since = time.monotonic()
            channel.send_all((response_head(response), *response.parts), send_seconds)
            channel.finish(_LINGER_SECONDS if scrape.request.has_body else 0.0)
        except OSError:
            pass  # the client has left, or was too slow
        except BaseException as error:
            if is_interruption(error):
                raise
            logger("pytheus.exposition").exception("a scrape failed")
        finally:
            with self._lock:
                self._running.discard(scrape)
            channel.socket.close()
            self._ended()
