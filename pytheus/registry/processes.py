"""The processes whose numbers a registry shows.

>>> from pytheus.shards import MemoryShardStore, ShardedRegistry
>>> registry = ShardedRegistry(MemoryShardStore())
>>> isinstance(registry, HasProcesses)
True
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

__all__ = ["HasProcesses", "ProcessInfo", "ProcessState"]

ProcessState = Literal["alive", "dead", "archive"]
"""Whether a process runs, has ended, or is one of those that have ended and whose numbers are kept as one."""


class ProcessInfo(NamedTuple):
    """A process that shares its numbers. Immutable.

    `id` tells it from others that had the same `pid`. `started` is in seconds since the Unix epoch by the clock of its
    `host`. `series` is the number of its series. The archive of ended processes has neither pid, host nor start.

        >>> ProcessInfo("89abcdef", 4711, "web-1", "alive", 1_790_000_000.0, 12).state
        'alive'
    """

    id: str
    pid: int | None
    host: str | None
    state: ProcessState
    started: float | None
    series: int


@runtime_checkable
class HasProcesses(Protocol):
    """A registry that shows the numbers of several processes, and tells which.

    Fallback: a registry without this capability shows its own process alone.
    """

    def processes(self) -> Sequence[ProcessInfo]:
        """Return the processes whose numbers the latest scrape has shown; empty before the first.

        Called after a scrape, from any thread. Must not block.
        """
        ...
