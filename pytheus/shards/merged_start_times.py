"""When merged series began: the earliest start time that any process or the archive has.

It is computed if a format asks for it. The result is kept for the next scrape, because most series of most shards are
those of the scrape before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.shards.layout import Layout
from pytheus.shards.merge_cache import ABSENT_NUMBERS, Positions
from pytheus.shards.start_times import NEVER

__all__ = ["MergedStartTimes", "StartTimesColumn"]

_PADDING: Final = [NEVER] * len(ABSENT_NUMBERS)


class StartTimesColumn(NamedTuple):
    """A shard's layout, and where its series are in the vector of sums that include ended processes."""

    layout: Layout
    positions: Positions
    series_count: int
    replaced: dict[int, int]
    """As `StartTimes.replaced` at the moment of the merge."""


class _KnownLayout(NamedTuple):
    layout: Layout
    series_read: int
    parts_read: int
    replaced: dict[int, int]
    starts: list[float]
    """By offset of a number: the start time of its series, in milliseconds; then those of absent series."""


class MergedStartTimes:
    """The merged start times of a merger, from scrape to scrape. May be used from any thread."""

    __slots__ = ("_known", "_latest")

    def __init__(self) -> None:
        # Both are replaced, and never changed.
        self._known: dict[int, _KnownLayout] = {}
        self._latest: tuple[Sequence[StartTimesColumn], int, list[float]] = ((), 0, [])

    def vector(self, columns: Sequence[StartTimesColumn], length: int) -> list[float]:
        """Return when the series at each position began, in milliseconds since the Unix epoch; `NEVER` if unknown."""
        former, former_length, starts = self._latest
        if former_length == length and former == columns:
            return starts
        known: dict[int, _KnownLayout] = {}
        gathered: list[Sequence[float]] = []
        for column in columns:
            key = id(column.layout)
            known[key] = layout = _caught_up(self._known.get(key), column)
            gathered.append(column.positions.gather(length, layout.starts, NEVER))
        starts = list(gathered[0]) if len(gathered) == 1 else list(map(min, *gathered)) if gathered else []
        self._known = known
        self._latest = (columns, length, starts)
        return starts


def _caught_up(known: _KnownLayout | None, column: StartTimesColumn) -> _KnownLayout:
    """`known` with the series that were added since."""
    layout = column.layout
    if known is None or known.layout is not layout or known.replaced is not column.replaced:
        known = _KnownLayout(layout, 0, 0, column.replaced, _PADDING)
    first, end = known.series_read, column.series_count
    if first >= end:
        return known
    times, parts_read = layout.start_times.read(first, end, known.parts_read)
    starts = known.starts[: -len(_PADDING)]
    starts += [NEVER] * (layout.size - len(starts))
    if any(times):
        size = len(starts)
        for offset, time in zip(layout.offsets[first:end].tolist(), times, strict=True):
            if 0 <= offset < size:
                starts[offset] = time or NEVER
    return _KnownLayout(layout, end, parts_read, known.replaced, starts + _PADDING)
