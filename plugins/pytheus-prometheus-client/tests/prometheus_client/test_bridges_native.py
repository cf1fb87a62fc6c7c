"""Native histograms in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector as TheirBase
from prometheus_client.samples import BucketSpan, Exemplar, NativeHistogram

from pytheus import Histogram, generate_metrics
from pytheus.exceptions import CollectorError
from pytheus.registry import CollectorRegistry
from pytheus.testing import parse_exposition
from pytheus_prometheus_client import PeerCollector, PytheusCollector


class Custom(TheirBase):
    def __init__(self, *families: prometheus_client.Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[prometheus_client.Metric]:
        yield from self.families


def bridged(*families: prometheus_client.Metric) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(PeerCollector(Custom(*families)))
    return registry


def native(**options: Any) -> prometheus_client.Metric:
    """Return a histogram with the native buckets (0.5, 1], (1, 2] and (2, 4], which have 1, 3 and 2 observations."""
    values = {
        "count_value": 8,
        "sum_value": 9.5,
        "schema": 0,
        "zero_threshold": 2.0**-128,
        "zero_count": 1,
        "pos_spans": [BucketSpan(0, 3)],
        "pos_deltas": [1, 2, -1],
        "neg_spans": [BucketSpan(2, 1)],
        "neg_deltas": [1],
        "nh_exemplars": [Exemplar({"trace_id": "a"}, 1.5, 1_700_000_000.0)],
    } | options
    metric = prometheus_client.Metric("wait_seconds", "Wait.", "histogram")
    # The value of such a sample is None where prometheus_client parses one.
    metric.add_sample("wait_seconds", {"a": "b"}, None, None, None, NativeHistogram(**values))  # type: ignore[arg-type]
    return metric


def test_native_histograms_are_native_in_ours() -> None:
    [family] = PeerCollector(Custom(native())).collect()
    total, count = family.samples
    assert (total.suffix, total.value, count.suffix, count.value) == ("_sum", 9.5, "_count", 8.0)
    assert count.native is not None
    assert (count.native.positive, count.native.negative) == ({0: 1, 1: 3, 2: 2}, {2: 1})
    assert [exemplar.labels for exemplar in count.exemplars] == [{"trace_id": "a"}]
    text = generate_metrics(bridged(native()), strict=True)
    assert 'wait_seconds_bucket{a="b",le="2.0"} 6.0' in text  # all up to 2: 1 negative, 1 at zero, 1 and 3
    assert 'wait_seconds_count{a="b"} 8.0' in text


def test_a_native_histogram_beside_buckets_belongs_to_their_count() -> None:
    metric = native()
    for name, labels, value in (
        ("_bucket", {"a": "b", "le": "1.0"}, 3),
        ("_bucket", {"a": "b", "le": "+Inf"}, 8),
        ("_sum", {"a": "b"}, 9.5),
        ("_count", {"a": "b"}, 8),
    ):
        metric.add_sample(f"wait_seconds{name}", labels, value)
    [family] = PeerCollector(Custom(metric)).collect()
    assert [sample.suffix for sample in family.samples] == ["_bucket", "_bucket", "_sum", "_count"]
    assert family.samples[-1].native is not None


def test_native_buckets_that_pytheus_does_not_have_are_told() -> None:
    ours = bridged(native(schema=-53), GaugeMetricFamily("good", "Good.", 1))
    assert list(parse_exposition(generate_metrics(ours))) == ["good", "pytheus_collector_errors_total"]
    with pytest.raises(CollectorError, match=r"'wait_seconds' of prometheus_client .* has the schema -53"):
        generate_metrics(ours, strict=True)


@pytest.mark.parametrize("deltas", [[1, 2], [1, 2, -1, 0]])
def test_counts_that_do_not_match_their_spans_are_told(deltas: list[int]) -> None:
    with pytest.raises(CollectorError, match="'wait_seconds' of prometheus_client"):
        PeerCollector(Custom(native(pos_deltas=deltas))).collect()


@pytest.mark.parametrize("buckets", [None, (1.0, 10.0)])
def test_of_native_histograms_theirs_show_buckets_with_bounds(buckets: tuple[float, ...] | None) -> None:
    ours = CollectorRegistry()
    options: dict[str, Any] = {} if buckets is None else {"buckets": buckets}
    Histogram("wait_seconds", "Wait.", native=True, registry=ours, **options).observe(3)
    theirs = prometheus_client.CollectorRegistry()
    theirs.register(PytheusCollector(ours))
    text = prometheus_client.generate_latest(theirs).decode()
    [found, *_], [expected] = parse_exposition(text).values(), parse_exposition(generate_metrics(ours)).values()
    assert sorted(found.samples) == sorted(expected.samples)
    assert 'wait_seconds_bucket{le="+Inf"} 1.0' in text
    assert not any(sample.native_histogram for metric in theirs.collect() for sample in metric.samples)
