"""Copies of custom collectors of prometheus_client as metrics, which a registry of several processes merges.

Rules:

- A thread copies at an interval. So do each scrape of this process, its end, and a fork before it happens, so that the
  child knows which numbers are its parent's.
- A collector that is copied is not bridged. One that fails keeps the numbers of its copy, and so does a family.
- Sums outlive a collector that is unregistered, as OpenTelemetry's is at the end of the process. It is copied before.
  If it is registered again, it goes on from there.
- One thread copies at a time. A fork waits a second at most for it.
- A process that is killed loses the numbers since its last copy, of one interval at most.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Mapping
from typing import Final, cast

import prometheus_client
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import multiprocess
from prometheus_client.registry import RestrictedRegistry

from pytheus.exceptions import OutOfRangeError, PytheusError, SelectionError
from pytheus.interruption import is_interruption
from pytheus.kinds import GaugeMode
from pytheus.lazy import logger
from pytheus.registry import REGISTRY, Registry, check_registry
from pytheus.samples import Family
from pytheus.shards import run_after_fork_in_child
from pytheus.worker import Worker
from pytheus_prometheus_client.copied_labels import COPIES, shows_copies
from pytheus_prometheus_client.copied_metrics import CopiedMetric
from pytheus_prometheus_client.endpoints import is_merged
from pytheus_prometheus_client.families import families_of, merged
from pytheus_prometheus_client.installed import INSTALLED, OF_THE_PROCESS
from pytheus_prometheus_client.parts import is_plain
from pytheus_prometheus_client.peer_collector import TheirCollector, their_collectors
from pytheus_prometheus_client.pytheus_collector import PytheusCollector

__all__ = ["CollectorCopies"]

_FORK_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 1.0
# After the finalizers of the program, which may count, and before those of a store, which publishes the copies.
_LATE: Final = -1000

_NOT_COPIED: Final = (
    *OF_THE_PROCESS,
    multiprocess.MultiProcessCollector,
    PytheusCollector,
    TheirRegistry,
    RestrictedRegistry,
)


class CollectorCopies:
    """Copies the families of custom collectors of prometheus_client into metrics of `registry`.

    A custom collector, such as that of OpenTelemetry's Prometheus exporter, has numbers that only its own process
    knows. As metrics, a registry of several processes merges them: it adds counters, histograms and summaries up, which
    is exact. Over a registry of one process this does nothing, because there the collectors are bridged.

        >>> copies = CollectorCopies(gauge_modes={"queue_length": "max"})
        >>> copies.close()

    `peer` is a collector, or a registry of prometheus_client, all of whose custom collectors are copied, also those
    that it gets later. They are collected every `interval_seconds`. Gauges are merged by the mode that `gauge_modes`
    has for their name, or by `gauge_mode`; see `pytheus.Gauge`. They are copied until `close()`.

    A family that cannot be copied is logged once, and left out: one with native buckets, one of a name that `registry`
    has already, and a series with other buckets than the first one of its family. Exemplars and start times are not
    copied. May be used from any thread. Raises `NotARegistryError` if `registry` is not a registry, `OutOfRangeError`
    for an interval that is not above zero, and `SelectionError` if `registry` has several processes and lacks the layer
    `with_copies`, which a registry that is chosen by name has where the plugin is named.
    """

    def __init__(
        self,
        peer: TheirCollector = prometheus_client.REGISTRY,
        registry: Registry = REGISTRY,
        *,
        interval_seconds: float = 5.0,
        gauge_mode: GaugeMode = "each",
        gauge_modes: Mapping[str, GaugeMode] | None = None,
    ) -> None:
        check_registry(registry, "CollectorCopies(...)")
        if not interval_seconds > 0:
            raise OutOfRangeError(f"CollectorCopies takes interval_seconds above 0 but got {interval_seconds!r}")
        self._peer: Final = peer
        self._registry: Final = registry
        self._interval: Final = interval_seconds
        self._mode: Final = gauge_mode
        self._modes: Final[Mapping[str, GaugeMode]] = dict(gauge_modes or {})
        self._copied: dict[int, tuple[TheirCollector, dict[str, CopiedMetric]]] = {}
        # The sums of collectors that have left, to which a later one of the same name adds.
        self._left: dict[str, CopiedMetric] = {}
        self._lock = threading.RLock()
        self._is_copying = False
        self._is_held = False
        self._logged: Final[set[str]] = set()
        self._worker: Final = Worker("pytheus-copies", self._tick)
        self.is_active: Final = is_merged(registry)
        """Whether the collectors are copied: whether `registry` has several processes."""
        if not self.is_active:
            return
        if not shows_copies(registry):
            raise SelectionError(
                f"CollectorCopies got {registry!r}, which does not show copies; choose the registry by name, with"
                " prometheus-client among the plugins, or pass with_copies(registry)"
            )
        COPIES.append(self)
        self.copy()
        self._worker.start(interval_seconds)
        _finish_children()

    def copy(self) -> None:
        """Make the copies equal to the collectors now. A collector that fails is logged, and keeps its copy."""
        with self._lock:
            if self._is_copying or self not in COPIES:  # by a collector that scrapes in turn
                return
            self._is_copying = True
            try:
                present = _custom_collectors(self._peer)
                for collector in present:
                    self._copy(collector)
                kept = {id(collector) for collector in present}
                for key in [key for key in self._copied if key not in kept]:
                    self._leave(*self._copied.pop(key))
            finally:
                self._is_copying = False

    def names_of(self, collector: object) -> list[str] | None:
        """Return the names of the families that are copied from `collector`, as there, or None if it is not copied."""
        copied = self._copied.get(id(collector))
        return None if copied is None else [metric.name for metric in list(copied[1].values())]

    def close(self) -> None:
        """Copy a last time, and end the thread; the copies keep their numbers. Idempotent."""
        self.copy()
        if self in COPIES:
            COPIES.remove(self)
        self._worker.stop(_STOP_SECONDS)

    def _copy(self, collector: TheirCollector) -> None:
        if id(collector) not in self._copied:
            self._copied[id(collector)] = collector, {}
            for installation in INSTALLED[:]:
                with installation.changing():
                    installation.end_bridge(collector)
        metrics = self._copied[id(collector)][1]
        families, is_whole = self._families(collector)
        for family in families:
            try:
                self._write(collector, metrics, family, is_whole)
            except PytheusError as error:
                self._log(f"{family} of prometheus_client cannot be copied", error)
        if is_whole:
            names = {family.name for family in families}
            for name in [name for name in metrics if name not in names]:
                metrics.pop(name).remove()

    def _write(
        self, collector: TheirCollector, metrics: dict[str, CopiedMetric], family: Family, is_whole: bool
    ) -> None:
        metric = metrics.pop(family.name, None)
        if metric is None and family.name in self._left:
            metric = self._left.pop(family.name)
            metric.begin_again(collector)
        if metric is not None and not metric.fits(family):
            metric.remove()
            metric = None
        if metric is None:
            metric = CopiedMetric(family, self._registry, self._modes.get(family.name, self._mode))
        metrics[family.name] = metric
        metric.write(family, keep=not is_whole)

    def _families(self, collector: TheirCollector) -> tuple[list[Family], bool]:
        """Return the families of `collector`, and whether these are all."""
        families: list[Family] = []
        is_whole = True
        try:
            for metric in collector.collect():
                try:
                    families += families_of(metric)
                except Exception as error:
                    is_whole = False
                    self._log(f"{getattr(metric, 'name', metric)!r:.80} of prometheus_client cannot be copied", error)
        except BaseException as error:
            if is_interruption(error):
                raise
            is_whole = False
            self._log(f"collector {type(collector).__qualname__} of prometheus_client has failed", error)
        return merged(families), is_whole

    def _leave(self, collector: TheirCollector, metrics: dict[str, CopiedMetric]) -> None:
        """Leave the sums of a collector that the other registry no longer has, and remove its gauges."""
        for name, metric in metrics.items():
            if metric.is_sum:
                metric.leave(collector)
                self._left[name] = metric
            else:
                metric.remove()

    def _log(self, message: str, error: BaseException) -> None:
        """Log a failure, the first time."""
        text = f"{message}: {error}"
        if text not in self._logged:
            self._logged.add(text)
            logger(__name__).error("%s", text)

    def _tick(self) -> float | None:
        if self not in COPIES:
            return None
        self.copy()
        return self._interval

    # Forks and the end of the process ---------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Copy, and hold the lock until the fork has happened."""
        self._worker.before_fork()
        self._is_held = self._lock.acquire(timeout=_FORK_SECONDS)
        if self._is_held:
            self.copy()

    def after_fork_in_parent(self) -> None:
        """Continue."""
        if self._is_held:
            self._lock.release()
        self._worker.after_fork_in_parent(self._interval)

    def after_fork_in_child(self) -> None:
        """Begin with a thread and a lock of the child's own."""
        self._lock = threading.RLock()
        self._is_copying = False
        for metrics in (self._left, *[metrics for _, metrics in self._copied.values()]):
            for metric in metrics.values():
                metric.begin_in_child()
        self._worker.after_fork_in_child()
        self._worker.start(self._interval)


def _custom_collectors(peer: TheirCollector) -> list[TheirCollector]:
    """Return the collectors of `peer` that have numbers of their own."""
    held = cast("list[TheirCollector]", their_collectors(peer))
    return [each for each in held if not isinstance(each, _NOT_COPIED) and not is_plain(each)]


def _present() -> list[CollectorCopies]:
    return [each for each in list(COPIES) if isinstance(each, CollectorCopies)]


def _before_fork() -> None:
    for each in _present():
        each.before_fork()


def _after_fork_in_parent() -> None:
    for each in _present():
        each.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for each in _present():
        each.after_fork_in_child()
        _finish_children()


def _copy_last() -> None:
    for each in _present():
        each.copy()


def _add_finalizer(_: object) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, _copy_last, exitpriority=_LATE)


def _finish_children() -> None:
    """Copy at the end of a child of `multiprocessing` or Celery, which skips the interpreter's exit functions."""
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:
        _add_finalizer(None)
        # A child forgets the finalizers that were registered before its own work begins.
        processes.register_after_fork(_copy_last, _add_finalizer)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(lambda **_: _copy_last(), weak=False, dispatch_uid=__name__)


atexit.register(_copy_last)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
run_after_fork_in_child(_after_fork_in_child)
