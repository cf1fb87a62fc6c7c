"""What calls leave behind and what series take, on the build under test: no timings, so the machine does not matter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.counts import Footprint, blocks_left, bytes_per_series, peak_bytes
from bench.workload import BOUNDS, Workload
from bench.workloads import prometheus_client as peer
from bench.workloads import pytheus as ours
from pytheus import Counter, Gauge, Histogram
from tests.conftest import FULL

SERIES = 10_000 if FULL else 5_000

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


def footprints(workload: Workload) -> dict[str, Footprint]:
    return {
        "counter": bytes_per_series(lambda: workload.counters(1.0), SERIES),
        "histogram": bytes_per_series(workload.histograms, SERIES),
    }


@pytest.fixture(scope="module")
def our_bytes() -> dict[str, Footprint]:
    return footprints(ours)


@pytest.fixture(scope="module")
def peer_bytes() -> dict[str, Footprint]:
    return footprints(peer)


def test_a_counter_takes_half_of_what_it_takes_in_the_official_client(
    our_bytes: dict[str, Footprint], peer_bytes: dict[str, Footprint]
) -> None:
    assert our_bytes["counter"].fresh <= peer_bytes["counter"].fresh / 2


def test_a_counter_takes_half_also_after_a_scrape(
    our_bytes: dict[str, Footprint], peer_bytes: dict[str, Footprint]
) -> None:
    ours_scraped, peers_scraped = our_bytes["counter"].scraped, peer_bytes["counter"].scraped
    assert ours_scraped is not None
    assert peers_scraped is not None
    assert ours_scraped <= peers_scraped / 2


# With every bucket in use, when each count is a number of its own; before that it takes less.
def test_a_histogram_takes_a_fifth_of_what_it_takes_in_the_official_client(
    our_bytes: dict[str, Footprint], peer_bytes: dict[str, Footprint]
) -> None:
    assert our_bytes["histogram"].fresh <= peer_bytes["histogram"].fresh / 5


def test_what_a_series_takes_is_counted() -> None:
    class Megabytes:
        def write(self, count: int) -> None:
            self.kept = [bytes(1_000_000) for _ in range(count)]

        def render(self) -> None:
            return None

    footprint = bytes_per_series(Megabytes, 5)
    assert footprint.fresh == pytest.approx(1_000_000, rel=0.01)
    assert footprint.scraped is None
