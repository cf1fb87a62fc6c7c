"""What is left of processes that are gone.

Rules:

- Sums are exact: a number is kept as doubles whose exact sum it is, most often one. The sum over everything is rounded
  once, when it is exposed, so that neither the order nor the grouping of processes shows in it.
- A shard is folded once: its token is kept until its own traces are gone.
- An archive is never changed; folding gives a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pytheus.shards.layout import Layout

if TYPE_CHECKING:
    from pytheus.shards.snapshot import Snapshot

__all__ = ["EACH_AT_MOST", "Archive", "fold"]

EACH_AT_MOST: Final = 1000
"""How many processes that are gone one gauge in the mode "each of all" shows; the oldest are dropped first."""


class Archive:
    """What shards that were folded add up to. Immutable by convention; may be read from any thread.

    >>> Archive().folded
    frozenset()
    """

    __slots__ = ("folded", "layout", "more", "numbers", "touched")

    def __init__(self) -> None:
        self.layout: Layout = Layout()
        """Where each series lies in `numbers`."""
        self.numbers: Sequence[float] = []
        self.more: dict[int, tuple[float, ...]] = {}
        """By offset: what a number is more than the double in `numbers`, for an exact sum that needs several."""
        self.touched: Sequence[float] = []
        """By slot number: when a process with that series was last folded, in seconds since the Unix epoch."""
        self.folded: frozenset[str] = frozenset()
        """The tokens of the shards that are in it."""

    def forget_folded(self, tokens: Iterable[str]) -> Archive:
        """Without the tokens of shards that have no traces left, so that nobody can fold them again."""
        raise NotImplementedError

    def expire(self, before: float, snapshots: Iterable[Snapshot]) -> Archive:
        """Without series that nothing was folded into since `before` (seconds since the Unix epoch).

        Those that any of `snapshots` has stay, so that no counter goes back that somebody counts on.
        """
        raise NotImplementedError

    def encode(self) -> bytes:
        """All of it as bytes, versioned and with a checksum."""
        raise NotImplementedError

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Archive:
        """What `encode` made bytes of; raises `ShardFormatError` for anything else."""
        raise NotImplementedError


def fold(archive: Archive, snapshots: Iterable[Snapshot], *, now: float | None = None) -> Archive:
    """`archive` with `snapshots` in it, and their tokens in `folded`.

    Snapshots whose tokens are in it already change nothing, whether their process is said to be alive does not matter,
    and their `base` is subtracted. `now` is what `touched` becomes, in seconds since the Unix epoch.
    """
    raise NotImplementedError
