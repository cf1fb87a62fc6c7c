"""Registering the collectors of a process, once and on request."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pytheus import REGISTRY, Gauge, generate_metrics
from pytheus.collectors import GCCollector, PlatformCollector, ProcessCollector, register_runtime_collectors
from pytheus.compose import labelled
from pytheus.exceptions import ConflictError
from pytheus.registry import Collector, CollectorRegistry, NullRegistry, Registry
from pytheus.samples import Family, Sample


def test_all_three_are_registered() -> None:
    registry = CollectorRegistry()

    registered = register_runtime_collectors(registry)

    expected: list[type[Collector]] = [ProcessCollector, GCCollector, PlatformCollector]
    assert [type(collector) for collector in registered] == expected
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


class _Peer:
    """The metrics of another library, which describes the process as well."""

    name = "peer"

    def collect(self) -> Iterator[Family]:
        yield Family("process_open_fds", "gauge", "Counted elsewhere.", [Sample("", {}, 4711.0)])
        yield Family("python_info", "info", "Known elsewhere.", [Sample("_info", {"version": "peer"}, 1.0)])
        yield Family("jobs_total", "counter", "Jobs done.", [Sample("", {}, 3.0)])


def _own_gauge(registry: Registry) -> None:
    Gauge("process_open_fds", "Counted by hand.", registry=registry).set(4711)


@pytest.mark.parametrize(
    "occupy", [_own_gauge, lambda registry: registry.register(_Peer())], ids=["a metric", "a custom collector"]
)
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("layer", [lambda registry: registry, lambda registry: labelled(registry, shop="1")])
def test_each_family_gives_way_to_another_of_its_name(
    occupy: Callable[[Registry], None], order: str, layer: Callable[[Registry], Registry]
) -> None:
    registry = CollectorRegistry()
    if order == "before":
        occupy(registry)
    register_runtime_collectors(registry)
    if order == "after":
        occupy(registry)

    text = generate_metrics(layer(registry), strict=True)

    assert re.findall(r"^process_open_fds\S* (\S+)$", text, re.M) == ["4711.0"]
    assert len(re.findall(r"^# TYPE (process|python)_", text, re.M)) == len(_families())
    assert "pytheus_collector_errors_total" not in text


def _families() -> list[Family]:
    return [family for each in (ProcessCollector(), GCCollector(), PlatformCollector()) for family in each.collect()]


def test_of_two_with_a_precedence_the_greater_is_shown() -> None:
    class Better(_Peer):
        precedence = 7

    registry = CollectorRegistry()
    register_runtime_collectors(registry)
    registry.register(Better())

    assert "process_open_fds 4711.0\n" in generate_metrics(registry, strict=True)


def test_an_attribute_of_that_name_with_another_meaning_has_no_effect() -> None:
    class Odd(_Peer):
        precedence = "high"

    registry = CollectorRegistry()
    registry.register(_Peer())
    registry.register(Odd())

    assert 'pytheus_collector_errors_total{collector="peer"} 1.0\n' in generate_metrics(registry)


def test_one_that_the_registry_refuses_is_left_out() -> None:
    class Choosy(CollectorRegistry):
        def register(self, collector: Collector, /) -> None:
            if isinstance(collector, GCCollector):
                raise ConflictError("there is one", name="python_gc_collections_total", incumbent=self)
            super().register(collector)

    registered = register_runtime_collectors(Choosy())

    expected: list[type[Collector]] = [ProcessCollector, PlatformCollector]
    assert [type(collector) for collector in registered] == expected


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
