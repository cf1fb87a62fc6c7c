"""Bridges between registries that share numbers, because the plugin is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import multiprocess

from pytheus import Counter
from pytheus.registry import CollectorRegistry
from pytheus.testing import sample_value
from pytheus_prometheus_client import PeerCollector, PytheusCollector, install, uninstall


@pytest.fixture
def ours() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    install(registry)
    yield registry
    uninstall()


@pytest.fixture
def theirs(ours: CollectorRegistry) -> prometheus_client.CollectorRegistry:
    # After the installation, which freezes all objects if the test run has frozen those that it began with.
    return prometheus_client.CollectorRegistry(auto_describe=True)


def text(registry: prometheus_client.CollectorRegistry) -> bytes:
    return prometheus_client.generate_latest(registry)


def test_a_metric_of_theirs_is_not_refused_where_it_shares_its_number_with_ours(
    ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry
) -> None:
    Counter("tasks_total", "Tasks.", registry=ours).inc()
    Counter("own_total", "Own.", registry=ours).inc()
    theirs.register(PytheusCollector(ours, beside=theirs))
    prometheus_client.Counter("tasks", "Tasks.", registry=theirs).inc(4)
    for source in text(theirs), ours:
        assert (sample_value(source, "tasks_total"), sample_value(source, "own_total")) == (5, 1)


def test_circles_end_with_each_metric_once(
    ours: CollectorRegistry, theirs: prometheus_client.CollectorRegistry, tmp_path: Path
) -> None:
    endpoint = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(endpoint, str(tmp_path))  # type: ignore[no-untyped-call]  # theirs has none
    ours.register(PeerCollector(endpoint))
    ours.register(PeerCollector(theirs))
    theirs.register(PytheusCollector(ours, beside=theirs))
    prometheus_client.Counter("tasks", "Tasks.", registry=theirs).inc(4)
    Counter("own_total", "Own.", registry=ours).inc()
    for source in text(endpoint), text(theirs), ours:  # each of which is read strictly: no series occurs twice
        assert (sample_value(source, "tasks_total"), sample_value(source, "own_total")) == (4, 1)
