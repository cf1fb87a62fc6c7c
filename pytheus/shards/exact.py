"""Sums of doubles that are rounded once, whatever the order.

A number that is itself a sum of many is kept as *parts*: doubles whose exact sum it is, the first being that sum
rounded, the second what is missing from it, rounded, and so on. So equal sums have equal parts. A whole number below
2**53 is one part, and so is most of what programs count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, inf, isfinite, nan

__all__ = ["exact_sum", "parts_of"]


def exact_sum(values: Iterable[float]) -> float:
    """The sum of `values`, correctly rounded.

        >>> exact_sum([0.1] * 10), exact_sum([1e308, 1e308, -1e308])
        (1.0, 1e+308)

    Infinite where no double holds it; NaN for a NaN among them, and for both infinities.
    """
    values = list(values)
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        # What is in between was too large, or there are both infinities.
        return _slow_parts(values)[0]


def parts_of(values: Sequence[float]) -> list[float]:
    """The parts of the sum of `values`, at least one.

    >>> parts_of([1e16, 1.0])
    [1e+16, 1.0]
    """
    try:
        total = fsum(values)
        if not isfinite(total):
            return [total]
        parts = [total]
        rest = [*values, -total]
        while (missing := fsum(rest)) != 0.0:
            parts.append(missing)
            rest.append(-missing)
    except (OverflowError, ValueError):
        return _slow_parts(values)
    return parts


def _slow_parts(values: Sequence[float]) -> list[float]:
    from fractions import Fraction  # loaded late: for numbers near the largest double alone

    extremes = {value for value in values if not isfinite(value)}
    if extremes:
        return [extremes.pop() if len(extremes) == 1 else nan]
    total = sum(map(Fraction, values), Fraction(0))
    parts: list[float] = []
    while total or not parts:
        try:
            part = float(total)
        except OverflowError:
            return [inf if total > 0 else -inf]
        parts.append(part)
        total -= Fraction(part)
    return parts
