"""Reduces the numbers of several shards to one, in steps that run at C's speed.

A number that is itself a sum of many is kept as *parts*: doubles whose exact sum it is. The first part is the sum,
rounded; the second is the rest, rounded; and so on. So equal sums have equal parts. An integer below 2**53 is one part,
and so are most numbers that programs count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import fsum, inf, isfinite, isnan, nan
from typing import Final

from pytheus.kinds import MergeRule
from pytheus.registry.storage import UNSET, is_unset
from pytheus.yielding import Yielder

__all__ = ["exact_sum", "is_better", "parts_of", "reduce_columns"]

# So many numbers of all shards together take about a millisecond; after them other threads get their turn.
_NUMBERS_AT_ONCE: Final = 50_000

Columns = Sequence[Sequence[float]]
"""One sequence of numbers per shard; the same index is the same number of the same series."""


def reduce_columns(rule: MergeRule, columns: Columns) -> list[float]:
    """All columns merged by `rule`; those of "last" are value and time in turn."""
    if not columns:
        return []
    if len(columns) == 1:
        return list(columns[0])
    step = _step(rule)
    length = len(columns[0])
    # Even, so that a value and its time stay together.
    at_once = max(2, _NUMBERS_AT_ONCE // len(columns) // 2 * 2)
    if length <= at_once:
        return step(columns)
    yielder = Yielder()
    totals: list[float] = []
    for start in range(0, length, at_once):
        totals += step([column[start : start + at_once] for column in columns])
        yielder.offer()
    return totals


def _step(rule: MergeRule) -> Callable[[Columns], list[float]]:
    if rule is MergeRule.MIN:
        return _least
    if rule is MergeRule.MAX:
        return _greatest
    return _latest if rule is MergeRule.LAST else _sums


# Minimum, maximum, latest ---------------------------------------------------------------------------------------------


# NaN is neither less nor greater than a number, so the result of `min` would depend on the order. NaN counts only if
# there is no number. `UNSET`, which also marks a number that a shard does not have, counts only if all are `UNSET`.


def _least(columns: Columns) -> list[float]:
    return _extremes(columns, min, inf)


def _greatest(columns: Columns) -> list[float]:
    return _extremes(columns, max, -inf)


def _extremes(columns: Columns, choose: Callable[..., float], worst: float) -> list[float]:
    with_nan = [any(map(isnan, column)) for column in columns]
    if not any(with_nan):
        return list(map(choose, *columns))
    numbers = [
        [number if number == number else worst for number in column] if has_nan else column
        for column, has_nan in zip(columns, with_nan, strict=True)
    ]
    totals = list(map(choose, *numbers))
    for position, total in enumerate(totals):
        if total == worst:
            values = [column[position] for column in columns]
            if worst not in values:
                totals[position] = UNSET if all(map(is_unset, values)) else nan
    return totals


def is_better(rule: MergeRule, candidate: float, present: float) -> bool:
    """Whether `candidate` is to be kept instead of `present`, by least or greatest."""
    if candidate != candidate:
        return is_unset(present)
    if present != present:
        return True
    return candidate < present if rule is MergeRule.MIN else candidate > present


def _latest(columns: Columns) -> list[float]:
    # As pairs of time and value: the later one is the greater pair, and of two at the same time the greater value.
    pairs = [list(zip(column[1::2], column[0::2], strict=False)) for column in columns]
    totals: list[float] = []
    for time, value in map(max, *pairs):
        totals.append(value)
        totals.append(time)
    return totals


# Exact sums -----------------------------------------------------------------------------------------------------------


def _sums(columns: Columns) -> list[float]:
    try:
        return list(map(fsum, zip(*columns, strict=True)))
    except (OverflowError, ValueError):  # raised for one of the sums; `exact_sum` handles it
        return [exact_sum(values) for values in zip(*columns, strict=True)]


def exact_sum(values: Iterable[float]) -> float:
    """The sum of `values`, correctly rounded.

        >>> exact_sum([0.1] * 10), exact_sum([1e308, 1e308, -1e308])
        (1.0, 1e+308)

    Infinite if no double holds it; NaN if there is a NaN among the values, or both infinities.
    """
    values = list(values)
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        # A partial sum was too large, or there are both infinities.
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
    from fractions import Fraction

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
