"""A registry whose metrics have a limited number of series.

Rules:

- The limit applies before a series is created, so that memory is bounded, and not only the scrape.
- A series beyond the limit is not created. Its observations go to the metric's overflow series, in which every label
  has the same value, so that totals stay correct and the overflow shows. Each metric has at most one overflow series,
  which is created beyond the limit and does not count towards it.
- Existing series stay. A metric without labels is one series, and is never refused.
- No lock is taken: several threads that create series at the same moment may exceed the limit by one each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from pytheus.compose.base import Layer, refuse_cycle
from pytheus.definitions import Definition
from pytheus.exceptions import OutOfRangeError
from pytheus.interruption import is_interruption
from pytheus.names import validate_text
from pytheus.registry.capabilities import SeriesLimitable
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import originals, wrapped_registries

__all__ = ["LimitedRegistry", "limited"]


def limited(
    registry: Registry,
    *,
    max_series: int | None = None,
    max_series_per_metric: int | None = None,
    overflow: str = "overflow",
) -> LimitedRegistry:
    """Return `registry` with at most `max_series` series in total and `max_series_per_metric` in each metric.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> shop = limited(CollectorRegistry(), max_series_per_metric=2)
        >>> visits = Counter("visits_total", "Visits.", ["user"], registry=shop)
        >>> for user in ("ann", "bob", "cyd", "dan"):
        ...     visits.labels(user).inc()
        >>> print(generate_metrics(shop), end="")
        # HELP visits_total Visits.
        # TYPE visits_total counter
        visits_total{user="ann"} 1.0
        visits_total{user="bob"} 1.0
        visits_total{user="overflow"} 2.0

    Observations beyond a limit go to a series whose labels all have the value `overflow`. Metrics are limited when they
    are registered through this layer; those registered directly in `registry`, from the next scrape on. A series no
    longer counts after it was removed. Custom collectors cannot be limited. Raises `OutOfRangeError` for a limit
    below 1.
    """
    return LimitedRegistry(registry, max_series, max_series_per_metric, overflow)


class LimitedRegistry(Layer):
    """The result of `limited`. May be used from any thread."""

    __slots__ = ("_limits", "_max_series", "_max_series_per_metric", "_overflow")

    def __init__(
        self, registry: Registry, max_series: int | None, max_series_per_metric: int | None, overflow: str
    ) -> None:
        super().__init__(registry, "limited(...)")
        for name, limit in (("max_series", max_series), ("max_series_per_metric", max_series_per_metric)):
            if limit is not None and (type(limit) is not int or limit < 1):
                raise OutOfRangeError(f"limited(...) takes {name} as an int from 1 up, or None, but got {limit!r}")
        self._max_series: Final = max_series
        self._max_series_per_metric: Final = max_series_per_metric
        self._overflow: Final = validate_text(overflow, "overflow of limited(...)")
        # By the id of the definition, which all handles on one metric share.
        self._limits: Final[dict[int, _Limit]] = {}

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below, and limit it; see `Registry.register`."""
        self._registry.register(collector)
        if isinstance(collector, SeriesLimitable):
            self._limit(collector)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector` from the registry below, and remove its limit; see `Registry.unregister`."""
        self._registry.unregister(collector)
        if isinstance(collector, SeriesLimitable):
            self._unlimit(id(collector.definition))

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of the registry below. Those that were not limited yet are limited from now on."""
        refuse_cycle(self)
        # Copied first: a metric that is registered from here on is limited, and may be missing in `held`.
        before = self._limits.copy()
        held = list(self._registry.collect())
        registered = self._originals(held)
        known: set[int] = set()
        for collector in held if registered is None else registered:
            if isinstance(collector, SeriesLimitable):
                known.add(id(collector.definition))
                self._limit(collector)
        for key in before if registered is not None else ():
            if key not in known:
                self._unlimit(key)
        return iter(held)

    def _originals(self, held: list[Collector]) -> list[Collector] | None:
        """Return the collectors as they were registered below other layers, or None if that fails."""
        if not wrapped_registries(self._registry, resolve=True):
            return held
        try:
            return originals(self._registry)
        except BaseException as error:
            if is_interruption(error):
                raise
            return None  # the scrape reports the error; the limits stay as they are

    def _limit(self, metric: SeriesLimitable) -> None:
        definition = metric.definition
        limit = self._limits.get(id(definition))
        if limit is None:
            made = _Limit(self, metric, definition, (self._overflow,) * len(definition.labels))
            limit = self._limits.setdefault(id(definition), made)
        metric.limit_series(limit)

    def _unlimit(self, key: int) -> None:
        limit = self._limits.pop(key, None)
        if limit is not None:
            limit.metric.unlimit_series(limit)

    def allows_series(self, limit: _Limit) -> bool:
        """Return whether the metric of `limit` may have one more series."""
        each = self._max_series_per_metric
        if each is not None and limit.metric.series_count - limit.overflowed >= each:
            return False
        total = self._max_series
        limits = self._limits.copy().values()
        return total is None or sum(every.metric.series_count - every.overflowed for every in limits) < total

    def __repr__(self) -> str:
        limits = {"max_series": self._max_series, "max_series_per_metric": self._max_series_per_metric}
        shown = "".join(f" {name}={limit}" for name, limit in limits.items() if limit is not None)
        return f"<limited{shown} {self._registry!r}>"


class _Limit:
    """The limit that a metric applies; also keeps the definition alive, so that its id means one object."""

    __slots__ = ("definition", "metric", "overflow", "overflowed", "process", "registry")

    def __init__(
        self, registry: LimitedRegistry, metric: SeriesLimitable, definition: Definition, overflow: tuple[str, ...]
    ) -> None:
        self.registry: LimitedRegistry = registry
        self.metric: SeriesLimitable = metric
        self.definition: Definition = definition
        self.overflow: tuple[str, ...] = overflow
        # Whether the overflow series was created. If only that one is removed, the metric may have one series more.
        self.overflowed: bool = False
        # Where that was.
        self.process: int = 0

    def __call__(self, key: tuple[str, ...]) -> tuple[str, ...]:
        if self.overflowed and (self.metric.series_count == 0 or self.process != os.getpid()):
            # The metric was cleared; or this is the child of a fork, where the overflow series may not be used yet.
            self.overflowed = False
        if key != self.overflow and self.registry.allows_series(self):
            return key
        self.overflowed = True
        self.process = os.getpid()
        return self.overflow
