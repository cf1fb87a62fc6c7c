"""The Redis store's own metrics; its failures are in `pytheus.shards.ShardHealth`.

How publishing goes is exposed after the first failure, and how many processes there are as soon as there are two.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytheus.metrics import Counter, Gauge
from pytheus.registry import Collector

__all__ = ["RedisMetrics"]


class RedisMetrics:
    """The metrics of one process's dealings with Redis."""

    def __init__(self) -> None:
        self._several_processes = False
        self.up: Gauge = Gauge(
            "pytheus_redis_up", "Whether this process's last attempt to publish its numbers succeeded.", registry=None
        )
        self.publications: Counter = Counter(
            "pytheus_redis_publications_total", "How often this process has published its numbers.", registry=None
        )
        self.shards: Gauge = Gauge(
            "pytheus_redis_shards",
            "Shards in Redis besides the archive, as of the last scrape that reached it.",
            ["state"],
            labels_from={"state": ("live", "dead")},
            registry=None,
        )
        self.folded: Counter = Counter(
            "pytheus_redis_folded_shards_total",
            "Shards of dead processes that this process has folded into the archive.",
            registry=None,
        )

    def read(self, live: int, dead: int) -> None:
        """Set how many shards a scrape has read."""
        self.shards.labels("live").set(live)
        self.shards.labels("dead").set(dead)
        self._several_processes = self._several_processes or live + dead > 1

    def collectors(self, *, has_failed: bool) -> Iterable[Collector]:
        """The metrics to expose; `has_failed` says whether anything has ever failed."""
        if has_failed:
            yield self.up
            yield self.publications
        if self._several_processes:
            yield self.shards
            yield self.folded
