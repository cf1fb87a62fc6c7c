"""Histograms with native buckets in registries of several processes: shared, moved, removed, ended."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from math import isnan, nan
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytheus import Histogram, generate_metrics
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import NativeBuckets, NativeHistogram
from pytheus.registry import HasRows, Registry
from pytheus.samples import Family, Row
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.shards.conftest import Join

if TYPE_CHECKING:
    from _typeshed import TraceFunction

FEW = NativeBuckets(growth=1.1, max_buckets=3, max_zero_threshold=0.6)

LIFE_SECONDS = 3600.0


def sizes(registry: Registry | None, native: NativeBuckets = FEW, **more: object) -> Histogram:
    return Histogram("sizes", "Sizes.", ["path"], native=native, registry=registry, **more)  # type: ignore[arg-type]


def rows(registry: ShardedRegistry) -> dict[str, Row]:
    return {
        row.labels[0]: row
        for collector in registry.collect()
        if isinstance(collector, HasRows) and collector.definition.name == "sizes"
        for row in collector.rows()
    }


def native(registry: ShardedRegistry, path: str = "/") -> NativeHistogram:
    found = rows(registry)[path].native
    assert found is not None
    return found


def at_once(values: Sequence[float], like: NativeHistogram) -> NativeHistogram:
    """The histogram that saw all values, with the schema and threshold of another."""
    positive: Tally[int] = Tally()
    negative: Tally[int] = Tally()
    for value in values:
        if abs(value) > like.zero_threshold:
            (positive if value > 0 else negative)[bucket_index(value, like.schema)] += 1
    zeros = sum(abs(value) <= like.zero_threshold for value in values)
    return NativeHistogram(
        like.schema, like.zero_threshold, zeros, positive, negative, sum(isnan(value) for value in values)
    )


@pytest.mark.parametrize("buckets", [(), (1.0, 10.0)], ids=["native", "both"])
def test_processes_share_their_native_buckets(join: Join, buckets: tuple[float, ...]) -> None:
    workers = [join() for _ in range(3)]
    seen: list[float] = []
    for number, worker in enumerate(workers):
        values = [0.0, 1.5**number, -2.0, 0.3, 40.0 * number, nan][: 3 + number * 2]
        sizes(worker, buckets=buckets).labels("/").observe_many(values)
        seen += values
        list(worker.collect())
    reader = join()
    found = native(reader)
    assert found == at_once(seen, found)
    assert found.zero_threshold > FEW.zero_threshold  # because one has widened it
    # Both kinds of buckets have the same observations.
    assert sum(rows(reader)["/"].numbers[1:]) == found.total == len(seen)
    workers[0].close()
    assert native(reader) == found
    assert native(join()) == found


def test_no_process_begins_again_at_zero(join: Join) -> None:
    reset = NativeBuckets(growth=1.1, max_buckets=2, min_reset_seconds=1e-9)
    worker = join()
    histogram = sizes(worker, reset, buckets=())
    for exponent in range(30):
        histogram.labels("/").observe(2.0**exponent)
        assert native(worker).total == exponent + 1
    assert native(worker).schema == -4


def test_removed_series_have_no_buckets(join: Join) -> None:
    worker, reader = join(), join()
    histogram = sizes(worker)
    histogram.labels("/").observe(1)
    histogram.labels("/other").observe(2)
    list(worker.collect())
    assert native(reader).total == 1
    histogram.remove("/")
    list(worker.collect())
    assert set(rows(reader)) == {"/other"}
    histogram.labels("/").observe(3)
    list(worker.collect())
    assert native(reader) == at_once([3.0], native(reader))


def test_a_histogram_that_leaves_takes_its_buckets_along(join: Join) -> None:
    worker, reader = join(), join()
    histogram = sizes(worker)
    histogram.labels("/").observe_many([1, 2, 700, -8, 0.55])
    list(worker.collect())
    worker.unregister(histogram)
    list(worker.collect())
    assert rows(reader) == {}
    (row,) = histogram.rows()
    assert row.native is not None
    assert row.native.total == 5
    worker.register(histogram)
    list(worker.collect())
    assert native(reader) == at_once([1, 2, 700, -8, 0.55], native(reader))


def test_a_histogram_in_two_registries_counts_once(backend: MemoryBackend) -> None:
    first, second, reader = (ShardedRegistry(MemoryShardStore(backend)) for _ in range(3))
    histogram = sizes(first)
    histogram.labels("/").observe_many([1, 2, 5])
    second.register(histogram)
    histogram.labels("/").observe(9)
    for registry in (first, second):
        list(registry.collect())
    assert native(reader) == at_once([1, 2, 5, 9], native(reader))
    second.unregister(histogram)
    for registry in (first, second):
        list(registry.collect())
    histogram.labels("/").observe(9)
    list(first.collect())
    assert native(reader) == at_once([1, 2, 5, 9, 9], native(reader))


def test_ended_series_still_count(join: Join) -> None:
    worker, reader = join(), join()
    histogram = sizes(worker)
    histogram.labels("/").observe_many([1, 2, 700, -8, 0.55])
    list(worker.collect())
    expected = native(reader)
    now = time.monotonic()
    histogram.expire_series(LIFE_SECONDS, now)
    assert histogram.expire_series(LIFE_SECONDS, now + 2 * LIFE_SECONDS) == 1
    assert histogram.rows() == []
    for registry in (worker, reader, worker):
        assert native(registry) == expected
    histogram.labels("/").observe_many([700, 0.7])
    assert histogram.rows()[0].native == at_once([700, 0.7], histogram.rows()[0].native or expected)
    for registry in (worker, reader):
        assert native(registry) == at_once([1, 2, 700, -8, 0.55, 700, 0.7], native(registry))
    worker.close()
    assert native(reader) == at_once([1, 2, 700, -8, 0.55, 700, 0.7], native(reader))


@contextmanager
def at_each_line(of: str, check: Callable[[], None]) -> Iterator[None]:
    """Calls `check` before each line of `of`, a module of plain Python, that runs in this thread."""

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        if frame.f_globals["__name__"] != of:
            return None
        if event == "line":
            sys.settrace(None)
            check()
            sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def published(registry: ShardedRegistry) -> dict[tuple[str, ...], float]:
    """The numbers of every series and bucket that the next publication has."""
    return {row.labels: row.numbers[-1] for metric in registry.shared_metrics() for row in metric.rows()}


@pytest.mark.threads
def test_no_series_ends_while_another_thread_reads_the_buckets(backend: MemoryBackend) -> None:
    worker = ShardedRegistry(MemoryShardStore(backend, publishing=True))
    histogram = sizes(worker)
    now = time.monotonic()
    lines = 0
    for begins_at in count():  # the line of the reading before which the other thread begins
        histogram.labels("/").observe_many([1, 2, 700])
        histogram.expire_series(LIFE_SECONDS, now)
        now += 2 * LIFE_SECONDS
        before = published(worker)
        ending = threading.Thread(target=histogram.expire_series, args=(LIFE_SECONDS, now))
        lines = 0

        def end(ending: threading.Thread = ending, begins_at: int = begins_at) -> None:
            nonlocal lines
            if lines == begins_at:
                ending.start()
                ending.join(0.01)  # it waits for the end of the reading, so that this gives up soon
            lines += 1

        with at_each_line("pytheus.shards.native_storage", end):
            found = published(worker)
        if lines <= begins_at:
            break
        ending.join()
        assert histogram.rows() == []
        assert found == published(worker) == before
    assert lines > 10
    worker.close()


def test_a_series_that_is_written_meanwhile_stays(join: Join) -> None:
    worker = join()
    histogram = sizes(worker)
    series = histogram.labels("/")
    series.observe(1)
    now = time.monotonic()
    histogram.expire_series(LIFE_SECONDS, now)
    series.observe(2)
    assert histogram.expire_series(LIFE_SECONDS, now + 2 * LIFE_SECONDS) == 0
    series.observe(2)
    assert native(worker) == at_once([1, 2, 2], native(worker))


def test_a_closed_registry_leaves_the_buckets_to_the_others(join: Join) -> None:
    worker, reader = join(), join()
    histogram = sizes(worker)
    histogram.labels("/").observe_many([1, 2])
    worker.close()
    assert native(reader) == at_once([1, 2], native(reader))
    histogram.labels("/").observe(3)
    assert histogram.rows()[0].native == at_once([1, 2, 3], native(reader))
    assert native(reader).total == 2


def test_a_store_that_fails_hides_no_buckets_of_this_process(backend: MemoryBackend) -> None:
    class Failing(MemoryShardStore):
        fails = False

        def read(self):  # type: ignore[no-untyped-def]  # as that of the base
            if self.fails:
                raise OSError("it cannot be read")
            return super().read()

    store = Failing(backend, publishing=True)
    worker, other = ShardedRegistry(store), ShardedRegistry(MemoryShardStore(backend))
    for registry in (worker, other):
        sizes(registry).labels("/").observe(1)
    assert native(worker).total == 2
    store.fails = True
    histogram = next(each for each in worker.shared_metrics() if each.definition.type == "histogram")
    assert isinstance(histogram, HasRows)
    sizes(worker).labels("/").observe(5)
    assert native(worker) == at_once([1, 1, 5], native(worker))


def test_exemplars_are_those_of_the_buckets(join: Join) -> None:
    worker, reader = join(), join()
    histogram = sizes(worker, NativeBuckets(growth=2), buckets=())
    for exponent in range(12):
        histogram.labels("/").observe(2.0**exponent, {"trace": str(exponent)})
    histogram.labels("/").observe(1.5, {"trace": "latest of 2"})
    list(worker.collect())
    (samples,) = (
        family.samples
        for collector in reader.collect()
        for family in collector.collect()
        if isinstance(family, Family) and family.name == "sizes"
    )
    assert all(sample.exemplar is None for sample in samples)
    assert samples[-1].exemplars == rows(reader)["/"].native_exemplars
    found = [dict(exemplar.labels)["trace"] for exemplar in samples[-1].exemplars]
    assert len(found) == 10
    assert "latest of 2" in found
    assert "1" not in found


def test_threads_lose_no_observation(join: Join) -> None:
    worker = join()
    histogram = sizes(worker)
    values = [2.0 ** (number % 9) for number in range(400)]

    def observe() -> None:
        for value in values:
            histogram.labels("/").observe(value)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        generate_metrics(worker)
    for thread in threads:
        thread.join()
    found = native(worker)
    assert found.total == 1600
    assert found == at_once(values * 4, found)


VALUES = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, 0.3, 0.6, 1.0, 2.0, nan]))


@pytest.mark.property
@pytest.mark.parametrize("publishing", [False, True])
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["observe", "end", "remove", "close", "scrape"]), st.integers(0, 2), VALUES),
        max_size=25,
    ),
    st.sampled_from([1.02, 1.1, 2.0]),
)
def test_any_sequence_of_steps_keeps_every_observation(
    publishing: bool, steps: list[tuple[str, int, float]], growth: float
) -> None:
    backend = MemoryBackend()
    options = NativeBuckets(growth=growth, max_buckets=3, max_zero_threshold=0.6)

    def begin() -> tuple[ShardedRegistry, Histogram]:
        registry = ShardedRegistry(MemoryShardStore(backend, publishing=publishing))
        return registry, sizes(registry, options, buckets=())

    processes = [begin() for _ in range(3)]
    mine: list[list[float]] = [[], [], []]
    others: list[float] = []
    now = 0.0
    for step, which, value in steps:
        registry, histogram = processes[which]
        if step == "observe":
            histogram.labels("/").observe(value)
            mine[which].append(value)
        elif step == "end":
            ended = 0
            for _ in range(2):
                now += LIFE_SECONDS
                ended += histogram.expire_series(LIFE_SECONDS / 2, now)
            if ended:  # not if its sum is NaN, which is never known to be the same as before
                others += mine[which]
                mine[which] = []
        elif step == "remove":
            histogram.remove("/")
            mine[which] = []
        elif step == "close":
            registry.close()
            others += mine[which]
            processes[which] = begin()
            mine[which] = []
        for each, _ in processes if publishing or step == "scrape" else ():
            list(each.collect())
        expected = others + [value for values in mine for value in values]
        if expected:
            found = native(processes[0][0])
            assert found == at_once(expected, found)
