"""A registry of shards whose store fails, skips shards or asks for more than numbers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.registry import Collector, CollectorRegistry, HasRows, NumberStorage
from pytheus.shards import (
    Archive,
    Failure,
    Layout,
    MemoryBackend,
    MemoryShardStore,
    Reading,
    ShardedRegistry,
    ShardIdentity,
    Snapshot,
    fold,
)
from tests.shards.conftest import lines_of, shop

# The store's failures ---------------------------------------------------------------------------------------------


class Broken(MemoryShardStore):
    """A store that fails where it is told to."""

    failing: frozenset[str] = frozenset()
    told: Sequence[Failure] = ()

    def publish(self, metrics: Sequence[HasRows], /, *, last: bool = False) -> None:
        if "publish" in self.failing:
            raise OSError("no route to the backend")
        super().publish(metrics, last=last)

    def read(self) -> Reading:
        if "read" in self.failing:
            raise OSError("no route to the backend")
        return super().read()._replace(skipped=self.told)


class Rejoining(Broken):
    """A store whose shard was folded while its process was still counting."""

    base: Sequence[float] | None = None

    def read(self) -> Reading:
        reading = super().read()
        return reading._replace(snapshots=[snapshot._replace(base=self.base) for snapshot in reading.snapshots])


def test_what_was_read_last_is_shown_where_the_store_fails(backend: MemoryBackend) -> None:
    store = Broken(backend)
    registry, other = ShardedRegistry(store), ShardedRegistry(MemoryShardStore(backend))
    orders = Counter("orders_total", "Orders.", registry=registry)
    Counter("orders_total", "Orders.", registry=other).inc(5)
    orders.inc()
    assert lines_of(registry) == ["orders_total 6.0"]
    store.failing = frozenset({"read", "publish"})
    orders.inc()
    failures = [f'pytheus_shard_failures_total{{step="{step}",reason="OSError"}} 1.0' for step in ("publish", "read")]
    assert lines_of(registry) == ["orders_total 7.0", *failures]
    store.failing = frozenset()
    assert lines_of(registry) == ["orders_total 7.0", *failures]


def test_numbers_in_the_archive_do_not_count_twice_where_the_store_fails(backend: MemoryBackend) -> None:
    store = Rejoining(backend)
    registry = ShardedRegistry(store)
    orders = Counter("orders_total", "Orders.", ["method"], registry=registry)
    orders.labels("cash").inc(3)
    orders.labels("card").inc(5)
    backend.archive = fold(backend.archive, [store.read().snapshots[0]]).forget_tokens([store.identity.token])
    store.base = [3.0, 5.0]
    expected = ['orders_total{method="cash"} 3.0', 'orders_total{method="card"} 5.0']
    assert lines_of(registry) == expected
    store.failing = frozenset({"read"})
    orders.labels("transfer").inc(2)
    orders.labels("card").inc()
    assert sorted(lines_of(registry)[:3]) == [
        'orders_total{method="card"} 6.0',
        'orders_total{method="cash"} 3.0',
        'orders_total{method="transfer"} 2.0',
    ]


class Divided(Broken):
    """A store that shows this process as two shards, as if one of its series had found no space."""

    def read(self) -> Reading:
        reading = super().read()
        (own,) = reading.snapshots
        layout = Layout()
        layout.add_series(layout.add_definition(own.layout.definitions[0]), ("cash",), 0)
        identity = own.identity._replace(token=own.identity.token[::-1])
        return reading._replace(snapshots=[own, Snapshot(identity, True, layout, [3.0])])


def test_a_process_of_two_shards_counts_once_where_the_store_fails() -> None:
    store = Divided()
    registry = ShardedRegistry(store)
    orders = Counter("orders_total", "Orders.", ["method"], registry=registry)
    orders.labels("card").inc(5)
    expected = ['orders_total{method="card"} 5.0', 'orders_total{method="cash"} 3.0']
    assert sorted(lines_of(registry)) == expected
    orders.labels("cash").inc(3)
    store.failing = frozenset({"read"})
    assert sorted(lines_of(registry)[:2]) == expected


def test_this_processes_numbers_are_shown_where_nothing_was_ever_read(backend: MemoryBackend) -> None:
    store = Broken(backend)
    store.failing = frozenset({"read"})
    registry = ShardedRegistry(store)
    shop(registry)
    assert lines_of(registry)[:2] == ['orders_total{method="card"} 2.0', "carts 3.0"]


def test_a_failure_is_logged_when_it_begins_and_when_it_ends(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    store = Broken(backend)
    registry = ShardedRegistry(store)
    for failing in (["read"], ["read"], ["read"], [], [], ["read"]):
        store.failing = frozenset(failing)
        generate_metrics(registry)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING, logging.ERROR]


def test_what_the_store_skipped_is_counted_and_logged_once(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    store = Broken(backend)
    store.told = [Failure("file x", "it is torn"), Failure("file y", "it is foreign")]
    registry = ShardedRegistry(store)
    assert lines_of(registry) == ["pytheus_shards_skipped 2.0"]
    store.told = [Failure("file x", "it is torn")]
    assert lines_of(registry) == ["pytheus_shards_skipped 1.0"]
    assert ["file x" in caplog.records[0].message, "file y" in caplog.records[1].message] == [True, True]
    assert len(caplog.records) == 2


class Short(MemoryShardStore):
    """A store whose first shard lacks numbers."""

    def read(self) -> Reading:
        layout = Layout()
        layout.add_series(layout.add_definition(Counter("lost_total", "L.", registry=None).definition), (), 3)
        torn = Snapshot(ShardIdentity("web-1", 7, 7, "7"), True, layout, [1.0])
        return Reading([torn, *super().read().snapshots], Archive())


def test_a_shard_that_lacks_numbers_is_skipped() -> None:
    registry = ShardedRegistry(Short())
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines_of(registry) == ["orders_total 1.0", "pytheus_shards_skipped 1.0"]


class Releases(MemoryShardStore):
    def __init__(self) -> None:
        super().__init__()
        self.remaining: list[list[str]] = []

    def schedule_flush(self, remaining: Callable[[], Sequence[HasRows]], /) -> None:
        self.remaining.append([portable.definition.name for portable in remaining()])


def test_a_store_is_told_what_is_left_when_a_metric_goes() -> None:
    store = Releases()
    registry = ShardedRegistry(store)
    hits, level = Counter("hits_total", "H.", registry=registry), Gauge("level", "L.", mode="last", registry=registry)
    other = CollectorRegistry()
    registry.register(other)
    for collector in (hits, other, level):
        registry.unregister(collector)
    assert store.remaining == [["level"], []]


class Talkative(MemoryShardStore):
    def __init__(self) -> None:
        super().__init__()
        self.bytes = Gauge("store_bytes", "Bytes.", registry=None)

    def collectors(self) -> Iterable[Collector]:
        return [self.bytes]


def test_a_store_may_tell_of_itself() -> None:
    registry = ShardedRegistry(Talkative())
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines_of(registry) == ["orders_total 1.0", "store_bytes 0.0"]


class Reentrant(MemoryShardStore):
    """A store during whose reading a signal handler scrapes."""

    seen: list[str]
    registry: ShardedRegistry | None = None

    def read(self) -> Reading:
        if self.registry is not None:
            self.seen = generate_metrics(self.registry).splitlines()
        return super().read()


def test_a_scrape_within_a_scrape_shows_the_one_before() -> None:
    store = Reentrant()
    registry = ShardedRegistry(store)
    Counter("orders_total", "Orders.", registry=registry).inc()
    generate_metrics(registry)
    store.registry = registry
    assert lines_of(registry) == ["orders_total 1.0"]
    assert store.seen[-1] == "orders_total 1.0"


def test_memory_is_asked_once_for_each_registration() -> None:
    asked: list[str] = []

    class Asked(MemoryShardStore):
        def storage(self, definition: object, /) -> NumberStorage | None:
            asked.append(str(definition))
            return None

    registry = ShardedRegistry(Asked())
    orders = Counter("orders_total", "Orders.", registry=registry)
    registry.register(orders)
    assert len(asked) == 1
