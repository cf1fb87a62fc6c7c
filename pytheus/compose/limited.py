"""A registry whose metrics cannot grow without bounds.

Rules:

- The limit is asked when a series would be made, so that memory is bounded, and not only the scrape.
- A series that there is no room for is not made, and what was meant for it is counted in the metric's overflow series,
  all of whose labels have one value. So totals stay right, and the overflow shows. There is at most one for each
  metric; it is made beyond the limit, and does not count towards it.
- Series that are there already stay. A metric without labels is one series, and is never refused.
- No lock is taken: when several threads make series in the same instant, there may be as many more as there are
  threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytheus.compose.layer import Layer
from pytheus.compose.layers import refuse_circle
from pytheus.definitions import Definition
from pytheus.exceptions import OutOfRangeError
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
    """`registry` whose metrics have at most so many series, all together and each, and an overflow series beyond that.

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

    Metrics are limited when they are registered through it; those that `registry` holds otherwise, at the next scrape.
    Series that are removed make room again. Custom collectors cannot be limited. Raises `OutOfRangeError` for a limit
    below 1.
    """
    return LimitedRegistry(registry, max_series, max_series_per_metric, overflow)


class LimitedRegistry(Layer):
    """What `limited` gives. May be used from any thread."""

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
        # By definition, which the handles on one metric share.
        self._limits: Final[dict[int, _Limit]] = {}

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below, and limit it; see `Registry.register`."""
        self._registry.register(collector)
        if isinstance(collector, SeriesLimitable):
            self._limit(collector)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector` from the registry below, and limit it no longer; see `Registry.unregister`."""
        self._registry.unregister(collector)
        if isinstance(collector, SeriesLimitable):
            self._unlimit(id(collector.definition))

    def collect(self) -> Iterator[Collector]:
        """What the registry below holds. What it was not known to hold is limited from now on."""
        refuse_circle(self)
        # Before it is asked what is held: what is registered from here on is limited, and need not be among that.
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
        """What was registered below layers that hide some of it, or show others instead; None where that fails."""
        if not wrapped_registries(self._registry, resolve=True):
            return held
        try:
            return originals(self._registry)
        except Exception:
            return None  # the scrape tells of it; what was held is limited on

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

    def has_room(self, limit: _Limit) -> bool:
        """Whether the metric of `limit`, which is held here, may have one more series."""
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
    """What a metric asks. It also keeps the definition alive by whose id it is found."""

    __slots__ = ("definition", "metric", "overflow", "overflowed", "registry")

    def __init__(
        self, registry: LimitedRegistry, metric: SeriesLimitable, definition: Definition, overflow: tuple[str, ...]
    ) -> None:
        self.registry: LimitedRegistry = registry
        self.metric: SeriesLimitable = metric
        self.definition: Definition = definition
        self.overflow: tuple[str, ...] = overflow
        # Whether the overflow series was made; where somebody has removed just that since, there is one series more.
        self.overflowed: bool = False

    def __call__(self, key: tuple[str, ...]) -> tuple[str, ...]:
        if self.overflowed and self.metric.series_count == 0:
            self.overflowed = False  # the metric was cleared
        if key != self.overflow and self.registry.has_room(self):
            return key
        self.overflowed = True
        return self.overflow
