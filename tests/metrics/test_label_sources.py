"""Label values that a context variable or a function provides at each write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.compose import limited
from pytheus.exceptions import LabelError, PytheusWarning
from pytheus.metrics import LabelSource
from pytheus.registry import CollectorRegistry

TENANT: ContextVar[str] = ContextVar("tenant")


def in_tenant(tenant: str, call: Callable[[], object]) -> None:
    """Make the call in a context of its own whose tenant is set."""

    def within() -> None:
        TENANT.set(tenant)
        call()

    copy_context().run(within)


def values(metric: Counter | Gauge) -> dict[tuple[str, ...], float]:
    """Return the number of each series by its labels."""
    return {row.labels: row.numbers[0] for row in metric.rows()}


def test_each_write_asks_the_context(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["method", "tenant"], default_labels={"tenant": TENANT}, registry=registry)
    get = hits.labels("GET")
    in_tenant("a", get.inc)
    in_tenant("b", lambda: get.inc(2))
    in_tenant("b", hits.labels(method="GET").inc)
    in_tenant("b", hits.labels("GET", "c").inc)
    assert values(hits) == {("GET", "a"): 1.0, ("GET", "b"): 3.0, ("GET", "c"): 1.0}


@pytest.mark.parametrize("source", [TENANT, TENANT.get, lambda: TENANT.get()], ids=["variable", "method", "function"])
def test_a_source_is_a_variable_or_a_function(source: LabelSource) -> None:
    level = Gauge("level", "Level.", ["tenant"], default_labels={"tenant": source}, registry=None)
    in_tenant("a", lambda: level.set(5))
    assert values(level) == {("a",): 5.0}


def test_neither_definition_nor_labels_asks(registry: CollectorRegistry) -> None:
    asked: list[int] = []

    def source() -> str:
        asked.append(1)
        return "a"

    hits = Counter("hits_total", "Hits.", ["zone", "tenant"], default_labels={"tenant": source}, registry=registry)
    handle = hits.labels("eu")
    blocks = [handle.count_exceptions(), handle.labels()]
    running = Gauge("running", "Running.", ["tenant"], default_labels={"tenant": source}, registry=registry)
    blocks += [running.track_inprogress(), running.time()]
    latency = Histogram("latency", "Latency.", ["tenant"], default_labels={"tenant": source}, registry=registry)
    latency(lambda: None)
    generate_metrics(registry)
    assert (asked, len(blocks), hits.series_count, running.series_count, latency.series_count) == ([], 4, 0, 0, 0)
    handle.inc()
    assert asked == [1]


@pytest.mark.parametrize("unset", [TENANT, lambda: None, ContextVar[str | None]("none", default=None)])
def test_no_value_is_the_empty_one_also_in_strict_mode(
    unset: LabelSource, registry: CollectorRegistry, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("strict")
    hits = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": unset}, registry=registry)
    hits.inc()
    assert 'hits_total{tenant=""} 1.0' in generate_metrics(registry)


def test_values_are_converted_as_those_of_labels() -> None:
    values_of: list[Any] = [200, 1.5]
    hits = Counter("hits_total", "Hits.", ["code"], default_labels={"code": lambda: values_of[0]}, registry=None)
    hits.inc()
    assert values(hits) == {("200",): 1.0}
    values_of.pop(0)
    with pytest.warns(PytheusWarning, match="must be a str or an int"):
        hits.inc()
    hits.inc()
    assert values(hits) == {("200",): 1.0, ("1.5",): 2.0}


def failing() -> str:
    raise KeyError("no request")


def test_a_source_that_raises_costs_its_label_and_warns_once() -> None:
    hits = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": failing}, registry=None)
    with pytest.warns(
        PytheusWarning, match=r"default_labels\['tenant'\] of counter 'hits_total' raised KeyError"
    ) as told:
        hits.inc()
    hits.inc()
    assert len(told) == 1
    assert values(hits) == {("",): 2.0}


@pytest.mark.usefixtures("strict")
def test_in_strict_mode_the_write_raises_and_changes_nothing() -> None:
    hits = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": failing}, registry=None)
    with pytest.raises(LabelError, match="raised KeyError") as raised:
        hits.inc()
    assert isinstance(raised.value.__context__, KeyError)
    assert hits.series_count == 0


def test_what_ends_the_program_passes() -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    hits = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": interrupted}, registry=None)
    with pytest.raises(KeyboardInterrupt):
        hits.inc()
    assert hits.series_count == 0


async def waits() -> str:
    return "a"


class Waits:
    async def __call__(self) -> str:
        return "a"


@pytest.mark.parametrize("source", [waits, Waits()], ids=["function", "object"])
def test_a_coroutine_function_is_refused(source: Any, registry: CollectorRegistry) -> None:
    with pytest.raises(LabelError, match="a write cannot wait for"):
        Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": source}, registry=registry)
    assert "hits_total" not in registry


def test_every_type_takes_them(registry: CollectorRegistry) -> None:
    defaults = {"tenant": TENANT}
    total = Summary("size", "Size.", ["tenant"], default_labels=defaults, registry=registry)
    latency = Histogram("latency", "Latency.", ["tenant"], default_labels=defaults, registry=registry, buckets=[1])
    build = Info("build", "Build.", ["tenant"], default_labels=defaults, registry=registry)
    door = StateSet("door", "Door.", ["tenant"], default_labels=defaults, states=["open", "shut"], registry=registry)

    def write() -> None:
        total.observe(3)
        latency.observe(0.5)
        latency.observe_many([0.5, 2])
        with latency.time():
            pass
        build.info(version="1")
        door.state("open")

    in_tenant("a", write)
    lines = generate_metrics(registry).splitlines()
    assert 'size_sum{tenant="a"} 3.0' in lines
    assert 'latency_bucket{tenant="a",le="+Inf"} 4.0' in lines
    assert 'build_info{tenant="a",version="1"} 1.0' in lines
    assert 'door{tenant="a",door="open"} 1.0' in lines


def test_a_block_in_progress_ends_in_the_series_where_it_began() -> None:
    running = Gauge("running", "Running.", ["tenant"], default_labels={"tenant": TENANT}, registry=None)

    def work() -> None:
        with running.track_inprogress():
            TENANT.set("b")
            assert values(running) == {("a",): 1.0}

    in_tenant("a", work)
    assert values(running) == {("a",): 0.0}


def test_a_block_in_progress_has_one_series_at_a_time() -> None:
    running = Gauge("running", "Running.", ["tenant"], default_labels={"tenant": TENANT}, registry=None)
    block = running.track_inprogress()
    with pytest.raises(RuntimeError, match="before it was entered"):
        block.__exit__(None, None, None)
    with block, pytest.raises(RuntimeError, match="entered again"):
        block.__enter__()
    with block:
        assert running.value == 1.0
    assert running.value == 0.0


def test_tasks_that_run_at_once_keep_their_own(registry: CollectorRegistry) -> None:
    running = Gauge("running", "Running.", ["tenant"], default_labels={"tenant": TENANT}, registry=registry)
    done = Counter("done_total", "Done.", ["tenant"], default_labels={"tenant": TENANT}, registry=registry)

    async def main() -> None:
        all_run = asyncio.Event()

        @running.track_inprogress()
        async def work() -> None:
            if sum(values(running).values()) == 6.0:
                all_run.set()
            await all_run.wait()
            done.inc()

        async def request(tenant: str) -> None:
            TENANT.set(tenant)
            await work()

        await asyncio.gather(*(request(tenant) for tenant in "aabbbc"))

    asyncio.run(main())
    assert values(running) == {("a",): 0.0, ("b",): 0.0, ("c",): 0.0}
    assert values(done) == {("a",): 2.0, ("b",): 3.0, ("c",): 1.0}


def test_the_timer_asks_at_the_end_of_its_block() -> None:
    latency = Histogram("latency", "Latency.", ["tenant"], default_labels={"tenant": TENANT}, registry=None)

    def work() -> None:
        with latency.time():
            TENANT.set("known late")

    copy_context().run(work)
    assert [row.labels for row in latency.rows()] == [("known late",)]


def test_a_timer_of_a_block_that_raises_still_asks() -> None:
    latency = Histogram("latency", "Latency.", ["tenant"], default_labels={"tenant": TENANT}, registry=None)

    def work() -> None:
        with pytest.raises(ZeroDivisionError), latency.time():
            _ = 1 / 0

    in_tenant("a", work)
    assert [row.labels for row in latency.rows()] == [("a",)]


def test_sources_beside_values_and_missing_labels() -> None:
    hits = Counter(
        "hits_total",
        "Hits.",
        ["zone", "tenant", "code"],
        default_labels={"tenant": TENANT, "zone": "eu"},
        registry=None,
    )
    in_tenant("a", hits.labels(code=200).inc)
    in_tenant("a", hits.labels(code=200, tenant="b", zone="us").inc)
    assert values(hits) == {("eu", "a", "200"): 1.0, ("us", "b", "200"): 1.0}
    with pytest.raises(LabelError, match="lacks 'code': complete it"):
        hits.inc()  # type: ignore[pytheus-label]  # so


def test_labels_from_needs_the_values_of_a_source(registry: CollectorRegistry) -> None:
    def define(**labels_from: list[str]) -> Counter:
        return Counter(
            "hits_total",
            "Hits.",
            ["method", "tenant"],
            default_labels={"tenant": TENANT},
            labels_from=labels_from,
            registry=registry,
        )

    with pytest.raises(LabelError, match="lacks 'tenant'"):
        define(method=["GET"])
    hits = define(method=["GET"], tenant=["a", "b"])
    assert values(hits) == {("GET", "a"): 0.0, ("GET", "b"): 0.0}


def test_removal_matches_every_value_of_a_source() -> None:
    hits = Counter("hits_total", "Hits.", ["zone", "tenant"], default_labels={"tenant": TENANT}, registry=None)
    for tenant in "ab":
        in_tenant(tenant, hits.labels("eu").inc)
        in_tenant(tenant, hits.labels("us").inc)
    assert hits.remove(zone="eu")
    hits.labels("us").clear()
    assert hits.series_count == 0


def test_equal_definitions_share_and_each_asks_its_own_source(registry: CollectorRegistry) -> None:
    first = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": TENANT}, registry=registry)
    second = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": lambda: "fixed"}, registry=registry)
    in_tenant("a", first.inc)
    in_tenant("a", second.inc)
    assert values(first) == values(second) == {("a",): 1.0, ("fixed",): 1.0}


def test_limited_bounds_the_values() -> None:
    registry = limited(CollectorRegistry(), max_series_per_metric=2)
    hits = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": TENANT}, registry=registry)
    for number in range(20):
        in_tenant(f"tenant-{number}", hits.inc)
    assert hits.series_count == 3
    assert sum(values(hits).values()) == 20.0


def test_threads_write_where_their_context_says() -> None:
    hits = Counter("hits_total", "Hits.", ["tenant"], default_labels={"tenant": TENANT}, registry=None)
    start = threading.Barrier(4)

    def work(tenant: str) -> None:
        TENANT.set(tenant)
        start.wait(10)
        for _ in range(500):
            hits.inc()

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert values(hits) == {("a",): 1000.0, ("b",): 1000.0}
