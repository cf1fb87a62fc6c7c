"""A registry of shards in forked processes."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable

import pytest

from pytheus import Counter, Gauge, generate_metrics
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.shards.conftest import Join, lines_of, shop


def in_a_child(work: Callable[[], object]) -> str:
    """What `work` gives in a forked child, as text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on a fork beside threads warns, which is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
class TestFork:
    def test_a_child_begins_at_zero_with_a_shard_of_its_own(self, join: Join, backend: MemoryBackend) -> None:
        registry = join()
        orders = Counter("orders_total", "Orders.", registry=registry)
        orders.inc(2)
        generate_metrics(registry)
        parent = registry.store.identity

        def work() -> list[object]:
            orders.inc()
            generate_metrics(registry)
            mine = registry.store.identity
            return [
                mine.pid == os.getpid(),
                mine.token != parent.token,
                orders.value,
                backend.shards[mine.token].numbers(),
                backend.shards[parent.token].numbers(),
            ]

        assert in_a_child(work) == "[True, True, 1.0, [1.0], [2.0]]"
        assert orders.value == 2.0

    def test_every_type_begins_at_zero(self, join: Join) -> None:
        registry = join()
        shop(registry)
        last = Gauge("backup", "B.", mode="last", registry=registry)
        last.set(3)
        generate_metrics(registry)

        def work() -> list[object]:
            return [row.numbers for metric in registry.shared_metrics() for row in metric.rows()]

        # The counter's series, which has a label, is not there until the child uses it.
        assert in_a_child(work) == str([[0.0], [0.0] * 4, [0.0] * 2, [0.0] * 2, [], [0.0] * 2])

    def test_a_lock_that_another_thread_held_is_free(self, join: Join) -> None:
        registry = join()

        def work() -> list[str]:
            Counter("orders_total", "Orders.", registry=registry).inc()
            return lines_of(registry)

        told: list[str] = []
        with registry._scraping, registry._registering:
            thread = threading.Thread(target=lambda: told.append(in_a_child(work)))
            thread.start()
            thread.join()
        assert told == ["['orders_total 1.0']"]

    def test_a_store_that_fails_leaves_the_child_counting_by_itself(self) -> None:
        class Failing(MemoryShardStore):
            def after_fork_in_child(self) -> None:
                raise OSError("no space")

        registry = ShardedRegistry(Failing())
        orders = Counter("orders_total", "Orders.", registry=registry)
        orders.inc(2)

        def work() -> list[object]:
            orders.inc()
            return [orders.value, lines_of(registry)]

        assert in_a_child(work) == "[1.0, ['orders_total 1.0']]"

    def test_a_registry_that_was_closed_stays_so(self) -> None:
        registry = ShardedRegistry(MemoryShardStore())
        Counter("orders_total", "Orders.", registry=registry).inc(2)
        registry.close()
        assert in_a_child(lambda: lines_of(registry)) == "['orders_total 2.0']"
