"""The platform collector, against the standard library's `platform` and prometheus_client's collector."""

from __future__ import annotations

import platform

from prometheus_client import PlatformCollector as PeersCollector
from prometheus_client.registry import CollectorRegistry as PeersRegistry

from pytheus import generate_metrics
from pytheus.collectors import PlatformCollector
from pytheus.registry import CollectorRegistry


def test_the_facts_are_those_of_the_standard_library() -> None:
    [family] = PlatformCollector().collect()
    [sample] = family.samples

    major, minor, patchlevel = platform.python_version_tuple()
    assert sample.labels == {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "major": major,
        "minor": minor,
        "patchlevel": patchlevel,
    }
    assert sample.value == 1.0


def test_dashboards_made_for_prometheus_client_find_the_same_series() -> None:
    registry = CollectorRegistry()
    registry.register(PlatformCollector())
    peer = PeersCollector(registry=PeersRegistry())

    [theirs] = [sample for metric in peer.collect() for sample in metric.samples]

    text = generate_metrics(registry, strict=True)
    assert text.startswith("# HELP python_info Python platform information\n# TYPE python_info gauge\npython_info{")
    assert all(f'{name}="{value}"' in text for name, value in theirs.labels.items())
