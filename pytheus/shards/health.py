"""The failures of a registry of several processes: counted, logged, exposed.

Each family is exposed as soon as it has something to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pytheus.definitions import Definition
from pytheus.exceptions import ShardStoreError
from pytheus.lazy import logger
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.registry.contract import Collector

__all__ = ["Failure", "ShardHealth", "Step"]

Step = Literal["publish", "read", "merge", "fold", "fork"]

_MAX_REMEMBERED: Final = 1000


class Failure(NamedTuple):
    """Something that a store skipped in a scrape, and why.

    >>> Failure("shard-4711", "it ends 3 bytes into a record").subject
    'shard-4711'
    """

    subject: str
    """A file or a key. Each subject is logged once for each reason."""
    reason: str


class ShardHealth:
    """The failures of one registry and its store.

        >>> health = ShardHealth("<MyStore of 'shop'>")
        >>> health.failed("publish", ShardStoreError("timeout", "no answer in 2 s"))
        >>> [metric.name for metric in health.collectors()]
        ['pytheus_shard_failures_total']

    `subject` names the store in the log. The registry reports the errors that `ShardStore.publish` and
    `ShardStore.read` raise; a store that has a thread of its own reports that thread's errors (see `HasHealth`). May be
    used from any thread.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._failures = Counter(
            "pytheus_shard_failures_total",
            "Steps that failed between this process and its store of shards.",
            ["step", "reason"],
            registry=None,
        )
        self._skipped = Gauge("pytheus_shards_skipped", "Shards that the last scrape could not read.", registry=None)
        self._conflicts = Gauge(
            "pytheus_shard_conflicts",
            "Metrics that the last scrape left out because another process defines them differently.",
            registry=None,
        )
        self._metrics: Final[tuple[Counter | Gauge, ...]] = (self._failures, self._skipped, self._conflicts)
        self.occupied_names: Final = tuple(name for each in self._metrics for name in each.definition.occupied_names)
        """Every name that these metrics produce in some exposition format, exposed or not yet."""
        self._exposed: set[str] = set()
        # By step: the reason that was logged, until the step succeeds.
        self._failing: dict[Step, str] = {}
        self._logged: set[tuple[object, ...]] = set()

    def failed(self, step: Step, error: BaseException) -> None:
        """Count a failure, and log it unless the step has been failing for that reason.

        The reason is `ShardStoreError.reason`, or the name of the error's class. Where two steps fail for the same
        reason of a `ShardStoreError`, as for a server that does not answer, one of them is logged.
        """
        expected = isinstance(error, ShardStoreError)
        reason = error.reason if isinstance(error, ShardStoreError) else type(error).__name__
        self._failures.labels(step, reason).inc()
        self._exposed.add(self._failures.name)
        is_known = self._failing.get(step) == reason or (expected and reason in self._failing.values())
        if not is_known:
            self._failing[step] = reason
            logger("pytheus.shards").error(
                "%s failed to %s: %s; until it succeeds again, failures are only counted, in %s",
                self._subject,
                step,
                str(error),  # because a log record that is kept would keep the frames of the traceback
                self._failures.name,
                exc_info=None if expected else error,
            )

    def succeeded(self, step: Step) -> None:
        """Log a success if a failure of the step was logged before."""
        if self._failing.pop(step, None) is not None:
            logger("pytheus.shards").warning("%s succeeded to %s again", self._subject, step)

    def scraped(self, skipped: Sequence[Failure], conflicts: Sequence[tuple[Definition | None, Definition]]) -> None:
        """Report the shards and definitions that a scrape left out. Each is logged once."""
        if skipped:
            self._exposed.add(self._skipped.name)
        if conflicts:
            self._exposed.add(self._conflicts.name)
        self._skipped.set(len(skipped))
        self._conflicts.set(len(conflicts))
        for failure in skipped:
            if self._is_new(failure):
                logger("pytheus.shards").warning(
                    "%s is skipped: %s; counted in %s", failure.subject, failure.reason, self._skipped.name
                )
        for exposed, left_out in conflicts:
            if self._is_new((str(exposed), str(left_out))):
                logger("pytheus.shards").warning(
                    "%s of another process conflicts with %s and is left out, counted in %s;"
                    " rename one of them, or define both alike",
                    left_out,
                    "another collector of this one" if exposed is None else exposed,
                    self._conflicts.name,
                )

    def _is_new(self, subject: tuple[object, ...]) -> bool:
        if subject in self._logged or len(self._logged) >= _MAX_REMEMBERED:
            return False
        self._logged.add(subject)
        return True

    @property
    def has_failed(self) -> bool:
        """Whether any step has ever failed."""
        return self._failures.name in self._exposed

    def collectors(self) -> list[Collector]:
        """The metrics that have something to tell."""
        return [metric for metric in self._metrics if metric.name in self._exposed]
