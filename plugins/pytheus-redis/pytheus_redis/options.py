"""The options of a Redis registry: how the server is reached, and time limits.

The plugin's name, which is the URL's scheme, says how the server is reached, as in redis-py and in Redis's own tools:

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]            one server
    rediss://...                                          over TLS
    redis+unix://[[USER]:PASSWORD@]/run/redis.sock?db=0   through a socket of this machine
    redis+sentinel://HOST[:PORT]/SERVICE[/DB]             the server that Sentinel calls the primary
    redis+cluster://HOST[:PORT]                           the node of a cluster that has the namespace's cluster slot
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import stat
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
"""The names of this plugin; each says how the server is reached."""

# No brace, because the namespace is the hash tag of the keys.
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.:/-]+", re.ASCII)
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)

_NO_HOST: Final = re.compile(r"[@/?#\s]")
# Sockets take no more milliseconds than an int of C has.
_MAX_TIMEOUT_SECONDS: Final = 10**6
# CONFIG SET databases takes no more.
_MAX_DATABASE: Final = 2**31 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RedisOptions:
    """The options of a Redis registry, as URL and configuration file name them.

        >>> options = RedisOptions(host="db.example", path="/2", namespace="shop", password="hunter2")
        >>> options.database, "hunter2" in repr(options)
        (2, False)

    Raises `ValueError` for an invalid value. Times are in seconds.
    """

    scheme: str = "redis"
    """How the server is reached, one of `SCHEMES`; not an option of the URL, which begins with it."""
    host: str = "127.0.0.1"
    port: int | None = None
    """6379, or Sentinel's 26379."""
    path: str | None = None
    """``/DB``, ``/SERVICE`` or ``/SERVICE/DB`` for Sentinel, or a socket's path."""
    username: str | None = dataclasses.field(default=None, repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)
    db: int | None = None
    """The database's number, if it is not in the path."""
    namespace: str = "pytheus"
    """Processes with the same namespace are merged; others on the same server do not see them."""
    prefix: str | None = None
    interval_seconds: float = 1.0
    """How often changed numbers are sent."""
    expiry_seconds: float = 30.0
    """How long a process may be silent before it is taken for dead."""
    timeout_seconds: float = 2.0
    """How long the server may take for one answer."""
    scrape_seconds: float = 5.0
    """How long a scrape waits for Redis before it shows the last reading, with this process's own numbers."""
    exit_seconds: float = 2.0
    """How long the last publication may delay the end of the process."""
    retry_seconds: float = 10.0
    """The longest pause between two attempts to reach an unavailable server."""
    remember_seconds: float = 86400.0
    """How long Redis remembers that a shard was folded, because its process may only have been paused."""
    series_expiry_seconds: float | None = None
    """A series that no process has had for this time is removed from the archive; None to keep all."""
    sentinels: tuple[str, ...] = ()
    """Further Sentinels, as HOST:PORT."""
    sentinel_username: str | None = dataclasses.field(default=None, repr=False)
    sentinel_password: str | None = dataclasses.field(default=None, repr=False)
    ca_file: str | None = None
    """The certificate authorities that the server's certificate is checked against; the system's by default."""
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = dataclasses.field(default=None, repr=False)
    verify: Literal["full", "certificate", "none"] = "full"
    """How a server's certificate is checked: "certificate" does not check its host name."""

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}")
        if _NAMESPACE.fullmatch(self.namespace) is None or len(self.namespace) > MAX_NAMESPACE_CHARACTERS:
            raise ValueError(
                f"namespace must be 1 to {MAX_NAMESPACE_CHARACTERS} of the letters, digits and '_.:/-'"
                f" but is {self.namespace!r:.120}"
            )
        for field in dataclasses.fields(self):
            if field.name.endswith("_seconds"):
                self._check_positive(field.name, getattr(self, field.name))
        if self.timeout_seconds > _MAX_TIMEOUT_SECONDS:
            raise ValueError(f"timeout_seconds must be at most {_MAX_TIMEOUT_SECONDS} but is {self.timeout_seconds:g}")
        if self.expiry_seconds < 3 * self.interval_seconds:
            raise ValueError(
                f"expiry_seconds must be at least three times interval_seconds, or a lost heartbeat makes a process"
                f" dead, but they are {self.expiry_seconds:g} and {self.interval_seconds:g}"
            )
        if not self.host and self.reached_by != "unix":
            raise ValueError("host must be a name or an address but is empty")
        if _NO_HOST.search(self.host):
            raise ValueError("host must be a name or an address but is a URL, or has a user name or password")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise ValueError(f"port must be from 1 to 65535 but is {self.port}")
        if not 0 <= self.database <= _MAX_DATABASE:
            raise ValueError(f"db must be from 0 to {_MAX_DATABASE} but is {self.database!r:.20}")
        if "@" in (self.path or ""):
            raise ValueError("the URL's path has an '@'; user name and password are written before the host and path")
        if self.reached_by == "unix" and not self.path:
            raise ValueError("redis+unix needs the socket's path: redis+unix:///run/redis.sock")
        if self.reached_by == "sentinel":
            _ = self.service
            _ = self.sentinel_addresses
        elif self.sentinels or self.sentinel_username or self.sentinel_password:
            raise ValueError(
                f"sentinel options need redis+sentinel or rediss+sentinel, but the scheme is {self.scheme}"
            )
        if not self.tls and (self.ca_file or self.cert_file or self.key_file or self.verify != "full"):
            raise ValueError(
                f"certificates need rediss, rediss+sentinel or rediss+cluster, but the scheme is {self.scheme}"
            )
        for name in ("ca_file", "cert_file", "key_file"):
            self._check_file(name, getattr(self, name))
        if self.reached_by == "cluster" and self.database != 0:
            raise ValueError("a cluster has only the database 0")

    @staticmethod
    def _check_positive(name: str, value: float | None) -> None:
        if value is not None and not (math.isfinite(value) and 0 < value <= 10**9):
            raise ValueError(f"{name} must be a number of seconds above 0 but is {value!r}")

    @staticmethod
    def _check_file(name: str, path: str | None) -> None:
        # Now, because a connection that fails later looks like an unavailable server.
        if path is not None:
            try:
                # Opening a named pipe would wait for its writer, and reading some devices never ends.
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
                try:
                    is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                finally:
                    os.close(descriptor)
            except (OSError, ValueError) as error:
                # The value is not shown, because it may be a key instead of the path of one.
                words = getattr(error, "strerror", None) or type(error).__name__
            else:
                words = "" if is_regular else "it is not a regular file"
            if words:
                raise ValueError(f"{name} must be the path of a file that can be read: {words}")

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
        if not (path.isascii() and path.isdigit() and len(path) <= len(str(_MAX_DATABASE))):
            # The path is not shown, because a password may have been written there.
            raise ValueError("the URL's path must be the number of a database, as in /0, but is another text")
        if self.db is not None and self.db != int(path):
            raise ValueError(f"the database is {int(path)} in the URL's path, but the option db says {self.db}")
        return int(path)

    @property
    def service(self) -> str:
        """The name by which Sentinel knows the primary."""
        service = (self.path or "").strip("/").partition("/")[0]
        if not service:
            raise ValueError("Sentinel needs a service's name: redis+sentinel://HOST:26379/SERVICE")
        return service

    @property
    def sentinel_addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each Sentinel."""
        addresses = [(self.host.strip("[]"), self.port or 26379)]
        for position, text in enumerate(self.sentinels, 1):
            parts = _HOST_AND_PORT.fullmatch(text)
            if parts is None:
                # It is not shown, because it may contain a password.
                raise ValueError(f"sentinels must be written HOST:PORT, separated by commas, but {position} is not")
            addresses.append((parts[1].strip("[]"), int(parts[2] or 26379)))
        return tuple(addresses)

    @property
    def redacted_url(self) -> str:
        """The server's address without credentials, for messages."""
        if self.reached_by == "unix":
            return f"{self.scheme}://{self.path}"
        return f"{self.scheme}://{self.host}{'' if self.port is None else f':{self.port}'}{self.path or ''}"
