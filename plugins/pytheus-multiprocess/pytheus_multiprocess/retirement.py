"""Series that leave a living process's shard, and count in the archive from then on.

Rules:

- Nothing else changes the shard meanwhile, because its lock is held. So a new series of the same labels gets numbers of
  its own, and waits for a moment.
- The archive with the numbers, and with the list of the series that have left, replaces the former one in one step.
  From then on readers skip these series in the shard. Then the shard removes them, so that their space is used again.
- If the process is killed in between, readers skip them until its shard is folded, which skips them too.
- A reader that has read the shard before, and the archive after, sees that the archive was replaced, and applies the
  list to the shard as it was.
- The list refers to one generation of the shard's index, because a new index has other numbers, and none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from pytheus.shards import Snapshot

__all__ = ["Absorb", "Retirable", "Retired"]


class Retired(NamedTuple):
    """The series of a living shard that count in the archive, by their numbers in one generation of its index."""

    generation: int
    series: Sequence[int]


class Retirable(NamedTuple):
    """Series that leave a shard, with their numbers, and how its file knows those that it has."""

    snapshot: Snapshot
    generation: int
    series: Sequence[int]


Absorb: TypeAlias = Callable[[Callable[[], Retirable]], bool]
"""Moves the series that its argument takes into the archive; False if that is not possible now."""
