"""What a Redis registry is made from: how the server is reached, and how long things may take.

How a server is reached is the name's, as in redis-py and in Redis's own tools:

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]            one server
    rediss://...                                          over TLS
    redis+unix://[[USER]:PASSWORD@]/run/redis.sock?db=0   through a socket of this machine
    redis+sentinel://HOST[:PORT]/SERVICE[/DB]             the server that Sentinel calls the primary
    redis+cluster://HOST[:PORT]                           the node of a cluster that has the namespace's slot
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Final, Literal

from pytheus_redis.keys import MAX_NAMESPACE_CHARACTERS

__all__ = ["SCHEMES", "RedisOptions"]

SCHEMES: Final = (
    "redis",
    "rediss",
    "redis+unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
"""The names under which this plugin is found; they say how the server is reached."""

# No brace, for the namespace is the keys' hash tag.
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.:/-]+", re.ASCII)
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)


def _without_user(address: str) -> str:
    _, at, rest = address.rpartition("@")
    return f"***@{rest}" if at else address


@dataclasses.dataclass(frozen=True, kw_only=True)
class RedisOptions:
    """The options of a Redis registry, by the names that they have in its URL and in the configuration file.

        >>> options = RedisOptions(host="db.example", path="/2", namespace="shop", password="hunter2")
        >>> options.database, "hunter2" in repr(options)
        (2, False)

    Raises `ValueError` for a value that makes no sense. Times are in seconds.
    """

    scheme: str = "redis"
    """How the server is reached, one of `SCHEMES`; not an option of the URL, which begins with it."""
    host: str = "127.0.0.1"
    port: int | None = None
    """6379, or Sentinel's 26379."""
    path: str | None = None
    """``/DB``, ``/SERVICE`` or ``/SERVICE/DB`` for Sentinel, or a socket's path."""
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    db: int | None = None
    """The database's number, where the path does not say it."""
    namespace: str = "pytheus"
    """What the processes that are merged have in common; others on the same server see none of it."""
    prefix: str | None = None
    interval_seconds: float = 1.0
    """How often changed numbers are sent."""
    expiry_seconds: float = 30.0
    """How long a process may be silent before it is taken for dead."""
    timeout_seconds: float = 2.0
    """How long one answer of the server may take."""
    scrape_seconds: float = 5.0
    """How long a scrape waits for Redis before it shows what this process knows."""
    exit_seconds: float = 2.0
    """How long the last publication may hold up the end of the process."""
    retry_seconds: float = 10.0
    """The longest pause between two attempts to reach a server that is not there."""
    remember_seconds: float = 86400.0
    """How long Redis keeps the note that a shard was folded, for a process that was only paused."""
    series_expiry_seconds: float | None = None
    """When a series that no process has had for so long is left out of the archive; None for never."""
    sentinels: tuple[str, ...] = ()
    """Further Sentinels, as HOST:PORT."""
    sentinel_username: str | None = None
    sentinel_password: str | None = dataclasses.field(default=None, repr=False)
    ca_file: str | None = None
    """The certificates that the server's is checked against; the system's where there is none."""
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = dataclasses.field(default=None, repr=False)
    verify: Literal["full", "certificate", "none"] = "full"
    """What is checked of a server's certificate: "certificate" leaves its host name out."""

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)} but is {self.scheme!r}")
        if _NAMESPACE.fullmatch(self.namespace) is None or len(self.namespace) > MAX_NAMESPACE_CHARACTERS:
            raise ValueError(
                f"namespace must be 1 to {MAX_NAMESPACE_CHARACTERS} of the letters, digits and '_.:/-'"
                f" but is {self.namespace!r:.120}"
            )
        for name in (
            "interval_seconds",
            "expiry_seconds",
            "timeout_seconds",
            "scrape_seconds",
            "exit_seconds",
            "retry_seconds",
            "remember_seconds",
        ):
            self._check_positive(name, getattr(self, name))
        if self.series_expiry_seconds is not None:
            self._check_positive("series_expiry_seconds", self.series_expiry_seconds)
        if self.expiry_seconds < 3 * self.interval_seconds:
            raise ValueError(
                f"expiry_seconds must be at least three times interval_seconds, or a lost heartbeat makes a process"
                f" dead, but they are {self.expiry_seconds:g} and {self.interval_seconds:g}"
            )
        if not self.host and self.reached_by != "unix":
            raise ValueError("host must be a name or an address but is empty")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise ValueError(f"port must be from 1 to 65535 but is {self.port}")
        if self.database < 0:
            raise ValueError(f"db must not be negative but is {self.database}")
        if self.reached_by == "unix" and not self.path:
            raise ValueError("redis+unix needs the socket's path: redis+unix:///run/redis.sock")
        if self.reached_by == "sentinel":
            _ = self.service
            _ = self.sentinel_addresses
        elif self.sentinels or self.sentinel_username or self.sentinel_password:
            raise ValueError(f"sentinel options are for redis+sentinel and rediss+sentinel, not for {self.scheme}")
        if not self.tls and (self.ca_file or self.cert_file or self.key_file or self.verify != "full"):
            raise ValueError(f"certificates are for rediss, rediss+sentinel and rediss+cluster, not for {self.scheme}")
        for name in ("ca_file", "cert_file", "key_file"):
            self._check_file(name, getattr(self, name))
        if self.reached_by == "cluster" and self.database != 0:
            raise ValueError("a cluster has only the database 0")

    @staticmethod
    def _check_positive(name: str, value: float) -> None:
        if not (math.isfinite(value) and 0 < value <= 10**9):
            raise ValueError(f"{name} must be a number of seconds above 0 but is {value!r}")

    @staticmethod
    def _check_file(name: str, path: str | None) -> None:
        # At once, for a connection that fails for it looks like a server that is not there.
        if path is not None:
            try:
                open(path, "rb").close()
            except OSError as error:
                raise ValueError(f"{name} must be a file that can be read but {path!r} is none: {error}") from error

    @property
    def reached_by(self) -> str:
        """ "server", "unix", "sentinel" or "cluster"."""
        return self.scheme.partition("+")[2] or "server"

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme.startswith("rediss")

    @property
    def database(self) -> int:
        """The database's number, from the path or the option."""
        path = (self.path or "").strip("/")
        if self.reached_by == "sentinel":
            path = path.partition("/")[2]
        if self.reached_by == "unix" or not path:
            return self.db or 0
        if not (path.isascii() and path.isdigit()):
            raise ValueError(f"the URL's path must be the number of a database, as in /0, but is {self.path!r}")
        if self.db is not None and self.db != int(path):
            raise ValueError(f"the database is {int(path)} in the URL's path, but the option db says {self.db}")
        return int(path)

    @property
    def service(self) -> str:
        """What Sentinel calls the primary."""
        service = (self.path or "").strip("/").partition("/")[0]
        if not service:
            raise ValueError("Sentinel needs a service's name: redis+sentinel://HOST:26379/SERVICE")
        return service

    @property
    def sentinel_addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of every Sentinel."""
        addresses = [(self.host.strip("[]"), self.port or 26379)]
        for text in self.sentinels:
            parts = _HOST_AND_PORT.fullmatch(text)
            if parts is None:
                raise ValueError(
                    f"sentinels must be written HOST:PORT, separated by commas, but one is {_without_user(text)!r}"
                )
            addresses.append((parts[1].strip("[]"), int(parts[2] or 26379)))
        return tuple(addresses)

    @property
    def shown(self) -> str:
        """Where the server is, for messages, without credentials."""
        if self.reached_by == "unix":
            return f"{self.scheme}://{self.path}"
        return f"{self.scheme}://{self.host}{'' if self.port is None else f':{self.port}'}{self.path or ''}"
