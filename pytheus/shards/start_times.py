"""When each series of a layout began at zero.

Rules:

- Start times are a column of the layout: whole milliseconds since the Unix epoch by series number, 0 if unknown. Only
  formats that show start times need them, so the column of a long record stays encoded until it is read.
- A record has the start times of its series in one item, apart from their labels, so that equal labels of several
  processes are equal bytes: nil if none is known, the time if all began in the same millisecond, or else a list of the
  first time and of each one's difference to the one before.
- A column of another process that makes no sense is unknown, and costs nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import msgspec

__all__ = ["NEVER", "NO_START_TIMES", "StartTimes", "StartTimesItem", "encoded_start_times", "start_times_of"]

NEVER: Final = float("inf")
"""In a list of start times: unknown, or of a series that is not there."""

NO_START_TIMES: Final = b"\xc0"
"""The encoded item of series of which no start time is known."""

_TIME_LIMIT: Final = 1 << 48

StartTimesItem = int | list[int] | None
"""The start times of a record's series, as the record has them."""

_decode: Final = msgspec.msgpack.Decoder(StartTimesItem).decode


def encoded_start_times(milliseconds: Sequence[int]) -> StartTimesItem:
    """Return the item of a record with series that began at these times.

    >>> encoded_start_times([5000, 5000]), encoded_start_times([5000, 5003, 5001]), encoded_start_times([0])
    (5000, [5000, 3, -2], None)
    """
    if not milliseconds:
        return None
    first = milliseconds[0]
    if len(milliseconds) == 1 or milliseconds.count(first) == len(milliseconds):
        return first or None
    return [first, *[after - before for before, after in pairwise(milliseconds)]]


def start_times_of(item: StartTimesItem, count: int) -> list[int]:
    """Return the times of a record's `count` series, all 0 if its item makes no sense.

    >>> start_times_of([5000, 3, -2], 3), start_times_of([5000], 3)
    ([5000, 5003, 5001], [0, 0, 0])
    """
    if isinstance(item, int):
        times = [item] * count
    else:
        times = list(accumulate(item or ()))
    if len(times) != count or (times and not 0 <= min(times) <= max(times) < _TIME_LIMIT):
        return [0] * count
    return times


class StartTimes:
    """The start times of a layout's series, by series number.

        >>> times = StartTimes()
        >>> times.put(2, 1_790_000_000.25)
        >>> times.pick(range(3))
        [0, 0, 1790000000250]

    One thread at a time may change it; others may read it meanwhile, because reading changes nothing.
    """

    __slots__ = ("_parts", "_replaced", "_times")

    def __init__(self) -> None:
        # By series number: the latest time of those that were created again; a new one in each change.
        self._replaced: dict[int, int] = {}
        # Shorter than the layout if the last ones are unknown or encoded.
        self._times: array[int] = array("q")
        # Of each record whose times are encoded: the number of the first series, how many there are, and its item.
        self._parts: list[tuple[int, int, bytes]] = []

    def put(self, number: int, created: float) -> None:
        """Set when a series began, in seconds since the Unix epoch; 0.0 if it is unknown."""
        if created:
            self.put_times(number, (round(created * 1000),))

    def put_times(self, first: int, milliseconds: Sequence[int]) -> None:
        """Set the times of the series from number `first` on."""
        times = self._times
        if len(times) < first:
            times.extend([0] * (first - len(times)))
        times[first : first + len(milliseconds)] = array("q", milliseconds)

    def put_encoded(self, first: int, count: int, item: bytes) -> None:
        """Set the times of `count` series from number `first` on, as a record has them."""
        if item != NO_START_TIMES:
            self._parts.append((first, count, item))

    def replace(self, number: int, created: float) -> None:
        """Set when a series that is there already began, because it was created again."""
        self._replaced = {**self._replaced, number: round(created * 1000)}

    @property
    def replaced(self) -> dict[int, int]:
        """By series number, the times that `replace` has set; another object after each change."""
        return self._replaced

    def read(self, first: int, end: int, parts_read: int = 0) -> tuple[list[int], int]:
        """Return the times of the series from number `first` up to `end`, in milliseconds, and a mark.

        A later call for the series from `end` on takes the mark as `parts_read`, and decodes none of the same records.
        """
        times = self._times[first:end].tolist()
        times += [0] * (end - first - len(times))
        for start, count, item in self._parts[parts_read:]:
            if start + count > end:
                break
            parts_read += 1
            try:
                decoded = start_times_of(_decode(item), count)
            except msgspec.MsgspecError:
                continue
            times[start - first : start - first + count] = decoded
        for number, milliseconds in self._replaced.items():
            if first <= number < end:
                times[number - first] = milliseconds
        return times, parts_read

    def pick(self, numbers: Sequence[int]) -> list[int]:
        """Return the times of the series with these numbers, in milliseconds."""
        times: Sequence[int] = self._times
        if numbers and (self._parts or self._replaced):
            times, _ = self.read(0, max(numbers) + 1)
        length = len(times)
        return [times[number] if number < length else 0 for number in numbers]

    def copy(self, count: int) -> StartTimes:
        """Return the start times of the first `count` series, which grow by themselves."""
        other = StartTimes()
        other.put_times(0, self.read(0, count)[0])
        return other
