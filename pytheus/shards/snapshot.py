"""What a store reads for a scrape: shards as they stand, and the archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout

__all__ = ["Snapshot"]


class Snapshot(NamedTuple):
    """One shard's numbers as they stood at one moment.

    >>> identity = ShardIdentity("web-1", 4711, 1_790_000_000_000_000_000, "89abcdef01234567")
    >>> Snapshot(identity, True, Layout(), []).base is None
    True
    """

    identity: ShardIdentity
    live: bool
    """Whether its process is alive. One that is not counts as if it were folded already."""
    layout: Layout
    """The same object from scrape to scrape while it only grows, so that what was made of it can be kept.

    It changes within `ShardStore.read` and at no other time, so it is not the one that this process's threads write.
    """
    numbers: Sequence[float]
    """Flat, at least ``layout.size`` long. Not changed any more: a list or an ``array("d")``, and no live view."""
    base: Sequence[float] | None = None
    """What of the numbers an archive holds already, to be subtracted from what adds up; may end before them.

    For a process that was taken for dead and folded, and came back with its counts.
    """
