"""The connection to Redis, which runs scripts.

Rules:

- A client belongs to one thread and one process. It connects at its first use, and again after an error.
- Neither it nor redis-py retries, because only the caller knows whether a script may run twice.
- Every answer has a time limit. (An answer that arrives byte by byte can take longer; a thread that must not wait lets
  another one call.)
- No message shows a credential.
- A program that becomes a daemon may close all descriptors and use their numbers again. So the identity of each socket
  (`fstat`) is compared before it is used or closed, and a connection that has lost one is forgotten.
- redis-py, and the modules that it would load when it first connects, are imported with this module, which is imported
  when a registry is made. The interpreter cannot import them at exit, when the last numbers are published; and a fork
  while another thread imports would leave the child with half a module.
"""

from __future__ import annotations

import encodings.idna
import importlib.metadata
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from pytheus_redis.errors import RedisStoreError, translated
from pytheus_redis.keys import Keys
from pytheus_redis.options import RedisOptions
from pytheus_redis.script_parts import Script

__all__ = ["Answer", "Call", "Client", "RedisClient", "text_of", "unexpected"]

# redis-py encodes host names, gives its objects random names, and sends the server its own version, whose metadata is
# parsed by a module that is loaded for it.
_PRELOADED: Final = (encodings.idna, secrets)
with suppress(importlib.metadata.PackageNotFoundError):
    importlib.metadata.version("redis")

Answer: TypeAlias = "bytes | int | list[Answer] | None"

# A pipeline has two scripts at most, and the server may have forgotten each of them.
_MAX_PIPELINE_TRIES: Final = 4


class Call(NamedTuple):
    """One run of a script."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]


class Client(Protocol):
    """A connection to Redis, as the publisher and the reader use it."""

    def run(self, call: Call, /) -> Answer:
        """The script's answer. Raises `RedisStoreError`."""
        ...

    def run_all(self, calls: Sequence[Call], /) -> list[Answer]:
        """The answers of reading scripts, in one round trip. Raises `RedisStoreError`."""
        ...

    def close(self) -> None:
        """Close the connection; the next use connects again."""
        ...

    def abandon(self) -> None:
        """After a fork: forget the parent's connection without closing it."""
        ...


class _Pipeline(Protocol):
    def execute_command(self, *arguments: object) -> object: ...
    def execute(self, raise_on_error: bool = True) -> list[object]: ...


class _Connection(Protocol):
    """The part of redis-py's client that is used here, with types of its answers."""

    def execute_command(self, *arguments: object) -> object: ...
    def pipeline(self, transaction: bool = True) -> _Pipeline: ...
    def close(self) -> None: ...


def text_of(answer: Answer) -> str:
    """An answer that is a word, as text; empty for any other answer.

    Any bytes are text in Latin-1, as which a client also sends text, so that Redis gets back the bytes that it gave.
    """
    return answer.decode("latin-1") if isinstance(answer, bytes) else ""


def _encoded(arguments: Sequence[str | bytes | int]) -> list[bytes | int]:
    return [each.encode("latin-1") if isinstance(each, str) else each for each in arguments]


def unexpected(script: Script, answer: Answer) -> RedisStoreError:
    """The error for an answer that the script does not give."""
    return RedisStoreError("data", f"the script {script.name} answered {answer!r:.100}")


def _sockets_of(client: object) -> Iterator[socket.socket]:
    """The sockets of a client of redis-py that waits for its next use; none if redis-py keeps them elsewhere."""
    for connection in getattr(getattr(client, "connection_pool", None), "_available_connections", ()):
        found: object = getattr(connection, "_sock", None)
        if isinstance(found, socket.socket):
            yield found


def _identity_of(each: socket.socket) -> tuple[int, int] | None:
    try:
        status = os.fstat(each.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino


class RedisClient:
    """A `Client` over redis-py."""

    def __init__(self, options: RedisOptions) -> None:
        self._options: Final = options
        self._connection: _Connection | None = None
        self._close: Callable[[], None] | None = None
        # The clients of redis-py that may have open connections, and their sockets as they were after the last use.
        self._clients: Callable[[], Iterable[object]] = lambda: ()
        self._sockets: list[tuple[socket.socket, tuple[int, int] | None]] = []
        self.round_trips: int = 0
        """How many times it has waited for an answer."""

    def run(self, call: Call, /) -> Answer:
        script, names, words = call
        keys, arguments = _encoded(names), _encoded(words)
        try:
            connection = self._connected()
            self.round_trips += 1
            try:
                answer = connection.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except exceptions.NoScriptError:
                self.round_trips += 1
                answer = connection.execute_command("EVAL", script.text, len(keys), *keys, *arguments)
            self._note_sockets()
            return cast(Answer, answer)
        except Exception as error:
            failure = error
        try:
            raise self._translated(failure)  # here, because the original may show a credential and is not chained
        finally:
            del failure  # its traceback refers to this frame

    def run_all(self, calls: Sequence[Call], /) -> list[Answer]:
        try:
            for _ in range(_MAX_PIPELINE_TRIES):
                pipeline = self._connected().pipeline(transaction=False)
                for script, names, words in calls:
                    keys, arguments = _encoded(names), _encoded(words)
                    pipeline.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
                self.round_trips += 1
                answers = pipeline.execute(raise_on_error=False)
                forgotten: Script | None = None
                for call, answer in zip(calls, answers, strict=True):
                    if isinstance(answer, exceptions.NoScriptError):
                        forgotten = call.script
                    elif isinstance(answer, Exception):
                        raise answer
                self._note_sockets()
                if forgotten is None:
                    return cast("list[Answer]", answers)
                self.round_trips += 1
                self._connected().execute_command("SCRIPT LOAD", forgotten.text)
            raise exceptions.NoScriptError("scripts are forgotten as soon as they are loaded")
        except Exception as error:
            failure = error
        try:
            raise self._translated(failure)
        finally:
            del failure

    def close(self) -> None:
        self._detach_lost()
        close, self._close, self._connection = self._close, None, None
        if close is not None:
            with suppress(Exception):  # the connection is given up in any case
                close()

    def abandon(self) -> None:
        self._detach_lost()
        self._close = self._connection = None

    def _note_sockets(self) -> None:
        found = [each for client in self._clients() for each in _sockets_of(client)]
        if len(found) != len(self._sockets) or any(
            new is not old for new, (old, _) in zip(found, self._sockets, strict=True)
        ):
            self._sockets = [(each, _identity_of(each)) for each in found]

    def _detach_lost(self) -> bool:
        """Let no socket use or close a descriptor of the program; returns whether one has lost its own."""
        lost = [each for each, identity in self._sockets if each.fileno() >= 0 and _identity_of(each) != identity]
        for each in lost:
            each.detach()
        return bool(lost)

    def _connected(self) -> _Connection:
        if self._detach_lost():
            self.abandon()
            self._sockets = []
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        return connection

    def _connect(self) -> _Connection:
        options = self._options
        timeout = options.timeout_seconds
        common: dict[str, object] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
        }
        login: dict[str, object] = {"username": options.username, "password": options.password}
        tls: dict[str, object] = {}
        if options.tls:
            tls = {
                "ssl": True,
                "ssl_ca_certs": options.ca_file,
                "ssl_certfile": options.cert_file,
                "ssl_keyfile": options.key_file,
                "ssl_password": options.key_password,
                "ssl_cert_reqs": "none" if options.verify == "none" else "required",
                "ssl_check_hostname": options.verify == "full",
            }
        if options.reached_by == "sentinel":
            return self._by_sentinel(common | tls, login)
        arguments = common | login | tls
        if options.reached_by == "unix":
            arguments |= {"unix_socket_path": options.path, "db": options.database}
        else:
            arguments |= {"host": options.host.strip("[]"), "port": options.port or 6379}
            if options.reached_by == "cluster":
                return self._by_cluster(arguments)
            arguments["db"] = options.database
        connection = cast("Callable[..., _Connection]", redis.Redis)(**arguments)
        self._clients = lambda: (connection,)
        self._close = connection.close
        return connection

    def _by_sentinel(self, common: dict[str, object], login: dict[str, object]) -> _Connection:
        options = self._options
        sentinel_login = {"username": options.sentinel_username, "password": options.sentinel_password}
        sentinel = cast("Callable[..., Sentinel]", Sentinel)(
            list(options.sentinel_addresses), sentinel_kwargs=common | sentinel_login, **common, **login
        )
        primary = cast("Callable[..., _Connection]", sentinel.master_for)(options.service, db=options.database)

        def close() -> None:
            primary.close()
            for each in cast("list[_Connection]", sentinel.sentinels):
                each.close()

        self._clients = lambda: (primary, *cast("list[object]", sentinel.sentinels))
        self._close = close
        return primary

    def _by_cluster(self, arguments: dict[str, object]) -> _Connection:
        # Only the namespace's cluster slot matters, and redis-py would leave connections open where another is missing.
        cluster = cast("Callable[..., RedisCluster]", RedisCluster)(require_full_coverage=False, **arguments)
        self._clients = lambda: [
            node.redis_connection for node in cast("Callable[[], list[ClusterNode]]", cluster.get_nodes)()
        ]
        self._close = cluster.close
        # All keys are in one cluster slot. When that moves, the node says so, and the next use asks the cluster again.
        node_of = cast("Callable[[str], ClusterNode]", cluster.get_node_from_key)
        return cast(_Connection, cluster.get_redis_connection(node_of(Keys(self._options.namespace).state)))

    def _translated(self, error: Exception) -> RedisStoreError:
        # After a timeout, the late answer would be taken for that of the next command. And a server that has become a
        # replica, or whose cluster slot has moved, is found again only by a new connection.
        self.close()
        return translated(error, self._options)
