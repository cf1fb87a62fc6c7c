"""Series that end among several processes: no sum goes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge
from pytheus.compose import expiring
from pytheus.definitions import Definition
from pytheus.kinds import GaugeMode
from pytheus.registry import CollectorRegistry, Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, Reading, ShardedRegistry, ShardStoreError
from tests.conftest import wait_until
from tests.metrics.written_metrics import (
    EXPIRY,
    Case,
    Sweeps,
    counter,
    gauge,
    histogram,
    info,
    largest,
    latest,
    lines_of,
    stateset,
    summary,
)


def two_processes(*, publishing: bool = False) -> tuple[ShardedRegistry, ShardedRegistry]:
    backend = MemoryBackend()
    one, other = (MemoryShardStore(backend, publishing=publishing) for _ in range(2))
    return ShardedRegistry(one), ShardedRegistry(other)


def every(_: Definition) -> bool:
    return True


keeps_numbers = pytest.mark.parametrize("publishing", [False, True], ids=["in the store", "in metrics"])


@keeps_numbers
@pytest.mark.parametrize("make", [counter, histogram, summary])
def test_a_sum_stays_while_one_process_writes(make: Callable[[Registry | None], Case], publishing: bool) -> None:
    registries = two_processes(publishing=publishing)
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
    lines_of(registries[1])

    assert [sweep.after(EXPIRY) for sweep in sweeps] == [1, 0]

    for registry in registries:
        registry.expire_ended_series(EXPIRY, every)
        assert [line.partition("}")[0] for line in lines_of(registry)] == [line.partition("}")[0] for line in before]
    total = [float(line.rpartition(" ")[2]) for line in lines_of(registries[1])]
    assert total[-1] == (3.0 if make is not counter else 6.0)

    assert sweeps[1].after(2 * EXPIRY) == 1
    assert lines_of(registries[1]) == lines_of(registries[0]) != []
    registries[1].expire_ended_series(0.0, every)
    assert lines_of(registries[0]) == lines_of(registries[1]) == []

    idle.write()
    assert lines_of(registries[0]) == lines_of(registries[1]) == idle.lines


@keeps_numbers
@pytest.mark.parametrize("make", [gauge, largest, latest, info, stateset])
def test_a_gauge_leaves_with_its_process(make: Callable[[Registry | None], Case], publishing: bool) -> None:
    registry, other = two_processes(publishing=publishing)
    metric, write, lines = make(registry)
    write()
    assert lines_of(registry)[-len(lines) :] == lines_of(other)[-len(lines) :] == lines
    sweeps = Sweeps(metric)
    sweeps.after(0)
    assert sweeps.after(EXPIRY) == 1
    assert lines_of(registry) == lines_of(other) == []
    write()
    assert lines_of(registry) == lines_of(other) == lines


@keeps_numbers
@pytest.mark.parametrize("mode", ["sum", "min", "max", "last", "each"])
def test_a_gauge_of_all_processes_counts_on(mode: GaugeMode, publishing: bool) -> None:
    registry, other = two_processes(publishing=publishing)
    jobs = Gauge("jobs", "J.", ["queue"], mode=mode, processes="all", registry=registry)
    jobs.labels("mail").set(7)
    shown = [line.rpartition(" ")[2] for line in lines_of(registry)]
    assert shown == ["7.0"]
    assert [jobs.expire_series(EXPIRY, now) for now in (0, EXPIRY)] == [0, 1]
    assert [line.rpartition(" ")[2] for line in lines_of(registry)] == shown
    assert [line.rpartition(" ")[2] for line in lines_of(other)] == shown
    jobs.labels("mail").set(7)
    lines_of(registry)
    numbers = [line.rpartition(" ")[2] for line in lines_of(other)]
    assert numbers == (["14.0"] if mode == "sum" else ["7.0"])


class StoreThatCannotBeRead(MemoryShardStore):
    fails = False

    def read(self) -> Reading:
        if self.fails:
            raise ShardStoreError("unreachable", "no answer")
        return super().read()


def test_a_sum_stays_while_the_store_cannot_be_read() -> None:
    store = StoreThatCannotBeRead(publishing=True)
    registry = ShardedRegistry(store)
    metric, write, lines = counter(registry)
    write()
    assert lines_of(registry)[-1:] == lines
    sweeps = Sweeps(metric)
    assert [sweeps.after(0), sweeps.after(EXPIRY)] == [0, 1]
    store.fails = True
    for _ in range(2):  # the series leaves this process's shard in the first one
        assert 'c_total{tenant="a"} 2.0' in lines_of(registry)
    write()
    assert 'c_total{tenant="a"} 4.0' in lines_of(registry)
    store.fails = False
    assert 'c_total{tenant="a"} 4.0' in lines_of(registry)


class StoreThatOnlyPublishes(MemoryShardStore):
    @property
    def retires_rows(self) -> bool:
        return False


def test_a_store_that_cannot_retire_series_keeps_those_that_count_on() -> None:
    registry = ShardedRegistry(StoreThatOnlyPublishes(publishing=True))
    for make in (gauge, latest):
        metric, write, _ = make(registry)
        write()
        sweeps = Sweeps(metric)
        assert [sweeps.after(0), sweeps.after(100)] == [0, 1]
        registry.unregister(metric)
    modes: tuple[GaugeMode, ...] = ("max", "last")
    for mode in modes:
        kept = Gauge("g", "G.", ["tenant"], mode=mode, processes="all", registry=registry)
        kept.labels("a").set(7)
        sweeps = Sweeps(kept)
        assert [sweeps.after(0), sweeps.after(100)] == [0, 0]
        assert lines_of(registry) == ['g{tenant="a"} 7.0']
        registry.unregister(kept)
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
