"""The response to one scrape over HTTP, and how long a client waits for it.

Rules:

- The deadline is the time that the client waits, from its header `X-Prometheus-Scrape-Timeout-Seconds`, less a margin
  for the way back. The server limits it. A client without the header waits 10 seconds.
- The wait ends when the client has left, as far as the server tells.
- When the server is told to end, the deadline is now.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator
from typing import Final, NamedTuple, TypeAlias

from pytheus.exposition.bodies import is_too_much_held
from pytheus.exposition.collection_lanes import join_collection
from pytheus.exposition.compression import best_coding
from pytheus.exposition.name_selection import TooManyNamesError, names_in
from pytheus.exposition.response import (
    LIMIT_SECONDS,
    Choice,
    Response,
    answer_text,
    busy_response,
    choose_format,
    failed_response,
    late_response,
    overload_response,
    servable,
)
from pytheus.interruption import is_interruption
from pytheus.lazy import logger
from pytheus.names import shown
from pytheus.registry.contract import Registry
from pytheus.registry.traversal import Proxy, walk, wrapped_registries

__all__ = [
    "Pending",
    "Response",
    "ScrapeRequest",
    "answer_scrape",
    "answer_text",
    "collect_within",
    "pending_steps",
    "servable",
]

_DEFAULT_SECONDS: Final = 10.0  # as Prometheus's scrape_timeout
_SHORTEST_SECONDS: Final = 0.1
_MARGIN_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.01
_PAUSE_SECONDS: Final = 0.1


class ScrapeRequest(NamedTuple):
    """The `method` of a request in capitals, and its header fields that matter, "" if they are missing.

    Several fields of one name are joined by commas. `query` is the part of the address after "?". `limit_seconds` is
    the server's limit for the wait. `page` says whether a browser gets the page.
    """

    method: str
    accept: str = ""
    accept_encoding: str = ""
    timeout: str = ""
    query: str = ""
    limit_seconds: float = LIMIT_SECONDS
    page: bool = True

    @property
    def wait_seconds(self) -> float:
        """How long the client waits for the response."""
        try:
            asked = float(self.timeout)
        except ValueError:
            asked = _DEFAULT_SECONDS
        if not 0 < asked < float("inf"):
            asked = _DEFAULT_SECONDS
        return min(max(asked, _SHORTEST_SECONDS), self.limit_seconds)


class Pending:
    """A client's wait for the response of a collection. Its thread, or its event loop, calls `poll` until it ends."""

    def __init__(self, registry: Registry, choice: Choice, request: ScrapeRequest, asked_at: float) -> None:
        seconds = request.wait_seconds
        margin = min(_MARGIN_SECONDS, seconds / 4)
        self._latest: Final = asked_at + seconds - margin / 2
        self._deadline: Final = self._latest - margin / 2
        self._coding: Final = best_coding(request.accept_encoding)
        joined = join_collection(registry, choice, self._coding, self._deadline, self._latest)
        self._collection: Final = None if joined is None else joined[0]
        self._responses: Final = {} if joined is None else joined[1]
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def subscribe(self, listener: Callable[[], object]) -> None:
        """Call `listener` once there is a response, from any thread; now if there is one."""
        if self._collection is None:
            listener()
        else:
            self._collection.subscribe(listener)

    def poll(self) -> Response | None:
        """Return the response, or None if it takes longer."""
        if self._collection is None:
            return busy_response()
        response = self._responses.get(self._coding)
        if response is None:
            now = time.monotonic()
            if now >= self._latest:
                return late_response()
            if _is_ending():
                self._collection.hurry(now, self._latest)
            self._collection.tend(now)
        return response

    def pause_seconds(self) -> float:
        """Return when to call `poll` again, unless the subscriber is called before."""
        now = time.monotonic()
        until = self._deadline if now < self._deadline else self._latest
        pause = self._pause_seconds
        self._pause_seconds = min(2 * pause, _PAUSE_SECONDS)
        return min(max(until - now, 0.001), pause)


Steps: TypeAlias = Generator[Pending, Response, Response]


def pending_steps(registry: Registry, request: ScrapeRequest) -> Steps:
    """Return a generator of the waits; it gets each response, and returns the one to send."""
    method = request.method
    if method not in ("GET", "HEAD"):
        return answer_text(method, 405, f"{method} is not allowed here; metrics are read with GET\n")
    if is_too_much_held():
        return overload_response(method)
    asked_at = time.monotonic()
    try:
        names = names_in(request.query)
    except TooManyNamesError as error:
        return answer_text(method, 400, f"{error}; name[] selects families, each by its whole name\n")
    try:
        if not _is_resolved(registry):
            resolved = yield Pending(registry, _RESOLVING, request, asked_at)
            if resolved.status != 200:
                return resolved
        choice = choose_format(registry, request.accept, names, request.wait_seconds, page=request.page)
    except BaseException as error:
        if is_interruption(error):
            raise
        logger("pytheus.exposition").exception("the metrics of the %s cannot be exposed", shown(registry))
        response = failed_response()
    else:
        response = yield Pending(registry, choice, request, asked_at)
    return response.without_body() if method == "HEAD" else response


def answer_scrape(
    registry: Registry,
    method: str,
    *,
    accept: str = "",
    accept_encoding: str = "",
    timeout: str = "",
    query: str = "",
    limit_seconds: float = LIMIT_SECONDS,
    page: bool = True,
    has_left: Callable[[], bool] | None = None,
) -> Response:
    """Return the response to a scrape of `registry`: metrics or an error; see `ScrapeRequest` for the parameters.

    Waits in this thread. `has_left` returns whether the client has closed its connection; the response does not matter
    then. May be called from any thread and by several at once.
    """
    request = ScrapeRequest(method, accept, accept_encoding, timeout, query, limit_seconds, page)
    steps = pending_steps(registry, request)
    try:
        pending = next(steps)
        while True:
            pending = steps.send(_wait(pending, has_left))
    except StopIteration as end:
        response: Response = end.value
        return response


def collect_within(registry: Registry, choice: Choice, seconds: float) -> Response:
    """Return the response of a collection of `registry` as `choice` says, after at most `seconds`.

    Waits in this thread. May be called from any thread and by several at once.
    """
    request = ScrapeRequest("GET", timeout=repr(seconds), limit_seconds=seconds)
    return _wait(Pending(registry, choice, request, time.monotonic()), None)


def _wait(pending: Pending, has_left: Callable[[], bool] | None) -> Response:
    done = threading.Event()
    pending.subscribe(done.set)
    while True:
        is_done = done.wait(pending.pause_seconds())
        response = pending.poll()
        if response is not None:
            return response
        if not is_done and has_left is not None and has_left():
            return late_response()


class _Resolving:
    """A format that only chooses the registry behind each proxy, which can take as long as a plugin needs."""

    media_type = "x-pytheus/resolving"  # never sent

    def render(self, registry: Registry, /) -> list[bytes]:
        for _ in walk(registry, resolve=True):
            pass
        return []


_RESOLVING: Final = Choice(_Resolving())


def _is_resolved(registry: Registry) -> bool:
    return all(
        not isinstance(current, Proxy) or wrapped_registries(current, resolve=False)
        for current in walk(registry, resolve=False)
    )


def _is_ending() -> bool:
    """Return whether the server of this process was told to end; uvicorn and gunicorn note it in an attribute."""
    owner: object = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    packages = {kind.__module__.partition(".")[0] for kind in type(owner).__mro__}
    return ("uvicorn" in packages and getattr(owner, "should_exit", False) is True) or (
        "gunicorn" in packages and getattr(owner, "alive", True) is False
    )
