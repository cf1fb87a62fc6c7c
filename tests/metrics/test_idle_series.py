"""Series that are not written any more end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pytheus import Counter, Gauge, Histogram, Summary
from pytheus.registry import CollectorRegistry, Registry
from pytheus.samples import Row
from tests.metrics.written_metrics import (
    EXPIRY,
    Case,
    Sweeps,
    counter,
    every_type,
    gauge,
    histogram,
    lines_of,
    of_same_numbers,
    summary,
)


@every_type
def test_a_series_without_a_write_ends(make: Callable[[Registry | None], Case], registry: CollectorRegistry) -> None:
    metric, write, lines = make(registry)
    write()
    sweeps = Sweeps(metric)
    assert [sweeps.after(seconds) for seconds in (0, 9, 0.9)] == [0, 0, 0]
    assert lines_of(registry) == lines

    assert sweeps.after(0.1) == 1

    assert lines_of(registry) == []
    assert metric.series_count == 0


@every_type
def test_a_write_through_a_stored_handle_begins_a_new_series(
    make: Callable[[Registry | None], Case], registry: CollectorRegistry
) -> None:
    metric, write, lines = make(registry)
    for _ in range(3):
        write()
    sweeps = Sweeps(metric)
    sweeps.after(0)
    sweeps.after(EXPIRY)

    write()

    assert lines_of(registry) == lines
    assert sweeps.after(0) == 0
    assert sweeps.after(EXPIRY) == 1


@every_type
def test_a_series_that_is_written_stays(make: Callable[[Registry | None], Case], registry: CollectorRegistry) -> None:
    metric, write, _ = make(registry)
    sweeps = Sweeps(metric)
    for _ in range(20):
        write()
        assert sweeps.after(3) == 0
    assert metric.series_count == 1


@of_same_numbers
def test_a_write_of_the_same_number_counts(
    make: Callable[[Registry | None], Case], registry: CollectorRegistry
) -> None:
    metric, write, lines = make(registry)
    write()
    sweeps = Sweeps(metric)
    sweeps.after(0)
    sweeps.after(9)
    write()
    assert [sweeps.after(seconds) for seconds in (9, 9)] == [0, 0]
    assert lines_of(registry) == lines


@every_type
def test_a_series_that_waits_for_a_write_is_read_and_moved_as_before(
    make: Callable[[Registry | None], Case], registry: CollectorRegistry
) -> None:
    metric, write, lines = make(registry)
    write()
    sweeps = Sweeps(metric)
    sweeps.after(0)

    rows = metric.rows()

    assert lines_of(registry) == lines
    assert rows == metric.rows()
    metric.restart()
    assert metric.rows() == []
    write()
    assert lines_of(registry) == lines


def test_gauges_in_use_stay(registry: CollectorRegistry) -> None:
    provided = Gauge("provided", "P.", ["a"], registry=registry)
    provided.labels("1").set_function(lambda: 1.0)
    running = Gauge("running", "R.", ["a"], registry=registry)
    sweeps = Sweeps(running)
    with running.labels("1").track_inprogress():
        for metric in (provided, running):
            assert [metric.expire_series(EXPIRY, now) for now in (0, 100, 200)] == [0, 0, 0]
    sweeps.after(300)
    assert running.labels("1").value == 0.0
    assert sweeps.after(100) == 1
    assert provided.series_count == 1


def test_series_of_the_definition_stay(registry: CollectorRegistry) -> None:
    plain = Counter("plain_total", "P.", registry=registry)
    listed = Counter("listed_total", "L.", ["a"], labels_from={"a": ["x", "y"]}, registry=registry)
    listed.labels("z").inc()
    for metric, ended in ((plain, 0), (listed, 1)):
        assert [metric.expire_series(EXPIRY, now) for now in (0, 100)] == [0, ended]
    assert listed.series_count == 2


def test_exemplars_end_with_their_series(registry: CollectorRegistry) -> None:
    metric = Counter("c_total", "C.", ["a"], registry=registry)
    metric.labels("1").inc(1, {"trace": "x"})
    Sweeps(metric).after(0)
    metric.expire_series(EXPIRY, 100)
    metric.labels("1").inc()
    assert [row.exemplars for row in metric.rows()] == [None]


def test_the_second_definition_of_a_metric_counts_too(registry: CollectorRegistry) -> None:
    first, second = (Counter("c_total", "C.", ["a"], registry=registry) for _ in range(2))
    second.labels("1").inc()
    assert [first.expire_series(EXPIRY, now) for now in (0, 100)] == [0, 1]
    second.labels("1").inc()
    assert lines_of(registry) == ['c_total{a="1"} 1.0']


@pytest.mark.threads
@pytest.mark.parametrize("make", [counter, gauge, histogram, summary])
def test_no_write_is_lost_while_series_end(
    make: Callable[[Registry | None], Case], registry: CollectorRegistry, together: Callable[..., None]
) -> None:
    metric = make(registry).metric
    handle = metric.labels("a")
    written = 0
    ended: list[float] = []

    def number(row: Row) -> float:
        return row.numbers[0] if len(row.numbers) == 1 else sum(row.numbers[1:])

    def write() -> None:
        nonlocal written
        for _ in range(2000):
            if isinstance(handle, Counter | Gauge):
                handle.inc()
            elif isinstance(handle, Histogram | Summary):
                handle.observe(1)
            written += 1

    def retire(keys: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle: float) -> None:
        for key in keys:
            series = metric.labels(*key)
            if leave(key):
                ended.append(number(series._row(None)))

    def end() -> None:
        for now in range(300):
            metric.expire_series(0.0, float(now))

    metric.retire_series_with(retire)
    together(write, end)
    assert ended
    assert sum(ended) + sum(map(number, metric.rows())) == written
