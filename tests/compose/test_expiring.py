"""`expiring`: series that are not written any more leave memory and every scrape."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytheus import Counter, Summary
from pytheus.compose import expiring, labelled, limited, prefixed, union
from pytheus.exceptions import InvalidNameError, OutOfRangeError
from pytheus.metrics import CustomCollector
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from tests.conftest import wait_until
from tests.metrics.written_metrics import (
    lines_of,
)


def test_a_registry_drops_series_by_itself() -> None:
    registry = expiring(CollectorRegistry(), after_seconds=0.1)
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    visits.labels("ann").inc()
    wait_until(lambda: visits.series_count == 0, "the end of the series without a scrape")
    visits.labels("ann").inc(3)
    assert visits.labels("ann").value == 3.0


def test_a_scrape_shows_only_series_that_are_written() -> None:
    registry = expiring(CollectorRegistry(), after_seconds=0.2)
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    visits.labels("ann").inc()
    assert lines_of(registry) == ['visits_total{user="ann"} 1.0']

    def shows_only_bob() -> bool:
        visits.labels("bob").inc(0.5)
        return [line.split()[0] for line in lines_of(registry)] == ['visits_total{user="bob"}']

    wait_until(shows_only_bob, "the end of one series while the other is written")


def test_only_the_named_metrics_expire() -> None:
    inner = CollectorRegistry(prefix="shop")
    registry = expiring(prefixed(inner, "eu"), after_seconds=0.05, names=["visits_total", "eu_shop_wait"])
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    wait = Summary("wait", "W.", ["user"], registry=inner)
    logins = Counter("logins_total", "L.", ["user"], registry=registry)
    visits.labels("ann").inc()
    wait.labels("ann").observe(1)
    logins.labels("ann").inc()
    wait_until(lambda: visits.series_count == wait.series_count == 0, "the end of the series of both")
    assert logins.series_count == 1


def test_it_works_below_and_above_other_layers() -> None:
    inner = CollectorRegistry()
    registry = labelled(union(limited(expiring(inner, after_seconds=0.05), max_series=1)), region="eu")
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    visits.labels("ann").inc()
    wait_until(lambda: visits.series_count == 0, "the end of the series")
    visits.labels("bob").inc()
    assert lines_of(registry)[0] == 'visits_total{user="bob",region="eu"} 1.0'


class Custom(CustomCollector):
    def collect(self) -> Iterator[Family]:
        yield Family("custom", "gauge", "C.", [Sample("", {"a": "1"}, 1.0)])


def test_custom_collectors_are_left_alone() -> None:
    registry = expiring(CollectorRegistry(), after_seconds=0.01)
    registry.register(Custom())
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    visits.labels("ann").inc()
    wait_until(lambda: visits.series_count == 0, "the end of the series")
    assert lines_of(registry) == ['custom{a="1"} 1.0']


ENDS_WITH_THE_LAST_REGISTRY = """
import gc, threading, time, weakref
from pytheus import Counter
from pytheus.compose import expiring
from pytheus.registry import CollectorRegistry

registry = expiring(CollectorRegistry(), after_seconds=0.05)
Counter("visits_total", "V.", ["user"], registry=registry)
reference = weakref.ref(registry)
assert any(thread.name == "pytheus-expiring" for thread in threading.enumerate())
del registry
gc.collect()
assert reference() is None
while any(thread.name == "pytheus-expiring" for thread in threading.enumerate()):
    time.sleep(0.01)
"""


def test_the_thread_ends_with_the_last_registry() -> None:
    # In a process of its own, because other tests may have left registries.
    subprocess.run([sys.executable, "-P", "-W", "error", "-c", ENDS_WITH_THE_LAST_REGISTRY], check=True, timeout=60)


def test_the_child_of_a_fork_sweeps_too() -> None:
    registry = expiring(CollectorRegistry(), after_seconds=0.05)
    visits = Counter("visits_total", "V.", ["user"], registry=registry)
    pid = os.fork()
    if pid == 0:
        try:
            visits.labels("ann").inc()
            wait_until(lambda: visits.series_count == 0, "the end of the series")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    visits.labels("ann").inc()
    wait_until(lambda: visits.series_count == 0, "the end of the series in the parent")


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "60", None, True])
def test_a_wrong_time_is_refused(seconds: float) -> None:
    with pytest.raises(OutOfRangeError, match=r"expiring\(...\) takes after_seconds as a positive, finite number"):
        expiring(CollectorRegistry(), after_seconds=seconds)


@pytest.mark.parametrize("names", ["visits_total", ["visits total"]])
def test_wrong_names_are_refused(names: list[str]) -> None:
    with pytest.raises(InvalidNameError, match="expiring"):
        expiring(CollectorRegistry(), after_seconds=1, names=names)
