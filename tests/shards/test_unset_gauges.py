"""A gauge that was never set is not a gauge that was set to zero."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf, nan

import pytest

from pytheus import Gauge, generate_metrics
from pytheus.exceptions import PytheusError
from pytheus.kinds import GaugeMode
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy
from pytheus.registry.storage import UNSET, is_unset
from pytheus.samples import Row
from pytheus.shards import Archive, MemoryBackend, MemoryShardStore, ShardedRegistry, ShardIdentity, fold
from tests.shards.conftest import Join, Shards, lines_of, merged
from tests.shards.test_merge import gauge
from tests.shards.test_registry_fork import in_a_child

MODES: list[GaugeMode] = ["sum", "min", "max", "last", "each"]
UNSET_MODES: list[GaugeMode] = ["min", "max", "last", "each"]


def level(mode: GaugeMode, registry: ShardedRegistry | CollectorRegistry | None, **options: object) -> Gauge:
    return Gauge("level", "L.", mode=mode, registry=registry)


def values(registry: ShardedRegistry) -> list[float]:
    return [float(line.rsplit(" ", 1)[1]) for line in lines_of(registry)]


@pytest.mark.parametrize("mode", MODES)
def test_a_gauge_without_labels_shows_zero_until_a_process_sets_it(join: Join, mode: GaugeMode) -> None:
    registry = join()
    gauge = level(mode, registry)
    assert values(registry) == [0.0]
    assert gauge.value == 0.0
    gauge.set(-3)
    assert values(registry) == [-3.0]


@pytest.mark.parametrize(("mode", "value"), [("min", 1000.0), ("max", -5.0), ("last", -5.0), ("each", 7.0)])
@pytest.mark.parametrize("set_it", [Gauge.set, Gauge.inc], ids=["set", "inc"])
@pytest.mark.parametrize("set_first", [True, False])
def test_a_process_that_never_set_it_takes_no_part(
    join: Join, mode: GaugeMode, value: float, set_it: Callable[[Gauge, float], None], set_first: bool
) -> None:
    one, other = join(), join()
    gauges = [level(mode, registry) for registry in (one, other)]
    set_it(gauges[not set_first], value)
    for registry in (one, other):
        list(registry.collect())  # which publishes
    assert values(one) == values(other) == [value]
    assert gauges[set_first].value == 0.0


@pytest.mark.parametrize(("mode", "numbers"), [("min", (5, 0)), ("max", (-5, 0)), ("last", (5, 0))])
def test_a_process_that_set_it_to_zero_takes_part(join: Join, mode: GaugeMode, numbers: tuple[float, float]) -> None:
    registries = join(), join()
    for registry, number in zip(registries, numbers, strict=True):
        level(mode, registry).set(number)
        list(registry.collect())
    assert values(registries[0]) == values(registries[1]) == [0.0]


@pytest.mark.parametrize("mode", UNSET_MODES)
@pytest.mark.parametrize("value", [0.0, -0.0, 4.0, nan, inf])
def test_a_gauge_that_was_set_before_it_is_registered_is_set(join: Join, mode: GaugeMode, value: float) -> None:
    registry = join()
    gauge = level(mode, None)
    gauge.set(value)
    registry.register(gauge)
    (row,) = registry.shared_metrics()[0].rows()
    assert not is_unset(row.numbers[0])
    assert mode != "last" or row.numbers[1] > 0.0
    assert str(row.numbers[0]) == str(value)


@pytest.mark.parametrize("mode", UNSET_MODES)
def test_being_set_or_not_goes_along_with_every_move(join: Join, mode: GaugeMode) -> None:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    was_set, never_set = (Gauge(name, "G.", mode=mode, registry=proxy) for name in ("was_set", "never_set"))
    was_set.set(0)
    for registry in (join(), join(), CollectorRegistry(), join()):
        proxy.set_registry(registry)
        assert [row.is_set for row in (*was_set.rows(), *never_set.rows())] == [True, False]
        assert [row.numbers for row in (*was_set.rows(), *never_set.rows())] == [[0.0], [0.0]]
        assert generate_metrics(proxy).count(" 0.0\n") == 2
    assert isinstance(registry, ShardedRegistry)
    shared = [row.numbers for metric in registry.shared_metrics() for row in metric.rows()]
    if mode == "last":
        assert (shared[0][1] > 0.0, shared[1]) == (True, [0.0, 0.0])
    else:
        assert (is_unset(shared[0][0]), is_unset(shared[1][0])) == (False, True)
    never_set.inc(2)
    assert never_set.value == 2.0


def test_a_last_gauge_keeps_the_time_of_its_set_when_it_moves(join: Join) -> None:
    proxy = CollectorRegistryProxy(join())
    first, other = Gauge("level", "L.", mode="last", registry=proxy), join()
    first.set(1)
    Gauge("level", "L.", mode="last", registry=other).set(2)
    list(other.collect())
    proxy.set_registry(join())
    assert values(other) == [2.0]


@pytest.mark.parametrize("mode", UNSET_MODES)
def test_a_gauge_that_is_cleared_was_never_set(mode: GaugeMode) -> None:
    registry = ShardedRegistry(MemoryShardStore())
    for cleared in (level(mode, None), level(mode, registry)):
        cleared.set(3)
        cleared.clear()
        assert cleared.rows() == [Row((), [0.0], is_set=False)]
        cleared.dec(2)
        assert cleared.rows() == [Row((), [-2.0])]


@pytest.mark.parametrize("mode", UNSET_MODES)
def test_the_result_of_a_function_is_a_number_that_was_set(join: Join, mode: GaugeMode) -> None:
    registry = join()
    gauge = level(mode, registry)
    gauge.set_function(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        gauge.refresh()
    assert gauge.rows() == []
    gauge.set_function(lambda: 4)
    assert values(registry) == [4.0]
    assert gauge.rows() == [Row((), [4.0])]
    with pytest.raises(PytheusError):
        gauge.inc()
    gauge.set_function(None)
    assert not gauge.rows()[0].is_set


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(("mode", "value"), [("min", 1000.0), ("max", -5.0), ("last", 7.0), ("each", 7.0)])
def test_a_forked_child_has_not_set_it(backend: MemoryBackend, mode: GaugeMode, value: float) -> None:
    registry = ShardedRegistry(MemoryShardStore(backend))
    gauge = level(mode, registry)
    gauge.set(value)

    def work() -> list[object]:
        before = values(registry)
        gauge.inc()
        return [before, gauge.value]

    assert in_a_child(work) == f"[[{value}], 1.0]"


@pytest.mark.parametrize(("mode", "worst"), [("min", inf), ("max", -inf)])
def test_infinity_that_was_set_is_shown_beside_unset_gauges(shards: Shards, mode: str, worst: float) -> None:
    snapshots = [shards((gauge(mode), {(): [number]})) for number in (UNSET, worst, UNSET)]
    expected = merged([shards((gauge(mode), {(): [worst]}))])
    assert merged(snapshots) == expected
    assert merged(snapshots[::-1]) == expected
    assert merged([*snapshots, shards((gauge(mode), {(): [nan]}))]) == expected


@pytest.mark.parametrize("mode", ["min", "max", "each"])
def test_a_dead_process_that_never_set_it_leaves_nothing(shards: Shards, mode: str) -> None:
    definition = gauge(f"{mode} of all")
    unset = shards((definition, {(): [UNSET]}), live=False)
    set_ = shards((definition, {(): [-2.0]}), live=False)
    for dead in ([unset], [unset, set_], [set_, unset]):
        archive = Archive()
        for snapshot in dead:
            archive = fold(archive, [snapshot])
        live = shards((definition, {(): [UNSET]}))
        numbers = [line.rsplit(" ", 1)[1] for line in merged([live], archive)]
        assert numbers == (["0.0"] if dead == [unset] else ["-2.0"])
        assert numbers == [line.rsplit(" ", 1)[1] for line in merged([*dead, live])]


def test_unset_is_not_any_other_nan() -> None:
    assert [is_unset(number) for number in (UNSET, nan, -nan, inf - inf, 0.0, inf)] == [True] + [False] * 5


def test_the_identity_of_a_process_that_never_set_it_is_not_shown(backend: MemoryBackend) -> None:
    registries = [
        ShardedRegistry(MemoryShardStore(backend, identity=ShardIdentity("web-1", pid, pid, str(pid))))
        for pid in (71, 72)
    ]
    gauges = [level("each", registry) for registry in registries]
    assert lines_of(registries[0]) == ['level{pid="71"} 0.0', 'level{pid="72"} 0.0']
    gauges[1].set(0)
    assert lines_of(registries[0]) == ['level{pid="72"} 0.0']
