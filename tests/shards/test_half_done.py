"""Registrations, removals and moves that a scrape or another thread is in the middle of."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import pytest

from pytheus import Counter, Gauge, Histogram
from pytheus.definitions import Definition
from pytheus.exceptions import ConflictError
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, HasRows, NumberStorage, Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, Reading, ShardedRegistry
from tests.shards.conftest import Join, lines_of
from tests.shards.test_registry_fork import in_a_child


class Slow(MemoryShardStore):
    """A store that calls a function before it provides storage, and before and after it reads."""

    before_storage: Callable[[], object] = staticmethod(lambda: None)
    before_reading: Callable[[], object] = staticmethod(lambda: None)
    after_reading: Callable[[], object] = staticmethod(lambda: None)

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        self.before_storage()
        return super().storage(definition)

    def read(self) -> Reading:
        self.before_reading()
        reading = super().read()
        self.after_reading()
        return reading


def test_a_metric_of_another_process_is_shown_while_this_one_registers_it(backend: MemoryBackend) -> None:
    store = Slow(backend)
    registry, other = ShardedRegistry(store), ShardedRegistry(MemoryShardStore(backend))
    Counter("orders_total", "Orders.", registry=other).inc(1000)
    seen: list[list[str]] = []
    store.before_storage = lambda: seen.append(lines_of(registry))
    seen.append(lines_of(registry))
    orders = Counter("orders_total", "Orders.", registry=registry)
    seen.append(lines_of(registry))
    assert seen == [["orders_total 1000.0"]] * 3
    orders.inc()
    assert lines_of(registry) == ["orders_total 1001.0"]


@pytest.mark.parametrize("moment", ["before_reading", "after_reading"])
def test_a_name_that_gets_another_type_during_a_scrape_is_no_conflict(backend: MemoryBackend, moment: str) -> None:
    store = Slow(backend)
    registry = ShardedRegistry(store)
    jobs = Counter("jobs_total", "J.", registry=registry)
    jobs.inc(3)

    def replace() -> None:
        registry.unregister(jobs)
        Gauge("jobs_total", "J.", registry=registry).set(7)

    setattr(store, moment, replace)
    assert lines_of(registry) == ["jobs_total 3.0"]
    setattr(store, moment, lambda: None)
    assert lines_of(registry) == ["jobs_total 7.0"]


def test_a_metric_that_is_registered_again_during_a_scrape_is_shown_once(backend: MemoryBackend) -> None:
    store = Slow(backend)
    registry = ShardedRegistry(store)
    sizes = Histogram("sizes", "S.", ["kind"], buckets=(1,), registry=registry)
    for kind in "ab":
        sizes.labels(kind).observe(2)
    before = lines_of(registry)

    def again() -> None:
        registry.unregister(sizes)
        registry.register(sizes)

    for moment in ("before_reading", "after_reading"):
        setattr(store, moment, again)
        assert lines_of(registry) == before
        setattr(store, moment, lambda: None)
    assert lines_of(registry) == before


def test_an_error_during_a_registration_leaves_nothing(backend: MemoryBackend) -> None:
    store = Slow(backend)
    registry = ShardedRegistry(store)
    jobs = Counter("jobs_total", "J.", registry=None)
    jobs.inc(3)

    def interrupt() -> None:
        raise KeyboardInterrupt

    store.before_storage = interrupt
    with pytest.raises(KeyboardInterrupt):
        registry.register(jobs)
    store.before_storage = lambda: None
    assert jobs not in registry
    assert lines_of(registry) == []
    registry.register(jobs)
    assert lines_of(registry) == ["jobs_total 3.0"]


def test_a_failed_move_leaves_the_numbers_where_they_were(join: Join) -> None:
    first, chosen, watching = join(), join(), join()
    proxy = CollectorRegistryProxy(first)
    hits = Counter("hits_total", "H.", ["code"], registry=proxy)
    level = Gauge("level", "L.", mode="min", registry=proxy)
    Counter("taken_total", "T.", registry=proxy)
    Counter("taken_total", "T.", registry=chosen).inc()
    hits.labels("200").inc(3)
    level.set(5)
    for registry in (first, chosen):
        list(registry.collect())  # which publishes
    before = sorted(lines_of(watching))
    with pytest.raises(ConflictError):
        proxy.set_registry(chosen)
    hits.labels("200").inc()
    for registry in (first, chosen):
        list(registry.collect())
    expected = ['hits_total{code="200"} 4.0', "level 5.0", "taken_total 1.0"]
    assert before == ['hits_total{code="200"} 3.0', *expected[1:]]
    assert [sorted(lines_of(registry)) for registry in (first, chosen, watching)] == [expected] * 3


def test_a_metric_in_registries_of_two_places_is_shown_by_both() -> None:
    registries = [ShardedRegistry(MemoryShardStore()) for _ in range(2)]
    hits = Counter("hits_total", "H.", registry=registries[0])
    hits.inc()
    registries[1].register(hits)
    hits.inc()
    assert [lines_of(registry) for registry in registries] == [["hits_total 2.0"]] * 2
    registries[1].unregister(hits)
    hits.inc()
    assert [lines_of(registry) for registry in registries] == [["hits_total 3.0"], []]


@pytest.mark.threads
@pytest.mark.parametrize("make", [Histogram, Counter, Gauge])
def test_a_number_never_goes_back_while_it_moves(
    backend: MemoryBackend, make: Callable[..., Metric], together: Callable[..., None]
) -> None:
    metric = make("number_total", "N.", registry=None)
    write: Callable[..., object] = getattr(metric, "observe" if isinstance(metric, Histogram) else "inc")
    registries: list[Registry] = [
        ShardedRegistry(MemoryShardStore(backend)),
        CollectorRegistry(),
        ShardedRegistry(MemoryShardStore()),
    ]
    proxy = CollectorRegistryProxy(registries[0])
    proxy.register(metric)
    ended = threading.Event()

    def number() -> float:
        numbers = metric.rows()[0].numbers
        return sum(numbers[1:]) if len(numbers) > 1 else numbers[0]

    def count() -> None:
        for _ in range(2000):
            write(1)
        ended.set()

    def move() -> None:
        while not ended.is_set():
            for registry in (*registries[1:], registries[0]):
                proxy.set_registry(registry)

    def watch() -> None:
        shown = 0.0
        while not ended.is_set():
            now = number()
            assert now >= shown
            shown = now

    together(count, move, watch)
    assert number() == 2000.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_child_of_a_fork_during_a_removal_does_not_write_its_parents_shard(backend: MemoryBackend) -> None:
    registry = ShardedRegistry(MemoryShardStore(backend))
    hits = Counter("hits_total", "H.", ["code"], registry=registry)
    for code in "ab":
        hits.labels(code).inc()
    entry = registry._published.now.find(hits)
    assert entry is not None
    registry._published.withdraw(entry)  # as a thread that has just begun to remove it
    parents = backend.shards[registry.store.identity.token]

    def work() -> list[float]:
        hits.labels("a").inc()
        return parents.numbers()

    assert in_a_child(work) == "[1.0, 1.0]"


def test_every_scrape_while_a_registry_closes_shows_all_processes_or_its_own(backend: MemoryBackend) -> None:
    seen: list[list[str]] = []

    class Closing(MemoryShardStore):
        def publish(self, metrics: Sequence[HasRows], /, *, last: bool = False) -> None:
            if last:
                look()
            super().publish(metrics, last=last)

        def close(self) -> None:
            look()
            super().close()
            look()

    registry = ShardedRegistry(Closing(backend))
    other, watching = ShardedRegistry(MemoryShardStore(backend)), ShardedRegistry(MemoryShardStore(backend))
    hits = [Counter("hits_total", "H.", ["code"], registry=each) for each in (registry, other)]
    for code in "ab":
        hits[0].labels(code).inc()
        hits[1].labels(code).inc(1000)

    def look() -> None:
        seen.append(lines_of(registry))
        assert lines_of(watching) == lines_of(other) == ['hits_total{code="a"} 1001.0', 'hits_total{code="b"} 1001.0']

    look()
    registry.close()
    look()
    assert seen[0] == lines_of(watching)
    assert seen[1:] == [['hits_total{code="a"} 1.0', 'hits_total{code="b"} 1.0']] * 4
