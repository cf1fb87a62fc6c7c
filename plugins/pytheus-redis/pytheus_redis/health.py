"""What the registry tells of its own dealings with Redis: metrics, and one log line where something changes.

The metrics are there from the first time on that they have something to tell: how it goes, once something has gone
wrong, and how many processes there are, once there is more than one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final, Literal

from pytheus.metrics import Counter, Gauge
from pytheus.registry import Collector
from pytheus_redis.trouble import KINDS, Trouble

__all__ = ["Health"]

_logger = logging.getLogger("pytheus.redis")

Step = Literal["publish", "read"]

_FAILS: Final[dict[Step, str]] = {"publish": "numbers are published", "read": "shards are read"}
_SUCCEEDS: Final[dict[Step, str]] = {
    "publish": "does again what this process asks; everything is published",
    "read": "can be read again",
}


class Health:
    """Whether Redis does what this process asks of it. Each process tells of itself."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self.trouble: Trouble | None = None
        """What went wrong when numbers were to be published last; None if nothing did."""
        self.failed_at: float = 0.0
        """When, by the monotonic clock."""
        # By step: the kind of trouble that was logged, until it goes right again. One that goes right says nothing of
        # the other, which may fail all the time.
        self._logged: dict[Step, str] = {}
        self._has_failed = self._has_met = False
        self.up: Gauge = Gauge(
            "pytheus_redis_up", "Whether this process's last attempt to publish its numbers succeeded.", registry=None
        )
        self.published: Counter = Counter(
            "pytheus_redis_publications_total", "How often this process has published its numbers.", registry=None
        )
        self.failures: Counter = Counter(
            "pytheus_redis_failures_total",
            "How often Redis did not do what this process asked of it.",
            ["reason"],
            labels_from={"reason": KINDS},
            registry=None,
        )
        self.shards: Gauge = Gauge(
            "pytheus_redis_shards",
            "How many processes' numbers stand in Redis besides the archive, as of the last scrape that reached it.",
            ["state"],
            labels_from={"state": ("live", "dead")},
            registry=None,
        )
        self.folded: Counter = Counter(
            "pytheus_redis_folded_shards_total",
            "How many dead processes' numbers this process has put into the archive.",
            registry=None,
        )

    def collectors(self) -> Iterable[Collector]:
        """The metrics that have something to tell."""
        told: list[Collector] = []
        if self._has_failed:
            told += [self.up, self.published, self.failures]
        if self._has_met:
            told += [self.shards, self.folded]
        return told

    def met(self, live: int, dead: int) -> None:
        """So many processes' shards were read."""
        self.shards.labels("live").set(live)
        self.shards.labels("dead").set(dead)
        self._has_met = self._has_met or live + dead > 1

    def succeeded(self) -> None:
        """A publication went well."""
        self.published.inc()
        self.up.set(1)
        self.trouble = None
        self._log_success("publish")

    def was_read(self) -> None:
        """All shards were read."""
        self._log_success("read")

    def _log_success(self, step: Step) -> None:
        if self._logged.pop(step, None) is not None:
            _logger.warning("%s %s", self._shown, _SUCCEEDS[step])

    def failed(self, trouble: Trouble, step: Step) -> None:
        """A step went wrong. One line is logged for each kind in a row, also where both steps have the same trouble."""
        now = time.monotonic()
        self._has_failed = True
        self.failures.labels(reason=trouble.kind).inc()
        if step == "publish":
            self.up.set(0)
            # Without its traceback, which holds on to what was being published.
            self.trouble = Trouble(trouble.kind, str(trouble), unsure=trouble.unsure)
            self.failed_at = now
        if trouble.kind not in self._logged.values():
            self._logged[step] = trouble.kind
            _logger.warning(
                "%s fails while %s: %s; %s. Metrics count on and are published as soon as that is possible.",
                self._shown,
                _FAILS[step],
                str(trouble),
                trouble.remedy,
            )

    def noted(self, trouble: Trouble) -> None:
        """Something went wrong that will be tried again, and loses nothing."""
        self._has_failed = True
        self.failures.labels(reason=trouble.kind).inc()
        _logger.debug("%s: %s", self._shown, str(trouble))
