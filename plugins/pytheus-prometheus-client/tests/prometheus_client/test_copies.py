"""Copies of custom collectors, which a registry of several processes merges."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from math import inf, nan
from typing import Any, Final
from weakref import ref

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client import Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)

import pytheus
from pytheus.exceptions import NotARegistryError, OutOfRangeError, SelectionError
from pytheus.registry import CollectorRegistry, Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from pytheus_prometheus_client import CollectorCopies, PytheusCollector, install, uninstall, with_copies
from pytheus_prometheus_client.copied_labels import COPIES

Shown = Callable[[Registry, str], list[str]]
WaitUntil = Callable[[Callable[[], object], str], None]

NEVER: Final = 3600.0


class Source:
    """A custom collector with these families."""

    def __init__(self, *families: Metric) -> None:
        self.families: Sequence[Metric] = families
        self.error: Exception | None = None

    def collect(self) -> Iterator[Metric]:
        yield from self.families
        if self.error is not None:
            raise self.error


def counter(name: str, **values: float) -> Metric:
    """A counter with a series for each value of a label, whose name is that of the series."""
    family = Metric(name, "Counted.", "counter")
    for label, value in values.items():
        family.add_sample(f"{name}_total", {label: "x"}, value)
    return family


def depth() -> Metric:
    """A gauge."""
    return GaugeMetricFamily("seam_depth", "Depth.", 1)


def histogram(bounds: tuple[float, ...], counts: tuple[float, ...], total: float) -> Metric:
    family = HistogramMetricFamily("seam_wait", "Wait.", labels=["queue"])
    buckets = [(str(bound), float(count)) for bound, count in zip((*bounds, "+Inf"), counts, strict=True)]
    family.add_metric(["mail"], buckets, total)
    return family


@pytest.fixture
def registries() -> list[Registry]:
    """The registries of two processes."""
    backend = MemoryBackend()
    return [with_copies(ShardedRegistry(MemoryShardStore(backend))) for _ in range(2)]


@pytest.fixture
def copied() -> Iterator[Callable[..., CollectorCopies]]:
    """`CollectorCopies` that copy when a test asks, and end with it."""
    made: list[CollectorCopies] = []

    def copy(*arguments: object, **options: object) -> CollectorCopies:
        given: Any = {"interval_seconds": NEVER, **options}
        made.append(CollectorCopies(*arguments, **given))  # type: ignore[arg-type]  # of several types
        return made[-1]

    yield copy
    for copies in made:
        copies.close()
    assert COPIES == []


Copied = Callable[..., CollectorCopies]


def test_sums_of_two_processes(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    sources = [
        Source(counter("seam_jobs", a=3, b=1), histogram((1, 2), (1, 2, 4), 10.5)),
        Source(counter("seam_jobs", b=5, c=2), histogram((1, 2), (0, 2, 2), 3.0)),
    ]
    for source, registry in zip(sources, registries, strict=True):
        size = SummaryMetricFamily("seam_size", "Size.", count_value=2, sum_value=1.5)
        size.add_sample("seam_size", {"quantile": "0.5"}, 7)
        source.families = [*source.families, size]
        copied(source, registry)
    for registry in registries:
        assert shown(registry, "seam_") == [
            'seam_jobs_total{a="x"} 3.0',
            'seam_jobs_total{b="x"} 6.0',
            'seam_jobs_total{c="x"} 2.0',
            'seam_wait_bucket{le="1.0",queue="mail"} 1.0',
            'seam_wait_bucket{le="2.0",queue="mail"} 4.0',
            'seam_wait_bucket{le="+Inf",queue="mail"} 6.0',
            'seam_wait_sum{queue="mail"} 13.5',
            'seam_wait_count{queue="mail"} 6.0',
            "seam_size_sum 3.0",
            "seam_size_count 4.0",
        ]


def test_a_scrape_of_its_process_copies_first(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    source = Source(counter("seam_jobs", a=1))
    copied(source, registries[0])
    source.families = [counter("seam_jobs", a=5)]
    assert shown(registries[0], "seam_") == ['seam_jobs_total{a="x"} 5.0']


def test_a_thread_copies_at_the_interval(
    registries: list[Registry], copied: Copied, shown: Shown, wait_until: WaitUntil
) -> None:
    source = Source(counter("seam_jobs", a=1))
    copied(source, registries[0], interval_seconds=0.01)
    source.families = [counter("seam_jobs", a=5)]
    # Not by a scrape, which copies itself.
    metric = registries[0].find("seam_jobs_total")  # type: ignore[attr-defined]  # of a layer
    wait_until(lambda: metric.rows()[0].numbers == [5.0], "a copy")


def test_a_collector_that_begins_again_adds(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    source = Source(counter("seam_jobs", a=5), histogram((1,), (2, 4), 8.0))
    copied(source, registries[0])
    source.families = [counter("seam_jobs", a=2), histogram((1,), (1, 1), 0.5)]
    assert shown(registries[0], "seam_")[::2] == [
        'seam_jobs_total{a="x"} 7.0',
        'seam_wait_bucket{le="+Inf",queue="mail"} 5.0',
        'seam_wait_count{queue="mail"} 5.0',
    ]
    assert 'seam_wait_sum{queue="mail"} 8.5' in shown(registries[0], "seam_wait_sum")


def test_a_collector_that_comes_back_goes_on(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    theirs = TheirRegistry()
    source, other = Source(counter("seam_jobs", a=5)), Source(counter("seam_jobs", a=100))
    copies = copied(theirs, registries[0])
    for collector, expected in ((source, 5.0), (other, 105.0), (source, 107.0), (other, 107.0)):
        theirs.register(collector)
        assert shown(registries[0], "seam_") == [f'seam_jobs_total{{a="x"}} {expected}']
        theirs.unregister(collector)
        copies.copy()
        source.families = [counter("seam_jobs", a=7)]
    ended = ref(source)
    del source, collector
    gc.collect()
    assert ended() is None


@pytest.mark.parametrize("value", [inf, nan])
def test_a_sum_recovers_from_a_number_that_is_not_finite(
    registries: list[Registry], copied: Copied, shown: Shown, value: float
) -> None:
    sources = [Source(), Source()]
    for source, registry in zip(sources, registries, strict=True):
        source.families = [GaugeMetricFamily("seam_depth", "Depth.", 1), histogram((1,), (1, 1), 0.5)]
        copied(source, registry, gauge_mode="sum")

    def numbers() -> list[float]:
        lines = shown(registries[0], "seam_depth") + shown(registries[0], "seam_wait_sum")
        return [float(line.split()[1]) for line in lines]

    assert numbers() == [2.0, 1.0]
    sources[0].families = [GaugeMetricFamily("seam_depth", "Depth.", value), histogram((1,), (1, 2), value)]
    assert numbers() == pytest.approx([value, 1.0], nan_ok=True)
    sources[0].families = [GaugeMetricFamily("seam_depth", "Depth.", 5), histogram((1,), (1, 3), 4.0)]
    assert numbers() == [6.0, 4.5]


def test_series_and_families_that_vanish_are_removed(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    source = Source(counter("seam_jobs", a=1, b=2), counter("seam_more", a=3))
    copied(source, registries[0])
    source.families = [counter("seam_jobs", b=3)]
    assert shown(registries[0], "seam_") == ['seam_jobs_total{b="x"} 3.0']
    source.families = [counter("seam_jobs", a=4, b=3), counter("seam_more", a=1)]
    assert sorted(shown(registries[0], "seam_")) == [
        'seam_jobs_total{a="x"} 4.0',
        'seam_jobs_total{b="x"} 3.0',
        'seam_more_total{a="x"} 1.0',
    ]


@pytest.mark.parametrize(("mode", "expected"), [("sum", 9.0), ("max", 6.0), ("min", 3.0)])
def test_gauges_are_merged_by_their_mode(
    mode: str, expected: float, registries: list[Registry], copied: Copied, shown: Shown
) -> None:
    for value, registry in zip((3, 6), registries, strict=True):
        families = GaugeMetricFamily("seam_depth", "Depth.", value), UnknownMetricFamily("seam_other", "Other.", value)
        copied(Source(*families), registry, gauge_mode=mode, gauge_modes={"seam_other": "max"})
    assert shown(registries[0], "seam_") == [f"seam_depth {expected}", "seam_other 6.0"]


def test_gauges_have_a_label_for_each_process_and_follow(
    registries: list[Registry], copied: Copied, shown: Shown
) -> None:
    source = Source(GaugeMetricFamily("seam_depth", "Depth.", 5))
    copied(source, registries[0])
    source.families = [GaugeMetricFamily("seam_depth", "Depth.", 2)]
    [line] = shown(registries[0], "seam_")
    assert line.startswith('seam_depth{pid="')
    assert line.endswith("} 2.0")


def test_infos_and_states(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    for version, registry in zip("12", registries, strict=True):
        door = Metric("seam_door", "Door.", "stateset")
        door.add_sample("seam_door", {"seam_door": "open"}, 1)
        info = InfoMetricFamily("seam_build", "Build.", {"version": version, "branch": ""})
        copied(Source(info, door), registry, gauge_mode="max")
    assert sorted(shown(registries[0], "seam_")) == [
        'seam_build_info{version="1"} 1.0',
        'seam_build_info{version="2"} 1.0',
        'seam_door{seam_door="open"} 1.0',
    ]


# Failures ------------------------------------------------------------------------------------------------------------


def test_a_collector_that_fails_keeps_its_copy(
    registries: list[Registry], copied: Copied, shown: Shown, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(counter("seam_jobs", a=1), counter("seam_more", a=1))
    copied(source, registries[0])
    source.families = [counter("seam_jobs", b=2)]
    source.error = RuntimeError("no connection")
    for _ in range(2):
        assert shown(registries[0], "seam_") == [
            'seam_jobs_total{a="x"} 1.0',
            'seam_jobs_total{b="x"} 2.0',
            'seam_more_total{a="x"} 1.0',
        ]
    assert [record.message for record in caplog.records] == [
        "collector Source of prometheus_client has failed: no connection"
    ]


def test_what_cannot_be_copied_is_logged_once_and_left_out(
    registries: list[Registry], copied: Copied, shown: Shown, caplog: pytest.LogCaptureFixture
) -> None:
    pytheus.Counter("seam_taken_total", "Of pytheus.", registry=registries[0]).inc(5)
    other = histogram((1,), (1, 1), 1.0)
    other.add_sample("seam_wait_bucket", {"queue": "print", "le": "3"}, 1)
    invalid = Metric("seam_invalid", "Invalid.", "gauge")
    invalid.add_sample("seam_invalid", {"queue": b"mail"}, 1)  # type: ignore[dict-item]  # which is the point
    copied(Source(counter("seam_taken", a=1), other, invalid, counter("seam_jobs", a=1)), registries[0])
    with caplog.at_level(logging.ERROR):
        assert shown(registries[0], "seam_") == ["seam_taken_total 5.0", 'seam_jobs_total{a="x"} 1.0']
    messages = [record.message for record in caplog.records]
    assert len(messages) == 3
    for name, message in zip(("seam_invalid", "seam_taken_total", "seam_wait"), messages, strict=True):
        assert f"{name!r}" in message
        assert "of prometheus_client cannot be copied" in message


def test_a_histogram_may_get_other_buckets(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    source = Source(histogram((1,), (1, 2), 3.0))
    copied(source, registries[0])
    source.families = [histogram((1, 5), (1, 2, 3), 4.0)]
    assert len(shown(registries[0], "seam_wait_bucket")) == 3


def test_wrong_arguments() -> None:
    with pytest.raises(NotARegistryError):
        CollectorCopies(TheirRegistry(), object())  # type: ignore[arg-type]  # which is the point
    with pytest.raises(OutOfRangeError, match="interval_seconds above 0 but got 0"):
        CollectorCopies(TheirRegistry(), CollectorRegistry(), interval_seconds=0)
    with pytest.raises(SelectionError, match=r"with_copies\(registry\)"):
        CollectorCopies(TheirRegistry(), ShardedRegistry(MemoryShardStore(MemoryBackend())))
    assert COPIES == []


# Beside the seam -----------------------------------------------------------------------------------------------------


@pytest.fixture
def source(registries: list[Registry]) -> Iterator[Source]:
    """A collector in prometheus_client's default registry, with the seam installed."""
    source = Source(counter("seam_jobs", a=3), depth())
    install(registries[0])
    prometheus_client.REGISTRY.register(source)
    yield source
    if source in prometheus_client.REGISTRY._collector_to_names:
        prometheus_client.REGISTRY.unregister(source)
    uninstall()


def own() -> list[str]:
    """The lines of prometheus_client's own endpoint."""
    return [line for line in generate_latest().decode().splitlines() if line.startswith("seam_")]


def test_a_copied_collector_is_not_bridged(
    source: Source, registries: list[Registry], copied: Copied, shown: Shown
) -> None:
    copied(Source(counter("seam_jobs", a=4)), registries[1])
    assert shown(registries[0], "seam_jobs") == ['seam_jobs_total{a="x"} 4.0']  # the bridged one is left out
    copied(prometheus_client.REGISTRY, registries[0], gauge_mode="max")
    expected = ["seam_depth 1.0", 'seam_jobs_total{a="x"} 7.0']
    assert sorted(shown(registries[0], "seam_")) == expected
    assert sorted(line for line in own() if "_created" not in line) == expected
    restricted = prometheus_client.REGISTRY.restricted_registry(["seam_jobs_total"])
    assert b'\nseam_jobs_total{a="x"} 7.0\n' in generate_latest(restricted)
    assert prometheus_client.REGISTRY.get_sample_value("seam_jobs_total", {"a": "x"}) == 3.0


def test_collectors_that_come_later_are_copied(
    source: Source, registries: list[Registry], copied: Copied, shown: Shown
) -> None:
    copied(prometheus_client.REGISTRY, registries[0])
    prometheus_client.REGISTRY.register(late := Source(counter("seam_late", a=3)))
    try:
        copied(Source(counter("seam_late", a=4)), registries[1])
        assert shown(registries[0], "seam_late") == ['seam_late_total{a="x"} 7.0']
    finally:
        prometheus_client.REGISTRY.unregister(late)


def test_sums_outlive_a_collector(source: Source, registries: list[Registry], copied: Copied, shown: Shown) -> None:
    copied(prometheus_client.REGISTRY, registries[0])
    source.families = [counter("seam_jobs", a=5), depth()]
    prometheus_client.REGISTRY.unregister(source)
    assert shown(registries[0], "seam_") == ['seam_jobs_total{a="x"} 5.0']
    source.families = [counter("seam_jobs", b=1), depth()]
    prometheus_client.REGISTRY.register(source)
    assert shown(registries[0], "seam_jobs") == ['seam_jobs_total{a="x"} 5.0', 'seam_jobs_total{b="x"} 1.0']


def test_nothing_is_copied_from_metrics_and_bridges(
    source: Source, registries: list[Registry], copied: Copied, shown: Shown
) -> None:
    made = prometheus_client.Counter("seam_made", "Made.")
    made.inc()
    bridge = PytheusCollector(registries[0])
    prometheus_client.REGISTRY.register(bridge)
    try:
        copies = copied(prometheus_client.REGISTRY, registries[0])
        assert [each for each in prometheus_client.REGISTRY._collector_to_names if copies.names_of(each)] == [source]
        assert shown(registries[0], "seam_made") == ["seam_made_total 1.0"]
    finally:
        prometheus_client.REGISTRY.unregister(bridge)
        prometheus_client.REGISTRY.unregister(made)


def test_a_registry_of_one_process_bridges(ours: CollectorRegistry, copied: Copied, shown: Shown) -> None:
    prometheus_client.REGISTRY.register(source := Source(counter("seam_jobs", a=3)))
    try:
        assert not copied(prometheus_client.REGISTRY, ours).is_active
        assert shown(ours, "seam_") == ['seam_jobs_total{a="x"} 3.0']
    finally:
        prometheus_client.REGISTRY.unregister(source)


def test_closed_it_copies_a_last_time(registries: list[Registry], copied: Copied, shown: Shown) -> None:
    source = Source(counter("seam_jobs", a=1))
    copies = copied(source, registries[0])
    source.families = [counter("seam_jobs", a=2)]
    copies.close()
    source.families = [counter("seam_jobs", a=3)]
    assert shown(registries[0], "seam_") == ['seam_jobs_total{a="x"} 2.0']


def test_a_collector_that_scrapes_is_copied_once(registries: list[Registry], copied: Copied) -> None:
    scrapes: list[str] = []

    class Scraping(Source):
        def collect(self) -> Iterator[Metric]:
            scrapes.append(pytheus.generate_metrics(registries[0]))
            yield CounterMetricFamily("seam_jobs", "Jobs.", 1)

    copied(Scraping(), registries[0])
    assert len(scrapes) == 1
