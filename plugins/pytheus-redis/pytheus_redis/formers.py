"""The shards that this process had before the one that it has, and what of its numbers an archive holds through them.

A process that was silent for too long is taken for dead, and its shard is folded into the archive. When it wakes up it
begins a new shard, with all its numbers as they are, and says which of them are in the archive already: its *base*.
Those are what its former shard held, which this process knows by itself. Redis only has to tell which publication was
the last that arrived, and that needs a few bytes.

Which former shards were folded is asked again each time when a new one begins, for a server that took over from
another may have lost the latest changes, and with them a folding.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.kinds import MergeRule
from pytheus.shards import Layout, includes_dead, merge_rule_of
from pytheus_redis.image import Image, Piece
from pytheus_redis.keys import ShardKeys

__all__ = ["ABSENT", "LIVE", "VOID", "Former", "Publication", "base_for", "laid_out_as"]

LIVE: Final = "live"
VOID: Final = "void"
"""Of a shard that was replaced, so that a message of it that arrives late changes nothing."""
ABSENT: Final = ""


class Publication(NamedTuple):
    """A piece on its way, and the name by which Redis remembers that it arrived."""

    attempt: str
    piece: Piece


class Former:
    """A shard that this process had, with all that is needed to tell what it held."""

    __slots__ = ("acknowledged", "epoch", "folded_at", "heard_ms", "image", "keys", "queue", "unsure")

    def __init__(
        self,
        keys: ShardKeys,
        image: Image,
        acknowledged: str,
        queue: Sequence[Publication],
        epoch: str,
        heard_ms: int,
        *,
        unsure: bool,
    ) -> None:
        self.keys: ShardKeys = keys
        self.image: Image = image
        self.acknowledged: str = acknowledged
        """The last publication that is known to have arrived."""
        self.queue: list[Publication] = list(queue)
        """Those after it."""
        self.unsure: bool = unsure
        """Whether the first of those may have arrived."""
        self.epoch: str = epoch
        self.heard_ms: int = heard_ms
        """Redis's time when it answered last."""
        self.folded_at: str | None = None
        """The last publication that had arrived when the shard was folded, as far as is known."""

    def was_folded(self, state: str, epoch: str, now_ms: int, remember_seconds: float) -> bool:
        """Whether `state`, what Redis says of this shard, means that an archive holds its numbers."""
        if state not in (LIVE, VOID, ABSENT):
            self.folded_at = state
            return True
        if state != ABSENT or epoch != self.epoch:
            return False
        # The note of a folding expires. Then it is taken for granted, with all that may have arrived: what was under
        # way at that moment may be missing, but nothing counts twice.
        if now_ms - self.heard_ms < remember_seconds * 1000:
            return False
        if self.folded_at is None:
            self.folded_at = self.queue[0].attempt if self.unsure and self.queue else self.acknowledged
        return True

    def numbers_when_folded(self) -> array[float]:
        """What the archive got."""
        pieces = [publication.piece for publication in self.queue]
        if self.queue and self.folded_at == self.queue[0].attempt:
            del pieces[0]
        return self.image.numbers_before(pieces)


def laid_out_as(image: Image, former: Layout, numbers: Sequence[float]) -> array[float]:
    """`numbers`, which are laid out as in `former`, as they lie in `image`; zeros for what is not among them.

    Metrics are told by what they are, for those of a layout that was read are not those of this process.
    """
    there = {(str(slot.definition), slot.labels): slot for _, slot in former.entries()}
    laid_out = array("d", bytes(8 * len(image.numbers)))
    for _, slot in image.layout.entries():
        found = there.get((str(slot.definition), slot.labels))
        if found is not None:
            laid_out[slot.offset : slot.offset + slot.size] = array(
                "d", numbers[found.offset : found.offset + slot.size]
            )
    return laid_out


def base_for(image: Image, former: Former) -> array[float] | None:
    """What of the numbers in `image` is in an archive through `former`; None for nothing."""
    numbers = former.numbers_when_folded()
    base = array("d", bytes(8 * len(image.numbers)))
    there = image.layout
    anything = False
    for _, slot in former.image.layout.entries():
        definition = slot.definition
        if merge_rule_of(definition) is not MergeRule.SUM or not includes_dead(definition):
            continue
        # The very object: a metric that was made anew has counted anew.
        number = there.find_definition(definition)
        found = None if number is None else there.find_series(number, slot.labels)
        if found is not None:
            offset = there.offsets[found]
            base[offset : offset + slot.size] = numbers[slot.offset : slot.offset + slot.size]
            anything = True
    return base if anything else None
