"""The naming lint: what Prometheus advises, and nothing where it is followed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, Info, Summary
from pytheus.collectors import register_runtime_collectors
from pytheus.kinds import MetricType
from pytheus.metrics import Metric
from pytheus.registry import Collector, CollectorRegistry
from pytheus.samples import Family, Sample
from pytheus.testing import assert_well_named, lint_names


class One:
    """A collector of one family."""

    def __init__(self, name: str, type: MetricType, description: str = "One.", **labels: str) -> None:
        self.family = Family(name, type, description, [Sample("", labels, 1.0)])

    def collect(self) -> Iterator[Family | Collector]:
        yield self.family


def advice(collector: Collector) -> list[str]:
    registry = CollectorRegistry()
    registry.register(collector)
    return [problem.advice for problem in lint_names(registry)]


@pytest.mark.parametrize(
    "metric",
    [
        Counter("orders_total", "Orders.", registry=None),
        Gauge("queue_depth", "Depth.", registry=None),
        Histogram("request_duration_seconds", "Duration.", registry=None),
        Summary("payload_size_bytes", "Size.", registry=None),
        Info("build_info", "Build.", registry=None),
    ],
    ids=lambda metric: metric.name,
)
def test_good_names_have_no_problem(metric: Metric) -> None:
    assert advice(metric) == []


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        (One("orders", "counter"), "a counter ends with '_total': 'orders_total'"),
        (One("carts_total", "gauge"), "samples of other types end with '_total': 'carts'"),
        (One("carts_count", "gauge"), "samples of other types end with '_count': 'carts'"),
        (One("build_info", "gauge"), "samples of other types end with '_info': 'build'"),
        (One("wait_ms", "gauge"), "use the base unit: 'wait_seconds'"),
        (One("heap_megabytes", "gauge"), "use the base unit: 'heap_bytes'"),
        (One("wait_histogram", "histogram"), "leave the type out of the name: 'wait'"),
        (One("job:wait", "gauge"), "':' is for the names of recording rules; use '_'"),
        (One("cartsOpen", "gauge"), "write it in snake_case: 'carts_open'"),
        (One("carts", "gauge", userId="1"), "write its label 'userId' in snake_case: 'user_id'"),
        (One("carts", "gauge", " "), "it has no description; state the thing it counts, and the unit"),
    ],
    ids=lambda value: value.family.name if isinstance(value, One) else "",
)
def test_each_problem_comes_with_advice(collector: One, expected: str) -> None:
    assert advice(collector) == [expected]


def test_pytheus_own_collectors_are_well_named() -> None:
    registry = CollectorRegistry()
    register_runtime_collectors(registry)
    assert_well_named(registry, ignore=["process_cpu_seconds_total"])


def test_all_problems_are_told_at_once() -> None:
    registry = CollectorRegistry()
    registry.register(One("wait_ms", "gauge"))
    registry.register(One("orders", "counter"))
    with pytest.raises(AssertionError) as caught:
        assert_well_named(registry)
    assert str(caught.value).splitlines() == [
        "2 names do not follow Prometheus's conventions:",
        "  wait_ms: use the base unit: 'wait_seconds'",
        "  orders: a counter ends with '_total': 'orders_total'",
    ]


def test_what_is_ignored_is_not_told() -> None:
    registry = CollectorRegistry()
    registry.register(One("wait_ms", "gauge"))
    assert_well_named(registry, ignore=["wait_ms"])
