"""A small HTTP server in background threads of a program without a web server.

Rules:

- It supports only the parts of HTTP that a scrape needs, because the standard library's http.server imports thirty
  modules.
- Its threads are daemonic, limited in number, and block signals (see `pytheus.background_threads`).
- It pauses during a fork: the accepting thread ends before the fork and starts again in the parent. So the child is
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
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from pytheus.background_threads import start_without_signals, wait_until_removed
from pytheus.exposition.collector_threads import wait_for_ended
from pytheus.exposition.disconnection import has_ended
from pytheus.exposition.http1 import Request, serve_connection
from pytheus.exposition.own_socket import LostSocketError, OwnSocket
from pytheus.exposition.respond import answer_scrape
from pytheus.exposition.response import LIMIT_SECONDS, Response, answer_text, checked_limit, servable
from pytheus.interruption import is_interruption
from pytheus.lazy import logger
from pytheus.registry import REGISTRY, Registry

__all__ = ["MetricsServer", "start_http_server"]

_CONNECTIONS: Final = 16
_REFUSALS: Final = 16  # further connections that get status 503; all others are closed without a response
_CLOSE_SECONDS: Final = 5.0
_EXIT_SECONDS: Final = 0.5
_WAKE_SECONDS: Final = 5.0
_EXHAUSTED_SECONDS: Final = 0.1
_LEAVING_SECONDS: Final = 0.5
_LEAVING_PAUSE_SECONDS: Final = 0.01

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
) -> MetricsServer:
    """Serve `registry` at ``/metrics`` in background threads.

    The server listens on TCP port `port` of the address `addr`. Port 0 selects a free port, which is in
    `MetricsServer.port`. `addr` is an IPv4 or IPv6 address or a host name; ``"0.0.0.0"`` and ``"::"`` open the port to
    other machines, and an empty text, such as that of an unset variable, does not. `registries` maps further paths to
    their registries; ``/`` lists all paths, unless it is one of them.

    Collectors that have not finished when the client's timeout is over, or after `timeout_seconds`, are left out of
    the response and counted; see docs/how-to/expose.md.

    Raises `OSError` if the port or the address is not available, `ValueError` for an invalid port, path or timeout, and
    `NotARegistryError` for an object that is not a registry. Nothing has been started then.

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
    if registries is not None and "/metrics" in registries:
        raise ValueError("registries has the path '/metrics', which serves `registry`; pass that one as registry=...")
    return MetricsServer(port, addr, {"/metrics": registry, **(registries or {})}, timeout_seconds)


class MetricsServer:
    """A running metrics server, created by `start_http_server`.

    `close`, or the end of a ``with`` block, stops it. It serves up to 16 connections at once, one request each, and
    refuses more with status 503. A client has 10 seconds for its request, of at most 16 KiB, and 30 to receive the
    response. All methods may be called from any thread.

        >>> from pytheus import start_http_server
        >>> from pytheus.registry import CollectorRegistry
        >>> server = start_http_server(0, registry=CollectorRegistry())
        >>> server.addr
        '127.0.0.1'
        >>> server.close()
    """

    def __init__(
        self, port: int, addr: str, registries: Mapping[str, Registry], timeout_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._limit_seconds: Final = checked_limit(timeout_seconds)
        self._routes: Final = {_checked_path(path): servable(registry) for path, registry in registries.items()}
        self._listener: Final = _listen(port, addr)
        host, bound_port = self._listener.getsockname()[:2]
        self._addr: Final = str(host)
        self._port: Final = int(bound_port)
        self._waker, self._woken = map(OwnSocket.of, socket.socketpair())
        self._lock = threading.RLock()  # re-entrant, because a signal handler may fork or close
        self._connections: dict[OwnSocket, threading.Thread] = {}
        # Also those whose connection is closed, because a thread lives a moment longer.
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
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
        """The URL of the metrics: ``http://ADDR:PORT/metrics``."""
        host = f"[{self._addr}]" if ":" in self._addr else self._addr
        return f"http://{host}:{self._port}/metrics"

    def close(self) -> None:
        """Stop the server and end all its sockets and threads; a second call does nothing.

        Waits up to 5 seconds for responses in progress, then closes their connections. A collector that hangs can keep
        its daemonic thread, but nothing else.
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
        with self._lock:
            connections, threads = dict(self._connections), list(self._threads)
        _shut(connections, socket.SHUT_RD)  # ends the wait for a request; a response can still be sent
        _join(threads, grace_seconds)
        wait_for_ended(grace_seconds)
        _shut({own: thread for own, thread in connections.items() if thread.is_alive()}, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MetricsServer {'closed' if self._closed else 'at'} {self.url}>"

    # Accepting -----------------------------------------------------------------------------------------------------

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
        with _Selector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not (self._closed or self._pauses):
                if not (self._listener.is_own() and self._woken.is_own()):
                    self._report_loss()  # before it waits for descriptors of the program, perhaps without end
                    return
                for key, _ in selector.select():
                    try:
                        if key.fileobj is self._woken:
                            self._woken.recv(64)
                        else:
                            self._accept_one()
                    except LostSocketError:
                        self._report_loss()
                        return

    def _report_loss(self) -> None:
        if not (self._closed or self._is_lost):
            self._is_lost = True
            logger("pytheus.exposition").error(
                "the program has closed the descriptors of the metrics server at %s, which serves no more; close only"
                " descriptors that the program has opened, or start the server afterwards",
                self.url,
            )

    def _accept_one(self) -> None:
        """Accept one connection and pass it to a thread. Raises `LostSocketError` if the listener is closed."""
        self._wait_for_leaving_clients()
        try:
            connection, _ = self._listener.accept()
        except LostSocketError:
            raise
        except (BlockingIOError, ConnectionError, InterruptedError):
            return
        except OSError:
            time.sleep(_EXHAUSTED_SECONDS)  # out of descriptors or memory; the listener stays readable
            return
        with self._lock:
            count = len(self._connections)
            respond = self._respond if count < _CONNECTIONS else _respond_busy
            thread = threading.Thread(
                target=self._serve, args=(connection, respond), name="pytheus-scrape", daemon=True
            )
            if count < _CONNECTIONS + _REFUSALS:
                self._connections[connection] = thread
                self._threads.add(thread)
        if count >= _CONNECTIONS + _REFUSALS:
            connection.close()
            return
        try:
            thread.start()  # inherits this thread's signal mask
        except RuntimeError:  # no more threads: the machine's limit, or the interpreter is about to end
            self._serve(connection, respond)

    def _wait_for_leaving_clients(self) -> None:
        """Wait a moment if clients that have left occupy the last connections."""
        deadline = time.monotonic() + _LEAVING_SECONDS
        while len(self._connections) >= _CONNECTIONS and not (self._closed or self._pauses):
            with self._lock:
                connections = list(self._connections)
            if time.monotonic() > deadline or not any(own.is_own() and has_ended(own) for own in connections):
                return
            time.sleep(_LEAVING_PAUSE_SECONDS)

    def _serve(self, connection: OwnSocket, respond: Callable[[Request, OwnSocket], Response]) -> None:
        try:
            serve_connection(connection, lambda request: respond(request, connection))
        except BaseException as error:
            if is_interruption(error):
                raise
            logger("pytheus.exposition").exception("a scrape failed")
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _respond(self, request: Request, connection: OwnSocket) -> Response:
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
                has_left=lambda: not connection.is_own() or has_ended(connection),
            )
        paths = "".join(f"{path}\n" for path in self._routes)
        if request.path != "/":
            return answer_text(request.method, 404, f"there are no metrics at this path; available:\n{paths}")
        if request.method not in ("GET", "HEAD"):
            return answer_text(request.method, 405, f"{request.method} is not allowed here\n")
        return answer_text(request.method, 200, f"metrics are available at:\n{paths}")

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
        for own in (self._listener, self._waker, self._woken, *self._connections):
            is_own = own.is_own()
            # close() would leave the descriptor open while a file object of the socket exists.
            descriptor = own.detach()
            if is_own:
                os.close(descriptor)
        self._connections.clear()
        _servers.discard(self)


_LOOPBACK: Final = "127.0.0.1"


def _listen(port: int, addr: str) -> OwnSocket:
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
            listener.listen(128)
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


def _respond_busy(request: Request, connection: OwnSocket) -> Response:
    return answer_text(request.method, 503, "too many scrapes at once; try again\n")


def _checked_path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or any(sign in path for sign in "?# \t\r\n"):
        raise ValueError(
            f"the path {path!r} is not valid; it must begin with '/' and be plain ASCII, percent-encoded if"
            " necessary, without '?', '#' and spaces"
        )
    return path


def _shut(connections: Mapping[OwnSocket, threading.Thread], how: int) -> None:
    for connection in connections:
        try:
            connection.shutdown(how)
        except OSError:
            pass  # already closed


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join(max(deadline - time.monotonic(), 0))


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
