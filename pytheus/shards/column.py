"""One shard as a merger sees it: for each place among the merged numbers, where its own number for it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, cast

from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout
from pytheus.shards.states import FamilyState

__all__ = ["LANES", "PADS", "Column"]

LANES: Final = 8

# What stands for a number that a shard does not have, by lane: nothing to add, and nothing that could be the least, the
# greatest or the latest. It is put behind the shard's numbers, and its place counted from there.
_PADDING: Final[list[float]] = [0.0, float("inf"), float("-inf")]
PADS: Final = (-3, -3, -2, -2, -1, -1, -1, -1)


class Column:
    """What a merger knows of one shard."""

    __slots__ = (
        "_getters",
        "applied",
        "each",
        "facts",
        "families",
        "identity",
        "layout",
        "live",
        "offsets",
        "present",
        "withdrawn",
    )

    def __init__(self, identity: ShardIdentity, live: bool, layout: Layout) -> None:
        self.identity: ShardIdentity = identity
        self.live: bool = live
        self.layout: Layout = layout
        self.applied: int = 0
        """How many slots of the layout were seen."""
        self.withdrawn: int = 0
        """How many of those that are gone were seen."""
        self.families: list[FamilyState | None] = []
        """By the definition's number; None where it does not count."""
        self.present: list[int] = []
        """By the definition's number: how many series there are of it."""
        self.offsets: list[list[int]] = [[] for _ in range(LANES)]
        """By lane, then by place there: which number of the shard it is."""
        self.facts: list[tuple[FamilyState, int]] = []
        """The slots of infos."""
        self.each: list[tuple[FamilyState, int]] = []
        """The slots of gauges in a mode of "each"."""
        self._getters: list[Callable[[list[float]], tuple[float, ...]] | None] = [None] * LANES

    def changed(self, lane: int) -> None:
        """To be called when `offsets` of that lane have changed."""
        self._getters[lane] = None

    def padded(self, numbers: Sequence[float]) -> list[float]:
        """`numbers`, which are laid out as this shard's, as `gather` takes them."""
        return [*numbers, *_PADDING]

    def gather(self, lane: int, cells: int, padded: list[float]) -> tuple[float, ...] | None:
        """The numbers for all places of a lane, or None if the shard has none of them."""
        offsets = self.offsets[lane]
        if not offsets:
            return None
        if len(offsets) < cells:
            offsets += [PADS[lane]] * (cells - len(offsets))
            self._getters[lane] = None
        getter = self._getters[lane]
        if getter is None:
            # Twice the last one, for with a single one it gives no tuple; nobody looks at places past the end.
            made = itemgetter(*offsets, offsets[-1])
            getter = self._getters[lane] = cast(Callable[[list[float]], tuple[float, ...]], made)
        return getter(padded)
