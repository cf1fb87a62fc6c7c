"""The registry over a store of shards."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import CollectorError, ConflictError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy, NumberStorage, Registry, StorageAware
from pytheus.samples import Family, Sample
from pytheus.shards import (
    Archive,
    Layout,
    MemoryShardStore,
    Problem,
    Reading,
    ShardedRegistry,
    ShardIdentity,
    Shelf,
    Snapshot,
)

if TYPE_CHECKING:
    from tests.shards.conftest import Lines

Join = Callable[[], ShardedRegistry]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(params=["memory", "publishing"])
def join(request: pytest.FixtureRequest, shelf: Shelf) -> Join:
    """Call it for the registry of one more process."""

    def made() -> ShardedRegistry:
        return ShardedRegistry(MemoryShardStore(shelf, publishing=request.param == "publishing"))

    return made


def shop(registry: Registry) -> None:
    """Every type of metric, with something in it."""
    Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc(2)
    Gauge("carts", "Carts.", registry=registry).set(3)
    Histogram("wait_seconds", "Wait.", buckets=(1, 2), registry=registry).observe(1.5)
    Summary("weight", "Weight.", registry=registry).observe(4)
    StateSet("door", "The door.", states=["open", "closed"], registry=registry).state("open")
    Info("build", "What runs.", registry=registry).info(version="1")


def test_one_process_alone_looks_as_it_does_in_memory(join: Join) -> None:
    registry, plain = join(), CollectorRegistry()
    shop(registry)
    shop(plain)
    assert generate_metrics(registry) == generate_metrics(plain)


def test_two_processes_are_one(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    shop(one)
    shop(other)
    generate_metrics(other)  # which publishes
    assert lines.of(one) == [
        'orders_total{method="card"} 4.0',
        "carts 6.0",
        'wait_seconds_bucket{le="1.0"} 0.0',
        'wait_seconds_bucket{le="2.0"} 2.0',
        'wait_seconds_bucket{le="+Inf"} 2.0',
        "wait_seconds_sum 3.0",
        "wait_seconds_count 2.0",
        "weight_sum 8.0",
        "weight_count 2.0",
        'door{door="open"} 1.0',
        'door{door="closed"} 0.0',
        'build_info{version="1"} 1.0',
    ]
    assert lines.of(other) == lines.of(one)


def test_metrics_go_on_counting_after_they_were_registered(join: Join, lines: Lines) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", registry=None)
    orders.inc(2)
    registry.register(orders)
    orders.inc(3)
    assert lines.of(registry) == ["orders_total 5.0"]
    assert orders.value == 5.0


def test_a_process_that_is_gone_still_counts(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    shop(one)
    generate_metrics(one)
    assert isinstance(one.store, MemoryShardStore)
    one.store.die()
    shop(other)
    for _ in range(3):
        assert lines.of(other)[:2] == ['orders_total{method="card"} 4.0', "carts 3.0"]


def test_what_is_unregistered_takes_its_numbers_along(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    orders = Counter("orders_total", "Orders.", registry=one)
    orders.inc(2)
    assert lines.of(one) == ["orders_total 2.0"]
    one.unregister(orders)
    orders.inc()
    assert orders.value == 3.0
    assert lines.of(one) == []
    assert lines.of(other) == []
    one.register(orders)
    assert lines.of(one) == ["orders_total 3.0"]


def test_a_metric_defined_again_shares_its_values(join: Join, lines: Lines) -> None:
    registry = join()
    Counter("orders_total", "Orders.", registry=registry).inc()
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines.of(registry) == ["orders_total 2.0"]


def test_a_handle_that_shares_its_values_unregisters_the_metric(join: Join, lines: Lines) -> None:
    registry = join()
    first = Counter("orders_total", "Orders.", registry=registry)
    second = Counter("orders_total", "Orders.", registry=registry)
    first.inc()
    registry.unregister(second)
    second.inc()
    assert first.value == 2.0
    assert lines.of(registry) == []


def test_a_refused_metric_keeps_its_numbers(join: Join, lines: Lines) -> None:
    registry = join()
    Counter("orders_total", "Orders.", registry=registry).inc()
    other = Gauge("orders_total", "Orders.", registry=None)
    other.set(7)
    with pytest.raises(ConflictError):
        registry.register(other)
    other.inc()
    assert other.value == 8.0
    assert lines.of(registry) == ["orders_total 1.0"]


def test_removed_series_are_gone(join: Join, lines: Lines) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", ["method"], registry=registry)
    orders.labels("card").inc()
    orders.labels("cash").inc()
    generate_metrics(registry)
    orders.remove("card")
    assert lines.of(registry) == ['orders_total{method="cash"} 1.0']
    orders.labels("card").inc()
    assert lines.of(registry) == ['orders_total{method="cash"} 1.0', 'orders_total{method="card"} 1.0']


def test_exemplars_reach_the_other_processes(join: Join) -> None:
    one, other = join(), join()
    Histogram("wait_seconds", "Wait.", buckets=(1,), registry=one).observe(0.5, exemplar={"trace": "a"})
    generate_metrics(one)
    found = [
        sample.exemplar.labels
        for collector in other.collect()
        for family in collector.collect()
        if isinstance(family, Family)
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert found == [{"trace": "a"}]


def test_the_prefix_stands_before_every_family(shelf: Shelf, lines: Lines) -> None:
    registry = ShardedRegistry(MemoryShardStore(shelf), prefix="shop")
    shop(registry)
    assert all(line.startswith("shop_") for line in lines.of(registry))


# Gauges -----------------------------------------------------------------------------------------------------------


def test_the_gauge_that_was_set_last_counts_whoever_came_last(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    Gauge("backup", "B.", mode="last", registry=other).set(1)
    generate_metrics(other)
    gauge = Gauge("backup", "B.", mode="last", registry=one)
    assert lines.of(one) == ["backup 1.0"]
    gauge.set(5)
    gauge.inc()
    assert gauge.value == 6.0
    assert lines.of(one) == ["backup 6.0"]
    generate_metrics(join())
    gauge.set(0)
    assert lines.of(one) == ["backup 0.0"]


def test_a_gauge_that_was_set_before_it_was_registered_counts_as_set(join: Join, lines: Lines) -> None:
    registry = join()
    gauge = Gauge("backup", "B.", mode="last", registry=None)
    gauge.set(5)
    registry.register(gauge)
    never = join()
    Gauge("backup", "B.", mode="last", registry=never)
    assert lines.of(registry) == ["backup 5.0"]
    registry.unregister(gauge)
    assert gauge.value == 5.0


def test_gauges_of_each_process_are_told_apart(shelf: Shelf, lines: Lines) -> None:
    for pid in (71, 72):
        registry = ShardedRegistry(MemoryShardStore(shelf, identity=ShardIdentity("web-1", pid, pid, str(pid))))
        Gauge("threads", "T.", mode="each", registry=registry).set(pid)
    assert lines.of(registry) == ['threads{pid="71"} 71.0', 'threads{pid="72"} 72.0']


def test_a_function_is_asked_at_its_own_processes_scrape(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    Gauge("jobs", "J.", registry=one).set_function(lambda: 4)
    Gauge("jobs", "J.", registry=other).set(1)
    assert lines.of(one)[-1:] in (["jobs 5.0"], ["jobs 4.0"])  # without memory the other one has not published yet
    generate_metrics(other)
    assert lines.of(one) == ["jobs 5.0"]


def test_a_function_that_fails_costs_only_itself_and_is_told(join: Join, lines: Lines) -> None:
    registry = join()
    Gauge("jobs", "J.", registry=registry).set_function(lambda: 1 // 0)
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines.of(registry) == [
        "jobs 0.0",
        "orders_total 1.0",
        'pytheus_collector_errors_total{collector="jobs"} 1.0',
    ]
    with pytest.raises(CollectorError, match="jobs"):
        generate_metrics(registry, strict=True)


# Other collectors -------------------------------------------------------------------------------------------------


class Custom:
    def __init__(self, name: str) -> None:
        self.name = name

    def collect(self) -> Iterator[Family | Collector]:
        yield Family(self.name, "gauge", "C.", [Sample("", {}, 1.0)])


def test_other_collectors_are_exposed_as_they_are_after_the_metrics(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    one.register(Custom("queue_depth"))
    Counter("orders_total", "Orders.", registry=one).inc()
    other.register(Custom("queue_depth"))
    assert lines.of(one) == ["orders_total 1.0", "queue_depth 1.0"]


def test_another_processes_metric_never_takes_the_name_of_this_ones(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    Counter("orders_total", "Orders.", registry=one).inc()
    Gauge("orders_total", "Orders.", registry=other).set(7)
    generate_metrics(other)
    assert lines.of(one) == ["orders_total 1.0", "pytheus_shard_conflicts 1.0"]
    assert lines.of(other)[0] == "orders_total 7.0"


def test_a_conflict_is_logged_once(join: Join, caplog: pytest.LogCaptureFixture) -> None:
    one, other = join(), join()
    Counter("orders_total", "Orders.", registry=one).inc()
    Gauge("orders_total", "Orders.", registry=other).set(7)
    generate_metrics(other)
    caplog.clear()
    for _ in range(3):
        generate_metrics(one)
    assert [record.message.split(" (")[0] for record in caplog.records] == ["gauge 'orders_total'"]


# The store's failures ---------------------------------------------------------------------------------------------


class Broken(MemoryShardStore):
    """A store that fails where it is told to."""

    failing: frozenset[str] = frozenset()
    told: Sequence[Problem] = ()

    def publish(self, collectors: Sequence[StorageAware], /) -> None:
        if "publish" in self.failing:
            raise OSError("no route to the shelf")
        super().publish(collectors)

    def read(self) -> Reading:
        if "read" in self.failing:
            raise OSError("no route to the shelf")
        return super().read()._replace(problems=self.told)


def test_what_was_read_last_is_shown_where_the_store_fails(shelf: Shelf, lines: Lines) -> None:
    store = Broken(shelf)
    registry, other = ShardedRegistry(store), ShardedRegistry(MemoryShardStore(shelf))
    orders = Counter("orders_total", "Orders.", registry=registry)
    Counter("orders_total", "Orders.", registry=other).inc(5)
    orders.inc()
    assert lines.of(registry) == ["orders_total 6.0"]
    store.failing = frozenset({"read", "publish"})
    orders.inc()
    failures = ['pytheus_shard_failures_total{step="publish"} 1.0', 'pytheus_shard_failures_total{step="read"} 1.0']
    assert lines.of(registry) == ["orders_total 7.0", *failures]
    store.failing = frozenset()
    assert lines.of(registry) == ["orders_total 7.0", *failures]


def test_this_processes_numbers_are_shown_where_nothing_was_ever_read(shelf: Shelf, lines: Lines) -> None:
    store = Broken(shelf)
    store.failing = frozenset({"read"})
    registry = ShardedRegistry(store)
    shop(registry)
    assert lines.of(registry)[:2] == ['orders_total{method="card"} 2.0', "carts 3.0"]


def test_a_failure_is_logged_when_it_begins_and_when_it_ends(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    store = Broken(shelf)
    registry = ShardedRegistry(store)
    for failing in (["read"], ["read"], ["read"], [], [], ["read"]):
        store.failing = frozenset(failing)
        generate_metrics(registry)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING, logging.ERROR]


def test_what_the_store_skipped_is_counted_and_logged_once(
    shelf: Shelf, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    store = Broken(shelf)
    store.told = [Problem("file x", "it is torn"), Problem("file y", "it is foreign")]
    registry = ShardedRegistry(store)
    assert lines.of(registry) == ["pytheus_shard_problems 2.0"]
    store.told = [Problem("file x", "it is torn")]
    assert lines.of(registry) == ["pytheus_shard_problems 1.0"]
    assert ["file x" in caplog.records[0].message, "file y" in caplog.records[1].message] == [True, True]
    assert len(caplog.records) == 2


class Short(MemoryShardStore):
    """A store whose first shard lacks numbers."""

    def read(self) -> Reading:
        layout = Layout()
        layout.add(layout.define(Counter("lost_total", "L.", registry=None).definition), (), 3)
        torn = Snapshot(ShardIdentity("web-1", 7, 7, "7"), True, layout, [1.0])
        return Reading([torn, *super().read().snapshots], Archive())


def test_a_shard_that_lacks_numbers_is_skipped(lines: Lines) -> None:
    registry = ShardedRegistry(Short())
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines.of(registry) == ["orders_total 1.0", "pytheus_shard_problems 1.0"]


class Releases(MemoryShardStore):
    def __init__(self) -> None:
        super().__init__()
        self.remaining: list[list[str]] = []

    def release(self, remaining: Callable[[], Sequence[StorageAware]], /) -> None:
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


def test_a_store_may_tell_of_itself(lines: Lines) -> None:
    registry = ShardedRegistry(Talkative())
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines.of(registry) == ["orders_total 1.0", "store_bytes 0.0"]


class Reentrant(MemoryShardStore):
    """A store during whose reading a signal handler scrapes."""

    seen: list[str]
    registry: ShardedRegistry | None = None

    def read(self) -> Reading:
        if self.registry is not None:
            self.seen = generate_metrics(self.registry).splitlines()
        return super().read()


def test_a_scrape_within_a_scrape_shows_the_one_before(lines: Lines) -> None:
    store = Reentrant()
    registry = ShardedRegistry(store)
    Counter("orders_total", "Orders.", registry=registry).inc()
    generate_metrics(registry)
    store.registry = registry
    assert lines.of(registry) == ["orders_total 1.0"]
    assert store.seen[-1] == "orders_total 1.0"


# Closing, moving, forking -----------------------------------------------------------------------------------------


def test_what_was_counted_stays_when_the_registry_is_closed(join: Join, lines: Lines) -> None:
    one, other = join(), join()
    orders = Counter("orders_total", "Orders.", registry=one)
    orders.inc(2)
    one.close()
    one.close()
    orders.inc(3)
    assert orders.value == 5.0
    assert lines.of(one) == ["orders_total 5.0"]
    assert lines.of(other) == ["orders_total 2.0"]
    one.unregister(orders)
    assert lines.of(one) == []


def test_metrics_move_in_and_out_with_their_numbers(join: Join, lines: Lines) -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    shop(proxy)
    before = generate_metrics(proxy)
    sharded = join()
    proxy.set_registry(sharded)
    assert generate_metrics(proxy) == before
    proxy.set_registry(CollectorRegistry())
    assert generate_metrics(proxy) == before
    assert lines.of(sharded) == []


def test_a_metric_that_another_registry_takes_over_is_gone_from_the_first(join: Join, lines: Lines) -> None:
    one, other, watching = join(), join(), join()
    proxy = CollectorRegistryProxy()
    proxy.set_registry(one)
    hits = Counter("hits_total", "Hits.", ["code"], registry=proxy)
    hits.labels("200").inc(3)
    for registry in (other, one, other, one):
        proxy.set_registry(registry)
        hits.labels("200").inc()
        for each in (one, other):
            list(each.collect())  # which publishes what it has
        assert lines.of(watching) == lines.of(proxy)
    assert lines.of(proxy) == ['hits_total{code="200"} 7.0']


def test_what_is_registered_is_found(join: Join) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", registry=registry)
    assert registry.find("orders_total") is orders
    assert orders in registry
    assert registry.find("carts") is None


def in_a_child(work: Callable[[], object]) -> str:
    """What `work` gives in a forked child, as text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on a fork beside threads warns, which is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
class TestFork:
    def test_a_child_begins_at_zero_with_a_shard_of_its_own(self, join: Join, shelf: Shelf) -> None:
        registry = join()
        orders = Counter("orders_total", "Orders.", registry=registry)
        orders.inc(2)
        generate_metrics(registry)
        parent = registry.store.identity

        def work() -> list[object]:
            orders.inc()
            generate_metrics(registry)
            mine = registry.store.identity
            return [
                mine.pid == os.getpid(),
                mine.token != parent.token,
                orders.value,
                shelf.shards[mine.token].numbers(),
                shelf.shards[parent.token].numbers(),
            ]

        assert in_a_child(work) == "[True, True, 1.0, [1.0], [2.0]]"
        assert orders.value == 2.0

    def test_every_type_begins_at_zero(self, join: Join) -> None:
        registry = join()
        shop(registry)
        last = Gauge("backup", "B.", mode="last", registry=registry)
        last.set(3)
        generate_metrics(registry)

        def work() -> list[object]:
            return [row.numbers for portable in registry.portables() for row in portable.rows()]

        assert in_a_child(work) == str([[0.0], [0.0], [0.0] * 4, [0.0] * 2, [0.0] * 2, [], [0.0] * 2])

    def test_a_lock_that_another_thread_held_is_free(self, join: Join, lines: Lines) -> None:
        registry = join()

        def work() -> list[str]:
            Counter("orders_total", "Orders.", registry=registry).inc()
            return lines.of(registry)

        told: list[str] = []
        with registry._scraping, registry._registering:
            thread = threading.Thread(target=lambda: told.append(in_a_child(work)))
            thread.start()
            thread.join()
        assert told == ["['orders_total 1.0']"]

    def test_a_store_that_fails_leaves_the_child_counting_by_itself(self, lines: Lines) -> None:
        class Failing(MemoryShardStore):
            def after_fork_in_child(self) -> None:
                raise OSError("no room")

        registry = ShardedRegistry(Failing())
        orders = Counter("orders_total", "Orders.", registry=registry)
        orders.inc(2)

        def work() -> list[object]:
            orders.inc()
            return [orders.value, lines.of(registry)]

        assert in_a_child(work) == "[1.0, ['orders_total 1.0']]"

    def test_a_registry_that_was_closed_stays_so(self, lines: Lines) -> None:
        registry = ShardedRegistry(MemoryShardStore())
        Counter("orders_total", "Orders.", registry=registry).inc(2)
        registry.close()
        assert in_a_child(lambda: lines.of(registry)) == "['orders_total 2.0']"


def test_threads_that_register_and_scrape_lose_nothing(join: Join, lines: Lines) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", ["thread"], registry=registry)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(30):
                orders.labels(str(number)).inc()
                passing = Counter(f"passing_{number}_total", "P.", registry=registry)
                passing.inc()
                assert f'orders_total{{thread="{number}"}} {round_ + 1}.0' in lines.of(registry)
                registry.unregister(passing)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(lines.of(registry)) == [f'orders_total{{thread="{number}"}} 30.0' for number in range(4)]


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
