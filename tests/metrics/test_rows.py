"""The rows that a registry reads from a metric, and the modes of gauges."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.exceptions import GaugeModeError
from pytheus.kinds import GAUGE_RULES, GaugeMode
from pytheus.registry import CollectorRegistry, StorageAware
from pytheus.samples import Row
from tests.metrics.conftest import Arena, Written, write
from tests.metrics.written_metrics import rows_of

LATE = 0.001
"""How old the time of a new series may be, in seconds."""


def test_every_metric_is_storage_aware() -> None:
    metrics = [
        Counter("c_total", "C.", registry=None),
        Gauge("g", "G.", registry=None),
        Histogram("h", "H.", registry=None),
        Summary("s", "S.", registry=None),
        Info("i", "I.", registry=None),
        StateSet("e", "E.", states=["on"], registry=None),
    ]
    assert all(isinstance(metric, StorageAware) for metric in metrics)


# Rows ----------------------------------------------------------------------------------------------------------------


def test_a_counters_rows() -> None:
    hits = Counter("hits_total", "Hits.", ["code"], registry=None)
    hits.labels("200").inc(3, {"trace_id": "a"})
    hits.labels("500").inc()
    first, second = hits.rows()
    assert first.labels == ("200",)
    assert first.numbers == [3.0]
    assert first.exemplars is not None
    assert first.exemplars[0].labels == {"trace_id": "a"}
    assert second.numbers == [1.0]


def test_the_row_of_every_type(written: Written) -> None:
    metric = written.make(registry=None)
    write(metric, written.first)
    write(metric, written.second)
    assert rows_of(metric) == [Row((), written.numbers)]


def test_samples_and_text_tell_the_same(written: Written, registry: CollectorRegistry) -> None:
    metric = written.make(registry=registry)
    write(metric, written.first)
    write(metric, written.second)
    [family] = metric.collect()
    lines = [
        f"{family.name}{sample.suffix}"
        + "".join(f'{{{name}="{value}"}}' for name, value in sample.labels.items())
        + f" {sample.value!r}"
        for sample in family.samples
    ]
    assert lines == generate_metrics(registry).splitlines()[2:]


def test_an_infos_row_has_its_facts() -> None:
    build = Info("build", "Build.", registry=None)
    assert build.rows() == [Row((), [], None)]
    build.info(version="1")
    assert build.rows() == [Row((), [], {"version": "1"})]


def test_a_partial_handles_rows_are_those_that_its_labels_leave() -> None:
    hits = Counter("hits_total", "Hits.", ["method", "code"], registry=None)
    hits.labels("GET", "200").inc()
    hits.labels("PUT", "200").inc()
    assert [row.labels for row in hits.labels("PUT").rows()] == [("PUT", "200")]


def test_rows_call_no_function_and_refresh_does() -> None:
    calls: list[int] = []

    def number() -> float:
        calls.append(1)
        return 7.0

    gauge = Gauge("g", "G.", registry=None)
    gauge.set_function(number)
    assert gauge.rows() == [Row((), [0.0])]
    assert not calls
    gauge.refresh()
    assert gauge.rows() == [Row((), [7.0])]


def test_refresh_calls_every_function_and_raises_what_the_first_failure_raised() -> None:
    def fail() -> float:
        raise RuntimeError("no number")

    gauge = Gauge("g", "G.", ["which"], registry=None)
    gauge.labels("bad").set_function(fail)
    gauge.labels("good").set_function(lambda: 2.0)
    with pytest.raises(RuntimeError, match="no number"):
        gauge.refresh()
    assert gauge.rows() == [Row(("good",), [2.0])]


def test_restart_begins_without_labelled_series_and_with_zeros() -> None:
    hits = Counter("hits_total", "Hits.", ["code"], registry=None)
    hits.labels("200").inc(3, {"trace_id": "a"})
    sizes = Histogram("sizes", "Sizes.", buckets=(1,), registry=None)
    sizes.observe(2)
    hits.restart()
    sizes.restart()
    assert hits.rows() == []
    hits.labels("200").inc()
    assert rows_of(hits) == [Row(("200",), [1.0])]
    assert rows_of(sizes) == [Row((), [0.0, 0.0, 0.0])]


# Start times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Counter, Histogram, Summary])
def test_a_series_tells_when_it_began_at_zero(kind: type[Counter | Histogram | Summary]) -> None:
    before = time.time()
    metric = kind("m_total", "M.", ["kind"], registry=None)
    metric.labels("old")
    between = time.time()
    metric.labels("new")
    after = time.time()
    (old, new) = [row.created for row in metric.rows()]
    assert old is not None
    assert before - LATE <= old <= between
    assert new is not None
    assert between - LATE <= new <= after
    (family,) = metric.collect()
    assert [sample.created for sample in family.samples if sample.created] == [old, new]
    written = metric.labels("old")
    written.inc() if isinstance(written, Counter) else written.observe(2)
    assert [row.created for row in metric.rows()] == [old, new]


@pytest.mark.parametrize("kind", [Counter, Histogram, Summary])
def test_a_reset_and_a_new_series_have_a_new_start_time(kind: type[Counter | Histogram | Summary]) -> None:
    plain = kind("plain_total", "P.", registry=None)
    labelled = kind("labelled_total", "L.", ["kind"], registry=None)
    labelled.labels("a")
    reset_at = time.time()
    plain.clear()
    labelled.remove("a")
    labelled.labels("a")
    restarted = kind("restarted_total", "R.", registry=None)
    restarted.restart()
    for metric in plain, labelled, restarted:
        (row,) = metric.rows()
        assert row.created is not None
        assert row.created >= reset_at - LATE


@pytest.mark.parametrize("kind", [Counter, Histogram, Summary])
def test_a_series_that_is_made_again_began_later(kind: type[Counter | Histogram | Summary]) -> None:
    metric = kind("m_total", "M.", ["kind"], registry=None)
    times: list[float] = []
    for end in (lambda: metric.remove("a"), metric.clear, lambda: metric.expire_series(0, 1.0)) * 20:
        metric.labels("a")
        times += [row.created or 0.0 for row in metric.rows()]
        metric.expire_series(0, 0.0)
        end()
        assert metric.rows() == []
    assert sorted(set(times)) == times


def test_it_began_later_also_for_an_equal_metric_that_shares_the_series() -> None:
    registry = CollectorRegistry()
    first = Counter("hits_total", "Hits.", ["kind"], registry=registry)
    second = Counter("hits_total", "Hits.", ["kind"], registry=registry)
    times: list[float] = []
    for one, other in ((first, second), (second, first)) * 20:
        one.labels("a")
        times += [row.created or 0.0 for row in first.rows()]
        other.remove("a")
    assert sorted(set(times)) == times


def test_gauges_and_state_sets_have_no_start_time() -> None:
    gauge = Gauge("g", "G.", registry=None)
    states = StateSet("e", "E.", states=["on"], registry=None)
    assert [row.created for metric in (gauge, states) for row in metric.rows()] == [None, None]


def test_a_storage_gets_the_start_time(arena: Arena) -> None:
    hits = Counter("hits_total", "Hits.", registry=None)
    sizes = Histogram("sizes", "Sizes.", ["kind"], buckets=(1,), registry=None)
    sizes.attach_storage(arena)
    sizes.labels("a")
    other = Arena()
    hits.attach_storage(other)
    assert arena.start_times == {("a",): sizes.rows()[0].created}
    assert other.start_times == {(): hits.rows()[0].created}


# Modes ---------------------------------------------------------------------------------------------------------------


def test_a_gauges_mode_is_part_of_its_definition() -> None:
    assert Gauge("g", "G.", registry=None).definition.mode == ""
    assert Gauge("g", "G.", mode="sum", registry=None).definition.mode == ""
    assert Gauge("g", "G.", mode="max", registry=None).definition.mode == "max"
    assert Gauge("g", "G.", mode="sum", processes="all", registry=None).definition.mode == "sum of all"


def test_every_mode_has_a_merge_rule() -> None:
    assert get_args(GaugeMode) == tuple(GAUGE_RULES)


def test_a_mode_that_there_is_not_is_refused() -> None:
    registry = CollectorRegistry()
    with pytest.raises(GaugeModeError, match="gauge 'g' takes a mode of sum, min, max, last, each but got 'average'"):
        Gauge("g", "G.", mode="average", registry=registry)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(GaugeModeError, match="'live' or 'all' but got 'dead'"):
        Gauge("g", "G.", processes="dead", registry=registry)  # type: ignore[arg-type]  # the mistake under test
    assert len(registry) == 0
