"""The way to Redis: scripts go out, answers come back, or a `Trouble` does.

Rules:

- A link belongs to one thread and one process. It connects when it is first used, and again after an error.
- Nothing is retried here, in particular not by redis-py: whoever calls knows what running twice would mean.
- Every answer has a time limit. (One that trickles in byte by byte can take longer; who must not wait, asks
  another thread.)
- No message holds a credential.
- redis-py is imported with this module, which is imported when a registry is made, and so is what it would load when
  it first connects. At the end of a process, when the last numbers are published, that cannot be done any more; and
  a thread that is at it while another one forks would leave the child with half a module, for good.
"""

from __future__ import annotations

import encodings.idna
import importlib.metadata
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from pytheus_redis.keys import Keys
from pytheus_redis.options import RedisOptions
from pytheus_redis.scripts import Script
from pytheus_redis.trouble import Trouble

__all__ = ["Answer", "Call", "Link", "RedisLink"]

# Host names are encoded, client objects get random names, and the server is told which version it speaks to.
_LOADED_BEFOREHAND: Final = (encodings.idna, secrets)
with suppress(importlib.metadata.PackageNotFoundError):
    importlib.metadata.version("redis")  # a file of it is parsed, which loads the parser

Answer: TypeAlias = "bytes | int | list[Answer] | None"


# A pipeline has two scripts at most, and may find each of them forgotten.
_LOADS: Final = 4


class Call(NamedTuple):
    """One run of a script."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]


class Link(Protocol):
    """What the rest needs of a way to Redis."""

    def run(self, call: Call, /) -> Answer:
        """What the script answers. Raises `Trouble`."""
        ...

    def run_all(self, calls: Sequence[Call], /) -> list[Answer]:
        """What the scripts answer, in one round trip. They must be such that only read. Raises `Trouble`."""
        ...

    def close(self) -> None:
        """Give the connection back; the next use connects again."""
        ...


class _Pipeline(Protocol):
    def execute_command(self, *arguments: object) -> object: ...
    def execute(self, raise_on_error: bool = True) -> list[object]: ...


class _Client(Protocol):
    """The part of redis-py's client that is used here, whose own types do not tell its answers."""

    def execute_command(self, *arguments: object) -> object: ...
    def pipeline(self, transaction: bool = True) -> _Pipeline: ...
    def close(self) -> None: ...


class RedisLink:
    """A link through redis-py."""

    def __init__(self, options: RedisOptions) -> None:
        self._options: Final = options
        self._client: _Client | None = None
        self._close: Callable[[], None] | None = None
        self.round_trips: int = 0
        """How many times an answer was waited for, for those who count."""

    def run(self, call: Call, /) -> Answer:
        """What the script answers."""
        try:
            return self._evaluate(call)
        except Exception as error:
            raise self._trouble(error) from None  # the original may show what it was given

    def run_all(self, calls: Sequence[Call], /) -> list[Answer]:
        """What the scripts answer, in one round trip."""
        try:
            for _ in range(_LOADS):
                pipeline = self._connected().pipeline(transaction=False)
                for script, keys, arguments in calls:
                    pipeline.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
                self.round_trips += 1
                answers = pipeline.execute(raise_on_error=False)
                forgotten: Script | None = None
                for call, answer in zip(calls, answers, strict=True):
                    if isinstance(answer, exceptions.NoScriptError):
                        forgotten = call.script
                    elif isinstance(answer, Exception):
                        raise answer
                if forgotten is None:
                    return cast("list[Answer]", answers)
                self.round_trips += 1
                self._connected().execute_command("SCRIPT LOAD", forgotten.text)
            raise exceptions.NoScriptError("scripts are forgotten as soon as they are loaded")
        except Exception as error:
            raise self._trouble(error) from None

    def _evaluate(self, call: Call) -> Answer:
        client = self._connected()
        script, keys, arguments = call
        self.round_trips += 1
        try:
            return cast(Answer, client.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments))
        except exceptions.NoScriptError:
            self.round_trips += 1
            return cast(Answer, client.execute_command("EVAL", script.text, len(keys), *keys, *arguments))

    def close(self) -> None:
        """Give the connection back."""
        close, self._close, self._client = self._close, None, None
        if close is not None:
            try:
                close()
            except Exception:  # it is being given up; what else it has to say helps nobody
                pass

    def abandon(self) -> None:
        """Forget the connection without a word to the server: it is another process's, after a fork."""
        self._close = self._client = None

    def _connected(self) -> _Client:
        client = self._client
        if client is None:
            client = self._client = self._connect()
        return client

    def _connect(self) -> _Client:

        options = self._options
        timeout = options.timeout_seconds
        common: dict[str, object] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
        }
        login: dict[str, object] = {"username": options.username, "password": options.password}
        if options.tls:
            login |= {
                "ssl": True,
                "ssl_ca_certs": options.ca_file,
                "ssl_certfile": options.cert_file,
                "ssl_keyfile": options.key_file,
                "ssl_password": options.key_password,
                "ssl_cert_reqs": "none" if options.verify == "none" else "required",
                "ssl_check_hostname": options.verify == "full",
            }
        host, port = options.host.strip("[]"), options.port or 6379
        make = cast("Callable[..., _Client]", redis.Redis)
        if options.reached_by == "unix":
            client = make(unix_socket_path=options.path, db=options.database, **common, **login)
        elif options.reached_by == "sentinel":
            return self._by_sentinel(common, login)
        elif options.reached_by == "cluster":
            return self._by_cluster(host, port, common, login)
        else:
            client = make(host=host, port=port, db=options.database, **common, **login)
        self._close = client.close
        return client

    def _by_sentinel(self, common: dict[str, object], login: dict[str, object]) -> _Client:

        options = self._options
        sentinel_login = {"username": options.sentinel_username, "password": options.sentinel_password}
        tls = {key: value for key, value in login.items() if key.startswith("ssl")}
        make = cast("Callable[..., Sentinel]", Sentinel)
        sentinel = make(
            list(options.sentinel_addresses), sentinel_kwargs={**common, **sentinel_login, **tls}, **common, **login
        )
        primary = cast("Callable[..., _Client]", sentinel.master_for)
        client = primary(options.service, db=options.database)

        def close() -> None:
            client.close()
            for each in cast("list[_Client]", sentinel.sentinels):
                each.close()

        self._close = close
        return client

    def _by_cluster(self, host: str, port: int, common: dict[str, object], login: dict[str, object]) -> _Client:

        make = cast("Callable[..., RedisCluster]", RedisCluster)
        # Other slots than the namespace's do not matter; and where one misses, redis-py would leave connections open.
        cluster = make(host=host, port=port, require_full_coverage=False, **common, **login)
        self._close = cluster.close
        # All keys lie in one slot. Where that moves, the node says so, and the next use asks the cluster anew.
        node_of = cast("Callable[[str], ClusterNode]", cluster.get_node_from_key)
        return cast(_Client, cluster.get_redis_connection(node_of(Keys(self._options.namespace).state)))

    def _trouble(self, error: Exception) -> Trouble:

        options = self._options
        text = " ".join(str(error).split()) or type(error).__name__
        for secret in (options.password, options.sentinel_password, options.key_password):
            if secret:
                text = text.replace(secret, "***")
        unsure = False
        kind = _kind_by_code(text)
        if kind is None:
            if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
                kind = "credentials"
            elif isinstance(error, exceptions.MasterDownError):
                kind = "loading"
            elif isinstance(error, _OF_CLUSTERS):
                kind = "cluster"
            elif isinstance(error, exceptions.ResponseError):
                kind = "other"
            elif isinstance(error, exceptions.TimeoutError | TimeoutError):
                kind, unsure = "timeout", True
            elif "SSL" in text or "certificate" in text.lower():
                kind = "tls"
            elif isinstance(error, exceptions.RedisClusterException):
                kind = "cluster"
            elif isinstance(error, exceptions.ConnectionError | OSError):
                kind, unsure = "unreachable", True
            else:
                kind, unsure = "other", True
        # What a timeout left on the wire would be taken for the next command's answer; and a server that says that
        # it is a replica now, or that the slot moved, is best found anew.
        self.close()
        return Trouble(kind, text if len(text) <= 300 else text[:297] + "...", unsure=unsure)


# https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors: the first word is the kind of error.
# Inside of scripts, older servers put their own words around it.
_CODES: Final = (
    ("NOAUTH", "credentials"),
    ("WRONGPASS", "credentials"),
    ("invalid password", "credentials"),
    ("invalid username-password", "credentials"),
    ("Authentication required", "credentials"),
    ("NOPERM", "permission"),
    ("ACLs rules", "permission"),
    ("No permission", "permission"),
    ("no permissions", "permission"),
    ("OOM ", "full"),
    ("command not allowed when used memory", "full"),
    ("READONLY", "read_only"),
    ("against a read only", "read_only"),
    ("LOADING", "loading"),
    ("loading the dataset", "loading"),
    ("MASTERDOWN", "loading"),
    ("MISCONF", "full"),
    ("NOREPLICAS", "read_only"),
    ("BUSY ", "timeout"),
    ("CLUSTERDOWN", "cluster"),
    ("MOVED", "cluster"),
    ("TRYAGAIN", "cluster"),
    ("CROSSSLOT", "cluster"),
    ("WRONGTYPE", "data"),
)


# redis-py takes their codes away from what it says.
_OF_CLUSTERS: Final = (
    exceptions.AskError,  # and MovedError, which is one
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.ClusterCrossSlotError,
)


def _kind_by_code(text: str) -> str | None:
    for code, kind in _CODES:
        if code in text:
            return kind
    return None
