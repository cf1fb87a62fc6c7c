"""Whatever is in a registry of any kind, its series are sent by the names and numbers of the text format."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

import pytest
from hypothesis import given

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.compose import filtered, labelled, limited, prefixed, read_only, union
from pytheus.exposition import generate_metrics
from pytheus.push.otlp_messages import OtlpEncoder
from pytheus.push.remote_messages import RemoteWriteEncoder
from pytheus.push.snapshot import SnapshotReader
from pytheus.registry import CollectorRegistry, Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from pytheus.testing import parse_exposition
from pytheus.textformat import format_bound
from tests.exposition.any_registry import registries
from tests.push.remote_schema import parsed_1, parsed_2, series_of

Series: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], bytes]
"""The bytes of numbers, because NaN equals nothing, by name and labels."""

pytestmark = pytest.mark.filterwarnings("ignore:counter .* has no suffix")


def _bytes_of(number: float) -> bytes:
    return struct.pack("d", math.nan if number != number else number)


def _in_text(registry: Registry) -> Series:
    series: Series = {}
    for family in parse_exposition(generate_metrics(registry)).values():
        for sample in family.samples:
            labels = frozenset((name, value) for name, value in sample.labels if value)
            series[sample.name, labels] = _bytes_of(sample.value)
    return series


def _by_remote_write(registry: Registry, version: str) -> Series:
    series: Series = {}
    encoder = RemoteWriteEncoder("1.0" if version == "1.0" else "2.0")
    for request in encoder.encode(SnapshotReader(registry, native=False).read()):
        body = bytes(request.message)
        for labels, one in series_of(parsed_1(body) if version == "1.0" else parsed_2(body)):
            name = labels.pop("__name__")
            for sample in one.samples:
                key = name, frozenset(labels.items())
                assert key not in series
                series[key] = _bytes_of(sample.value)
    return series


def _by_otlp(registry: Registry) -> Series:
    service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    series: Series = {}
    for sent in OtlpEncoder({}).encode(SnapshotReader(registry, native=False).read()):
        request = service.ExportMetricsServiceRequest.FromString(bytes(sent.message))
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                for suffix, more, number in _numbers_of(kind, point):
                    labels = {one.key: one.value.string_value for one in point.attributes} | more
                    key = metric.name + suffix, frozenset(item for item in labels.items() if item[1])
                    assert key not in series
                    series[key] = _bytes_of(number)
    return series


def _numbers_of(kind: str, point: Any) -> list[tuple[str, dict[str, str], float]]:
    """The suffixes, labels and numbers of a data point in the text format."""
    if kind in ("gauge", "sum"):
        return [("", {}, point.as_double)]
    found: list[tuple[str, dict[str, str], float]] = [("_sum", {}, point.sum), ("_count", {}, float(point.count))]
    if kind == "summary":
        return found + [("", {"quantile": format_bound(one.quantile)}, one.value) for one in point.quantile_values]
    below = 0
    for bound, count in zip([*point.explicit_bounds, math.inf], point.bucket_counts, strict=True):
        below += count
        found.append(("_bucket", {"le": format_bound(bound)}, float(below)))
    return found


def _filled(registry: Registry) -> None:
    orders = Counter("orders_total", "Orders.", ["way"], registry=registry)
    orders.labels("web").inc(3)
    orders.labels("shop").inc(0.5)
    Gauge("queue", "Queue.", registry=registry).set(-0.0)
    waits = Histogram("wait_seconds", "Wait.", ["way"], buckets=(0.5, 2e6), registry=registry)
    waits.labels("web").observe_many([0.1, 7, 7e6])
    Histogram("native", "Native.", buckets=[], native=True, registry=registry).observe_many([0.1, 7, 7e6])
    Summary("size", "Size.", registry=registry).observe(2.5)
    Info("build", "Build.", registry=registry).info(version="1")
    StateSet("door", "Door.", states=["open", "closed"], registry=registry).state("open")


def _sharded() -> Registry:
    """A registry of two processes."""
    backend = MemoryBackend()
    registry = ShardedRegistry(MemoryShardStore(backend))
    _filled(registry)
    _filled(ShardedRegistry(MemoryShardStore(backend)))
    return registry


def _of(wrap: Callable[[Registry], Registry]) -> Callable[[], Registry]:
    def make() -> Registry:
        registry = CollectorRegistry("shop")
        _filled(registry)
        return wrap(registry)

    return make


REGISTRIES = {
    "plain": _of(lambda registry: registry),
    "filtered": _of(lambda registry: filtered(registry, names=["shop_orders_total", "shop_wait_seconds"])),
    "labelled": _of(lambda registry: labelled(registry, region="eu")),
    "limited": _of(lambda registry: limited(registry, max_series=1)),
    "prefixed": _of(lambda registry: prefixed(registry, "eu")),
    "read_only": _of(read_only),
    "union": _of(lambda registry: union(registry, CollectorRegistry())),
    "sharded": _sharded,
}


@pytest.mark.parametrize("make", REGISTRIES.values(), ids=REGISTRIES)
def test_a_registry_of_each_kind(make: Callable[[], Registry]) -> None:
    registry = make()
    expected = _in_text(registry)
    assert len(expected) > 5
    assert _by_remote_write(registry, "1.0") == expected
    assert _by_remote_write(registry, "2.0") == expected
    assert _by_otlp(registry) == expected


@pytest.mark.property
@given(registries())
def test_any_registry(registry: CollectorRegistry) -> None:
    expected = _in_text(registry)
    assert _by_remote_write(registry, "1.0") == expected
    assert _by_remote_write(registry, "2.0") == expected
    assert _by_otlp(registry) == expected
