"""The numbers of one shard at one moment, and which process they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pytheus.registry.capabilities import HasRows
from pytheus.shards.layout import Layout

__all__ = ["ShardIdentity", "Snapshot", "snapshot_of"]


class ShardIdentity(NamedTuple):
    """Which process a shard belongs to, and since when.

    No two shards have the same token.

    >>> print(ShardIdentity("web-1", 4711, 1_790_000_000_000_000_000, "89abcdef01234567"))
    process 4711 on web-1, shard 89abcdef
    """

    host: str
    """The machine's name."""
    pid: int
    started_ns: int
    """When the shard began, in nanoseconds since the Unix epoch."""
    token: str
    """16 random hexadecimal digits, unless a store makes its own tokens."""

    @classmethod
    def of_this_process(cls) -> ShardIdentity:
        """A new identity of this process, as of now."""
        import os
        import socket
        import time

        return cls(socket.gethostname(), os.getpid(), time.time_ns(), os.urandom(8).hex())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, shard {self.token[:8]}"


class Snapshot(NamedTuple):
    """The numbers of one shard at one moment.

    >>> identity = ShardIdentity("web-1", 4711, 1_790_000_000_000_000_000, "89abcdef01234567")
    >>> Snapshot(identity, True, Layout(), []).base is None
    True
    """

    identity: ShardIdentity
    live: bool
    """Whether its process is alive. The shard of a process that has ended counts as if it were in the archive."""
    layout: Layout
    """The same object from scrape to scrape while it only grows, because the merge keeps its index of the layout.

    It changes only within `ShardStore.read`, so it is never the layout that this process's threads write.
    """
    numbers: Sequence[float]
    """Flat, at least ``layout.size`` long, and never changed afterwards: a list or an ``array("d")``, not a view."""
    base: Sequence[float] | None = None
    """The numbers that an archive already holds, to be subtracted from sums; may be shorter than `numbers`.

    A shard has them if its process was taken for dead and folded, and came back with its counts.
    """


def snapshot_of(identity: ShardIdentity, metrics: Iterable[HasRows]) -> Snapshot:
    """The current numbers of `metrics` as a live shard with a layout of its own.

    >>> from pytheus import Counter
    >>> hits = Counter("hits_total", "Hits.", registry=None)
    >>> hits.inc(3)
    >>> snapshot_of(ShardIdentity("web-1", 71, 1, "89abcdef01234567"), [hits]).numbers
    [3.0]
    """
    layout = Layout()
    numbers: list[float] = []
    for metric in metrics:
        definition = layout.add_definition(metric.definition)
        for row in metric.rows():
            number = layout.add_series(definition, row.labels, len(numbers), row.created or 0.0)
            numbers += row.numbers
            if row.info is not None:
                layout.set_info(number, row.info)
            for slot, exemplar in (row.exemplars or {}).items():
                layout.set_exemplar(number, slot, exemplar)
    return Snapshot(identity, True, layout, numbers)
