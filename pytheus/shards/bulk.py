"""Brings whole columns of numbers together, in steps that run at C's speed.

Each takes one sequence of numbers per shard, in which the same place means the same number, and gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from math import fsum, inf, isnan, nan
from typing import Final

from pytheus.kinds import MergeRule
from pytheus.shards.exact import exact_sum
from pytheus.turns import Turns

__all__ = ["combined", "is_better"]

# So many numbers of all shards together take about a millisecond; between them other threads get their turn.
_NUMBERS_AT_ONCE: Final = 50_000

Columns = Sequence[Sequence[float]]


def combined(rule: MergeRule, columns: Columns) -> list[float]:
    """The numbers of all columns brought together in that rule; of "last" gauges value and time take turns."""
    if not columns:
        return []
    if len(columns) == 1:
        return list(columns[0])
    step = _step(rule)
    length = len(columns[0])
    # Even, so that no value is torn from its time.
    at_once = max(2, _NUMBERS_AT_ONCE // len(columns) // 2 * 2)
    if length <= at_once:
        return step(columns)
    turns = Turns()
    totals: list[float] = []
    for start in range(0, length, at_once):
        totals += step([column[start : start + at_once] for column in columns])
        turns.offer()
    return totals


def _step(rule: MergeRule) -> Callable[[Columns], list[float]]:
    if rule is MergeRule.MIN:
        return _least
    if rule is MergeRule.MAX:
        return _greatest
    return _latest if rule is MergeRule.LAST else _sums


def _sums(columns: Columns) -> list[float]:
    try:
        return list(map(fsum, zip(*columns, strict=True)))
    except (OverflowError, ValueError):  # one of them; see exact.py
        return [exact_sum(values) for values in zip(*columns, strict=True)]


# NaN compares to nothing, so that what `min` gives would depend on the order. It counts only where there is nothing
# else but the infinity that also stands for what a shard does not have.


def _least(columns: Columns) -> list[float]:
    if not any(map(isnan, chain.from_iterable(columns))):
        return list(map(min, *columns))
    totals: list[float] = []
    for values in zip(*columns, strict=True):
        least = min([value for value in values if value == value], default=inf)
        totals.append(nan if least == inf and any(map(isnan, values)) else least)
    return totals


def _greatest(columns: Columns) -> list[float]:
    if not any(map(isnan, chain.from_iterable(columns))):
        return list(map(max, *columns))
    totals: list[float] = []
    for values in zip(*columns, strict=True):
        greatest = max([value for value in values if value == value], default=-inf)
        totals.append(nan if greatest == -inf and any(map(isnan, values)) else greatest)
    return totals


def is_better(rule: MergeRule, candidate: float, present: float) -> bool:
    """Whether `candidate` is the one of the two to keep, by the least or the greatest."""
    worst = inf if rule is MergeRule.MIN else -inf
    if candidate != candidate:
        return present == worst
    if present != present:
        return candidate != worst
    return candidate < present if rule is MergeRule.MIN else candidate > present


def _latest(columns: Columns) -> list[float]:
    # As pairs of time and value: the later one is the greater pair, and of two at the same time the greater value.
    pairs = [list(zip(column[1::2], column[0::2], strict=False)) for column in columns]
    totals: list[float] = []
    for time, value in map(max, *pairs):
        totals.append(value)
        totals.append(time)
    return totals
