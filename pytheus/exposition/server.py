"""A small HTTP server for metrics, in threads of its own, beside a program that has no web server.

Rules:

- It speaks what a scrape needs and no more; the standard library's http.server would bring thirty modules with it.
- Its threads are daemonic, bounded in number, and block signals, so that a signal always reaches the program's own
  threads: one that waits with sigwait() would otherwise be killed by it.
- It holds still during a fork: the accepting thread ends before and starts again in the parent, so that the child is
  forked off a process without it, and Python does not warn of threads which the program never started (before gh-137109
  some 3.13 and 3.14 do, for they look too late). The child closes what it inherited and serves nothing.
- Logs nothing of what it serves, only what fails.
"""

from __future__ import annotations

import atexit
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from pytheus.exposition.connection import serve_connection
from pytheus.exposition.listener import listen
from pytheus.exposition.request import Request
from pytheus.exposition.response import Response, answer_scrape, answer_text, servable
from pytheus.exposition.unnoticed import start_deaf_to_signals, wait_until_gone
from pytheus.registry import REGISTRY, Registry

__all__ = ["MetricsServer", "start_http_server"]

_CONNECTIONS: Final = 16
_REFUSALS: Final = 16  # connections beyond those that are told so; still more are cut off unheard
_CLOSE_SECONDS: Final = 5.0
_EXIT_SECONDS: Final = 0.5
_WAKE_SECONDS: Final = 5.0
_EXHAUSTED_SECONDS: Final = 0.1

# Neither epoll nor kqueue: those take a descriptor, which a program that is short of them may not have.
_Selector: Final = selectors.SelectSelector if sys.platform == "win32" else selectors.PollSelector

_servers: Final[set[MetricsServer]] = set()


def start_http_server(
    port: int,
    addr: str = "127.0.0.1",
    registry: Registry = REGISTRY,
    *,
    registries: Mapping[str, Registry] | None = None,
) -> MetricsServer:
    """Serve `registry` at ``/metrics`` on TCP port `port` of the address `addr`, from threads in the background.

    Port 0 takes any that is free; `MetricsServer.port` tells which. `addr` is an IPv4 or IPv6 address or a host's name;
    ``"0.0.0.0"`` and ``"::"`` open the port to other machines. `registries` maps further paths to registries of their
    own; ``/`` lists all paths, unless it is one of them.

    Raises `OSError` at once if the port or the address cannot be had, `ValueError` for a port or path that makes no
    sense, and `NotARegistryError` for what is no registry; nothing has been started then.

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
    return MetricsServer(port, addr, {"/metrics": registry, **_further(registries)})


def _further(registries: Mapping[str, Registry] | None) -> Mapping[str, Registry]:
    if registries is None:
        return {}
    if "/metrics" in registries:
        raise ValueError("registries has the path '/metrics', where `registry` is served; hand it in as registry=...")
    return registries


class MetricsServer:
    """A running server of metrics; made by `start_http_server`, ended by `close` or at the end of a ``with`` block.

    It answers up to 16 connections at once, one request each, and refuses more with 503. A client has 10 seconds to
    state its request, in at most 16 KiB, and 30 to take the answer. All methods may be called from any thread.
    """

    def __init__(self, port: int, addr: str, registries: Mapping[str, Registry]) -> None:
        self._routes: Final = {_checked_path(path): servable(registry) for path, registry in registries.items()}
        self._listener: Final = listen(port, addr)
        host, bound_port = self._listener.getsockname()[:2]
        self._addr: Final = str(host)
        self._port: Final = int(bound_port)
        self._waker, self._woken = socket.socketpair()
        self._lock = threading.RLock()  # re-entrant, for a signal handler that forks or closes
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._pauses = 0
        self._closed = False
        self._acceptor: threading.Thread | None = None
        _servers.add(self)
        try:
            self._start_accepting()
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return self._port

    @property
    def addr(self) -> str:
        """The address that it listens on, as numbers."""
        return self._addr

    @property
    def url(self) -> str:
        """Where the metrics are: ``http://ADDR:PORT/metrics``."""
        host = f"[{self._addr}]" if ":" in self._addr else self._addr
        return f"http://{host}:{self._port}/metrics"

    def close(self) -> None:
        """Stop serving: no socket and no thread is left. Closing again does nothing.

        Answers under way are finished, for up to 5 seconds. After that their connections are cut; a collector that
        hangs can keep its daemonic thread, but nothing else.
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
            connections = dict(self._connections)
        _shut(connections, socket.SHUT_RD)  # for those that still wait for a request; an answer can still go out
        _join(connections.values(), grace_seconds)
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
            if self._closed or self._pauses or (self._acceptor is not None and self._acceptor.is_alive()):
                return
            self._acceptor = threading.Thread(target=self._accept, name="pytheus-metrics", daemon=True)
            start_deaf_to_signals(self._acceptor)

    def _stop_accepting(self) -> None:
        acceptor = self._acceptor
        if acceptor is None or acceptor is threading.current_thread():
            return
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # the program closed all descriptors, ours included; the thread cannot be woken, and nor can it serve
        if acceptor.ident is not None:
            acceptor.join(_WAKE_SECONDS)

    def _accept(self) -> None:
        with _Selector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not (self._closed or self._pauses):
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        self._woken.recv(64)
                    elif not self._accept_one():
                        return

    def _accept_one(self) -> bool:
        """Take one connection and hand it to a thread; False if there will never be another."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError, InterruptedError):
            return True
        except OSError:
            if self._listener.fileno() < 0:
                return False
            time.sleep(_EXHAUSTED_SECONDS)  # out of descriptors or memory: the listener stays readable meanwhile
            return True
        with self._lock:
            crowd = len(self._connections)
            respond = self._respond if crowd < _CONNECTIONS else _respond_busy
            thread = threading.Thread(
                target=self._serve, args=(connection, respond), name="pytheus-scrape", daemon=True
            )
            if crowd < _CONNECTIONS + _REFUSALS:
                self._connections[connection] = thread
        if crowd >= _CONNECTIONS + _REFUSALS:
            connection.close()
            return True
        try:
            thread.start()  # inherits this thread's signal mask
        except RuntimeError:  # no more threads: the machine's limit, or the interpreter is about to end
            self._serve(connection, respond)
        return True

    def _serve(self, connection: socket.socket, respond: Callable[[Request], Response]) -> None:
        try:
            serve_connection(connection, respond)
        except Exception:
            import logging  # loaded late: it costs more to import than the rest of the package

            logging.getLogger("pytheus.exposition").exception("a scrape failed")
        finally:
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.pop(connection, None)
        connection.close()

    def _respond(self, request: Request) -> Response:
        registry = self._routes.get(request.path)
        if registry is not None:
            accept, accept_encoding = (request.fields.get(name, "") for name in ("accept", "accept-encoding"))
            return answer_scrape(registry, request.method, accept=accept, accept_encoding=accept_encoding)
        paths = "".join(f"{path}\n" for path in self._routes)
        if request.path != "/":
            return answer_text(request.method, 404, f"nothing is served at this path; there is:\n{paths}")
        if request.method not in ("GET", "HEAD"):
            return answer_text(request.method, 405, f"{request.method} is not allowed here\n")
        return answer_text(request.method, 200, f"metrics are served at:\n{paths}")

    # Forking -------------------------------------------------------------------------------------------------------

    def _before_fork(self) -> None:
        with self._lock:
            self._pauses += 1
        self._stop_accepting()
        acceptor = self._acceptor
        if acceptor is not None and acceptor is not threading.current_thread() and acceptor.native_id is not None:
            wait_until_gone(acceptor.native_id)

    def _after_fork_in_parent(self) -> None:
        with self._lock:
            self._pauses = max(self._pauses - 1, 0)  # it may have been made between the two hooks
        try:
            self._start_accepting()
        except RuntimeError:
            pass  # forked while the interpreter ends, when no thread can start any more

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()  # whoever held it may not exist here
        self._closed = True
        for own in (self._listener, self._waker, self._woken, *self._connections):
            # close() alone would leave the descriptor open as long as a file object made of the socket is.
            descriptor = own.detach()
            if descriptor >= 0:
                os.close(descriptor)
        self._connections.clear()
        _servers.discard(self)


def _respond_busy(request: Request) -> Response:
    return answer_text(request.method, 503, "too many scrapes at once; try again\n")


def _checked_path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or any(sign in path for sign in "?# \t\r\n"):
        raise ValueError(
            f"the path {path!r} cannot be served; it must begin with '/' and be plain ASCII, percent-encoded where"
            " needed, without '?', '#' and spaces"
        )
    return path


def _shut(connections: Mapping[socket.socket, threading.Thread], how: int) -> None:
    for connection in connections:
        try:
            connection.shutdown(how)
        except OSError:
            pass  # ended by itself meanwhile


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join(max(deadline - time.monotonic(), 0))


def _close_all() -> None:
    for server in list(_servers):
        server._close(_EXIT_SECONDS)


def _before_fork() -> None:
    for server in list(_servers):
        server._before_fork()


def _after_fork_in_parent() -> None:
    for server in list(_servers):
        server._after_fork_in_parent()


def _after_fork_in_child() -> None:
    for server in list(_servers):
        server._after_fork_in_child()


# Registered early, so it runs late: after what the program registers itself, which is thus still scraped.
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
