"""Checks of a registry that many threads use at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pytheus.exceptions import ConflictError
from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.metric import Metric
from pytheus.testing.checks.base import Declarations, Probe, check

__all__ = ["ThreadChecks"]

_THREADS: Final = 8
_PROBES_PER_THREAD: Final = 20
_RACES: Final = 20


class ThreadChecks(Declarations):
    """Registrations, conflicts and scrapes in several threads."""

    @check("test_unregister_lets_go", "test_an_iteration_is_a_snapshot")
    def test_threads_lose_nothing(self) -> None:
        """Threads that register and unregister at once, while another one reads, lose nothing and break nothing."""
        promise = "registrations in many threads at once lose nothing"
        registry = self.fresh()
        kept = [[Probe(f"kit_{thread}_{number}") for number in range(_PROBES_PER_THREAD)] for thread in range(_THREADS)]

        def work(thread: int) -> None:
            for probe in kept[thread]:
                passing = Probe(f"{probe.probe}_passing")
                registry.register(passing)
                registry.register(probe)
                registry.unregister(passing)
                list(self.listing(registry))

        self._together(work, promise)
        held = sorted(self.held(registry), key=self._family)
        expected = sorted((probe for probes in kept for probe in probes), key=lambda probe: probe.probe)
        if len(held) != len(expected):
            raise AssertionError(f"{promise}: expected {len(expected)} collectors but got {len(held)}")
        self.require_same(held, expected, promise)

    @check("test_threads_lose_nothing", "test_a_conflicting_metric_is_not_held")
    def test_one_of_several_threads_gets_a_name(self) -> None:
        """Of metrics that conflict and are registered at once, exactly one is held."""
        promise = "of conflicting metrics that several threads register at once, one is held"
        registry = self.fresh()
        for race in range(_RACES):
            accepted: list[Metric] = []
            metrics = [_kind(thread, f"kit_race_{race}_total") for thread in range(_THREADS)]

            def work(thread: int, metrics: list[Metric] = metrics, accepted: list[Metric] = accepted) -> None:
                try:
                    registry.register(metrics[thread])
                except ConflictError:
                    return
                accepted.append(metrics[thread])

            self._together(work, promise)
            held = len(self.held(registry)) - race
            if held != 1 or (self.on_conflict == "raise" and len(accepted) != 1):
                raise AssertionError(f"{promise}: {len(accepted)} were accepted and {max(held, 0)} are held")

    def _together(self, work: Callable[[int], None], promise: str) -> None:
        failures: list[Exception] = []
        start = threading.Barrier(_THREADS)

        def run(thread: int) -> None:
            start.wait()
            try:
                work(thread)
            except Exception as error:
                failures.append(error)

        def all_of_them() -> None:
            threads = [threading.Thread(target=run, args=(thread,), daemon=True) for thread in range(_THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        with _frequent_switches():
            self.unless_it_hangs(all_of_them, promise)
        if failures:
            raise AssertionError(f"{promise}: one raised {failures[0]!r}") from failures[0]


def _kind(number: int, name: str) -> Metric:
    """A metric of a type that depends on `number`, so that any two that follow each other conflict."""
    if number % 2:
        return Gauge(name, "Race.", registry=None)
    return Counter(name, "Race.", registry=None)


@contextmanager
def _frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
