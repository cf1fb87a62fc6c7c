"""A forked child writes nothing for the series that it does not use."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.shards.conftest import lines_of
from tests.shards.test_registry_fork import in_a_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@contextmanager
def child(work: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """A forked child that has done `work`, and lives until the function is called."""
    ready, told = os.pipe()
    waits, ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(told, b"x")
            select.select([waits], [], [], 60)
        finally:
            os._exit(0)
    assert select.select([ready], [], [], 60)[0]
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:
            ended = True
            os.write(ends, b"x")
            os.waitpid(pid, 0)

    try:
        yield end
    finally:
        end()
        for descriptor in (ready, told, waits, ends):
            os.close(descriptor)


def multiprocess(directory: Path) -> ShardedRegistry:
    pytest.importorskip("pytheus_multiprocess")
    from pytheus_multiprocess import multiprocess_registry

    return multiprocess_registry(directory, process_metrics=False)


def test_a_series_that_the_parent_removes_is_gone(tmp_path: Path) -> None:
    registry = multiprocess(tmp_path / "shards")
    hits = Counter("hits_total", "H.", ["x"], registry=registry)
    for x in "12":
        hits.labels(x).inc()

    with child(lambda: None) as end:
        hits.remove("2")
        assert lines_of(registry) == ['hits_total{x="1"} 1.0']
        end()
        assert lines_of(registry) == ['hits_total{x="1"} 1.0']
    registry.close()


def test_a_child_counts_with_the_handles_of_its_parent(tmp_path: Path) -> None:
    registry = multiprocess(tmp_path / "shards")
    hits = Counter("hits_total", "H.", ["x"], registry=registry)
    levels = Gauge("level", "L.", ["x"], mode="max", registry=registry)
    handles = [hits.labels(x) for x in "123"]
    level = levels.labels("1")
    level.set(-4)

    def work() -> None:
        handles[0].inc(2)
        handles[0].inc(3)
        hits.labels("2").inc()
        level.inc(-5)

    with child(work):
        hits.remove("3")
        assert lines_of(registry) == [
            'hits_total{x="1"} 5.0',
            'hits_total{x="2"} 1.0',
            'level{x="1"} -4.0',
        ]
    registry.close()


def test_a_metric_without_labels_is_shown_by_a_child_that_does_not_use_it(backend: MemoryBackend) -> None:
    registry = ShardedRegistry(MemoryShardStore(backend))
    Counter("hits_total", "H.", registry=registry).inc()
    Counter("codes_total", "C.", ["code"], labels_from={"code": ["200"]}, registry=registry)
    labelled = Counter("labelled_total", "L.", ["x"], registry=registry)
    labelled.labels("1").inc()

    def work() -> list[str]:
        backend.shards.pop(next(iter(backend.shards)))  # the parent's
        return lines_of(registry)

    assert in_a_child(work) == str(["hits_total 0.0", 'codes_total{code="200"} 0.0'])
    assert generate_metrics(registry).count("labelled_total{") == 1
