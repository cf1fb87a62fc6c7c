"""The readings of the last minutes, as many as a bound of memory allows, and the increases between two of them.

Rules:

- A reading is a list of values by the position of their series. A series that is in no reading any more gives up its
  position.
- A counter that falls was reset, because its program started again: its value was added since. The same holds for
  a histogram or summary of which any count fell.
- Only observed increases count: a series adds nothing before its second reading.
- A reading of some families leaves the values of the others as they are not known.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from pytheus.top.arithmetic import fell, increase, total
from pytheus.top.values import Distribution, FamilyInfo, Series, Snapshot, Value

__all__ = ["History", "Increase", "Point"]

_READINGS_AT_MOST: Final = 300
_READINGS_AT_LEAST: Final = 12
_NUMBERS_AT_MOST: Final = 1_500_000


class Point(NamedTuple):
    """The value of a series at a moment, in seconds of one clock."""

    at: float
    value: Value


class Increase(NamedTuple):
    """The increase of a series in `seconds`."""

    value: Value
    seconds: float

    @property
    def per_second(self) -> float:
        """The rate of a counter, or that of a distribution's observations."""
        amount = self.value.observations if isinstance(self.value, Distribution) else self.value
        return amount / self.seconds if self.seconds > 0 else math.nan


class _Reading:
    __slots__ = ("at", "families", "size", "values")

    def __init__(
        self, at: float, values: list[Value | None], size: int, families: frozenset[str] | None = None
    ) -> None:
        self.at: Final = at
        self.values: Final = values
        self.size: Final = size
        # The families that were read; None for all.
        self.families: Final = families

    def get(self, position: int) -> Value | None:
        return self.values[position] if position < len(self.values) else None


class History:
    """The readings of one target. Not thread-safe.

    >>> history = History()
    >>> family, hits = FamilyInfo("hits_total", "counter"), Series("hits_total", "hits_total", ())
    >>> for second, hits_now in enumerate([10.0, 14.0, 3.0]):
    ...     history.add(float(second), Snapshot((family,), [hits], [hits_now]))
    >>> history.increase(hits, 60)
    Increase(value=7.0, seconds=2.0)
    """

    def __init__(self, numbers_at_most: int = _NUMBERS_AT_MOST) -> None:
        self.numbers_at_most: Final = numbers_at_most
        self._readings: deque[_Reading] = deque()
        self._positions: dict[Series, int] = {}
        self._free: list[int] = []
        # The numbers of the readings in which a series was seen last, and in which it was last reset.
        self._seen: list[int] = []
        self._resets: dict[int, int] = {}
        self.number: int = 0
        """The number of all readings so far."""
        self._order: tuple[Sequence[Series], list[int]] = ([], [])
        self.numbers: int = 0
        # The place of the start of a window, of the reading of that number.
        self._window = (0, 0.0, 0)
        self.families: dict[str, FamilyInfo] = {}
        """The families of the last whole reading, by name."""
        self.series: Sequence[Series] = []
        """The series of the last whole reading, in its order; the same object while none comes or goes."""

    def add(self, at: float, snapshot: Snapshot, names: Collection[str] = ()) -> None:
        """Add a reading, made at `at`, of the families of these names; without any, of all."""
        positions = self._positions_of(snapshot.series)
        values: list[Value | None] = [None] * len(self._seen)
        for position, value in zip(positions, snapshot.values, strict=True):
            values[position] = value
        self.number += 1
        number, seen = self.number, self._seen
        for position in positions:
            seen[position] = number
        self._note_resets(values)
        # Positions of series that came and went take memory as well.
        size = _size(snapshot.values) + len(values) - len(positions)
        self.numbers += size
        families = frozenset(names) if names else None
        self._readings.append(_Reading(at, values, size, families))
        if not names:
            self.families = {family.name: family for family in snapshot.families}
            self.series = snapshot.series
        self._trim()

    def _positions_of(self, series: Sequence[Series]) -> list[int]:
        known, positions = self._order
        if series is known:
            return positions
        positions = []
        taken = set[int]()
        for one in series:
            position = self._positions.get(one)
            if position is None:
                position = self._positions[one] = self._free.pop() if self._free else len(self._seen)
                if position == len(self._seen):
                    self._seen.append(0)
            positions.append(position)
            taken.add(position)
        if len(taken) < len(positions):
            # A series that is there twice has its last value.
            self._order = ([], [])
            return positions
        self._order = (series, positions)
        return positions

    def _note_resets(self, values: list[Value | None]) -> None:
        if not self._readings:
            return
        for position, (before, now) in enumerate(zip(self._readings[-1].values, values, strict=False)):
            # An unchanged value is often the same object.
            if before is not now and before is not None and now is not None and fell(before, now):
                self._resets[position] = self.number

    def _trim(self) -> None:
        readings = self._readings
        removed = False
        while len(readings) > _READINGS_AT_MOST or (
            len(readings) > _READINGS_AT_LEAST and self.numbers > self.numbers_at_most
        ):
            self.numbers -= readings.popleft().size
            removed = True
        if not removed:
            return
        oldest = self.number - len(readings) + 1
        gone = [one for one, position in self._positions.items() if self._seen[position] < oldest]
        for one in gone:
            position = self._positions.pop(one)
            self._resets.pop(position, None)
            self._free.append(position)
        if gone:
            self._order = ([], [])

    def __len__(self) -> int:
        """The number of readings."""
        return len(self._readings)

    @property
    def seconds(self) -> float:
        """The time from the first reading to the last one."""
        return self._readings[-1].at - self._readings[0].at if self._readings else 0.0

    def latest(self, series: Series) -> Value | None:
        """Return the last value of `series`, or None if no reading has it."""
        position = self._positions.get(series)
        if position is None:
            return None
        return next(
            (value for reading in reversed(self._readings) if (value := reading.get(position)) is not None), None
        )

    def is_current(self, series: Series) -> bool:
        """Return whether the last reading of its family has `series`."""
        position = self._positions.get(series)
        if position is None:
            return False
        for reading in reversed(self._readings):
            if reading.families is None or series.family in reading.families:
                return reading.get(position) is not None
        return False

    def points(self, series: Series, readings: int | None = None) -> list[Point]:
        """Return the values of `series` in the last `readings`, the oldest first."""
        position = self._positions.get(series)
        if position is None:
            return []
        last = islice(reversed(self._readings), readings)
        points = [Point(reading.at, value) for reading in last if (value := reading.get(position)) is not None]
        points.reverse()
        return points

    def increase(self, series: Series, window_seconds: float) -> Increase | None:
        """Return the increase of `series` in the last `window_seconds`, or None if that is not known.

        Begins at the last reading that is at least as old, or else at the first one, so that one interval is known.
        """
        position = self._positions.get(series)
        if position is None or len(self._readings) < 2:
            return None
        place = self._start(window_seconds)
        # Of most series the first and the last reading of the window are enough.
        first, last = self._readings[place], self._readings[-1]
        start, end = first.get(position), last.get(position)
        is_reset = self._resets.get(position, 0) > self.number - len(self._readings) + 1 + place
        if start is not None and end is not None and not is_reset and _has_native(start) == _has_native(end):
            return Increase(increase(start, end), last.at - first.at)
        points = [
            Point(reading.at, value)
            for reading in list(self._readings)[place:]
            if (value := reading.get(position)) is not None
        ]
        # The text formats leave the native buckets out.
        natives = [point for point in points if _has_native(point.value)]
        points = natives if len(natives) > 1 else points
        if len(points) < 2:
            return None
        added = total([increase(a.value, b.value) for a, b in _pairs(points)])
        return Increase(added, points[-1].at - points[0].at)

    def _start(self, window_seconds: float) -> int:
        """Return the place of the reading with which a window begins that ends with the last one."""
        number, seconds, place = self._window
        if number == self.number and seconds == window_seconds:
            return place
        readings = self._readings
        place = len(readings) - 2
        # The moments of readings are not exact.
        while place > 0 and readings[-1].at - readings[place].at < window_seconds * 0.95:
            place -= 1
        self._window = (self.number, window_seconds, place)
        return place

    def increases(self, series: Series, readings: int | None = None) -> list[tuple[float, Increase]]:
        """Return the moment of each of the last `readings` of `series`, and the increase since the one before."""
        return [
            (later.at, Increase(increase(earlier.value, later.value), later.at - earlier.at))
            for earlier, later in _pairs(self.points(series, readings))
        ]


def _has_native(value: Value) -> bool:
    return isinstance(value, Distribution) and value.native is not None


def _pairs(points: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    return zip(points, points[1:], strict=False)


def _size(values: Sequence[Value]) -> int:
    size = len(values)
    for value in values:
        if isinstance(value, Distribution):
            size += 4 + len(value.counts) + 2 * len(value.quantiles)
            if value.native is not None:
                size += 4 * (len(value.native.positive) + len(value.native.negative))
    return size
