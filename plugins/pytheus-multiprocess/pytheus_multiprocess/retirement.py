"""Series that leave a living process's shard, and count in the archive from then on."""

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
