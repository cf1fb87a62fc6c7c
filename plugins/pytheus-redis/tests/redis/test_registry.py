"""Real registries, chosen by URL, each with its thread: all metric types, forks, and the end of a process."""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics, worker
from pytheus.exceptions import OptionError
from pytheus.plugins import resolve_registry
from pytheus.registry import REGISTRY, CollectorRegistry, CollectorRegistryProxy, Registry
from pytheus.shards import MergedFamily, ShardedRegistry
from pytheus_redis import RedisStore, process_hooks

if TYPE_CHECKING:
    from tests.redis.conftest import Server, WaitUntil

Make = Callable[..., ShardedRegistry]


def exposed(registry: Registry) -> dict[str, float]:
    """Every sample of an exposition, by its name with labels."""
    lines = [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_series_that_a_part_of_the_labels_removes_are_gone_everywhere(make_registry: Make) -> None:
    one, other = make_registry(), make_registry()
    calls = Counter("calls_total", "Calls.", ["tenant", "code"], registry=one)
    for tenant in "abc":
        for code in (200, 500):
            calls.labels(tenant, code).inc()
    generate_metrics(one)
    assert len([name for name in exposed(other) if name.startswith("calls_total")]) == 6
    assert calls.remove(tenant="a")
    calls.labels(code=500).clear()
    generate_metrics(one)
    assert [name for name in exposed(other) if name.startswith("calls_total")] == [
        'calls_total{tenant="b",code="200"}',
        'calls_total{tenant="c",code="200"}',
    ]


def test_every_type_of_metric_is_brought_together(make_registry: Make) -> None:
    one, other = make_registry(), make_registry()
    for registry in (one, other):
        Counter("orders_total", "Orders.", registry=registry).inc(2)
        Gauge("baskets_open", "Baskets.", registry=registry).set(3)
        Gauge("oldest_seconds", "Age.", registry=registry, mode="max").set(id(registry) % 2 + 5)
        Histogram("latency_seconds", "Latency.", buckets=[1, 2], registry=registry).observe(1.5)
        Summary("size_bytes", "Sizes.", registry=registry).observe(10)
        Info("build", "The build.", registry=registry).info({"version": "1.2"})
        StateSet("feature", "Features.", states=["a", "b"], registry=registry).set("a", True)
    exposed(other)
    seen = exposed(one)
    assert seen["orders_total"] == 4
    assert seen["baskets_open"] == 6
    assert seen["latency_seconds_count"] == 2
    assert seen['latency_seconds_bucket{le="2.0"}'] == 2
    assert seen['latency_seconds_bucket{le="1.0"}'] == 0
    assert seen["size_bytes_sum"] == 20
    assert seen['build_info{version="1.2"}'] == 1
    assert seen['feature{feature="a"}'] == 1
    assert seen['feature{feature="b"}'] == 0


def test_the_latest_gauge_wins(make_registry: Make) -> None:
    one, other = make_registry(), make_registry()
    gauges = [Gauge("level", "Level.", registry=registry, mode="last") for registry in (one, other)]
    gauges[0].set(1)
    gauges[1].set(2)
    exposed(other)
    assert exposed(one)["level"] == 2
    gauges[0].set(3)
    exposed(one)
    assert exposed(other)["level"] == 3


def test_gauges_of_each_process_say_which(make_registry: Make) -> None:
    registry = make_registry()
    gauge = Gauge("memory_bytes", "Memory.", registry=registry, mode="each")
    gauge.set(1)
    mine, of_child = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            mine.close()
            gauge.set(2)
            exposed(registry)
            of_child.send(b"published")
            of_child.recv(1)  # until the parent has seen it
        finally:
            os._exit(0)
    of_child.close()
    with mine:
        assert mine.recv(9) == b"published"
        seen = {name: value for name, value in exposed(registry).items() if name.startswith("memory_bytes")}
    os.waitpid(child, 0)
    host = os.uname().nodename
    assert seen == {
        f'memory_bytes{{host="{host}",pid="{pid}"}}': value for pid, value in ((os.getpid(), 1), (child, 2))
    }


def test_exemplars_are_brought_along(make_registry: Make) -> None:
    one, other = make_registry(), make_registry()
    Counter("orders_total", "Orders.", registry=one)
    Counter("orders_total", "Orders.", registry=other).inc(1, exemplar={"trace_id": "abc"})
    exposed(other)
    (family,) = [each for each in one.collect() if isinstance(each, MergedFamily)]
    (sample,) = next(iter(family.collect())).samples
    assert sample.exemplar is not None
    assert sample.exemplar.labels == {"trace_id": "abc"}


def test_the_thread_publishes_by_itself(make_registry: Make, wait_until: WaitUntil) -> None:
    one, other = make_registry(), make_registry()
    counter = Counter("orders_total", "Orders.", registry=one)
    counter.inc(5)
    wait_until(lambda: exposed(other).get("orders_total") == 5, "the counter to be published")
    counter.inc()
    wait_until(lambda: exposed(other).get("orders_total") == 6, "its change to be published")


def test_functions_are_asked_by_the_thread(make_registry: Make, wait_until: WaitUntil) -> None:
    one, other = make_registry(), make_registry()
    jobs = [1, 2]
    Gauge("jobs", "Jobs.", registry=one).set_function(lambda: len(jobs))
    wait_until(lambda: exposed(other).get("jobs") == 2, "the function's number to be published")


def test_a_closed_registry_has_published_what_was_counted(make_registry: Make) -> None:
    one, other = make_registry(interval_seconds=1000, expiry_seconds=10000), make_registry()
    counter = Counter("orders_total", "Orders.", registry=one)
    gauge = Gauge("baskets_open", "Baskets.", registry=one)
    counter.inc(5)
    gauge.set(5)
    one.close()
    one.close()
    counter.inc()
    seen = exposed(other)
    assert seen["orders_total"] == 5
    assert "baskets_open" not in seen
    assert exposed(one)["orders_total"] == 6


def test_nothing_is_published_after_the_last_publication(make_registry: Make) -> None:
    reader = make_registry()
    for number in range(20):
        one = make_registry(interval_seconds=0.0001)  # so that the thread would publish again at once
        Counter("orders_total", "Orders.", registry=one).inc()
        Gauge("baskets_open", "Baskets.", registry=one).set(1)
        one.close()
        seen = exposed(reader)
        assert seen.get("orders_total") == number + 1
        assert "baskets_open" not in seen


def test_what_a_registry_was_told_to_publish_once_is_not_all_that_it_publishes(
    make_registry: Make, wait_until: WaitUntil
) -> None:
    one, other = make_registry(), make_registry()
    counter = Counter("orders_total", "Orders.", registry=one)
    one.store.publish(one.shared_metrics())
    later = Counter("later_total", "Defined later.", registry=one)
    counter.inc(5)
    later.inc(6)
    assert isinstance(one.store, RedisStore)
    one.store.close()  # as at the end of the process
    seen = exposed(other)
    assert (seen["orders_total"], seen.get("later_total")) == (5, 6)


def test_a_registry_that_is_not_referred_to_leaves_no_thread(
    make_registry: Make, shared_server: Server, namespace: str, wait_until: WaitUntil
) -> None:
    before = set(threading.enumerate())
    registry = resolve_registry(f"redis://127.0.0.1:{shared_server.port}?namespace={namespace}&interval_seconds=0.01")
    reference = weakref.ref(registry)
    del registry
    gc.collect()
    assert reference() is None
    wait_until(lambda: set(threading.enumerate()) <= before, "the thread to end")


def test_what_moves_from_one_registry_to_another_counts_once(
    make_registry: Make, shared_server: Server, namespace: str, wait_until: WaitUntil
) -> None:
    url = f"redis://127.0.0.1:{shared_server.port}?namespace={namespace}&interval_seconds=0.05&expiry_seconds=3"
    observer = make_registry(expiry_seconds=3)
    proxy = CollectorRegistryProxy()
    former = resolve_registry(url)
    assert isinstance(former, ShardedRegistry)
    proxy.set_registry(former)
    counter = Counter("orders_total", "Orders.", registry=proxy)
    counter.inc(5)
    former.store.publish(former.shared_metrics())
    token, reference = former.store.identity.token, weakref.ref(former)
    proxy.set_registry(CollectorRegistry())
    proxy.set_registry(resolve_registry(url))
    del former

    def has_gone() -> bool:
        gc.collect()
        return reference() is None

    def is_folded() -> bool:
        assert isinstance(observer.store, RedisStore)
        exposed(observer)
        return token not in {snapshot.identity.token for snapshot in observer.store.read().snapshots}

    wait_until(has_gone, "the former registry to be let go of, when it has published that the counter left")
    wait_until(is_folded, "its shard to be put into the archive")
    wait_until(lambda: exposed(observer).get("orders_total") == 5, "the counter to be seen, once")
    final = proxy.registry
    assert isinstance(final, ShardedRegistry)
    final.close()


# Forks ----------------------------------------------------------------------------------------------------------------


def in_a_fork(work: Callable[[], None]) -> None:
    """Do it in a child, which ends like one of a server's workers, with the store's exit function."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            process_hooks._at_exit()  # and not those of pytest, one of which removes directories of earlier runs
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_fork_begins_at_zero_and_counts_for_itself(make_registry: Make) -> None:
    registry = make_registry()
    counter = Counter("orders_total", "Orders.", registry=registry)
    gauge = Gauge("baskets_open", "Baskets.", registry=registry)
    histogram = Histogram("latency_seconds", "Latency.", registry=registry)
    counter.inc(5)
    gauge.set(5)
    histogram.observe(1)

    def work() -> None:
        counter.inc(2)
        assert counter.value == 2
        assert exposed(registry)["orders_total"] >= 2

    in_a_fork(work)
    counter.inc()
    seen = exposed(registry)
    assert seen["orders_total"] == 8
    assert seen["baskets_open"] == 5
    assert seen["latency_seconds_count"] == 1


def test_forks_of_forks_count(make_registry: Make) -> None:
    registry = make_registry()
    counter = Counter("orders_total", "Orders.", registry=registry)

    def work() -> None:
        counter.inc(2)
        in_a_fork(lambda: counter.inc(3))
        counter.inc(4)

    counter.inc(1)
    in_a_fork(work)
    assert exposed(registry)["orders_total"] == 10


def test_a_fork_finds_the_thread_at_rest_and_the_parent_goes_on(
    make_registry: Make, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_FORK_WAIT_SECONDS", 60.0)  # on a busy machine an answer may take its time
    others = len(os.listdir("/proc/self/task")) - 1  # a worker of pytest-xdist has a thread of its own
    one, other = make_registry(), make_registry()
    counter = Counter("orders_total", "Orders.", registry=one)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        in_a_fork(lambda: None)
    # Python 3.12 and later warn of a fork beside threads.
    assert others or caught == []
    counter.inc(5)
    wait_until(lambda: exposed(other).get("orders_total") == 5, "the parent to publish again")


def _count_in_pool(amount: int) -> float:
    counter = REGISTRY.find("pool_total")
    assert isinstance(counter, Counter)
    counter.inc(amount)
    return counter.value


def test_processes_of_a_pool_publish_at_their_end(make_registry: Make) -> None:
    registry = make_registry()
    with REGISTRY.use(registry):
        counter = Counter("pool_total", "Work.", registry=registry)
        counter.inc(100)
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            list(pool.map(_count_in_pool, range(20)))
        assert exposed(registry)["pool_total"] == 100 + sum(range(20))


PROGRAM = """\
import sys
from pytheus import Counter, REGISTRY
counter = Counter("orders_total", "Orders.")
counter.inc(7)
{then}
"""


@pytest.mark.parametrize("then", ["", "sys.exit(0)", "raise SystemExit"])
def test_the_end_of_a_program_publishes(
    make_registry: Make, shared_server: Server, namespace: str, then: str, tmp_path: Path
) -> None:
    url = (
        f"redis://127.0.0.1:{shared_server.port}/0?namespace={namespace}&interval_seconds=1000&expiry_seconds=10000"
        "&timeout_seconds=20&exit_seconds=20"
    )
    command = [sys.executable, "-c", PROGRAM.format(then=then)]
    subprocess.run(command, env=os.environ | {"PYTHEUS_REGISTRY": url}, cwd=tmp_path, check=True, timeout=120)
    assert exposed(make_registry())["orders_total"] == 7


# What was asked for ---------------------------------------------------------------------------------------------------


def test_importing_the_plugin_imports_no_redis() -> None:
    code = "import sys, pytheus_redis; assert 'redis' not in sys.modules and 'threading' not in pytheus_redis.__dict__"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://h?namespace=a%20b", "namespace must be"),
        ("redis://h?namespace=", "namespace must be"),
        ("redis://h?interval_seconds=0", "interval_seconds must be a number of seconds above 0"),
        ("redis://h?interval_seconds=fast", "interval_seconds"),
        ("redis://h?interval_seconds=nan", "interval_seconds"),
        ("redis://h?expiry_seconds=2", "three times"),
        ("redis://h/zero", "number of a database"),
        ("redis://h/1?db=2", "says 2"),
        ("redis://h?db=-1", "db must be from 0"),
        ("redis://h?scheme=rediss", "no option 'scheme'"),
        ("redis://h?sentinels=a:1", "sentinel"),
        ("redis://h?ca_file=/ca.pem", "certificates"),
        ("redis+unix://", "socket's path"),
        ("redis+sentinel://h", "service's name"),
        ("redis+sentinel://h/main?sentinels=a:b", "HOST:PORT"),
        ("redis+sentinel://h/main?sentinels=shop:hunter2@a:1", "HOST:PORT, separated by commas, but 1 is not"),
        ("redis://h?port=65536", "port must be from 1 to 65535"),
        ("redis://h:0", "port must be from 1 to 65535"),
        ("rediss://h?ca_file=/there/is/no/ca.pem", "ca_file must be the path of a file that can be read"),
        ("redis+cluster://h/1", "only the database 0"),
        ("rediss://h?verify=maybe", "verify"),
        ("redis://h?intervall=1", "did you mean"),
    ],
)
def test_options_that_make_no_sense_are_refused(url: str, complaint: str) -> None:
    with pytest.raises(Exception, match="redis") as raised:
        resolve_registry(url)
    error: BaseException | None = raised.value
    assert isinstance(error, OptionError)
    assert complaint in str(error)
    assert "hunter2" not in str(error)


def test_no_password_is_shown() -> None:
    registry = resolve_registry("redis://shop:hunter2@127.0.0.1:1/0?sentinels=&namespace=x")
    assert isinstance(registry, ShardedRegistry)
    store = registry.store
    assert isinstance(store, RedisStore)
    for shown in (repr(registry), repr(store), repr(store.options), store.options.redacted_url, repr(store.client)):
        assert "hunter2" not in shown
    assert store.options.password == "hunter2"
    registry.close()


def test_a_scrape_tells_which_processes_it_shows(make_registry: Make) -> None:
    one, other = make_registry(), make_registry()
    for registry in one, other:
        Counter("jobs_total", "Jobs.", registry=registry).inc()
        generate_metrics(registry)  # which publishes
    generate_metrics(one)
    told = {(process.pid, process.host, process.state, process.series) for process in one.processes()}
    assert told == {(os.getpid(), socket.gethostname(), "alive", 1)}
    assert len({process.id for process in one.processes()}) == 2
