"""Gauges with their limits, and errors with their totals."""

from __future__ import annotations

import pytest

from pytheus.collectors import ProcessCollector
from pytheus.dashboard import FamilyInfo, families_of_registry
from pytheus.dashboard.pairs import error_pairs, limit_pairs
from pytheus.registry import CollectorRegistry


def gauge(name: str, *labels: str, description: str = "") -> FamilyInfo:
    return FamilyInfo(name, "gauge", description, labels)


@pytest.mark.parametrize(
    ("usage", "limit"),
    [
        ("process_open_fds", "process_max_fds"),
        ("process_virtual_memory_bytes", "process_virtual_memory_max_bytes"),
        ("queue", "queue_limit"),
        ("queue_size", "queue_max"),
        ("queue_size", "queue_size_max"),
        ("queue_length", "max_queue_length"),
        ("pool_connections_in_use", "pool_connections_capacity"),
        ("memory_usage_bytes", "memory_limit_bytes"),
        ("pool.connections", "pool.connections.max"),
    ],
)
def test_a_gauge_is_paired_with_its_limit(usage: str, limit: str) -> None:
    assert limit_pairs([gauge(usage), gauge(limit)]) == [(gauge(usage), gauge(limit))]


def test_the_process_has_one_limit() -> None:
    registry = CollectorRegistry()
    registry.register(ProcessCollector())
    pairs = limit_pairs(families_of_registry(registry))
    assert [(pair.usage.name, pair.limit.name) for pair in pairs] == [("process_open_fds", "process_max_fds")]


@pytest.mark.parametrize(
    "families",
    [
        [gauge("queue"), gauge("queue_length_max")],
        [gauge("queue", "a"), gauge("queue_max", "b")],
        [gauge("queue"), gauge("queue_max", "b")],
        [gauge("queue"), gauge("queue_max", description="Highest length so far.")],
        [gauge("max")],
        [FamilyInfo("queue", "counter", ""), gauge("queue_max")],
    ],
)
def test_gauges_that_do_not_belong_together_are_not_paired(families: list[FamilyInfo]) -> None:
    assert limit_pairs(families) == []


def test_the_limit_may_have_fewer_labels() -> None:
    assert limit_pairs([gauge("queue", "a", "b"), gauge("queue_max", "b")])[0].limit.name == "queue_max"


def test_errors_are_paired_with_the_total_that_contains_them() -> None:
    names = ["jobs_failed_total", "jobs_total", "rpc_errors_total", "rpc_calls_total", "lost_errors_total"]
    families = [FamilyInfo(name, "counter", "", ("queue",)) for name in names]
    assert [(pair.errors.name, pair.total.name) for pair in error_pairs(families)] == [
        ("jobs_failed_total", "jobs_total"),
        ("rpc_errors_total", "rpc_calls_total"),
    ]


def test_a_total_with_a_label_that_the_errors_lack_is_not_theirs() -> None:
    errors, total = FamilyInfo("a_errors_total", "counter", ""), FamilyInfo("a_total", "counter", "", ("kind",))
    assert error_pairs([errors, total]) == []
