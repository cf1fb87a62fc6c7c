"""This process's earlier shards, and which of their numbers the archive contains.

A process that is silent for too long is taken for dead, and its shard is folded into the archive. When it continues, it
begins a new shard with all its numbers, and declares which of them are in the archive already: its *base*. The base is
the content of its previous shard, which this process still knows; Redis tells which publication arrived last.

Each time a new shard begins, Redis is asked again which previous shards were folded, because a server that took over
from another may have lost the latest changes, and a folding with them.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.shards import MergeRule, SeriesEntry, includes_dead, merge_rule_of
from pytheus_redis.ended_shard import EndedShard
from pytheus_redis.keys import ShardKeys
from pytheus_redis.shard_mirror import Delta, ShardMirror

__all__ = ["ABSENT", "LIVE", "VOID", "PreviousShard", "Publication", "base_for"]

LIVE: Final = "live"
VOID: Final = "void"
"""The status of a shard that was replaced, so that a message for it that arrives late changes nothing."""
ABSENT: Final = ""


class Publication(NamedTuple):
    """Deltas that become visible at once, and the name by which Redis remembers that they did."""

    attempt: str
    deltas: Sequence[Delta]
    ended: EndedShard | None = None
    """The rows of ended series that become visible elsewhere at once."""


@dataclasses.dataclass(slots=True, eq=False)
class PreviousShard:
    """A shard that this process had, with everything needed to tell its content."""

    keys: ShardKeys
    mirror: ShardMirror
    epoch: str
    heartbeat_ms: int
    """Redis's time at its last answer."""
    acknowledged: str = ""
    """The last publication that is known to have arrived."""
    pending: Publication | None = None
    """The publication after it."""
    maybe_applied: bool = False
    """Whether that one may have arrived."""
    folded_at: str | None = None
    """The last publication that had arrived when the shard was folded, as far as is known."""

    def was_folded(self, status: str, epoch: str, now_ms: int, remember_seconds: float) -> bool:
        """Whether the archive contains its numbers, given the status that Redis tells."""
        if status not in (LIVE, VOID, ABSENT):
            self.folded_at = status
            return True
        if status != ABSENT or epoch != self.epoch:
            return False
        # The note of a folding expires. After that time the shard counts as folded, with everything that may have
        # arrived: the publication of that moment may be missing, but nothing counts twice.
        if now_ms - self.heartbeat_ms < remember_seconds * 1000:
            return False
        if self.folded_at is None:
            self.folded_at = self.pending.attempt if self.maybe_applied and self.pending else self.acknowledged
        return True

    def numbers_when_folded(self) -> array[float]:
        """The numbers that the archive received."""
        pending = self.pending
        return self.mirror.numbers_before(
            [] if pending is None or self.folded_at == pending.attempt else pending.deltas
        )

    def series_when_folded(self) -> list[tuple[SeriesEntry, array[float]]]:
        """The series that the archive received, with their numbers."""
        numbers = self.numbers_when_folded()
        series = [
            (entry, numbers[entry.offset : entry.offset + entry.size]) for _, entry in self.mirror.layout.entries()
        ]
        pending = self.pending
        if pending is not None and pending.ended is not None and self.folded_at != pending.attempt:
            series += pending.ended.left
        return series

    def forget_base(self, ended: EndedShard) -> None:
        """Forget the series whose numbers in the archive are subtracted from `ended` from now on."""
        for entry, _ in ended.left:
            series = self.mirror.find(entry)
            if series is not None:
                self.mirror.layout.remove_series(series)
        other = None if self.pending is None else self.pending.ended
        if other is not None and other is not ended:
            gone = {(id(entry.definition), entry.labels) for entry, _ in ended.left}
            other.left = [each for each in other.left if (id(each.entry.definition), each.entry.labels) not in gone]


def base_for(mirror: ShardMirror, previous: PreviousShard) -> array[float] | None:
    """The numbers of `mirror` that the archive contains through `previous`, or None."""
    base = array("d", bytes(8 * len(mirror.numbers)))
    is_empty = True
    for series, numbers in previous.series_when_folded():
        definition = series.definition
        if merge_rule_of(definition) is not MergeRule.SUM or not includes_dead(definition):
            continue
        # The same object: a metric that was created again has counted from zero again.
        slot = mirror.find(series)
        if slot is not None:
            offset = mirror.layout.offsets[slot]
            base[offset : offset + series.size] = numbers
            is_empty = False
    return None if is_empty else base
