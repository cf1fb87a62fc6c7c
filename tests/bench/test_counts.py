"""What calls leave behind and what series take, on the build under test: no timings, so the machine does not matter."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.counts import Footprint, blocks_left, bytes_per_series, peak_bytes
from bench.workload import BOUNDS, Series
from pytheus import Counter, Gauge, Histogram
from tests.conftest import FULL

SERIES = 10_000 if FULL else 5_000
ROOT = Path(__file__).parents[2]
FOOTPRINT = """
import json, sys
root, library, kind, count = sys.argv[1:]
sys.path.append(root)
from bench.counts import bytes_per_series
from bench.workloads import WORKLOADS
workload = WORKLOADS[library]()
make = workload.histograms if kind == "histogram" else lambda: workload.counters(1.0)
print(json.dumps(bytes_per_series(make, int(count))))
"""

counter = Counter("plain_total", "Plain.", registry=None)
labelled = Counter("labelled_total", "Labelled.", ["method", "code"], registry=None)
gauge = Gauge("level", "Level.", registry=None)
histogram = Histogram("seconds", "Seconds.", buckets=BOUNDS, registry=None)


def time_block() -> None:
    with histogram.time():
        pass


@histogram.time()
def decorated() -> None: ...


CALLS: dict[str, Callable[[], object]] = {
    "counter.inc()": counter.inc,
    "counter.inc(2)": lambda: counter.inc(2),
    "labels by position": lambda: labelled.labels("GET", "200").inc(),
    "labels by keyword": lambda: labelled.labels(method="GET", code="200").inc(),
    "gauge.set()": lambda: gauge.set(1.5),
    "histogram.observe()": lambda: histogram.observe(0.3),
    "with histogram.time()": time_block,
    "decorated()": decorated,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_in_the_steady_state_leaves_nothing_behind(call: Callable[[], object]) -> None:
    call()
    assert blocks_left(call) == 0


def test_what_a_call_leaves_behind_is_counted() -> None:
    kept: list[object] = []
    assert blocks_left(lambda: kept.append(object())) >= 1000


# One float at a time for the number itself, and what the interpreter takes for a call.
@pytest.mark.parametrize("name", ["counter.inc()", "gauge.set()", "histogram.observe()"])
def test_a_write_needs_next_to_no_memory_while_it_runs(name: str) -> None:
    assert peak_bytes(CALLS[name]) <= 200


def test_what_a_call_needs_while_it_runs_is_counted() -> None:
    assert peak_bytes(lambda: bytes(100_000)) >= 100_000


@functools.cache
def footprint(library: str, kind: str) -> Footprint:
    """In a new process: how much memory an instance takes depends on what other instances of its class had before."""
    command = [sys.executable, "-P", "-c", FOOTPRINT, str(ROOT), library, kind, str(SERIES)]
    return Footprint(*json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


# A histogram with every bucket in use, when each count is a number of its own; before that it takes less.
@pytest.mark.parametrize(
    ("kind", "state", "times"), [("counter", "fresh", 2), ("counter", "scraped", 2), ("histogram", "fresh", 5)]
)
def test_a_series_takes_a_fraction_of_its_size_in_the_official_client(kind: str, state: str, times: int) -> None:
    ours, peers = (getattr(footprint(library, kind), state) for library in ("pytheus", "prometheus_client"))
    assert 0 < ours <= peers / times


def test_what_a_series_takes_is_counted() -> None:
    def megabytes() -> Series:
        kept: list[bytes] = []
        return Series(
            lambda paths: kept.extend(bytes(1_000_000) for _ in paths),
            lambda: None,
            lambda: kept,
            lambda: None,
            lambda accept: None,
            lambda: None,
        )

    size = bytes_per_series(megabytes, 5)
    assert size.fresh == pytest.approx(1_000_000, rel=0.01)
    assert size.scraped is None
