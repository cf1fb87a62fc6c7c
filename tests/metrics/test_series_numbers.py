"""The numbers of all series at once: those of the rows, of every type, in memory and in a storage."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, Summary
from pytheus.atomic import LOCKED
from pytheus.exposition import generate_metrics
from pytheus.metrics import Metric
from pytheus.metrics.series_numbers import SeriesNumbers, series_numbers
from pytheus.registry import CollectorRegistry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry


def _counter() -> Counter:
    counter = Counter("c_total", "C.", ["a"], registry=None)
    counter.labels("x").inc(2)
    counter.labels("y").inc(3, exemplar={"trace_id": "t"})
    return counter


def _gauge() -> Gauge:
    gauge = Gauge("g", "G.", ["a"], registry=None)
    gauge.labels("x").set(-0.0)
    gauge.labels("y").set_function(lambda: 7.0)
    return gauge


def _histogram() -> Histogram:
    histogram = Histogram("h", "H.", ["a"], buckets=[1, 2], registry=None)
    histogram.labels("x").observe_many([0.5, 1.5, 9])
    histogram.labels("y").observe(1)
    return histogram


def _summary() -> Summary:
    summary = Summary("s", "S.", registry=None)
    summary.observe(4)
    return summary


def _matches_rows(read: SeriesNumbers | None, metric: Metric) -> bool:
    assert read is not None
    rows = metric.rows()
    exemplars = {(row.labels, slot): one for row in rows for slot, one in (row.exemplars or {}).items()}
    assert read.labels() == [row.labels for row in rows]
    assert read.starts == [row.created or 0.0 for row in rows]
    assert read.exemplars == exemplars
    return True


@pytest.mark.parametrize("make", [_counter, _gauge, _histogram, _summary])
def test_the_numbers_are_those_of_the_rows(make: Callable[[], Metric]) -> None:
    metric = make()
    read = series_numbers(metric)
    assert _matches_rows(read, metric)
    assert read is not None
    numbers = [number for row in metric.rows() for number in row.numbers]
    if isinstance(metric, Gauge):
        numbers = [-0.0, 7.0]  # rows do not call functions
    assert list(map(repr, read.numbers)) == list(map(repr, numbers))


@pytest.mark.parametrize("make", [_counter, _histogram, _summary])
def test_numbers_in_a_storage(make: Callable[[], Metric]) -> None:
    metric = make()
    before = series_numbers(metric)
    assert before is not None
    registry = ShardedRegistry(MemoryShardStore(MemoryBackend()))
    registry.register(metric)
    read = series_numbers(metric, before)
    assert _matches_rows(read, metric)
    assert read is not None
    assert read.numbers == before.numbers
    registry.close()


def test_the_same_series_have_the_same_lists() -> None:
    counter = _counter()
    first = series_numbers(counter)
    counter.labels("x").inc()
    second = series_numbers(counter, first)
    assert first is not None
    assert second is not None
    assert (first.numbers, second.numbers) == ([2.0, 3.0], [3.0, 3.0])
    # Under locks, each number is read by its own way.
    assert (second.owners is first.owners, second.starts is first.starts) == (not LOCKED, not LOCKED)
    assert (second.owners, second.starts) == (first.owners, first.starts)


@pytest.mark.parametrize("change", ["add", "remove", "clear", "again"])
def test_other_series_have_other_lists(change: str) -> None:
    counter = _counter()
    first = series_numbers(counter)
    if change == "add":
        counter.labels("z").inc(5)
    elif change == "remove":
        counter.remove("x")
    elif change == "again":
        counter.remove("y")
        counter.labels("y").inc(9)
    else:
        counter.clear()
    second = series_numbers(counter, first)
    assert first is not None
    assert _matches_rows(second, counter)
    assert second is not None
    assert second.owners is not first.owners


def test_a_reset_changes_the_start_time() -> None:
    counter = Counter("c_total", "C.", registry=None)
    counter.inc(3)
    first = series_numbers(counter)
    counter.clear()
    second = series_numbers(counter, first)
    assert first is not None
    assert second is not None
    assert second.numbers == [0.0]
    assert second.starts > first.starts


def test_types_that_have_rows_only() -> None:
    assert series_numbers(Info("i", "I.", registry=None)) is None
    assert series_numbers(Histogram("h", "H.", native=True, registry=None)) is None


def test_a_gauge_whose_function_fails_is_left_out_of_a_scrape(registry: CollectorRegistry) -> None:
    from pytheus.registry.traversal import FailedSeries

    gauge = Gauge("g", "G.", ["a"], registry=registry)
    gauge.labels("x").set(1)
    gauge.labels("y").set_function(lambda: 1 / 0)
    with FailedSeries():
        read = series_numbers(gauge)
    assert read is not None
    assert (read.labels(), read.numbers) == ([("x",)], [1.0])
    assert 'g{a="x"} 1.0' in generate_metrics(registry)
