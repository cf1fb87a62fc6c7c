"""Which process a shard is of, and since when."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ShardIdentity"]


class ShardIdentity(NamedTuple):
    """Whose numbers a shard holds. No two shards have the same token, also of processes with the same pid.

    >>> print(ShardIdentity("web-1", 4711, 1_790_000_000_000_000_000, "89abcdef01234567"))
    process 4711 on web-1, shard 89abcdef
    """

    host: str
    """The machine's name."""
    pid: int
    started_ns: int
    """When the shard began, in nanoseconds since the Unix epoch."""
    token: str
    """16 random hexadecimal digits, where a store does not give another one."""

    @classmethod
    def of_this_process(cls) -> ShardIdentity:
        """A new one, as of now. For a process's first shard, and for each further one, as after a fork."""
        import os  # loaded late, as the following: only what owns a shard needs them
        import socket
        import time

        return cls(socket.gethostname(), os.getpid(), time.time_ns(), os.urandom(8).hex())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, shard {self.token[:8]}"
