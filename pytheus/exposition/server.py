"""A small HTTP server in background threads of a program without a web server.

Rules:

- It supports only the parts of HTTP that a scrape needs, because the standard library's http.server imports thirty
  modules.
- One thread accepts connections and reads requests (`pytheus.exposition.arrivals`); each request then gets a thread
  (`pytheus.exposition.scrapes`). All of them are daemonic, limited in number, and block signals (see
  `pytheus.background_threads`).
- It pauses during a fork: the accepting thread ends before the fork and starts again in the parent, with the
  connections that it had. So the child is
  forked from a process without that thread, and Python does not warn of a thread that the program did not start (before
  gh-137109, some 3.13 and 3.14 do, because they check too late). The child closes the inherited sockets and serves
  nothing.
- It stops if the program closes its descriptors (see `pytheus.exposition.own_socket`).
- It logs errors and nothing else.
"""

from __future__ import annotations

import atexit
import errno
import os
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

from pytheus.background_threads import start_without_signals, wait_until_removed
from pytheus.exposition.access import OPEN_POLICY, Access, Policy
from pytheus.exposition.arrivals import Arrival, Arrivals
from pytheus.exposition.channel import Channel
from pytheus.exposition.collector_threads import wait_for_ended
from pytheus.exposition.http1 import Request
from pytheus.exposition.listener import listen
from pytheus.exposition.own_socket import LostSocketError, OwnSocket
from pytheus.exposition.respond import answer_scrape
from pytheus.exposition.response import LIMIT_SECONDS, Response, answer_text, checked_limit, servable
from pytheus.exposition.scrapes import Scrapes
from pytheus.lazy import logger
from pytheus.names import shown
from pytheus.registry import REGISTRY, Registry

__all__ = ["MAX_SCRAPES", "MetricsServer", "checked_path", "start_http_server"]

HEALTH_PATH: Final = "/-/healthy"
"""Where the server says that it runs, as Prometheus's own servers do."""

MAX_SCRAPES: Final = 40
"""How many scrapes run at once by default, as in the node_exporter."""

_CLOSE_SECONDS: Final = 5.0
_EXIT_SECONDS: Final = 0.5
_WAKE_SECONDS: Final = 5.0
_ACCEPTED_AT_ONCE: Final = 16
_EXHAUSTED_SECONDS: Final = 0.1

# Neither epoll nor kqueue, because each needs a file descriptor, and the program may have none left. On Windows, and
# where eventlet has patched Python, there is no poll.
_Selector: Final[type[selectors.BaseSelector]] = getattr(selectors, "PollSelector", selectors.SelectSelector)

_servers: Final[set[MetricsServer]] = set()


def start_http_server(
    port: int,
    addr: str = "127.0.0.1",
    registry: Registry = REGISTRY,
    *,
    registries: Mapping[str, Registry] | None = None,
    timeout_seconds: float = LIMIT_SECONDS,
    max_scrapes: int = MAX_SCRAPES,
    web_config: str | os.PathLike[str] | None = None,
    path: str = "/metrics",
    page: bool = True,
) -> MetricsServer:
    """Serve `registry` at `path` in background threads.

    The server listens on TCP port `port` of the address `addr`. Port 0 selects a free port, which is in
    `MetricsServer.port`. `addr` is an IPv4 or IPv6 address or a host name; ``"0.0.0.0"`` and ``"::"`` open the port to
    other machines, and an empty text, such as that of an unset variable, does not. `registries` maps further paths to
    their registries; ``/`` lists all paths, unless it is one of them.

    Collectors that have not finished when the client's timeout is over, or after `timeout_seconds`, are left out of
    the response and counted; see docs/how-to/expose.md. More than `max_scrapes` at once are refused with status 503.

    With `page`, a browser gets a page that shows the metrics; see docs/how-to/look-at-metrics.md.

    `web_config` is the path of a file that turns on TLS, client certificates, passwords and bearer tokens, in the
    format of Prometheus's exporters (https://github.com/prometheus/exporter-toolkit); see docs/how-to/secure.md. It is
    read again when it changes, or one of the files that it names.

    Raises `OSError` if the port or the address is not available, `ValueError` for an invalid port, path, timeout or
    limit, `ConfigurationError` for an invalid web configuration, and `NotARegistryError` for an object that is not a
    registry. Nothing has been started then.

        >>> import urllib.request
        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> Counter("orders_total", "Orders placed.", registry=registry).inc()
        >>> with start_http_server(0, registry=registry) as server:
        ...     print(urllib.request.urlopen(server.url).read().decode(), end="")
        # HELP orders_total Orders placed.
        # TYPE orders_total counter
        orders_total 1.0
    """
    if registries is not None and path in registries:
        raise ValueError(f"registries has the path {path!r}, which serves `registry`; pass that one as registry=...")
    routes = {path: registry, **(registries or {})}
    return MetricsServer(port, addr, routes, timeout_seconds, max_scrapes, web_config, page=page)


class MetricsServer:
    """A running metrics server, created by `start_http_server`.

    `close`, or the end of a ``with`` block, stops it. It serves one request for each connection, and `max_scrapes` of
    them at once; others wait half a second for their turn and are then refused with status 503. A client has 10 seconds
    for its request, of at most 16 KiB, and 30 to receive the response. ``/-/healthy`` answers while the server runs,
    also when all scrapes are taken. All methods may be called from any thread.

        >>> from pytheus import start_http_server
        >>> from pytheus.registry import CollectorRegistry
        >>> server = start_http_server(0, registry=CollectorRegistry())
        >>> server.addr
        '127.0.0.1'
        >>> server.close()
    """

    def __init__(
        self,
        port: int,
        addr: str,
        registries: Mapping[str, Registry],
        timeout_seconds: float = LIMIT_SECONDS,
        max_scrapes: int = MAX_SCRAPES,
        web_config: str | os.PathLike[str] | None = None,
        *,
        page: bool = True,
    ) -> None:
        self._page: Final = page
        self._limit_seconds: Final = checked_limit(timeout_seconds)
        self._routes: Final = {checked_path(path): servable(registry) for path, registry in registries.items()}
        self._scrapes: Final = Scrapes(_checked_max_scrapes(max_scrapes), self._scrape_ended)
        access = None if web_config is None else Access(web_config)
        self._policy: Final = access.current if access is not None else lambda: OPEN_POLICY
        self._scheme: Final = "https" if self._policy().has_tls else "http"
        self._listener: Final = listen(port, addr)
        host, bound_port = self._listener.getsockname()[:2]
        self._addr: Final = str(host)
        self._port: Final = int(bound_port)
        self._waker, self._woken = map(OwnSocket.of, socket.socketpair())
        self._lock = threading.RLock()  # re-entrant, because a signal handler may fork or close
        self._arrivals: Final = Arrivals()
        self._turns_awaited = False
        self._is_accepting = False
        self._pauses = 0
        self._closed = False
        self._is_lost = False
        self._acceptor: threading.Thread | None = None
        _servers.add(self)
        try:
            self._start_accepting()
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        """The TCP port of the server."""
        return self._port

    @property
    def addr(self) -> str:
        """The numeric address of the server."""
        return self._addr

    @property
    def url(self) -> str:
        """The URL of the metrics: ``http://ADDR:PORT/metrics``, or https with TLS."""
        host = f"[{self._addr}]" if ":" in self._addr else self._addr
        return f"{self._scheme}://{host}:{self._port}{next(iter(self._routes))}"

    def close(self) -> None:
        """Stop the server and end all its sockets and threads; a second call does nothing.

        Connections without a complete request are closed at once. Waits up to 5 seconds for responses in progress, then
        closes their connections. A collector that hangs can keep its daemonic thread, but nothing else.
        """
        self._close(_CLOSE_SECONDS)

    def _close(self, grace_seconds: float) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        _servers.discard(self)
        self._stop_accepting()
        for own in (self._listener, self._waker, self._woken):
            own.close()
        self._arrivals.close()
        self._scrapes.join(grace_seconds)
        wait_for_ended(grace_seconds)
        self._scrapes.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MetricsServer {'closed' if self._closed else 'at'} {self.url}>"

    # Accepting and reading -----------------------------------------------------------------------------------------

    def _start_accepting(self) -> None:
        with self._lock:
            if (
                self._closed
                or self._is_lost
                or self._pauses
                or (self._acceptor is not None and self._acceptor.is_alive())
            ):
                return
            self._acceptor = threading.Thread(target=self._accept, name="pytheus-metrics", daemon=True)
            start_without_signals(self._acceptor)

    def _stop_accepting(self) -> None:
        acceptor = self._acceptor
        if acceptor is None or acceptor is threading.current_thread():
            return
        try:
            self._waker.send(b"\0")
        except OSError:
            self._report_loss()  # and the thread cannot be woken
            return
        if acceptor.ident is not None:
            acceptor.join(_WAKE_SECONDS)

    def _accept(self) -> None:
        try:
            with _Selector() as selector:
                self._is_accepting = False
                selector.register(self._woken, selectors.EVENT_READ)
                self._arrivals.watch_with(selector)
                while not (self._closed or self._pauses):
                    self._take_turn(selector)
        except LostSocketError:
            self._report_loss()
            self._arrivals.close()
        finally:
            self._arrivals.watch_with(None)

    def _take_turn(self, selector: selectors.BaseSelector) -> None:
        """Wait until something happens, and go on with it; raises `LostSocketError` for the server's own sockets."""
        if not (self._listener.is_own() and self._woken.is_own()):
            # Before it waits for descriptors of the program, perhaps without end.
            raise LostSocketError(errno.EBADF, "the program has closed the descriptors of the server")
        self._watch_listener(selector)
        for key, _ in selector.select(self._arrivals.seconds_left()):
            if key.fileobj is self._woken:
                self._woken.recv(64)
            elif key.fileobj is self._listener:
                self._accept_some()
            else:
                self._arrivals.advance(key.data)
        self._start_scrapes()
        self._arrivals.expire()

    def _watch_listener(self, selector: selectors.BaseSelector) -> None:
        """Wait for further connections only while there is a place for one; the others wait in the kernel's queue."""
        has_place = self._arrivals.has_place()
        if has_place and not self._is_accepting:
            selector.register(self._listener, selectors.EVENT_READ)
        elif self._is_accepting and not has_place:
            selector.unregister(self._listener)
        self._is_accepting = has_place

    def _accept_some(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._arrivals.has_place():
                return
            try:
                connection, _ = self._listener.accept()
            except LostSocketError:
                raise
            except (BlockingIOError, ConnectionError, InterruptedError):
                return
            except OSError:
                # Out of descriptors or memory; the listener stays readable.
                if not self._arrivals.close_idlest():
                    time.sleep(_EXHAUSTED_SECONDS)
                return
            try:
                policy = self._policy()
                channel = policy.open_channel(connection)
            except Exception:
                connection.close()
                logger("pytheus.exposition").exception("a connection to the metrics server cannot be opened")
            else:
                self._arrivals.add(Arrival(channel, partial(self._respond, policy), policy.headers))

    def _start_scrapes(self) -> None:
        """Give each request that waits its scrape, as long as there are some, or its short response."""
        ready = self._arrivals.ready()
        self._turns_awaited = bool(ready)  # before it is read how many run, so that the end of one wakes this thread
        for arrival in ready:
            request = arrival.request
            if request is None:
                continue
            if request.path == HEALTH_PATH and HEALTH_PATH not in self._routes:
                self._arrivals.answer(arrival, _plain_response(request, "healthy\n"))
            elif not self._scrapes.is_full:
                self._arrivals.take(arrival)
                self._scrapes.start(request, arrival.channel, arrival.respond)
            else:
                self._scrapes.abort_slowest()
                break
        self._turns_awaited = bool(self._arrivals.ready())

    def _scrape_ended(self) -> None:
        if self._turns_awaited:
            try:
                self._waker.send(b"\0")
            except OSError:
                pass  # closed, or lost, which the accepting thread reports

    def _report_loss(self) -> None:
        if not (self._closed or self._is_lost):
            self._is_lost = True
            logger("pytheus.exposition").error(
                "the program has closed the descriptors of the metrics server at %s, which serves no more; close only"
                " descriptors that the program has opened, or start the server afterwards",
                self.url,
            )

    # Answering -----------------------------------------------------------------------------------------------------

    def _respond(self, policy: Policy, request: Request, channel: Channel) -> Response:
        response = policy.refusal(request) or self._respond_allowed(request, channel)
        return response._replace(headers=(*response.headers, *policy.headers))

    def _respond_allowed(self, request: Request, channel: Channel) -> Response:
        registry = self._routes.get(request.path)
        if registry is not None:
            fields = request.fields
            return answer_scrape(
                registry,
                request.method,
                accept=fields.get("accept", ""),
                accept_encoding=fields.get("accept-encoding", ""),
                timeout=fields.get("x-prometheus-scrape-timeout-seconds", ""),
                query=request.query,
                limit_seconds=self._limit_seconds,
                page=self._page,
                has_left=channel.has_left,
            )
        paths = "".join(f"{path}\n" for path in self._routes)
        if request.path != "/":
            return answer_text(request.method, 404, f"there are no metrics at this path; available:\n{paths}")
        return _plain_response(request, f"metrics are available at:\n{paths}")

    # Forking -------------------------------------------------------------------------------------------------------

    def _before_fork(self) -> None:
        with self._lock:
            self._pauses += 1
        self._stop_accepting()
        acceptor = self._acceptor
        if acceptor is not None and not acceptor.is_alive() and acceptor.native_id is not None:
            wait_until_removed(acceptor.native_id)

    def _after_fork_in_parent(self) -> None:
        with self._lock:
            self._pauses = max(self._pauses - 1, 0)  # the server may have been created between the two hooks
        try:
            self._start_accepting()
        except RuntimeError:
            pass  # the interpreter ends, and no thread can start any more

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()  # the thread that held it may not exist here
        self._closed = True
        channels = [*self._scrapes.forget(), *self._arrivals.forget()]
        for own in (self._listener, self._waker, self._woken, *(channel.socket for channel in channels)):
            is_own = own.is_own()
            # close() would leave the descriptor open while a file object of the socket exists.
            descriptor = own.detach()
            if is_own:
                os.close(descriptor)
        _servers.discard(self)


def _plain_response(request: Request, text: str) -> Response:
    if request.method not in ("GET", "HEAD"):
        return answer_text(request.method, 405, f"{request.method} is not allowed here\n")
    return answer_text(request.method, 200, text)


def _checked_max_scrapes(max_scrapes: int) -> int:
    if isinstance(max_scrapes, bool) or not isinstance(max_scrapes, int) or max_scrapes < 1:
        raise ValueError(f"max_scrapes must be a whole number of at least 1 but got {shown(max_scrapes)}")
    return max_scrapes


def checked_path(path: str) -> str:
    """Return `path` if a client can request it; raise `ValueError` otherwise."""
    if re.fullmatch(r"/[!$-;=@-~]*", path) is None:
        raise ValueError(
            f"the path {path!r} is not valid; it must begin with '/' and be plain ASCII, percent-encoded if"
            " necessary, without '?', '#', '<', '>', '\"' and spaces"
        )
    return path


def _for_all(step: Callable[[MetricsServer], None]) -> Callable[[], None]:
    def run() -> None:
        for server in list(_servers):
            step(server)

    return run


# Registered at import, so it runs after the exit functions that the program registers, and their metrics are scraped.
atexit.register(_for_all(lambda server: server._close(_EXIT_SECONDS)))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_for_all(MetricsServer._before_fork),
        after_in_parent=_for_all(MetricsServer._after_fork_in_parent),
        after_in_child=_for_all(MetricsServer._after_fork_in_child),
    )
