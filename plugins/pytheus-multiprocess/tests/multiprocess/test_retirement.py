"""Series that end while their process lives: no sum goes back, whatever happens between the steps."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.definitions import Definition
from pytheus.kinds import GaugeMode
from pytheus.shards import ShardedRegistry
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess.archive_file import ArchiveFile
from pytheus_multiprocess.shard import Shard

EXPIRY = 10.0


def registry_in(path: Path) -> ShardedRegistry:
    return multiprocess_registry(path, process_metrics=False)


def lines_of(registry: ShardedRegistry) -> list[str]:
    return [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]


def visits_of(registry: ShardedRegistry) -> Counter:
    return Counter("visits_total", "V.", ["user"], registry=registry)


def every(_: Definition) -> bool:
    return True


def test_the_sum_stays_and_the_space_is_used_again(tmp_path: Path) -> None:
    registry, other = registry_in(tmp_path), registry_in(tmp_path)
    visits, others = visits_of(registry), visits_of(other)
    others.labels("ann").inc()
    for name in ("ann", "bob", "cyd"):
        visits.labels(name).inc(5)
    visits.expire_series(EXPIRY, 0)
    visits.labels("bob").inc()

    assert visits.expire_series(EXPIRY, 10) == 2

    expected = ['visits_total{user="ann"} 6.0', 'visits_total{user="bob"} 6.0', 'visits_total{user="cyd"} 5.0']
    for each in (registry, other, registry_in(tmp_path)):
        assert sorted(lines_of(each)) == expected
    other.expire_ended_series(1.0, every)
    assert sorted(lines_of(registry)) == expected[:2]

    visits.labels("dan").inc(2)
    visits.labels("cyd").inc()
    for each in (registry, other, registry_in(tmp_path)):
        assert sorted(lines_of(each)) == [*expected[:2], 'visits_total{user="cyd"} 1.0', 'visits_total{user="dan"} 2.0']


def test_many_rounds_keep_every_count(tmp_path: Path) -> None:
    registry, other = registry_in(tmp_path), registry_in(tmp_path)
    visits = visits_of(registry)
    waits = Histogram("wait", "W.", ["user"], buckets=[1], registry=registry)
    counts = dict.fromkeys((f"a user with a long name, number {number}" for number in range(300)), 0)
    for now in range(8):
        for number, name in enumerate(counts):
            if number % (now + 1) == 0:
                visits.labels(name).inc()
                waits.labels(name).observe(1)
                counts[name] += 1
        visits.expire_series(1.0, float(now))
        waits.expire_series(1.0, float(now))
        for each in (other, registry):
            lines = lines_of(each)
            for name, count in counts.items():
                assert f'visits_total{{user="{name}"}} {count}.0' in lines
                assert f'wait_count{{user="{name}"}} {count}.0' in lines
    assert visits.series_count < 300


@pytest.mark.parametrize("step", ["after the archive was replaced", "before the archive is replaced"])
def test_a_process_that_is_killed_between_the_steps_counts_once(tmp_path: Path, step: str) -> None:
    other = registry_in(tmp_path)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            visits = visits_of(registry_in(tmp_path))
            visits.labels("ann").inc(5)
            visits.labels("bob").inc(3)
            visits.expire_series(EXPIRY, 0)

            def stop(*_: object) -> None:
                os.write(writing, b".")
                signal.pause()

            if step.startswith("after"):
                setattr(Shard, "_remove", stop)  # noqa: B010  # mypy rejects an assignment to a method
            else:
                setattr(ArchiveFile, "_replace", stop)  # noqa: B010  # as above
            visits.expire_series(EXPIRY, 10)
        finally:
            os._exit(1)
    try:
        assert os.read(reading, 1) == b"."
        expected = ['visits_total{user="ann"} 5.0', 'visits_total{user="bob"} 3.0']
        assert sorted(lines_of(other)) == expected
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for each in (other, other, registry_in(tmp_path)):
        assert sorted(lines_of(each)) == expected


def test_series_stay_while_the_archive_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, other = registry_in(tmp_path), registry_in(tmp_path)
    visits = visits_of(registry)
    visits.labels("ann").inc(5)
    visits.labels("bob").inc(5)
    visits.expire_series(EXPIRY, 0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(ArchiveFile, "_replace", full)
        visits.expire_series(EXPIRY, 10)
        assert sorted(lines_of(other)) == ['visits_total{user="ann"} 5.0', 'visits_total{user="bob"} 5.0']
    visits.labels("bob").inc()
    visits.labels("cyd").inc()
    assert sorted(lines_of(other))[1] == 'visits_total{user="bob"} 6.0'
    visits.expire_series(EXPIRY, 20)
    visits.expire_series(EXPIRY, 30)
    other.expire_ended_series(1.0, every)
    assert lines_of(other) == lines_of(registry) == []


def test_a_gauge_of_living_processes_leaves(tmp_path: Path) -> None:
    registry, other = registry_in(tmp_path), registry_in(tmp_path)
    modes: tuple[GaugeMode, ...] = ("sum", "max", "last", "each")
    for mode in modes:
        jobs = Gauge(f"jobs_{mode}", "J.", ["queue"], mode=mode, registry=registry)
        jobs.labels("mail").set(2)
        assert [jobs.expire_series(EXPIRY, now) for now in (0, 10)] == [0, 1]
    assert lines_of(other) == lines_of(registry) == []
