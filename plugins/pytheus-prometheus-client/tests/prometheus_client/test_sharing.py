"""Metrics that share a series: those of several registries of prometheus_client, and those of both libraries."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry as TheirRegistry
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics_of

from pytheus import Counter, Gauge
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry, Registry
from pytheus_prometheus_client import install, uninstall

Shown = Callable[[Registry, str], list[str]]
Peer = prometheus_client


@pytest.fixture
def held() -> tuple[TheirRegistry, TheirRegistry]:
    """Two registries of prometheus_client."""
    return TheirRegistry(), TheirRegistry()


Held = tuple[TheirRegistry, TheirRegistry]


def jobs(held: Held) -> list[prometheus_client.Counter]:
    """A counter of each registry, of one name."""
    return [Peer.Counter("seam_jobs", "Jobs.", registry=each) for each in held]


def depths(held: Held, mode: str = "sum") -> list[prometheus_client.Gauge]:
    """A gauge of each registry, of one name."""
    return [Peer.Gauge("seam_depth", "Depth.", registry=each, multiprocess_mode=mode) for each in held]  # type: ignore[arg-type]  # of modes


def exemplars(registry: TheirRegistry) -> list[str]:
    """The samples with exemplars that prometheus_client shows, without their times."""
    text: bytes = open_metrics_of(registry)  # type: ignore[no-untyped-call]  # theirs has no types here
    return [line.rpartition(" ")[0] for line in text.decode().splitlines() if "# {" in line]


# A twin that leaves ---------------------------------------------------------------------------------------------------


def test_a_twin_that_leaves_keeps_its_values(ours: CollectorRegistry, held: Held, shown: Shown) -> None:
    counters = jobs(held)
    histograms = [Peer.Histogram("seam_wait", "Wait.", ["a"], buckets=[1], registry=each) for each in held]
    for number, (counter, histogram) in enumerate(zip(counters, histograms, strict=True), 3):
        counter.inc(number)
        histogram.labels("x").observe(number)
    held[1].unregister(counters[1])
    held[1].unregister(histograms[1])
    assert (counters[1]._value.get(), histograms[1].labels("x")._sum.get()) == (4.0, 4.0)
    assert shown(ours, "seam_jobs") + shown(ours, "seam_wait_sum") == [
        "seam_jobs_total 3.0",
        'seam_wait_sum{a="x"} 3.0',
    ]
    counters[1].inc()
    held[1].register(counters[1])
    assert shown(ours, "seam_jobs") == ["seam_jobs_total 8.0"]


def test_twins_keep_their_values_at_the_end(ours: CollectorRegistry, held: Held) -> None:
    for number, counter in enumerate(jobs(held), 3):
        counter.inc(number)
    uninstall()
    assert [registry.get_sample_value("seam_jobs_total") for registry in held] == [3.0, 4.0]


def test_a_series_that_a_twin_removes_counts_for_its_holder_alone(
    ours: CollectorRegistry, held: Held, shown: Shown
) -> None:
    one, two = (Peer.Counter("seam_jobs", "Jobs.", ["a"], registry=each) for each in held)
    one.labels("x").inc(3)
    former = two.labels("x")
    former.inc(4)
    two.remove("x")
    former.inc()
    assert former._value.get() == 5.0
    assert shown(ours, "seam_jobs") == ['seam_jobs_total{a="x"} 3.0']


def test_facts_are_those_of_the_twin_that_stays(ours: CollectorRegistry, held: Held, shown: Shown) -> None:
    infos = [Peer.Info("seam_build", "Build.", registry=each) for each in held]
    enums = [Peer.Enum("seam_door", "Door.", ["a"], registry=each, states=["open", "shut"]) for each in held]
    for version, (info, enum) in enumerate(zip(infos, enums, strict=True)):
        info.info({"version": str(version)})
        enum.labels("x").state(["open", "shut"][version])
    held[1].unregister(infos[1])
    enums[1].remove("x")
    assert shown(ours, "seam_build") == ['seam_build_info{version="0"} 1.0']
    assert shown(ours, "seam_door")[0] == 'seam_door{a="x",seam_door="open"} 1.0'


@pytest.mark.parametrize("mode", ["min", "max", "mostrecent"])
def test_a_gauge_that_is_no_sum_shows_the_twin_that_stays(
    ours: CollectorRegistry, held: Held, shown: Shown, mode: str
) -> None:
    one, two = depths(held, mode)
    one.set(5)
    two.set(2)
    held[1].unregister(two)
    assert shown(ours, "seam_depth") == ["seam_depth 5.0"]
    held[1].register(two)
    assert shown(ours, "seam_depth") == ["seam_depth 2.0"]


@pytest.mark.parametrize("leaving", [0, 1])
def test_of_two_functions_that_of_the_twin_that_stays_is_called(
    ours: CollectorRegistry, held: Held, shown: Shown, leaving: int
) -> None:
    gauges = depths(held)
    for number, gauge in enumerate(gauges, 1):
        gauge.set_function(lambda number=number: number)  # type: ignore[misc]  # its default is the number
    held[leaving].unregister(gauges[leaving])
    assert shown(ours, "seam_depth") == [f"seam_depth {2.0 - leaving}"]


def test_a_gauge_is_written_beside_the_function_of_a_twin(ours: CollectorRegistry, held: Held, shown: Shown) -> None:
    one, two = depths(held)
    one.set(5)
    two.set_function(lambda: 2)
    one.inc()
    one.set(8)
    assert shown(ours, "seam_depth") == ["seam_depth 2.0"]
    held[1].unregister(two)
    assert shown(ours, "seam_depth") == ["seam_depth 8.0"]
    one.inc()
    assert shown(ours, "seam_depth") == ["seam_depth 9.0"]


def test_a_twin_leaves_beside_the_function_of_another(ours: CollectorRegistry, held: Held, shown: Shown) -> None:
    one, two = depths(held)
    one.set(5)
    two.set_function(lambda: 2)
    held[0].unregister(one)
    assert (one._value.get(), shown(ours, "seam_depth")) == (5.0, ["seam_depth 2.0"])


# A metric that the program has in both libraries ----------------------------------------------------------------------


@pytest.fixture
def native() -> tuple[CollectorRegistry, Counter]:
    """A registry of pytheus with a counter of its own."""
    registry = CollectorRegistry()
    counter = Counter("seam_jobs_total", "Jobs.", registry=registry)
    counter.inc(5)
    install(registry)
    return registry, counter


Native = tuple[CollectorRegistry, Counter]


def test_a_metric_that_comes_back_counts_once(native: Native, theirs: TheirRegistry) -> None:
    counter = Peer.Counter("seam_jobs", "Jobs.", registry=theirs)
    counter.inc()
    theirs.unregister(counter)
    counter.inc()
    theirs.register(counter)
    assert (native[1].value, theirs.get_sample_value("seam_jobs_total")) == (7.0, 7.0)
    uninstall()
    install(native[0])
    assert native[1].value == 7.0
    uninstall()
    other = CollectorRegistry()
    install(other)
    found = other.find("seam_jobs_total")
    assert isinstance(found, Counter)
    assert found.value == 7.0  # of another registry, in which nothing is counted yet


def test_a_gauge_that_comes_back_counts_once(theirs: TheirRegistry) -> None:
    ours = CollectorRegistry()
    own = Gauge("seam_depth", "Depth.", mode="max", processes="all", registry=ours)
    own.set(5)
    install(ours)
    gauge = Peer.Gauge("seam_depth", "Depth.", registry=theirs, multiprocess_mode="max")
    theirs.unregister(gauge)
    theirs.register(gauge)
    assert own.value == 5.0
    theirs.unregister(gauge)
    gauge.set(7)
    theirs.register(gauge)
    assert own.value == 7.0


def test_a_metric_of_the_program_outlives_both_twins(native: Native, held: Held) -> None:
    counters = [Peer.Counter("seam_jobs", "Jobs.", registry=held[0])]
    counters[0].inc()
    counters.append(Peer.Counter("seam_jobs", "Jobs.", registry=held[1]))
    counters[1].inc(10)
    counters[0].inc(100)
    assert native[1].value == 116.0
    held[0].unregister(counters[0])
    assert native[1].value == 16.0  # 5, the 1 that it shared before there was a twin, and those of the other one
    held[1].unregister(counters[1])
    assert native[1].value == 6.0
    held[0].register(counters[0])
    assert native[1].value == 106.0


# Numbers that are not finite ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [inf, -inf])
def test_what_came_before_moves_though_it_is_infinite(theirs: TheirRegistry, shown: Shown, value: float) -> None:
    Peer.Gauge("seam_depth", "Depth.", registry=theirs).set(value)
    ours = CollectorRegistry()
    install(ours)
    assert [float(line.split()[1]) for line in shown(ours, "seam_depth")] == [value]
    assert theirs.get_sample_value("seam_depth") == value


@pytest.mark.parametrize("value", [inf, -inf, nan])
def test_a_sum_recovers_from_a_number_that_is_not_finite(
    ours: CollectorRegistry, held: Held, shown: Shown, value: float
) -> None:
    one, two = depths(held)
    one.set(1)
    two.set(value)
    one.inc(2)
    two.set(5)
    assert shown(ours, "seam_depth") == ["seam_depth 8.0"]
    one.set(inf)
    two.set(value)
    held[1].unregister(two)
    assert shown(ours, "seam_depth") == ["seam_depth +Inf"]
    one.set(4)
    assert shown(ours, "seam_depth") == ["seam_depth 4.0"]


def test_a_sum_that_is_infinite_stays_so_without_its_twin(ours: CollectorRegistry, held: Held, shown: Shown) -> None:
    summaries = [Peer.Summary("seam_size", "Size.", registry=each) for each in held]
    for summary, size in zip(summaries, (2, inf), strict=True):
        summary.observe(size)
    held[1].unregister(summaries[1])
    assert shown(ours, "seam_size") == ["seam_size_sum +Inf", "seam_size_count 1.0"]


# Exemplars ------------------------------------------------------------------------------------------------------------


def test_exemplars_move_with_their_numbers(theirs: TheirRegistry) -> None:
    Peer.Counter("seam_jobs", "Jobs.", registry=theirs).inc(1, {"trace_id": "a"})
    Peer.Histogram("seam_wait", "Wait.", buckets=[1], registry=theirs).observe(0.5, {"trace_id": "b"})
    before = exemplars(theirs)
    assert len(before) == 2
    ours = CollectorRegistry()
    install(ours)
    assert exemplars(theirs) == before
    metrics = [ours.find(name) for name in ("seam_jobs_total", "seam_wait")]
    rows = [metric.rows()[0] for metric in metrics if isinstance(metric, Metric)]
    assert [dict(each.labels) for row in rows for each in (row.exemplars or {}).values()] == [
        {"trace_id": "a"},
        {"trace_id": "b"},
    ]
    twin = TheirRegistry()
    Peer.Counter("seam_jobs", "Jobs.", registry=twin)
    assert (exemplars(theirs), exemplars(twin)) == (before, before[:0])
    uninstall()
    assert exemplars(theirs) == before
