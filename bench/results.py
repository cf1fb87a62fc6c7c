"""The results of a run of the bench: the best of every figure, and whether the goals are reached."""

from __future__ import annotations

from collections.abc import Mapping

from bench.libraries import REFERENCE
from bench.rows import PER_CALL, Goal

__all__ = ["Results"]


class Results:
    """The figures of all libraries; of each the best that any round has brought.

    `added` is the sum that several threads added to one counter over all rounds, `lost` the part of it that the counter
    lacked in the end. `notes` explain the figures to a reader, `problems` are measurements that failed.
    """

    def __init__(self) -> None:
        self._raw: dict[str, dict[str, float]] = {}
        self.added: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.slowest_empty_ns: dict[str, float] = {}
        self.notes: list[str] = []
        self.problems: list[str] = []

    def add(self, column: str, figures: Mapping[str, float]) -> None:
        """Take in one process's figures."""
        best = self._raw.setdefault(column, {})
        for row, value in figures.items():
            if row in ("added", "lost"):
                total = self.added if row == "added" else self.lost
                total[column] = total.get(column, 0) + round(value)
                continue
            if row == "empty":
                self.slowest_empty_ns[column] = max(value, self.slowest_empty_ns.get(column, 0.0))
            best[row] = min(value, best.get(row, value))

    def value(self, column: str, row: str) -> float | None:
        """The figure in the row's unit, without the empty loop where that was timed along; None for a dash."""
        figures = self._raw.get(column, {})
        raw = figures.get(row)
        if raw is None or row not in PER_CALL:
            return raw
        # A call is never free: what is below the clock's resolution is shown as that.
        return max(raw - figures["empty"], 0.1)

    def ratio(self, column: str, row: str, against: str | float = REFERENCE, other: str = "") -> float | None:
        """How many times as good as `against`, a column or a figure: above 1 for the smaller figure.

        `other` is the row of `against`, where it is another one.
        """
        mine = self.value(column, row)
        theirs = self.value(against, other or row) if isinstance(against, str) else against
        return None if mine is None or theirs is None else theirs / mine

    def reached(self, goal: Goal, row: str) -> bool | None:
        """Whether the goal is reached; None where that was not measured."""
        ratio = self.ratio(goal.column, row, goal.against, goal.row)
        return None if ratio is None else ratio >= goal.least_ratio

    def empty_loop(self) -> tuple[float, float]:
        """Nanoseconds of the empty loop in Python, at best and in the worst round: the machine's noise."""
        python = [column for column in self.slowest_empty_ns if column != "go"]
        return (
            min((self._raw[column]["empty"] for column in python), default=0.0),
            max((self.slowest_empty_ns[column] for column in python), default=0.0),
        )
