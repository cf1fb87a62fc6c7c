"""Connections of the metrics server that have no scrape: their head is incomplete, they wait for a turn, or they end.

Rules:

- They cost a descriptor and a few kilobytes each, no thread, and are limited in number and in time.
- When there are too many, the one is closed first that has waited longest for its head. A client that sends its
  request at once is never that one, however many others send nothing. If none has waited for a tenth of a second, as
  when many clients come at once, further ones are not accepted yet.
- One thread uses them. It may end and be followed by another one, which then uses another selector.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterator
from typing import Final

from pytheus.exposition.channel import Channel
from pytheus.exposition.http1 import BadRequestError, HeadReader, PlainRequestError, Request, response_head
from pytheus.exposition.own_socket import OwnSocket
from pytheus.exposition.response import Response, answer_text, overload_response
from pytheus.lazy import logger

__all__ = ["Arrival", "Arrivals"]

_ARRIVALS: Final = 256
_IDLE_SECONDS: Final = 0.1
_HEAD_SECONDS: Final = 10.0
_TURN_SECONDS: Final = 0.5
_LINGER_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.1


class Arrival:
    """One connection, its `request` once the head is complete, and the `deadline` of its present wait.

    `respond` makes the response of its scrape. The short responses of this module get the `headers`, too.
    """

    __slots__ = (
        "_headers",
        "_lingers",
        "_reader",
        "channel",
        "deadline",
        "is_answered",
        "request",
        "respond",
        "since",
        "watched",
    )

    def __init__(
        self,
        channel: Channel,
        respond: Callable[[Request, Channel], Response],
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.channel: Final = channel
        self.respond: Final = respond
        self._headers = headers
        self.since: Final = time.monotonic()
        self.deadline: float = self.since + _HEAD_SECONDS
        self.request: Request | None = None
        self.is_answered: bool = False
        self.watched: int = 0
        """The events that the selector waits for."""
        self._reader: Final = HeadReader()
        self._lingers = True

    @property
    def is_ready(self) -> bool:
        """Whether the request waits for its turn."""
        return self.request is not None and not self.is_answered

    def advance(self) -> None:
        """Process the bytes that have arrived, without waiting; raises OSError if the connection is over."""
        if self.is_answered:
            if (self.channel.flush() and not self._lingers) or not self.channel.discard():
                raise ConnectionResetError("the client has the response, or does not take it")
            return
        try:
            data = self.channel.receive()
            self.channel.flush()
            if data == b"":
                raise ConnectionResetError("the client has left before its request")
            if data is not None:
                self.request = self._reader.feed(data)
        except BadRequestError as error:
            if isinstance(error, PlainRequestError):
                # https://www.rfc-editor.org/rfc/rfc6797#section-7.2
                self._headers = ()  # Strict-Transport-Security must not be sent without TLS
            self.answer(answer_text("GET", error.status, f"{error}\n"))
            return
        if self.request is not None:
            self.deadline = time.monotonic() + _TURN_SECONDS

    def answer(self, response: Response) -> None:
        """Send a short `response` as far as the client takes it now, and the rest in `advance`."""
        self.is_answered = True
        self.deadline = time.monotonic() + _LINGER_SECONDS
        response = response._replace(headers=(*response.headers, *self._headers))
        self.channel.queue(response_head(response) + response.body)
        self.channel.end()
        # Otherwise the client has sent all, so closing does not discard the response.
        self._lingers = self.request is None or self.request.has_body
        if self.channel.flush() and not self._lingers:
            raise ConnectionResetError("the client has the response")

    def expire(self) -> None:
        """Answer a client whose deadline is over; raises OSError if nothing more can be done for it."""
        if self.is_answered:
            raise TimeoutError("the client does not end the connection")
        if self.request is not None:
            self.answer(overload_response(self.request.method))
        else:
            self.answer(answer_text("GET", 408, f"no complete request within {_HEAD_SECONDS:g} seconds\n"))


class Arrivals:
    """All arrivals, the oldest first."""

    def __init__(self) -> None:
        self._all: Final[dict[OwnSocket, Arrival]] = {}
        self._selector: selectors.BaseSelector | None = None

    def __iter__(self) -> Iterator[Arrival]:
        return iter(list(self._all.values()))

    def watch_with(self, selector: selectors.BaseSelector | None) -> None:
        """Let `selector` wait for the arrivals from now on; the data of each key is its arrival."""
        self._selector = selector
        for arrival in self:
            arrival.watched = 0
            self._watch(arrival)

    def has_place(self) -> bool:
        """Return whether another connection may be added, for which one may have to be closed."""
        if len(self._all) < _ARRIVALS:
            return True
        idle_since = time.monotonic() - _IDLE_SECONDS
        return any(each.is_answered or (each.since <= idle_since and not each.is_ready) for each in self._all.values())

    def add(self, arrival: Arrival) -> None:
        """Add a connection; closes another one if there are too many."""
        number = arrival.channel.socket.fileno()
        for other in self:
            if other.channel.socket.fileno() == number:
                self._close(other)  # the program has closed its descriptor, and so the number is used again
        if len(self._all) >= _ARRIVALS:
            self.close_idlest()
        self._all[arrival.channel.socket] = arrival
        self._watch(arrival)

    def advance(self, arrival: Arrival) -> None:
        """Go on with one that the selector has found ready."""
        if arrival.channel.socket not in self._all:
            return  # closed since then, because there were too many
        try:
            arrival.advance()
        except OSError:
            self._close(arrival)
        except Exception:  # the thread serves all clients, so an error of ours must cost only this one
            logger("pytheus.exposition").exception("a connection to the metrics server failed")
            self._close(arrival)
        else:
            self._watch(arrival)

    def ready(self) -> list[Arrival]:
        """Return those whose request waits for its turn, the oldest first."""
        return [arrival for arrival in self._all.values() if arrival.is_ready]

    def answer(self, arrival: Arrival, response: Response) -> None:
        """Send a short response."""
        try:
            arrival.answer(response)
        except OSError:
            self._close(arrival)
        else:
            self._watch(arrival)

    def take(self, arrival: Arrival) -> None:
        """Remove one that gets a scrape."""
        self._unwatch(arrival)
        del self._all[arrival.channel.socket]

    def expire(self) -> None:
        """End the waits that are over."""
        now = time.monotonic()
        for arrival in self:
            if arrival.deadline <= now:
                try:
                    arrival.expire()
                except OSError:
                    self._close(arrival)
                else:
                    self._watch(arrival)

    def seconds_left(self) -> float | None:
        """Return when to call `expire`; None if there are no arrivals."""
        if not self._all:
            return None
        if len(self._all) >= _ARRIVALS or any(arrival.is_ready for arrival in self._all.values()):
            return _POLL_SECONDS  # because meanwhile a connection may count as idle, or a scrape as slow
        return max(min(arrival.deadline for arrival in self._all.values()) - time.monotonic(), 0.0)

    def close_idlest(self) -> bool:
        """Close the connection that is needed least; return whether there was one."""
        if not self._all:
            return False
        # An answered one only waits for the client's end, and a ready one has done its part.
        self._close(min(self._all.values(), key=lambda each: 0 if each.is_answered else 2 if each.is_ready else 1))
        return True

    def close(self) -> None:
        """Close all of them; those whose request is complete are told to try again."""
        for arrival in self:
            if arrival.is_ready and arrival.request is not None:
                self.answer(arrival, overload_response(arrival.request.method))
            if arrival.channel.socket in self._all:
                self._close(arrival)

    def forget(self) -> list[Channel]:
        """In a forked child: return the channels, and forget them."""
        channels = [arrival.channel for arrival in self]
        self._all.clear()
        return channels

    def _close(self, arrival: Arrival) -> None:
        self.take(arrival)
        arrival.channel.socket.close()

    def _watch(self, arrival: Arrival) -> None:
        """Select the events of the connection: none while its request waits for a turn."""
        events = 0
        if not arrival.is_ready:
            events = selectors.EVENT_READ | (0 if arrival.channel.is_flushed else selectors.EVENT_WRITE)
        if self._selector is not None and events != arrival.watched:
            self._unwatch(arrival)
            if events:
                self._selector.register(arrival.channel.socket, events, arrival)
                arrival.watched = events

    def _unwatch(self, arrival: Arrival) -> None:
        if self._selector is not None and arrival.watched:
            self._selector.unregister(arrival.channel.socket)
            arrival.watched = 0
