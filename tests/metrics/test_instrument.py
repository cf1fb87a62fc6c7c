"""Timers, in-progress gauges and exception counts around blocks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, Histogram, Summary
from pytheus.exceptions import LabelError
from pytheus.metrics import Metric
from tests.metrics.conftest import Stopwatch

# Metrics of every type have one name here.
pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")

# Blocks ---------------------------------------------------------------------------------------------------------------


def test_a_block_is_timed(latency: Histogram, watch: Stopwatch) -> None:
    with latency.time() as timer:
        watch.work()
        within = timer.seconds
    assert within is None
    assert latency.count == 1.0
    assert latency.sum == timer.seconds
    assert latency.sum >= watch.seconds


@pytest.mark.pitfall
@pytest.mark.parametrize("make", [Histogram, Summary])
def test_a_block_that_raises_is_timed_and_the_error_goes_on(
    make: Callable[..., Histogram | Summary], watch: Stopwatch
) -> None:
    latency = make("latency_seconds", "Latency.", registry=None)
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught, latency.time():
        watch.work()
        raise error
    assert caught.value is error
    assert latency.count == 1.0
    assert latency.sum >= watch.seconds


def test_a_summary_times_blocks(watch: Stopwatch) -> None:
    summary = Summary("latency_seconds", "Latency.", registry=None)
    with summary.time():
        watch.work()
    assert summary.count == 1.0
    assert summary.sum >= watch.seconds


def test_a_gauge_keeps_the_last_time(watch: Stopwatch) -> None:
    last = Gauge("last_run_seconds", "Last run.", registry=None)
    with pytest.raises(ValueError, match="no"), last.time():
        watch.work()
        raise ValueError("no")
    assert last.value >= watch.seconds
    with last.time() as timer:
        pass
    assert last.value == timer.seconds


def test_a_timer_can_be_used_again(latency: Histogram) -> None:
    timer = latency.time()
    for _ in range(3):
        with timer:
            pass
    assert latency.count == 3.0


def test_a_block_is_counted_in_while_it_runs(progress: Gauge) -> None:
    with progress.track_inprogress():
        assert progress.value == 1.0
        with progress.track_inprogress():
            assert progress.value == 2.0
    assert progress.value == 0.0


@pytest.mark.pitfall
def test_a_block_that_raises_is_counted_out(progress: Gauge) -> None:
    with pytest.raises(ValueError, match="no"), progress.track_inprogress():
        raise ValueError("no")
    assert progress.value == 0.0


def test_a_block_without_an_exception_counts_nothing(failures: Counter) -> None:
    with failures.count_exceptions():
        pass
    assert failures.value == 0.0


@pytest.mark.parametrize(
    ("exceptions", "raised", "count"),
    [
        (ValueError, ValueError, 1.0),
        (ValueError, UnicodeError, 1.0),
        (ValueError, KeyError, 0.0),
        ((ValueError, KeyError), KeyError, 1.0),
        (Exception, KeyboardInterrupt, 0.0),
        (BaseException, KeyboardInterrupt, 1.0),
        ((), ValueError, 0.0),
    ],
)
def test_only_the_exceptions_asked_for_are_counted(
    failures: Counter,
    exceptions: type[BaseException] | tuple[type[BaseException], ...],
    raised: type[BaseException],
    count: float,
) -> None:
    with pytest.raises(raised), failures.count_exceptions(exceptions):
        raise raised
    assert failures.value == count


@pytest.mark.parametrize(
    ("make", "method"),
    [
        (Gauge, "track_inprogress"),
        (Counter, "count_exceptions"),
    ],
)
def test_measuring_needs_every_label(make: Callable[..., Metric], method: str) -> None:
    metric = make("m", "M.", ["a"], registry=None)
    with pytest.raises(LabelError):
        getattr(metric, method)()


def test_each_series_is_measured_on_its_own() -> None:
    latency = Histogram("latency_seconds", "Latency.", ["path"], registry=None)
    with latency.labels("/a").time():
        pass
    assert (latency.labels("/a").count, latency.labels("/b").count) == (1.0, 0.0)
