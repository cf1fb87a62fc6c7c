"""The registry over a store of shards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.exceptions import CollectorError, ConflictError
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from pytheus.samples import Family
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry, ShardIdentity
from tests.registry.conftest import Custom
from tests.shards.conftest import Join, lines_of, shop


def test_one_process_alone_looks_as_it_does_in_memory(join: Join) -> None:
    registry, plain = join(), CollectorRegistry()
    shop(registry)
    shop(plain)
    assert generate_metrics(registry) == generate_metrics(plain)


def test_two_processes_are_one(join: Join) -> None:
    one, other = join(), join()
    shop(one)
    shop(other)
    generate_metrics(other)  # which publishes
    assert lines_of(one) == [
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
    assert lines_of(other) == lines_of(one)


def test_metrics_go_on_counting_after_they_were_registered(join: Join) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", registry=None)
    orders.inc(2)
    registry.register(orders)
    orders.inc(3)
    assert lines_of(registry) == ["orders_total 5.0"]
    assert orders.value == 5.0


def test_a_process_that_is_gone_still_counts(join: Join) -> None:
    one, other = join(), join()
    shop(one)
    generate_metrics(one)
    assert isinstance(one.store, MemoryShardStore)
    one.store.kill()
    shop(other)
    for _ in range(3):
        assert lines_of(other)[:2] == ['orders_total{method="card"} 4.0', "carts 3.0"]


def test_what_is_unregistered_takes_its_numbers_along(join: Join) -> None:
    one, other = join(), join()
    orders = Counter("orders_total", "Orders.", registry=one)
    orders.inc(2)
    assert lines_of(one) == ["orders_total 2.0"]
    one.unregister(orders)
    orders.inc()
    assert orders.value == 3.0
    assert lines_of(one) == []
    assert lines_of(other) == []
    one.register(orders)
    assert lines_of(one) == ["orders_total 3.0"]


def test_a_handle_that_shares_its_values_unregisters_the_metric(join: Join) -> None:
    registry = join()
    first = Counter("orders_total", "Orders.", registry=registry)
    second = Counter("orders_total", "Orders.", registry=registry)
    first.inc()
    registry.unregister(second)
    second.inc()
    assert first.value == 2.0
    assert lines_of(registry) == []


def test_a_refused_metric_keeps_its_numbers(join: Join) -> None:
    registry = join()
    Counter("orders_total", "Orders.", registry=registry).inc()
    other = Gauge("orders_total", "Orders.", registry=None)
    other.set(7)
    with pytest.raises(ConflictError):
        registry.register(other)
    other.inc()
    assert other.value == 8.0
    assert lines_of(registry) == ["orders_total 1.0"]


def test_removed_series_are_gone(join: Join) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", ["method"], registry=registry)
    orders.labels("card").inc()
    orders.labels("cash").inc()
    generate_metrics(registry)
    orders.remove("card")
    assert lines_of(registry) == ['orders_total{method="cash"} 1.0']
    orders.labels("card").inc()
    assert lines_of(registry) == ['orders_total{method="cash"} 1.0', 'orders_total{method="card"} 1.0']


def test_series_that_a_part_of_the_labels_removes_are_gone(join: Join) -> None:
    one, other = join(), join()
    tables = [Counter("orders_total", "Orders.", ["tenant", "method"], registry=registry) for registry in (one, other)]
    for orders in tables:
        for tenant in ("a", "b"):
            for method in ("card", "cash"):
                orders.labels(tenant, method).inc()
    generate_metrics(one)
    tables[0].remove(tenant="a")
    tables[0].labels(method="card").clear()
    generate_metrics(one)  # which publishes
    # The other process keeps its own.
    assert sorted(lines_of(other)) == [
        'orders_total{tenant="a",method="card"} 1.0',
        'orders_total{tenant="a",method="cash"} 1.0',
        'orders_total{tenant="b",method="card"} 1.0',
        'orders_total{tenant="b",method="cash"} 2.0',
    ]
    tables[1].labels(tenant="a").clear()
    tables[1].remove(method="card")
    generate_metrics(other)
    assert lines_of(one) == ['orders_total{tenant="b",method="cash"} 2.0'] == lines_of(other)


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


def test_every_family_has_the_prefix(backend: MemoryBackend) -> None:
    registry = ShardedRegistry(MemoryShardStore(backend), prefix="shop")
    shop(registry)
    assert all(line.startswith("shop_") for line in lines_of(registry))


# Gauges -----------------------------------------------------------------------------------------------------------


def test_the_gauge_that_was_set_last_counts_and_not_the_newest_process(join: Join) -> None:
    one, other = join(), join()
    Gauge("backup", "B.", mode="last", registry=other).set(1)
    generate_metrics(other)
    gauge = Gauge("backup", "B.", mode="last", registry=one)
    assert lines_of(one) == ["backup 1.0"]
    gauge.set(5)
    gauge.inc()
    assert gauge.value == 6.0
    assert lines_of(one) == ["backup 6.0"]
    generate_metrics(join())
    gauge.set(0)
    assert lines_of(one) == ["backup 0.0"]


def test_a_gauge_that_was_set_before_it_was_registered_counts_as_set(join: Join) -> None:
    registry = join()
    gauge = Gauge("backup", "B.", mode="last", registry=None)
    gauge.set(5)
    registry.register(gauge)
    never = join()
    Gauge("backup", "B.", mode="last", registry=never)
    assert lines_of(registry) == ["backup 5.0"]
    registry.unregister(gauge)
    assert gauge.value == 5.0


def test_gauges_of_each_process_are_told_apart(backend: MemoryBackend) -> None:
    for pid in (71, 72):
        registry = ShardedRegistry(MemoryShardStore(backend, identity=ShardIdentity("web-1", pid, pid, str(pid))))
        Gauge("threads", "T.", mode="each", registry=registry).set(pid)
    assert lines_of(registry) == ['threads{pid="71"} 71.0', 'threads{pid="72"} 72.0']


def test_a_function_is_asked_at_its_own_processes_scrape(join: Join) -> None:
    one, other = join(), join()
    Gauge("jobs", "J.", registry=one).set_function(lambda: 4)
    Gauge("jobs", "J.", registry=other).set(1)
    assert lines_of(one)[-1:] in (["jobs 5.0"], ["jobs 4.0"])  # without memory the other one has not published yet
    generate_metrics(other)
    assert lines_of(one) == ["jobs 5.0"]


def test_a_function_that_fails_costs_only_itself_and_is_told(join: Join) -> None:
    registry = join()
    Gauge("jobs", "J.", registry=registry).set_function(lambda: 1 // 0)
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines_of(registry) == [
        "orders_total 1.0",
        'pytheus_collector_errors_total{collector="jobs"} 1.0',
    ]
    with pytest.raises(CollectorError, match="jobs"):
        generate_metrics(registry, strict=True)


# Other collectors -------------------------------------------------------------------------------------------------


def test_other_collectors_are_exposed_as_they_are_after_the_metrics(join: Join) -> None:
    one, other = join(), join()
    one.register(Custom("queue_depth"))
    Counter("orders_total", "Orders.", registry=one).inc()
    other.register(Custom("queue_depth"))
    assert lines_of(one) == ["orders_total 1.0", "queue_depth 1.0"]


def test_another_processes_metric_never_takes_the_name_of_this_ones(join: Join) -> None:
    one, other = join(), join()
    Counter("orders_total", "Orders.", registry=one).inc()
    Gauge("orders_total", "Orders.", registry=other).set(7)
    generate_metrics(other)
    assert lines_of(one) == ["orders_total 1.0", "pytheus_shard_conflicts 1.0"]
    assert lines_of(other)[0] == "orders_total 7.0"


def test_a_conflict_is_logged_once(join: Join, caplog: pytest.LogCaptureFixture) -> None:
    one, other = join(), join()
    Counter("orders_total", "Orders.", registry=one).inc()
    Gauge("orders_total", "Orders.", registry=other).set(7)
    generate_metrics(other)
    caplog.clear()
    for _ in range(3):
        generate_metrics(one)
    assert [record.message.split(" (")[0] for record in caplog.records] == ["gauge 'orders_total'"]


# Closing, moving, forking -----------------------------------------------------------------------------------------


def test_what_was_counted_stays_when_the_registry_is_closed(join: Join) -> None:
    one, other = join(), join()
    orders = Counter("orders_total", "Orders.", registry=one)
    orders.inc(2)
    one.close()
    one.close()
    orders.inc(3)
    assert orders.value == 5.0
    assert lines_of(one) == ["orders_total 5.0"]
    assert lines_of(other) == ["orders_total 2.0"]
    one.unregister(orders)
    assert lines_of(one) == []


def test_metrics_move_in_and_out_with_their_numbers(join: Join) -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    shop(proxy)
    before = generate_metrics(proxy)
    sharded = join()
    proxy.set_registry(sharded)
    assert generate_metrics(proxy) == before
    proxy.set_registry(CollectorRegistry())
    assert generate_metrics(proxy) == before
    assert lines_of(sharded) == []


def test_a_metric_that_another_registry_takes_over_is_gone_from_the_first(join: Join) -> None:
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
        assert lines_of(watching) == lines_of(proxy)
    assert lines_of(proxy) == ['hits_total{code="200"} 7.0']


def test_what_is_registered_is_found(join: Join) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", registry=registry)
    assert registry.find("orders_total") is orders
    assert orders in registry
    assert registry.find("carts") is None


def test_threads_that_register_and_scrape_lose_nothing(join: Join, together: Callable[..., None]) -> None:
    registry = join()
    orders = Counter("orders_total", "Orders.", ["thread"], registry=registry)

    def work(number: int) -> None:
        for round_ in range(30):
            orders.labels(str(number)).inc()
            passing = Counter(f"passing_{number}_total", "P.", registry=registry)
            passing.inc()
            assert f'orders_total{{thread="{number}"}} {round_ + 1}.0' in lines_of(registry)
            registry.unregister(passing)

    together(*(partial(work, number) for number in range(4)))
    assert sorted(lines_of(registry)) == [f'orders_total{{thread="{number}"}} 30.0' for number in range(4)]
