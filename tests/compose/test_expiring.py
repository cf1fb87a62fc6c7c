"""`expiring`: series that are not written any more leave memory and every scrape."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.compose import expiring, labelled, limited, prefixed, union
from pytheus.definitions import Definition
from pytheus.exceptions import InvalidNameError, OutOfRangeError
from pytheus.metrics import CustomCollector, Metric
from pytheus.registry import CollectorRegistry, Registry, SeriesExpirable
from pytheus.samples import Family, Row, Sample
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.conftest import wait_until

EXPIRY = 10.0


class Case(NamedTuple):
    """A metric with one label, how to write its series "a", and the lines of that series after one write."""

    metric: Metric
    write: Callable[[], None]
    """Through a stored handle."""
    lines: list[str]


def counter(registry: Registry | None) -> Case:
    metric = Counter("c_total", "C.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.inc(2), ['c_total{tenant="a"} 2.0'])


def gauge(registry: Registry | None) -> Case:
    metric = Gauge("g", "G.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.set(7), ['g{tenant="a"} 7.0'])


def largest(registry: Registry | None) -> Case:
    metric = Gauge("g", "G.", ["tenant"], mode="max", registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.set(7), ['g{tenant="a"} 7.0'])


def latest(registry: Registry | None) -> Case:
    metric = Gauge("g", "G.", ["tenant"], mode="last", registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.set(7), ['g{tenant="a"} 7.0'])


def histogram(registry: Registry | None) -> Case:
    metric = Histogram("h", "H.", ["tenant"], buckets=[1], registry=registry)
    handle = metric.labels("a")
    return Case(
        metric,
        lambda: handle.observe(0),
        [
            'h_bucket{tenant="a",le="1.0"} 1.0',
            'h_bucket{tenant="a",le="+Inf"} 1.0',
            'h_sum{tenant="a"} 0.0',
            'h_count{tenant="a"} 1.0',
        ],
    )


def summary(registry: Registry | None) -> Case:
    metric = Summary("s", "S.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.observe(0), ['s_sum{tenant="a"} 0.0', 's_count{tenant="a"} 1.0'])


def info(registry: Registry | None) -> Case:
    metric = Info("i", "I.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.info(version="1"), ['i_info{tenant="a",version="1"} 1.0'])


def stateset(registry: Registry | None) -> Case:
    metric = StateSet("st", "S.", ["tenant"], states=["on", "off"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.state("on"), ['st{tenant="a",st="on"} 1.0', 'st{tenant="a",st="off"} 0.0'])


every_type = pytest.mark.parametrize("make", [counter, gauge, largest, latest, histogram, summary, info, stateset])
of_same_numbers = pytest.mark.parametrize("make", [gauge, largest, latest, info, stateset])


def lines_of(registry: Registry) -> list[str]:
    return [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]


class Sweeps:
    """Sweeps of a metric at chosen times."""

    def __init__(self, metric: SeriesExpirable) -> None:
        self.metric = metric
        self.now = 0.0

    def after(self, seconds: float) -> int:
        """The number of series that end in a sweep so much later."""
        self.now += seconds
        return self.metric.expire_series(EXPIRY, self.now)


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


# The layer ------------------------------------------------------------------------------------------------------------


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


def test_the_thread_ends_with_the_last_registry() -> None:
    registry = expiring(CollectorRegistry(), after_seconds=0.05)
    Counter("visits_total", "V.", ["user"], registry=registry)
    reference = weakref.ref(registry)
    del registry
    gc.collect()
    assert reference() is None
    wait_until(
        lambda: all(thread.name != "pytheus-expiring" for thread in threading.enumerate()), "the end of the thread"
    )


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


# Several processes ----------------------------------------------------------------------------------------------------


def two_processes() -> tuple[ShardedRegistry, ShardedRegistry]:
    backend = MemoryBackend()
    return ShardedRegistry(MemoryShardStore(backend)), ShardedRegistry(MemoryShardStore(backend))


def every(_: Definition) -> bool:
    return True


@pytest.mark.parametrize("make", [counter, histogram, summary])
def test_a_sum_stays_while_one_process_writes(make: Callable[[Registry | None], Case]) -> None:
    registries = two_processes()
    idle, busy = map(make, registries)
    idle.write()
    busy.write()
    sweeps = Sweeps(idle.metric), Sweeps(busy.metric)
    before = lines_of(registries[0])
    for sweep in sweeps:
        sweep.after(0)
    for registry in registries:
        registry.expire_ended_series(EXPIRY, every)
    busy.write()

    assert [sweep.after(EXPIRY) for sweep in sweeps] == [1, 0]

    for registry in registries:
        registry.expire_ended_series(EXPIRY, every)
        assert [line.partition("}")[0] for line in lines_of(registry)] == [line.partition("}")[0] for line in before]
    total = [float(line.rpartition(" ")[2]) for line in lines_of(registries[1])]
    assert total[-1] == (3.0 if make is not counter else 6.0)

    assert sweeps[1].after(2 * EXPIRY) == 1
    assert lines_of(registries[0]) == lines_of(registries[1]) != []
    registries[1].expire_ended_series(0.0, every)
    assert lines_of(registries[0]) == lines_of(registries[1]) == []

    idle.write()
    assert lines_of(registries[1]) == idle.lines


@pytest.mark.parametrize("make", [gauge, largest, latest, info, stateset])
def test_a_gauge_leaves_with_its_process(make: Callable[[Registry | None], Case]) -> None:
    registry, other = two_processes()
    metric, write, lines = make(registry)
    write()
    assert lines_of(other)[-len(lines) :] == lines
    sweeps = Sweeps(metric)
    sweeps.after(0)
    assert sweeps.after(EXPIRY) == 1
    assert lines_of(other) == lines_of(registry) == []
    write()
    assert lines_of(other) == lines


def test_a_store_that_cannot_retire_series_keeps_them() -> None:
    registry = ShardedRegistry(MemoryShardStore(publishing=True))
    metric, write, lines = counter(registry)
    write()
    sweeps = Sweeps(metric)
    assert [sweeps.after(0), sweeps.after(100)] == [0, 0]
    assert lines_of(registry) == lines


def test_a_metric_that_moved_ends_alone() -> None:
    registry, _ = two_processes()
    metric, write, _ = counter(registry)
    registry.unregister(metric)
    CollectorRegistry().register(metric)
    write()
    sweeps = Sweeps(metric)
    assert [sweeps.after(0), sweeps.after(100)] == [0, 1]


def test_the_layer_drops_series_of_processes_that_have_ended() -> None:
    backend = MemoryBackend()
    ended = MemoryShardStore(backend)
    former = ShardedRegistry(ended)
    for name in ("visits_total", "logins_total"):
        Counter(name, "C.", ["user"], registry=former).labels("ann").inc()
    ended.kill()
    registry = expiring(ShardedRegistry(MemoryShardStore(backend)), after_seconds=0.05, names=["visits_total"])
    assert lines_of(registry) == ['logins_total{user="ann"} 1.0', 'visits_total{user="ann"} 1.0']
    wait_until(lambda: lines_of(registry) == ['logins_total{user="ann"} 1.0'], "the end of the series")
