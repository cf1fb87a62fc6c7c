"""The function of one series fails: in a merged scrape only that series is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from pytheus import Gauge
from pytheus.kinds import GaugeMode
from tests.shards.conftest import Join, lines_of

FAILED = 'pytheus_collector_errors_total{collector="jobs"} 1.0'


def divide() -> float:
    return 1 / 0


def leave() -> float:
    sys.exit(1)


def raise_interrupt() -> float:
    raise KeyboardInterrupt


@pytest.mark.parametrize("function", [divide, leave, raise_interrupt, lambda: "no number"])
@pytest.mark.parametrize("mode", ["sum", "min", "max", "last"])
def test_the_other_series_of_the_gauge_are_shown(join: Join, mode: GaugeMode, function: Callable[[], float]) -> None:
    registry, other = join(), join()
    jobs, theirs = (Gauge("jobs", "J.", ["queue"], mode=mode, registry=each) for each in (registry, other))
    theirs.labels("a").set(5)
    list(other.collect())  # which publishes
    jobs.labels("a").set_function(function)
    jobs.labels("b").set_function(lambda: 2)
    jobs.labels("c").set(3)
    assert lines_of(registry) == ['jobs{queue="b"} 2.0', 'jobs{queue="c"} 3.0', FAILED]
    jobs.labels("a").set_function(lambda: 5)
    shown = lines_of(registry)
    assert shown[-1] == FAILED
    assert [line.split("}")[0][-2] for line in shown[:-1]] in (["a", "b", "c"], ["b", "c", "a"])


def test_of_each_process_only_that_of_this_one_is_missing(join: Join) -> None:
    registry = join()
    jobs = Gauge("jobs", "J.", ["queue"], mode="each", registry=registry)
    jobs.labels("a").set_function(divide)
    jobs.labels("b").set(2)
    assert [line.split(",")[0] for line in lines_of(registry)] == ['jobs{queue="b"', FAILED]
