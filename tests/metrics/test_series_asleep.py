"""After a fork, the labelled series of the parent are not there until the child uses them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.kinds import GaugeMode
from pytheus.metrics import Metric
from pytheus.samples import Row
from tests.metrics.conftest import Arena
from tests.metrics.written_metrics import rows_of

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

Restart = Callable[[Metric], object]


def in_itself(metric: Metric) -> None:
    metric.restart()


def in_a_storage(metric: Metric) -> None:
    metric.attach_storage(Arena())
    metric.attach_storage(Arena(), carry=False)


restarts = pytest.mark.parametrize("restart", [in_itself, in_a_storage])


@restarts
@pytest.mark.parametrize(
    ("make", "write", "numbers"),
    [
        (Counter, lambda series: series.inc(2), [2.0]),
        (Gauge, lambda series: series.set(-2), [-2.0]),
        (partial(Gauge, mode="min"), lambda series: series.inc(2), [2.0]),
        (partial(Gauge, mode="last"), lambda series: series.dec(), [-1.0]),
        (partial(Histogram, buckets=(1,)), lambda series: series.observe(2), [2.0, 0.0, 1.0]),
        (Summary, lambda series: series.observe(2), [2.0, 1.0]),
        (partial(StateSet, states=["on", "off"]), lambda series: series.state("off"), [0.0, 1.0]),
        (Info, lambda series: series.info(version="1"), []),
    ],
)
def test_a_series_comes_back_when_it_is_written(
    restart: Restart, make: Callable[..., Metric], write: Callable[[Metric], object], numbers: list[float]
) -> None:
    metric = make("level", "L.", ["queue"], registry=None)
    handle, other = metric.labels("a"), metric.labels("b")
    for series in (handle, other):
        write(series)
    restart(metric)
    assert metric.rows() == []
    assert metric.series_count == 0
    write(handle)
    assert [(row.labels, row.numbers) for row in metric.rows()] == [(("a",), numbers)]
    assert metric.labels("a") is handle
    write(metric.labels("b"))
    assert metric.labels("b") is other
    assert [row.labels for row in metric.rows()] == [("a",), ("b",)]
    restart(metric)
    restart(metric)
    write(other)
    assert [(row.labels, row.numbers) for row in metric.rows()] == [(("b",), numbers)]


@restarts
def test_series_that_are_always_there_stay(restart: Restart) -> None:
    plain = Counter("plain_total", "P.", registry=None)
    plain.inc()
    expected = Counter("expected_total", "E.", ["code"], labels_from={"code": ["200"]}, registry=None)
    expected.labels("200").inc()
    function = Gauge("waiting", "W.", ["queue"], registry=None)
    function.labels("a").set_function(lambda: 3)
    for metric in (plain, expected, function):
        restart(metric)
    function.refresh()
    assert [rows_of(metric) for metric in (plain, expected, function)] == [
        [Row((), [0.0])],
        [Row(("200",), [0.0])],
        [Row(("a",), [3.0])],
    ]


@restarts
@pytest.mark.parametrize("mode", ["sum", "min"])
def test_removed_handles_are_not_exposed(restart: Restart, mode: GaugeMode) -> None:
    level = Gauge("level", "L.", ["queue"], mode=mode, registry=None)
    handles = [level.labels(name) for name in "abc"]
    restart(level)
    assert level.remove("a")
    assert not level.remove("a")
    level.clear()
    for handle in handles:
        handle.inc(2)
        assert handle.rows() == []
    assert level.rows() == []
    level.labels("a").inc()
    assert level.rows() == [Row(("a",), [1.0])]


@pytest.mark.threads
@restarts
def test_threads_that_wake_a_series_at_once_lose_nothing(restart: Restart, together: Callable[..., None]) -> None:
    hits = Counter("hits_total", "H.", ["code"], registry=None)
    handles = [hits.labels(str(code)) for code in range(50)]
    restart(hits)

    def by_handle() -> None:
        for handle in handles:
            handle.inc()

    def by_labels() -> None:
        for code in range(50):
            hits.labels(str(code)).inc()

    together(by_handle, by_handle, by_labels, by_labels)
    assert [row.numbers for row in hits.rows()] == [[4.0]] * 50
