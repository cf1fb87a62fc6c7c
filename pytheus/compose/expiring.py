"""A registry whose metrics drop the series that are not written any more.

Rules:

- A write costs nothing more: a sweep compares each series with a mark from the sweep before.
- All registries of this kind share one daemon thread, which ends when the last of them is gone. A scrape sweeps as
  well if a sweep is due.
- A write while a series ends either keeps it, or begins a new one.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Final

from pytheus.compose.base import Layer, checked_names, refuse_cycle
from pytheus.definitions import Definition
from pytheus.exceptions import OutOfRangeError
from pytheus.names import occupied_names, prefix_lead
from pytheus.registry.capabilities import EndedSeriesExpirable, SeriesExpirable
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import originals, walk
from pytheus.worker import Worker

__all__ = ["ExpiringRegistry", "expiring"]

_SWEEPS: Final = 10
"""How often a series is looked at until it ends, so that it ends at most a tenth later than it should."""

_MIN_PAUSE_SECONDS: Final = 0.01
_MAX_PAUSE_SECONDS: Final = 60.0


def expiring(registry: Registry, *, after_seconds: float, names: Iterable[str] | None = None) -> ExpiringRegistry:
    """Return `registry` with metrics that drop each series after `after_seconds` without a write.

        >>> from pytheus import Counter, generate_metrics
        >>> from pytheus.registry import CollectorRegistry
        >>> shop = expiring(CollectorRegistry(), after_seconds=3600)
        >>> visits = Counter("visits_total", "Visits.", ["user"], registry=shop)
        >>> visits.labels("ann").inc()
        >>> print(generate_metrics(shop), end="")
        # HELP visits_total Visits.
        # TYPE visits_total counter
        visits_total{user="ann"} 1.0

    The series leaves memory and every scrape, up to a tenth (at most a minute) later. A write after that begins a new
    series at zero, also through a stored result of `labels()`. Any write counts, also ``set()`` to the number that the
    gauge has, but not ``inc(0)`` of a counter. These never end: a metric without labels; series whose labels the
    definition lists (``labels_from``, default labels for all labels); gauges that a function provides; and gauges with
    a number other than zero that count running blocks (``track_inprogress``). A gauge that the program itself increases
    and later decreases should not expire in between, so select others with `names`.

    `names` are names of metrics, as defined or as exposed; without it, all metrics expire. A custom collector keeps
    its series. Metrics are found when a sweep is due, wherever they were registered. Raises `OutOfRangeError` unless
    `after_seconds` is a positive, finite number, and `InvalidNameError` for a name that no metric can have.
    """
    return ExpiringRegistry(registry, after_seconds, names)


class ExpiringRegistry(Layer):
    """The result of `expiring`. May be used from any thread, and in the children of a fork."""

    __slots__ = ("_after_seconds", "_due", "_names", "_pause_seconds", "_sweeping")

    def __init__(self, registry: Registry, after_seconds: float, names: Iterable[str] | None) -> None:
        super().__init__(registry, "expiring(...)")
        is_number = isinstance(after_seconds, (int, float)) and not isinstance(after_seconds, bool)
        if not is_number or not 0 < after_seconds < inf:
            raise OutOfRangeError(
                f"expiring(...) takes after_seconds as a positive, finite number of seconds but got {after_seconds!r}"
            )
        self._after_seconds: Final = float(after_seconds)
        self._names: Final = None if names is None else checked_names(names, "expiring(...)")
        pause = self._after_seconds / _SWEEPS
        self._pause_seconds: Final = min(max(pause, _MIN_PAUSE_SECONDS), _MAX_PAUSE_SECONDS)
        self._begin()

    def _begin(self) -> None:
        self._sweeping = threading.Lock()
        self._due = time.monotonic() + self._pause_seconds

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below, whose series end from now on; see `Registry.register`."""
        self._registry.register(collector)
        _sweeper.add(self)

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of the registry below, after a sweep if one is due."""
        refuse_cycle(self)
        _sweeper.add(self)
        self.sweep()
        return iter(list(self._registry.collect()))

    def sweep(self) -> float:
        """End the series that are due if a sweep is, and return the seconds until the next one."""
        now = time.monotonic()
        # A thread that finds another one sweeping continues, because a signal handler could not wait either.
        if now >= self._due and self._sweeping.acquire(blocking=False):
            try:
                self._due = now + self._pause_seconds
                selects = self._selection()
                for collector in originals(self._registry):
                    if isinstance(collector, SeriesExpirable) and selects(collector.definition):
                        collector.expire_series(self._after_seconds, now)
                for registry in walk(self._registry, resolve=True):
                    if isinstance(registry, EndedSeriesExpirable):
                        registry.expire_ended_series(self._after_seconds, selects)
            finally:
                self._sweeping.release()
        return max(0.0, self._due - time.monotonic())

    def _selection(self) -> Callable[[Definition], bool]:
        """Return a function that returns whether the series of a metric expire."""
        names = self._names
        if names is None:
            return lambda definition: True
        lead = prefix_lead(self._registry.prefix)
        return lambda definition: (
            not (
                names.isdisjoint(definition.occupied_names)
                and names.isdisjoint(occupied_names(lead + definition.name, definition.type))
            )
        )

    def after_fork_in_child(self) -> None:
        """Forget a sweep that the parent was in the middle of."""
        self._begin()

    def __repr__(self) -> str:
        names = "" if self._names is None else f" names={sorted(self._names)}"
        return f"<expiring after_seconds={self._after_seconds:g}{names} {self._registry!r}>"


class _Sweeper:
    """The thread that sweeps all registries. It does not keep them alive."""

    def __init__(self) -> None:
        self._registries: weakref.WeakSet[ExpiringRegistry] = weakref.WeakSet()
        self._worker: Final = Worker("pytheus-expiring", self._tick)
        self._hooked = False

    def add(self, registry: ExpiringRegistry) -> None:
        if registry in self._registries and self._worker.is_running:
            return
        self._registries.add(registry)
        if not self._hooked and hasattr(os, "register_at_fork"):
            self._hooked = True
            os.register_at_fork(
                before=self._worker.before_fork,
                after_in_parent=lambda: self._worker.after_fork_in_parent(0.0),
                after_in_child=self._after_fork_in_child,
            )
        self._worker.start(0.0)

    def _tick(self) -> float | None:
        pauses = [_swept(registry) for registry in list(self._registries)]
        return min(pauses, default=None)

    def _after_fork_in_child(self) -> None:
        self._worker.after_fork_in_child()
        for registry in list(self._registries):
            registry.after_fork_in_child()
        if self._registries:
            self._worker.start(0.0)


def _swept(registry: ExpiringRegistry) -> float:
    try:
        return registry.sweep()
    except Exception:
        # The scrape reports a registry that fails; the next sweep tries again.
        return _MAX_PAUSE_SECONDS


_sweeper: Final = _Sweeper()
