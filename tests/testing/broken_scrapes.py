"""Registries that break what the contract says of scrapes, threads, forks, closing and moves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import cast

from pytheus.metrics import Counter, Metric
from pytheus.registry import Collector
from pytheus.testing.checks.base import Probe
from tests.testing.sound_registry import Sound

# Scrapes --------------------------------------------------------------------------------------------------------------


class IteratesOverItsDict(Sound):
    check = "test_an_iteration_is_a_snapshot"
    message = "neither break nor show in: raised RuntimeError: dictionary changed size during iteration"

    live: dict[int, Collector]

    def collect(self) -> Iterable[Collector]:
        self.live = {id(held): held for held in self.held}
        return iter(self.live.values())

    def add(self, collector: Collector) -> None:
        super().add(collector)
        if "live" in vars(self):
            self.live[id(collector)] = collector

    def remove(self, collector: Collector) -> None:
        super().remove(collector)
        if "live" in vars(self):
            self.live.pop(id(collector), None)


class IteratesLazily(Sound):
    check = "test_an_iteration_is_a_snapshot"
    message = "which changes during its iteration neither break nor show in: expected kit_a, kit_b, kit_c but got"

    def collect(self) -> Iterable[Collector]:
        index = 0
        while index < min(len(self.held), 10):
            yield self.held[index]
            index += 1


class LocksWhileIterating(Sound):
    check = "test_an_iteration_is_a_snapshot"
    message = "is a lock held meanwhile?"
    patience_seconds = 0.2

    def collect(self) -> Iterable[Collector]:
        with self.plain:
            yield from list(self.held)

    def add(self, collector: Collector) -> None:
        with self.plain:
            super().add(collector)


class CollectsUnderALock(Sound):
    check = "test_a_collector_may_create_metrics_while_collected"
    message = "is a lock held meanwhile?"
    patience_seconds = 0.2

    def register(self, collector: Collector, /) -> None:
        with self.plain:
            if "creating" in repr(collector):
                list(collector.collect())
        super().register(collector)


class TriesACollectorOut(Sound):
    check = "test_a_raising_collector_costs_only_itself"
    message = "a collector that raises costs only itself: raised ConnectionError"

    def add(self, collector: Collector) -> None:
        super().add(collector)
        try:
            list(collector.collect())
        except ConnectionError:
            self.remove(collector)
            raise
        finally:
            if hasattr(collector, "collected"):
                vars(collector)["collected"] = 0


class StartsAtZero(Sound):
    check = "test_values_are_kept"
    message = "a metric keeps its value when it is registered: expected 2 but got 0"

    def add(self, collector: Collector) -> None:
        if isinstance(collector, Metric):
            collector.clear()
        super().add(collector)


class KeepsTheFirstNumbers(Sound):
    """It takes the families of custom collectors at the first scrape for those of all."""

    check = "test_a_generator_collector_is_collected_each_time"
    message = "a collector is collected at each scrape: expected 2 but got 1"

    def add(self, collector: Collector) -> None:
        if type(collector).__name__ == "Probe":
            original, cached = collector.collect, list[object]()

            def collect() -> Iterable[object]:
                if not cached:
                    cached.extend(original())
                return iter(cached)

            vars(collector)["collect"] = collect
        super().add(collector)


class PrefixWithAnUnderscore(Sound):
    check = "test_a_prefix_applies_once"
    message = "each family name has the prefix once: 'prefix' is 'kitchen_'"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix + "_" if prefix else prefix)


class PrefixByDefault(Sound):
    check = "test_an_empty_prefix_is_none"
    message = "with the prefix None a name is exposed as it is: 'prefix' is 'app'"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix or "app")


# Threads --------------------------------------------------------------------------------------------------------------


class AddsInTwoSteps(Sound):
    check = "test_threads_lose_nothing"
    message = "registrations in many threads at once lose nothing"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.lock = cast(threading.RLock, _NoLock())

    def add(self, collector: Collector) -> None:
        held = self.held
        time.sleep(0.0005)
        self.held = [*held, collector]


class LooksThenAdds(Sound):
    check = "test_one_of_several_threads_gets_a_name"
    message = "of conflicting metrics that several threads register at once, one is held"

    def register(self, collector: Collector, /) -> None:
        incumbent = self.conflicting(collector)
        if incumbent is not None and self.holder(collector) is None:
            self.refuse(collector, incumbent)
        time.sleep(0.001)
        with self.lock:
            if self.holder(collector) is None:
                self.add(collector)


class _NoLock:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


# Forks ----------------------------------------------------------------------------------------------------------------


class RaisesInTheChild(Sound):
    check = "test_it_works_in_the_child_of_a_fork"
    message = "in the child of a fork a registry works as in the parent: collect() returns an iterable of"

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix)
        self.pid = os.getpid()

    def collect(self) -> Iterable[Collector]:
        if self.pid != os.getpid():
            raise RuntimeError(f"made by process {self.pid}")
        return super().collect()


class RegistersNothingInTheChild(RaisesInTheChild):
    check = "test_it_works_in_the_child_of_a_fork"
    message = "in the child of a fork register works: expected kit_hits_total, kit_a, kit_b but got"

    def collect(self) -> Iterable[Collector]:
        return list(self.held)

    def add(self, collector: Collector) -> None:
        if self.pid == os.getpid():
            super().add(collector)


class ForgetsInTheChild(Sound):
    check = "test_it_works_in_the_child_of_a_fork"
    message = "the child of a fork has the collectors of the parent: expected kit_hits_total, kit_a but got nothing"

    def after_fork(self) -> None:
        super().after_fork()
        self.held = []


class InheritsItsLock(Sound):
    check = "test_a_fork_may_come_at_any_time"
    message = "was a lock inherited from the parent?"
    patience_seconds = 0.2

    def after_fork(self) -> None:
        pass


# Closing, and moving --------------------------------------------------------------------------------------------------


class ClosesOnce(Sound):
    check = "test_close_may_be_called_twice"
    message = "close() may be called twice: raised OSError"

    def close(self) -> None:
        if self.closed:
            raise OSError("closed already")
        super().close()


class ForgetsWhenClosed(Sound):
    check = "test_collectors_stay_when_it_is_closed"
    message = "after close() collectors stay registered and metrics keep counting: expected"

    def close(self) -> None:
        self.held = []


class DropsDifficultLabels(Sound):
    """It drops series whose labels it cannot write."""

    check = "test_what_is_exposed_can_be_parsed_back"
    message = "an exposition can be parsed back: kit_hits_total{path="

    def add(self, collector: Collector) -> None:
        if isinstance(collector, Metric):
            samples = [sample for family in collector.collect() for sample in family.samples]
            if any('"' in value for sample in samples for value in sample.labels.values()):
                collector.clear()
        super().add(collector)


class RefusesToLetGoTwice(Sound):
    """It cannot take back what it has given up during a move."""

    check = "test_all_collectors_move_to_it_or_none"
    message = "REGISTRY.set_registry(...) moves all collectors or none: expected"

    def refuse(self, collector: Collector, incumbent: Collector) -> None:
        self.frozen = getattr(collector, "name", "") == "kit_b"
        super().refuse(collector, incumbent)

    def remove(self, collector: Collector) -> None:
        if not getattr(self, "frozen", False):
            super().remove(collector)


class LosesValuesInAMove(Sound):
    check = "test_collectors_move_to_it"
    message = "REGISTRY.set_registry(...) moves every collector, with its values: the value 2 became 0"

    def add(self, collector: Collector) -> None:
        super().add(collector)
        first = self.held[0]
        if isinstance(first, Counter) and isinstance(collector, Probe) and first.value == 2.0:
            first.clear()


class KeepsAMetricInAMove(Sound):
    check = "test_collectors_move_away_again"
    message = "REGISTRY.set_registry(...) moves every collector away from the registry that it replaces"

    def remove(self, collector: Collector) -> None:
        if isinstance(collector, Metric) and len(self.held) == 2 and self.held[0] is collector:
            kinds = {type(held).__name__ for held in self.held}
            if "Probe" in kinds:
                return
        super().remove(collector)
