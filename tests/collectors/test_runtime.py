"""Registering the collectors of a process, once and on request."""

from __future__ import annotations

import subprocess
import sys

from pytheus import REGISTRY, Gauge, generate_metrics
from pytheus.collectors import GCCollector, PlatformCollector, ProcessCollector, register_runtime_collectors
from pytheus.exceptions import ConflictError
from pytheus.registry import Collector, CollectorRegistry, NullRegistry


def test_all_three_are_registered() -> None:
    registry = CollectorRegistry()

    registered = register_runtime_collectors(registry)

    assert [type(collector) for collector in registered] == [ProcessCollector, GCCollector, PlatformCollector]
    assert list(registry.collect()) == list(registered)


def test_a_second_time_changes_nothing() -> None:
    registry = CollectorRegistry("shop")
    first = register_runtime_collectors(registry)

    assert register_runtime_collectors(registry) == ()
    assert list(registry.collect()) == list(first)
    text = generate_metrics(registry, strict=True)
    for line in (
        "# TYPE shop_process_cpu_seconds_total counter",
        "# TYPE shop_process_open_fds gauge",
        "# TYPE shop_python_gc_collections_total counter",
        'shop_python_gc_collections_total{generation="0"} ',
    ):
        assert f"\n{line}" in f"\n{text}"


def test_one_whose_name_is_taken_is_left_out() -> None:
    registry = CollectorRegistry()
    mine = Gauge("process_open_fds", "Counted by hand.", registry=registry)

    registered = register_runtime_collectors(registry)

    assert [type(collector) for collector in registered] == [GCCollector, PlatformCollector]
    assert mine in registry
    assert "pytheus_collector_errors_total" not in generate_metrics(registry)


def test_one_that_the_registry_refuses_is_left_out() -> None:
    class Choosy(CollectorRegistry):
        def register(self, collector: Collector, /) -> None:
            if isinstance(collector, GCCollector):
                raise ConflictError("there is one", name="python_gc_collections_total", incumbent=self)
            super().register(collector)

    registered = register_runtime_collectors(Choosy())

    assert [type(collector) for collector in registered] == [ProcessCollector, PlatformCollector]


def test_a_registry_that_keeps_nothing_is_no_obstacle() -> None:
    register_runtime_collectors(NullRegistry())


def test_the_default_registry_is_the_default() -> None:
    with REGISTRY.use(CollectorRegistry()) as registry:
        registered = register_runtime_collectors()

        assert list(registry.collect()) == list(registered)


def test_importing_them_registers_nothing() -> None:
    program = "import pytheus, pytheus.collectors; print(list(pytheus.REGISTRY.collect()))"

    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"
