"""A series of numbers as a line of characters, and as a graph of several lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["graph", "resampled", "sparkline"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = ".:-=+*#@"
_GAP: Final = " "


def resampled(points: Sequence[tuple[float, float]], columns: int) -> list[float]:
    """Return one number per column, of `points` in the order of their times; NaN where there is no point.

    Each column is as long as the others and has the mean of its points. The last one ends with the last point. Columns
    are not shorter than the usual time between two points, so that few points fill few columns.

    >>> resampled([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0), (3.0, 7.0)], 2)
    [2.0, 6.0]
    >>> resampled([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0), (4.0, 7.0)], 80)
    [1.0, 3.0, 5.0, nan, 7.0]
    """
    if not points or columns <= 0:
        return []
    times = [at for at, _ in points]
    gaps = sorted([later - earlier for earlier, later in pairwise(times)])
    usual = gaps[len(gaps) // 2] if gaps else 0.0
    span = times[-1] - times[0]
    if usual > 0 and span / usual < columns - 0.5:
        columns = round(span / usual) + 1
        places = [round((at - times[0]) / usual) for at in times]
    else:
        places = [int((at - times[0]) / span * columns) if span > 0 else 0 for at in times]
        columns = columns if span > 0 else 1
    sums, counts = [0.0] * columns, [0] * columns
    for place, (_, value) in zip(places, points, strict=True):
        if math.isfinite(value):
            sums[min(place, columns - 1)] += value
            counts[min(place, columns - 1)] += 1
    return [total / count if count else math.nan for total, count in zip(sums, counts, strict=True)]


def sparkline(values: Sequence[float], *, from_zero: bool = False, ascii_only: bool = False) -> str:
    """Return one character per number, its height between the least, or zero, and the greatest; a space for NaN.

    >>> sparkline([0, 1, 2, 7]), sparkline([3, 3]), sparkline([3, 6], from_zero=True)
    ('▁▂▃█', '▁▁', '▅█')
    """
    bars = _ASCII_BARS if ascii_only else _BARS
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return _GAP * len(values)
    low, high = min(known), max(known)
    if from_zero:
        low = min(low, 0.0)
    span = high - low
    return "".join(
        [
            _GAP
            if not math.isfinite(value)
            else bars[0]
            if not 0 < span < math.inf
            else bars[min(len(bars) - 1, int((value - low) / span * len(bars)))]
            for value in values
        ]
    )


def graph(values: Sequence[float], height: int, *, ascii_only: bool = False) -> tuple[list[str], float, float]:
    """Return `height` lines with a bar per number, and the numbers at their lower and upper edge.

    >>> graph([0.0, 4.0, 8.0], 2, ascii_only=True)
    (['  #', ' ##'], 0.0, 8.0)
    """
    known = [value for value in values if math.isfinite(value)]
    if not known or height <= 0:
        return [_GAP * len(values)] * max(height, 0), 0.0, 0.0
    low, high = min(0.0, *known), max(0.0, *known) if min(known) < 0 else max(known)
    # Halves, because the difference of the largest numbers is infinite.
    half = high / 2 - low / 2
    steps = len(_BARS)
    rows: list[str] = []
    for row in range(height - 1, -1, -1):
        line: list[str] = []
        for value in values:
            if not math.isfinite(value):
                line.append(_GAP)
                continue
            share = (value / 2 - low / 2) / half if half > 0 else 0.0
            level = round(share * height * steps) - row * steps
            if level <= 0:
                line.append(_GAP)
            elif ascii_only:
                line.append("#" if level * 2 >= steps else _GAP if row else ".")
            else:
                line.append(_BARS[min(level, steps) - 1])
        rows.append("".join(line))
    return rows, low, high
