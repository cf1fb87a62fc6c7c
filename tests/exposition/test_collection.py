"""Collections that clients share, with collectors that take long or never return."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.exposition import collection_lanes, collector_threads, respond
from pytheus.exposition.response import Response
from pytheus.registry import Collector, CollectorRegistry, Registry
from pytheus.samples import Family, Sample
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.conftest import wait_until
from tests.exposition.conftest import Custom, Plain, family_names, gauge_family

_PATIENCE_SECONDS = 60
# An eighth of it is what a busy machine has to end a collection at its deadline, before the scrape is too late.
_SHORT = "1"
_LONG = "25"


class Slow:
    """A collector that returns when it is let go; counts its calls."""

    def __init__(self, name: str = "slow") -> None:
        self.name = name
        self.calls = 0
        self.running = 0
        self.most_running = 0
        self.let_go = threading.Event()
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Family]:
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        assert self.let_go.wait(_PATIENCE_SECONDS)
        with self._lock:
            self.running -= 1
        yield gauge_family(self.name)


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.let_go.set()
    wait_until(lambda: slow.running == 0, "the slow collector to return")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


def scrape(registry: Registry, timeout: str = _LONG, accept: str = "") -> Response:
    return respond.answer_scrape(registry, "GET", accept=accept, timeout=timeout)


def text(registry: Registry, timeout: str = _LONG) -> str:
    response = scrape(registry, timeout)
    assert response.status == 200
    return response.body.decode()


def errors(of: str) -> dict[str, float]:
    """How often each collector was left out, according to an exposition."""
    counted = {}
    for line in of.splitlines():
        if line.startswith("pytheus_collector_errors_total{"):
            name, number = line.split('"')[1], line.split()[-1]
            counted[name] = float(number)
    return counted


# Sharing -------------------------------------------------------------------------------------------------------------


def test_those_who_ask_while_one_runs_share_the_next(
    registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor
) -> None:
    orders = Counter("orders_total", "Orders placed.", registry=registry)
    registry.register(slow)
    first = pool.submit(text, registry)
    wait_until(lambda: slow.running, "the first collection to begin")
    orders.inc()
    begun = threading.Semaphore(0)

    def ask() -> str:
        begun.release()
        return text(registry)

    others = [pool.submit(ask) for _ in range(40)]
    for _ in others:
        assert begun.acquire(timeout=_PATIENCE_SECONDS)
    wait_until(lambda: _waiting() == len(others), "all to wait")

    slow.let_go.set()

    assert "\norders_total 0.0\n" in first.result()
    assert {"\norders_total 1.0\n" in other.result() for other in others} == {True}
    assert (slow.calls, slow.most_running) == (2, 1)


def _waiting() -> int:
    """How many wait for the collection after the one that runs."""
    return sum(len(each._listeners) for lane in collection_lanes._lanes.values() for each in lane.waiting.values())


def test_each_scrape_shows_what_was_counted_before_it(
    registry: CollectorRegistry, together: Callable[..., None]
) -> None:
    orders = Counter("orders_total", "Orders placed.", registry=registry)

    def count_and_scrape() -> None:
        for _ in range(50):
            orders.inc()
            counted = orders.value
            shown = text(registry)
            assert float(shown.splitlines()[2].split()[1]) >= counted

    together(*[count_and_scrape] * 4)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_each_client_gets_the_coding_that_it_accepts(
    registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor, method: str
) -> None:
    depth = Gauge("queue_depth", "Jobs waiting.", ["queue"], registry=registry)
    for number in range(200):
        depth.labels(f"queue-{number}").set(number)
    registry.register(slow)
    first = pool.submit(text, registry)
    wait_until(lambda: slow.running, "the first collection to begin")
    plain = pool.submit(respond.answer_scrape, registry, "GET", timeout=_LONG)
    packed = pool.submit(respond.answer_scrape, registry, method, timeout=_LONG, accept_encoding="gzip")
    wait_until(lambda: _waiting() == 2, "both to wait")

    slow.let_go.set()

    assert plain.result().body == first.result().encode()
    assert dict(packed.result().headers)["Content-Encoding"] == "gzip"
    assert packed.result().body == b"" if method == "HEAD" else gzip.decompress(packed.result().body)


# The deadline --------------------------------------------------------------------------------------------------------


def hang_in(registry: Registry, slow: Slow, where: str) -> str:
    """Make a scrape of `registry` wait for `slow`; gives the name under which it is counted."""
    if where == "collector":
        registry.register(slow)
    elif where == "nested":
        registry.register(Custom(gauge_family("before"), slow))
        return "Custom"
    else:

        def number() -> float:
            list(slow.collect())
            return 1.0

        Gauge("slow", "Slow.", registry=registry).set_function(number)
    return "slow"


@pytest.mark.parametrize("where", ["collector", "nested", "gauge"])
def test_a_collector_that_hangs_is_left_out_and_counted(registry: CollectorRegistry, slow: Slow, where: str) -> None:
    Counter("before_total", "Before.", registry=registry).inc()
    name = hang_in(registry, slow, where)
    registry.register(Custom(gauge_family("custom")))
    Counter("after_total", "After.", registry=registry).inc()

    shown = text(registry, _SHORT)

    assert family_names(shown) == ["before_total", "custom", "after_total", "pytheus_collector_errors_total"]
    assert errors(shown) == {name: 1.0}


def test_the_log_says_where_a_collector_waits(
    registry: CollectorRegistry, slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    registry.register(slow)

    text(registry, _SHORT)

    assert "It waits here" in caplog.text
    assert "self.let_go.wait" in caplog.text


def test_it_is_not_called_again_until_it_has_returned(registry: CollectorRegistry, slow: Slow) -> None:
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    registry.register(slow)
    text(registry, _SHORT)

    begun = time.monotonic()
    again = text(registry, _LONG)

    assert time.monotonic() - begun < float(_LONG) / 2  # because it does not wait for what hangs already
    assert errors(again) == {"slow": 2.0}
    assert slow.calls == 1
    slow.let_go.set()
    wait_until(lambda: "slow" in family_names(text(registry, _SHORT)), "the collector to be called again")
    assert slow.most_running == 1


def test_a_slow_collector_is_waited_for_in_its_place(
    registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor
) -> None:
    reached = threading.Event()

    class Last:
        def collect(self) -> list[Family]:
            reached.set()
            return [gauge_family("last")]

    registry.register(Custom(gauge_family("first")))
    registry.register(slow)
    Counter("orders_total", "Orders placed.", registry=registry)
    registry.register(Last())
    asked = pool.submit(text, registry)

    assert reached.wait(_PATIENCE_SECONDS), "the collectors after it wait"
    slow.let_go.set()

    assert family_names(asked.result()) == ["first", "slow", "orders_total", "last"]


def test_two_collectors_that_run_at_once_cannot_expose_one_name(
    registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor
) -> None:
    registry.register(slow)
    registry.register(Custom(gauge_family("slow", Sample("", {}, 7.0))))
    asked = pool.submit(text, registry)
    wait_until(lambda: slow.running, "the collection to begin")
    wait_until(lambda: _returned() == 1, "the second collector to return")
    slow.let_go.set()

    shown = asked.result()

    assert "\nslow 7.0\n" in shown
    assert errors(shown) == {"slow": 1.0}


def _returned() -> int:
    return sum(
        len(leg.ends)
        for lane in collection_lanes._lanes.values()
        for each in lane.running.values()
        for leg in each._legs
    )


def test_collectors_that_hang_take_a_limited_number_of_threads(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_threads, "STUCK_THREADS", 4)
    before = threading.active_count()
    hanging = [Slow(f"slow_{number}") for number in range(12)]
    for each in hanging:
        registry.register(each)
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    try:
        for count in (1.0, 2.0, 3.0):
            shown = text(registry, "1.5")
            assert "\norders_total 1.0\n" in shown
            assert errors(shown) == dict.fromkeys([each.name for each in hanging], count)
        assert threading.active_count() - before <= 6
        assert sum(each.calls for each in hanging) <= 6
    finally:
        for each in hanging:
            each.let_go.set()
    wait_until(lambda: not any(each.running for each in hanging), "all to return")
    wait_until(lambda: len(family_names(text(registry))) == len(hanging) + 2, "all to be called again")


@pytest.mark.parametrize("timeout", ["", "0", "-1", "nan", "inf", "soon", "1e400", "10, 10"])
def test_a_timeout_that_is_none_is_replaced(timeout: str) -> None:
    assert respond.ScrapeRequest("GET", timeout=timeout).wait_seconds == 10.0


@pytest.mark.parametrize(("timeout", "seconds"), [("3", 3.0), ("0.000001", 0.1), ("1000", 20.0), ("", 10.0)])
def test_a_timeout_is_limited(timeout: str, seconds: float) -> None:
    assert respond.ScrapeRequest("GET", timeout=timeout, limit_seconds=20.0).wait_seconds == seconds


def test_without_a_timeout_the_servers_limit_counts(registry: CollectorRegistry, slow: Slow) -> None:
    registry.register(slow)

    response = respond.answer_scrape(registry, "GET", limit_seconds=float(_SHORT))

    assert errors(response.body.decode()) == {"slow": 1.0}


def test_who_waits_less_than_the_others_is_served_in_time(
    registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor
) -> None:
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    registry.register(slow)
    patient = pool.submit(text, registry, _LONG)
    wait_until(lambda: slow.running, "the collection to begin")

    assert "\norders_total 1.0\n" in text(registry, "2")
    assert errors(patient.result()) == {"slow": 1.0}


def test_of_several_processes_a_gauge_that_hangs_is_left_out(slow: Slow) -> None:
    backend = MemoryBackend()
    registry, other = (ShardedRegistry(MemoryShardStore(backend)) for _ in range(2))
    for each in (registry, other):
        Counter("orders_total", "Orders placed.", registry=each).inc()
    hang_in(registry, slow, "gauge")
    Gauge("answering", "Answers.", registry=registry).set_function(lambda: 7.0)
    generate_metrics(other)

    for count in (1.0, 2.0):
        shown = text(registry, "2")
        assert "\norders_total 2.0\n" in shown
        assert "\nanswering 7.0\n" in shown
        assert "\nslow " not in shown
        assert errors(shown) == {"slow": count}
    assert slow.calls == 1
    slow.let_go.set()
    wait_until(lambda: "\nslow 1.0\n" in text(registry, "2"), "the function to be called again")


# Registries and formats ----------------------------------------------------------------------------------------------


def test_a_registry_that_hangs_is_a_503_until_it_returns(slow: Slow, registry: CollectorRegistry) -> None:
    hangs = True

    def collect() -> list[Collector]:
        if hangs:
            list(slow.collect())
        return []

    plain = Plain(collect)

    assert [scrape(plain, _SHORT).status for _ in range(3)] == [503] * 3
    assert slow.calls == 1
    hangs = False
    slow.let_go.set()
    wait_until(lambda: scrape(plain, _SHORT).status == 200, "the registry to return")
    assert errors(text(plain))["Plain"] >= 3.0


class Waiting:
    media_type = "text/x-waiting"

    def __init__(self, slow: Slow) -> None:
        self._slow = slow

    def render(self, registry: Registry, /) -> Iterator[bytes]:
        list(self._slow.collect())
        yield b"done"


class Offering(CollectorRegistry):
    exposition_formats: tuple[Waiting, ...] = ()


def test_a_format_that_hangs_leaves_the_text_format_alone(slow: Slow) -> None:
    registry = Offering()
    registry.exposition_formats = (Waiting(slow),)
    Counter("orders_total", "Orders placed.", registry=registry).inc()

    assert scrape(registry, _SHORT, accept="text/x-waiting").status == 503
    assert "\norders_total 1.0\n" in text(registry, _SHORT)
    slow.let_go.set()
    wait_until(lambda: scrape(registry, _SHORT, accept="text/x-waiting").body == b"done", "the format to return")
    assert errors(text(registry))["Waiting"] >= 1.0


# Those who leave -----------------------------------------------------------------------------------------------------


def test_who_has_left_is_not_waited_for(registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor) -> None:
    registry.register(slow)
    left = threading.Event()
    waiting: list[Future[Response]] = [
        pool.submit(respond.answer_scrape, registry, "GET", timeout=_LONG, has_left=left.is_set) for _ in range(40)
    ]
    wait_until(lambda: slow.running, "the collection to begin")

    left.set()

    assert {each.result(timeout=_PATIENCE_SECONDS).status for each in waiting} == {503}
    assert slow.running == 1, "they waited for the collector"
    assert set(errors(text(registry, _SHORT))) == {"slow"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_child_forked_during_a_scrape_can_be_scraped(
    registry: CollectorRegistry, slow: Slow, pool: ThreadPoolExecutor
) -> None:
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    registry.register(slow)
    first = pool.submit(text, registry)
    wait_until(lambda: slow.running, "the collection to begin")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            slow.let_go.set()
            status = 0 if "\nslow 1.0\n" in text(registry) else 2
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    slow.let_go.set()
    assert "\norders_total 1.0\n" in first.result()
