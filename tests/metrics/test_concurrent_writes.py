"""Eight threads write at once: nothing is lost, and nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy

pytestmark = pytest.mark.threads

THREADS = 8
TIMES = 2000


Together = Callable[..., None]


def _repeat(work: Callable[[], object], times: int = TIMES) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            work()

    return run


def _in_progress(gauge: Any) -> None:
    with gauge.track_inprogress():
        pass


@pytest.mark.parametrize(
    ("make", "writes", "numbers"),
    [
        pytest.param(Counter, [lambda counter: counter.inc()], [1], id="inc"),
        pytest.param(Counter, [lambda counter: counter.inc(2)], [2], id="numbers that must be converted"),
        pytest.param(Gauge, [lambda gauge: gauge.inc(), lambda gauge: gauge.dec()], [0], id="inc and dec"),
        pytest.param(Gauge, [_in_progress], [0], id="blocks in progress"),
        pytest.param(Summary, [lambda summary: summary.observe(0.5)], [0.5, 1], id="observe"),
    ],
)
def test_writes_to_one_metric(
    together: Together, make: Callable[..., Metric], writes: list[Callable[[Metric], None]], numbers: list[float]
) -> None:
    metric = make("x_total", "X.", registry=None)
    together(*[_repeat(partial(write, metric)) for write in writes * (THREADS // len(writes))])
    [row] = metric.rows()
    assert row.numbers == [number * THREADS * TIMES for number in numbers]


def test_observations_of_one_histogram(together: Together) -> None:
    histogram = Histogram("x", "X.", buckets=(1, 2), registry=None)
    together(*[_repeat(partial(histogram.observe, value)) for value in (0.5, 1.5, 4.0, 8.0) * 2])
    [family] = histogram.collect()
    assert [sample.value for sample in family.samples] == [
        2 * TIMES,
        4 * TIMES,
        8 * TIMES,
        2 * TIMES * (0.5 + 1.5 + 4.0 + 8.0),
        8 * TIMES,
    ]


@pytest.mark.pitfall
def test_children_that_are_made_while_they_are_counted(together: Together, registry: CollectorRegistry) -> None:
    counter = Counter("x_total", "X.", ["a"], registry=registry)

    def work() -> None:
        for number in range(TIMES):
            counter.labels(str(number % 500)).inc()

    together(*[work] * THREADS)
    values = [line.rpartition(" ")[2] for line in generate_metrics(registry).splitlines()[2:]]
    assert values == [repr(float(THREADS * TIMES / 500))] * 500


@pytest.mark.parametrize("by", ["position", "keyword", "mapping", "steps"])
def test_a_new_series_is_one_object_for_all(together: Together, by: str) -> None:
    counter = Counter("x_total", "X.", ["a", "b"], registry=None)
    found: list[list[Counter]] = [[] for _ in range(THREADS)]

    def labels(value: str) -> Counter:
        match by:
            case "position":
                return counter.labels(value, "b")
            case "keyword":
                return counter.labels(b="b", a=value)
            case "mapping":
                return counter.labels({"a": value, "b": "b"})
            case _:
                return counter.labels(b="b").labels(value)

    def work(mine: list[Counter]) -> None:
        mine.extend(labels(str(number)) for number in range(300))

    together(*[lambda mine=mine: work(mine) for mine in found])
    for objects in zip(*found, strict=True):
        assert all(series is objects[0] for series in objects)


def test_defaults_of_a_metric_that_is_first_written_by_all(together: Together) -> None:
    for _ in range(100):
        counter = Counter("x_total", "X.", ["a"], default_labels={"a": "1"}, registry=None)
        together(*[counter.inc] * 4)
        assert counter.value == 4.0


@pytest.mark.parametrize("policy", ["raise", "warn"])
@pytest.mark.parametrize("labels", [[], ["a"]], ids=["without labels", "with labels"])
def test_one_metric_that_all_define_at_once(
    together: Together, policy: str, labels: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(60):
        registry = CollectorRegistry(on_conflict="warn" if policy == "warn" else "raise")

        def work(registry: CollectorRegistry = registry) -> None:
            Counter("x_total", "X.", labels, registry=registry).labels(*labels).inc()

        together(*[work] * THREADS)
        assert generate_metrics(registry).endswith(f" {float(THREADS)}\n")
        assert len(registry) == 1
    # A registry that warns cannot know that the second one will share with the first.
    assert policy == "warn" or caplog.records == []


def test_increments_while_others_define_the_same_metric(together: Together) -> None:
    for _ in range(60):
        registry = CollectorRegistry()
        first = Counter("x_total", "X.", registry=registry)

        def define(registry: CollectorRegistry = registry) -> None:
            again = Counter("x_total", "X.", registry=registry)
            for _ in range(20):
                again.inc()

        together(*[_repeat(first.inc, 100)] * 2, *[define] * 6)
        assert first.value == 2 * 100 + 6 * 20


def test_histograms_that_all_define_at_once(together: Together) -> None:
    for _ in range(30):
        registry = CollectorRegistry()

        def work(registry: CollectorRegistry = registry) -> None:
            histogram = Histogram("x", "X.", buckets=(1,), registry=registry)
            for _ in range(5):
                histogram.observe(0.5)

        together(*[work] * THREADS)
        assert generate_metrics(registry).endswith(f"x_sum {THREADS * 2.5}\nx_count {THREADS * 5.0}\n")


def test_states_are_replaced_whole(together: Together) -> None:
    door = StateSet("door", "Door.", states=["open", "shut"], registry=None)
    seen: set[tuple[str, ...]] = set()
    together(
        _repeat(lambda: door.state("open")),
        _repeat(lambda: door.state("shut")),
        _repeat(lambda: seen.add(door.active)),
    )
    assert seen <= {(), ("open",), ("shut",)}


def test_facts_are_replaced_whole(together: Together) -> None:
    build = Info("build", "Build.", registry=None)
    seen: set[frozenset[tuple[str, str]]] = set()

    def read() -> None:
        for family in build.collect():
            seen.update(frozenset(sample.labels.items()) for sample in family.samples)

    together(
        _repeat(lambda: build.info(a="1", b="1"), 500),
        _repeat(lambda: build.info(a="2", b="2"), 500),
        _repeat(read, 500),
    )
    assert seen <= {frozenset({("a", version), ("b", version)}) for version in "12"}


def test_removing_while_others_count_leaves_whole_series(together: Together, registry: CollectorRegistry) -> None:
    counter = Counter("x_total", "X.", ["a"], registry=registry)
    together(
        *[_repeat(lambda: counter.labels("1").inc(), 500)] * 4,
        *[_repeat(lambda: counter.remove("1"), 500)] * 2,
        _repeat(counter.clear, 500),
        _repeat(lambda: generate_metrics(registry, strict=True), 100),
    )
    counter.clear()
    counter.labels("1").inc()
    assert generate_metrics(registry).endswith('\nx_total{a="1"} 1.0\n')


def test_the_first_use_of_a_proxy(together: Together, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(40):
        proxy = CollectorRegistryProxy()
        registries: list[object] = []

        def work(proxy: CollectorRegistryProxy = proxy, registries: list[object] = registries) -> None:
            Counter("x_total", "X.", registry=proxy).inc()
            registries.append(proxy.registry)

        together(*[work] * THREADS)
        assert generate_metrics(proxy).endswith(f"\nx_total {float(THREADS)}\n")
        assert all(registry is registries[0] for registry in registries)
    assert caplog.records == []


def test_metrics_that_are_defined_while_the_registry_changes(
    together: Together, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    proxy = CollectorRegistryProxy(first)

    def define(thread: int) -> None:
        for number in range(100):
            Counter(f"x_{thread}_{number}_total", "X.", registry=proxy).inc()

    def change() -> None:
        for _ in range(30):
            proxy.set_registry(second)
            proxy.set_registry(first)

    together(*[lambda thread=thread: define(thread) for thread in range(4)], change)
    assert list(second) == []
    assert len(list(first)) == 400
    assert generate_metrics(proxy).count("_total 1.0\n") == 400
    assert caplog.records == []


def test_blocks_that_begin_and_end_at_the_same_time(together: Together) -> None:
    base = CollectorRegistry()
    proxy = CollectorRegistryProxy(base)

    def use() -> None:
        with proxy.use(CollectorRegistry()), proxy.use(CollectorRegistry()):
            pass

    together(*[_repeat(use, 1500)] * THREADS)
    assert proxy.registry is base
