"""The counts and log lines of failures."""

from __future__ import annotations

import logging

import pytest

from pytheus import Counter
from pytheus.registry import CollectorRegistry
from pytheus.shards import MemoryShardStore, ShardedRegistry, ShardHealth, ShardStoreError
from tests.shards.conftest import lines_of


@pytest.fixture
def health() -> ShardHealth:
    return ShardHealth("<a store>")


def exposed(health: ShardHealth) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in health.collectors():
        registry.register(collector)
    return registry


def test_failures_are_counted_by_step_and_reason(health: ShardHealth) -> None:
    assert lines_of(exposed(health)) == []
    health.failed("publish", ShardStoreError("timeout", "no answer in 2 s"))
    health.failed("publish", ShardStoreError("timeout", "no answer in 2 s"))
    health.failed("read", OSError("no such file"))
    assert lines_of(exposed(health)) == [
        'pytheus_shard_failures_total{step="publish",reason="timeout"} 2.0',
        'pytheus_shard_failures_total{step="read",reason="OSError"} 1.0',
    ]


def test_a_failure_is_remembered(health: ShardHealth) -> None:
    seen = [health.has_failed]
    health.failed("read", OSError("no such file"))
    health.succeeded("read")
    assert [*seen, health.has_failed] == [False, True]


def test_an_expected_error_is_logged_without_its_traceback(
    health: ShardHealth, caplog: pytest.LogCaptureFixture
) -> None:
    health.failed("publish", ShardStoreError("timeout", "no answer in 2 s"))
    health.failed("fold", OSError("no such file"))
    expected, unexpected = caplog.records
    assert expected.message.startswith("<a store> failed to publish: no answer in 2 s; ")
    assert (expected.exc_info, unexpected.exc_info is None) == (None, False)


def test_another_reason_is_logged_again(health: ShardHealth, caplog: pytest.LogCaptureFixture) -> None:
    for reason in ("timeout", "timeout", "credentials"):
        health.failed("read", ShardStoreError(reason, reason))
    health.succeeded("read")
    health.succeeded("read")
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR, logging.WARNING]


def test_two_steps_with_one_expected_reason_are_logged_once(
    health: ShardHealth, caplog: pytest.LogCaptureFixture
) -> None:
    health.failed("publish", ShardStoreError("timeout", "no answer"))
    health.failed("read", ShardStoreError("timeout", "no answer"))
    health.succeeded("read")  # whose failure was not logged
    assert len(caplog.records) == 1
    # Any two errors of one class may differ.
    health.failed("publish", OSError("no such file"))
    health.failed("read", OSError("permission denied"))
    assert len(caplog.records) == 3


class Reports(MemoryShardStore):
    """A store whose own thread reports a failure."""

    def __init__(self) -> None:
        super().__init__()
        self.health = ShardHealth("<a store>")
        self.health.failed("publish", ShardStoreError("timeout", "no answer"))


def test_the_registry_exposes_the_health_of_its_store() -> None:
    registry = ShardedRegistry(Reports())
    Counter("orders_total", "Orders.", registry=registry).inc()
    assert lines_of(registry) == [
        "orders_total 1.0",
        'pytheus_shard_failures_total{step="publish",reason="timeout"} 1.0',
    ]
