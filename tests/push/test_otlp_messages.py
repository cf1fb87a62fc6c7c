"""The message of OTLP, read by OpenTelemetry's own classes: every type, exemplars, times and resources."""

from __future__ import annotations

import math
from collections import Counter as Counted
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.metrics import CustomCollector, Exemplar, Family, NativeBuckets, Sample
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import NativeHistogram
from pytheus.push.otlp_messages import OtlpEncoder
from pytheus.push.snapshot import Snapshot, SnapshotReader
from pytheus.registry import CollectorRegistry

pytest.importorskip("opentelemetry.proto", reason="the messages are read by OpenTelemetry's classes")
service: Any = import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")


class Custom(CustomCollector):
    def __init__(self, *families: Family) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Family]:
        yield from self.families


def _parsed(snapshot: Snapshot, encoder: OtlpEncoder | None = None) -> list[Any]:
    """The messages of a snapshot. Fails if anything in them is unknown, or the data points were counted wrongly."""
    messages: list[Any] = []
    requests = (encoder or OtlpEncoder({})).encode(snapshot)
    assert sum([request.numbers for request in requests]) == snapshot.samples
    for request in requests:
        message = service.ExportMetricsServiceRequest.FromString(bytes(request.message))
        assert request.points > 0
        _fail_on_unknown(message)
        messages.append(message)
    return messages


def _fail_on_unknown(message: Any) -> None:
    assert not list(import_module("google.protobuf.unknown_fields").UnknownFieldSet(message))
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                _fail_on_unknown(each)


def _metrics(registry: CollectorRegistry) -> dict[str, Any]:
    [message] = _parsed(SnapshotReader(registry, escaping="allow-utf-8").read())
    [resource] = message.resource_metrics
    [scope] = resource.scope_metrics
    assert scope.scope.name == "pytheus"
    return {metric.name: metric for metric in scope.metrics}


def _attributes(point: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in point.attributes}


def test_types_of_one_number(registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    Counter("sold_bytes_total", "Sold.", ["way"], unit="bytes", registry=registry).labels("web").inc(3)
    Gauge("queue", "Queue.", registry=registry).set(-1.5)
    Info("build", "Build.", registry=registry).info(version="1")
    StateSet("door", "Door.", states=["open", "closed"], registry=registry).state("open")
    found = _metrics(registry)
    counter = found["shop_sold_bytes_total"]
    assert (counter.description, counter.unit) == ("Sold.", "By")
    assert (counter.sum.aggregation_temporality, counter.sum.is_monotonic) == (2, True)
    [point] = counter.sum.data_points
    assert (point.as_double, _attributes(point)) == (3.0, {"way": "web"})
    assert 0 <= point.time_unix_nano - point.start_time_unix_nano < 60e9
    assert [point.as_double for point in found["shop_queue"].gauge.data_points] == [-1.5]
    assert [_attributes(point) for point in found["shop_build_info"].gauge.data_points] == [{"version": "1"}]
    assert [(point.as_double, _attributes(point)) for point in found["shop_door"].gauge.data_points] == [
        (1.0, {"shop_door": "open"}),
        (0.0, {"shop_door": "closed"}),
    ]


def test_histograms_and_summaries(registry: CollectorRegistry) -> None:
    sizes = Histogram("size", "Size.", ["a"], buckets=(1.0, 5.0), registry=registry)
    sizes.labels("x").observe_many([0.5, 0.5, 3, 9, 9, 9])
    sizes.labels("y").observe(2)
    Summary("wait", "Wait.", registry=registry).observe(2.5)
    quantiles = [Sample("", {"quantile": "0.5"}, 4.0), Sample("_sum", {}, 9.0), Sample("_count", {}, 2.0)]
    registry.register(Custom(Family("s", "summary", "S.", quantiles)))
    found = _metrics(registry)
    assert found["size"].histogram.aggregation_temporality == 2
    first, second = found["size"].histogram.data_points
    assert (first.count, first.sum, list(first.bucket_counts)) == (6, 31.0, [2, 1, 3])
    assert list(first.explicit_bounds) == list(second.explicit_bounds) == [1.0, 5.0]
    assert (second.count, list(second.bucket_counts), _attributes(second)) == (1, [0, 1, 0], {"a": "y"})
    assert second.start_time_unix_nano > 0
    [point] = found["wait"].summary.data_points
    assert (point.count, point.sum, list(point.quantile_values)) == (1, 2.5, [])
    [point] = found["s"].summary.data_points
    assert [(one.quantile, one.value) for one in point.quantile_values] == [(0.5, 4.0)]
    assert (point.count, point.sum) == (2, 9.0)


def test_a_gauge_histogram_is_gauges(registry: CollectorRegistry) -> None:
    samples = [
        Sample("_bucket", {"le": "1"}, 2.0),
        Sample("_bucket", {"le": "+Inf"}, 3.0),
        Sample("_gsum", {}, 5.0),
        Sample("_gcount", {}, 3.0),
    ]
    registry.register(Custom(Family("gh", "gaugehistogram", "G.", samples)))
    found = _metrics(registry)
    shown = {name: [(point.as_double, _attributes(point)) for point in one.gauge.data_points] for name, one in found.items()}  # fmt: skip  # noqa: E501
    assert shown == {
        "gh_bucket": [(2.0, {"le": "1.0"}), (3.0, {"le": "+Inf"})],
        "gh_gsum": [(5.0, {})],
        "gh_gcount": [(3.0, {})],
    }


def test_native_buckets(registry: CollectorRegistry) -> None:
    """A bucket of OTLP has the index of its lower bound: https://opentelemetry.io/docs/specs/otel/metrics/data-model/"""
    one = Histogram("h", "H.", ["a"], buckets=[], native=NativeBuckets(growth=2), registry=registry)
    one.labels("x").observe_many([0.0, 0.25, 0.25, 3.0, -4.0])
    [point] = _metrics(registry)["h"].exponential_histogram.data_points
    assert (point.count, point.sum, point.scale, point.zero_count) == (5, -0.5, 0, 1)
    assert point.zero_threshold == 2.0**-128
    # 0.25 is the upper bound of the bucket from 0.125, of the index -3.
    assert (point.positive.offset, list(point.positive.bucket_counts)) == (-3, [2, 0, 0, 0, 1])
    assert (point.negative.offset, list(point.negative.bucket_counts)) == (1, [1])
    assert _attributes(point) == {"a": "x"}


def test_exemplars(registry: CollectorRegistry) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    counter = Counter("c_total", "C.", ["a"], registry=registry)
    counter.labels("x").inc(2, exemplar={"trace_id": trace, "span_id": span, "user": "u"})
    counter.labels("y").inc()
    Histogram("h", "H.", buckets=[1], registry=registry).observe(0.5, exemplar={"trace_id": "short"})
    native = Histogram("n", "N.", buckets=[], native=True, registry=registry)
    native.observe(0.5, exemplar={"trace_id": trace})
    found = _metrics(registry)
    first, second = found["c_total"].sum.data_points
    [exemplar] = first.exemplars
    assert (exemplar.as_double, exemplar.trace_id.hex(), exemplar.span_id.hex()) == (2.0, trace, span)
    assert {one.key: one.value.string_value for one in exemplar.filtered_attributes} == {"user": "u"}
    assert abs(exemplar.time_unix_nano - first.time_unix_nano) < 60e9
    assert (first.as_double, second.as_double, list(second.exemplars)) == (2.0, 1.0, [])
    [exemplar] = found["h"].histogram.data_points[0].exemplars
    assert (exemplar.trace_id, exemplar.filtered_attributes[0].value.string_value) == (b"", "short")
    [exemplar] = found["n"].exponential_histogram.data_points[0].exemplars
    assert exemplar.trace_id.hex() == trace


def test_times_and_numbers_of_a_custom_collector(registry: CollectorRegistry) -> None:
    samples = [
        Sample("", {"x": "a"}, math.inf, 12.5),
        Sample("", {"x": "b"}, -0.0, None, Exemplar({"trace_id": "0" * 32}, 1.0)),
    ]
    registry.register(Custom(Family("u", "unknown", "U.", samples)))
    # Those with times of their own are in a request of their own.
    messages = _parsed(SnapshotReader(registry).read())
    [first], [second] = [one.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points for one in messages]
    assert (first.time_unix_nano, first.as_double) == (12_500_000_000, math.inf)
    assert second.time_unix_nano > 1e18
    # An id of zeros is not valid: https://www.w3.org/TR/trace-context/#trace-id
    assert second.exemplars[0].filtered_attributes[0].key == "trace_id"


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"), [(-5.0, 0), (12.5, 12_500_000_000), (1.7e12, 2**64 - 1), (9e15, 2**64 - 1)]
)
def test_any_time(registry: CollectorRegistry, seconds: float, nanoseconds: int) -> None:
    """One in milliseconds, for instance, is far away but stops no other number."""
    exemplar = Exemplar({"trace_id": "t1"}, 1.0, seconds)
    samples = [
        Sample("_total", {"x": "time"}, 1.0, seconds),
        Sample("_total", {"x": "start"}, 1.0, None, None, abs(seconds)),
        Sample("_total", {"x": "exemplar"}, 1.0, None, exemplar),
    ]
    native = NativeHistogram(0, 0.0, 0, {1: 1}, {})
    counted = Sample("_count", {}, 1.0, seconds, None, abs(seconds), native, (exemplar,))
    registry.register(
        Custom(
            Family("c_total", "counter", "C.", samples),
            Family("h", "histogram", "H.", [Sample("_sum", {}, 1.5, seconds), counted]),
        )
    )
    messages = _parsed(SnapshotReader(registry).read())
    metrics = [metric for one in messages for metric in one.resource_metrics[0].scope_metrics[0].metrics]
    points = {_attributes(point)["x"]: point for metric in metrics for point in metric.sum.data_points}
    [histogram] = [point for metric in metrics for point in metric.exponential_histogram.data_points]
    assert points["time"].time_unix_nano == histogram.time_unix_nano == nanoseconds
    assert points["exemplar"].exemplars[0].time_unix_nano == histogram.exemplars[0].time_unix_nano == nanoseconds
    if seconds > 0:
        assert points["start"].start_time_unix_nano == histogram.start_time_unix_nano == nanoseconds


def _native(registry: CollectorRegistry, native: NativeHistogram, total: float = 1.5) -> Any:
    """The data point of a custom collector's native buckets."""
    count = float(native.total)
    samples = [
        Sample("_bucket", {"le": "+Inf"}, count),
        Sample("_sum", {}, total),
        Sample("_count", {}, count, native=native),
    ]
    registry.register(Custom(Family("h", "histogram", "H.", samples)))
    [point] = _metrics(registry)["h"].exponential_histogram.data_points
    return point


@pytest.mark.parametrize("schema", [8, 3, 0, -4])
def test_wide_native_buckets(registry: CollectorRegistry, schema: int) -> None:
    """There is a count for each index, so they become fewer, without another sum or count."""
    values = [1e-300, 0.25, 0.25, 1e300]
    counts = Counted(bucket_index(value, schema) for value in values)
    point = _native(registry, NativeHistogram(schema, 0.0, 2, counts, {3: 1}))
    assert len(point.positive.bucket_counts) <= 320
    assert (point.count, point.sum, point.zero_count) == (7, 1.5, 2)
    found = {point.positive.offset + place: count for place, count in enumerate(point.positive.bucket_counts) if count}
    assert found == Counted(bucket_index(value, point.scale) - 1 for value in values)
    assert (point.negative.offset, list(point.negative.bucket_counts)) == (-(-3 >> (schema - point.scale)) - 1, [1])


def test_infinite_values_are_in_the_count_alone(registry: CollectorRegistry) -> None:
    """The sum is NaN, because receivers refuse another one beside a count above that of the buckets."""
    one = Histogram("h", "H.", buckets=[], native=NativeBuckets(growth=2), registry=registry)
    one.observe_many([0.75, math.inf, math.inf, -math.inf])
    two = Histogram("finite", "H.", buckets=[], native=NativeBuckets(growth=2), registry=registry)
    two.observe_many([0.75, 1.7976931348623157e308])
    found = _metrics(registry)
    [point] = found["h"].exponential_histogram.data_points
    assert (point.count, point.scale, math.isnan(point.sum)) == (4, 0, True)
    assert (point.positive.offset, list(point.positive.bucket_counts)) == (-1, [1])
    assert list(point.negative.bucket_counts) == []
    [point] = found["finite"].exponential_histogram.data_points
    assert (point.count, point.sum, sum(point.positive.bucket_counts)) == (2, 1.7976931348623157e308, 2)


@pytest.mark.parametrize("schema", [20, 8, -4, -53])
def test_native_buckets_far_outside_of_all_numbers(registry: CollectorRegistry, schema: int) -> None:
    point = _native(registry, NativeHistogram(schema, 0.0, 1, {-(2**70): 1, 2**70: 2}, {}))
    assert (point.count, point.zero_count) == (4, 1)
    assert len(point.positive.bucket_counts) <= 320


def test_requests_have_a_limit_of_bytes(registry: CollectorRegistry) -> None:
    h = Histogram("h", "H.", ["a"], buckets=[], native=NativeBuckets(growth=2), registry=registry)
    for value in range(5000):
        h.labels("long" * 300 + str(value)).observe(1)
    messages = _parsed(SnapshotReader(registry).read())
    assert len(messages) > 1
    assert max(message.ByteSize() for message in messages) < 5_000_000


def test_a_summary_has_no_exemplars(registry: CollectorRegistry) -> None:
    """Its data points have no field for them."""
    quantile = Sample("", {"quantile": "0.5"}, 4.0, None, Exemplar({"trace_id": "t1"}, 1.0, 7.0))
    samples = [quantile, Sample("_sum", {}, 9.0), Sample("_count", {}, 2.0)]
    registry.register(Custom(Family("s", "summary", "S.", samples)))
    [point] = _metrics(registry)["s"].summary.data_points
    assert (point.count, point.sum, len(point.quantile_values)) == (2, 9.0, 1)


def test_the_resource(registry: CollectorRegistry) -> None:
    Gauge("g", "G.", registry=registry).set(1)
    attributes: dict[str, str | bool | int | float] = {"service.name": "shop", "a": True, "b": -3, "c": 0.5}
    [message] = _parsed(SnapshotReader(registry).read(), OtlpEncoder(attributes))
    given = message.resource_metrics[0].resource.attributes
    assert {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in given} == attributes


def test_many_series_in_several_requests(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "G.", ["a"], registry=registry)
    for value in range(25_000):
        gauge.labels(value).set(value)
    reader, encoder = SnapshotReader(registry), OtlpEncoder({})
    for _ in range(2):
        messages = _parsed(reader.read(), encoder)
        assert len(messages) == 3
        found = {
            _attributes(point)["a"]: point.as_double
            for message in messages
            for metric in message.resource_metrics[0].scope_metrics[0].metrics
            for point in metric.gauge.data_points
        }
        assert found == {str(value): float(value) for value in range(25_000)}


def test_nothing_to_send() -> None:
    assert OtlpEncoder({"service.name": "shop"}).encode(SnapshotReader(CollectorRegistry()).read()) == []
