"""What a registry of several processes tells of itself: what failed, and what was left out.

Each family is there from the first time on that it has something to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from pytheus.definitions import Definition
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.registry.contract import Collector
from pytheus.shards.snapshot import Problem

if TYPE_CHECKING:
    import logging

__all__ = ["HEALTH_NAMES", "Health", "Step"]

Step = Literal["publish", "read", "merge", "fork"]

HEALTH_NAMES: Final = ("pytheus_shard_failures_total", "pytheus_shard_problems", "pytheus_shard_conflicts")
"""The families that may be there."""

_REMEMBERED_AT_MOST: Final = 1000


class Health:
    """The failures of one registry. One thread at a time, that which scrapes, tells of them."""

    def __init__(self) -> None:
        self._failures = Counter(
            HEALTH_NAMES[0], "What a scrape could not do with this process's store of shards.", ["step"], registry=None
        )
        self._problems = Gauge(
            HEALTH_NAMES[1], "What the last scrape skipped: shards that cannot be read.", registry=None
        )
        self._conflicts = Gauge(
            HEALTH_NAMES[2], "Metrics that the last scrape left out, for others define them differently.", registry=None
        )
        self._shown: set[str] = set()
        self._failing: set[Step] = set()
        self._logged: set[tuple[object, ...]] = set()

    def failed(self, step: Step, store: object, error: Exception) -> None:
        """Count a failure, and log it unless this step failed the last time already."""
        self._failures.labels(step).inc()
        self._shown.add(HEALTH_NAMES[0])
        if step not in self._failing:
            self._failing.add(step)
            _log().error(
                "%r failed to %s; until it succeeds again failures are only counted, in %s",
                store,
                step,
                HEALTH_NAMES[0],
                exc_info=error,
            )

    def succeeded(self, step: Step, store: object) -> None:
        """Log it if this step failed the last time."""
        if step in self._failing:
            self._failing.discard(step)
            _log().warning("%r succeeded to %s again", store, step)

    def found(self, problems: Sequence[Problem], conflicts: Sequence[tuple[Definition | None, Definition]]) -> None:
        """What this scrape left out. Each is logged once."""
        if problems:
            self._shown.add(HEALTH_NAMES[1])
        if conflicts:
            self._shown.add(HEALTH_NAMES[2])
        self._problems.set(len(problems))
        self._conflicts.set(len(conflicts))
        for problem in problems:
            if self._is_new(problem):
                _log().warning("%s is skipped: %s; counted in %s", problem.subject, problem.reason, HEALTH_NAMES[1])
        for exposed, left_out in conflicts:
            if self._is_new((str(exposed), str(left_out))):
                _log().warning(
                    "%s of another process conflicts with %s and is left out, counted in %s;"
                    " rename one of them, or define both alike",
                    left_out,
                    "another collector of this one" if exposed is None else exposed,
                    HEALTH_NAMES[2],
                )

    def _is_new(self, subject: tuple[object, ...]) -> bool:
        if subject in self._logged or len(self._logged) >= _REMEMBERED_AT_MOST:
            return False
        self._logged.add(subject)
        return True

    def collectors(self) -> list[Collector]:
        """The metrics that have something to tell."""
        metrics: tuple[Counter | Gauge, ...] = (self._failures, self._problems, self._conflicts)
        return [metric for metric in metrics if metric.name in self._shown]


def _log() -> logging.Logger:
    import logging  # loaded late: it costs more to import than the rest of the package

    return logging.getLogger("pytheus.shards")
