"""The protobuf format, read by a reader of the wire format: each type, what other formats lack, and kept messages."""

from __future__ import annotations

import math

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.protobuf import ProtobufEncoder, begin_walk
from pytheus.exposition.walk import scrape
from pytheus.metrics import Exemplar, Family, NativeBuckets, Sample
from pytheus.native_buckets import NativeHistogram
from pytheus.registry import CollectorRegistry, Registry
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.exposition.conftest import Custom
from tests.exposition.reading import Metric, MetricFamily, families_of


def _families(registry: Registry, options: RenderRequest = RenderRequest()) -> list[MetricFamily]:  # noqa: B008
    return families_of(b"".join(scrape(registry, ProtobufEncoder(options), options, strict=True)))


def _metric(registry: Registry) -> Metric:
    [family] = _families(registry)
    [metric] = family.metrics
    return metric


def test_a_family_of_each_type(registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    orders = Counter("orders_total", 'Orders "placed".\n\\', ["way", "é"], names="utf8", registry=registry)
    orders.labels('a"b\n', "\N{GRINNING FACE}").inc(3)
    Gauge("queue_items", "Queue.", unit="items", registry=registry).set(-1.5)
    Summary("wait_seconds", "Wait.", registry=registry).observe(0.5)
    Info("build", "Build.", ["a"], registry=registry).labels("x").info(version="1")
    StateSet("door", "Door.", states=["open", "closed"], registry=registry).state("open")
    families = _families(registry, RenderRequest("allow-utf-8"))
    assert [(family.name, family.help, family.type, family.unit) for family in families] == [
        ("shop_orders_total", 'Orders "placed".\n\\', 0, ""),
        ("shop_queue_items", "Queue.", 1, "items"),
        ("shop_wait_seconds", "Wait.", 2, ""),
        ("shop_build_info", "Build.", 1, ""),
        ("shop_door", "Door.", 1, ""),
    ]
    assert [[(metric.labels, metric.value) for metric in family.metrics] for family in families] == [
        [([("way", 'a"b\n'), ("é", "\N{GRINNING FACE}")], 3.0)],
        [([], -1.5)],
        [([], 0.5)],
        [([("a", "x"), ("version", "1")], 1.0)],
        [([("shop_door", "open")], 1.0), ([("shop_door", "closed")], 0.0)],
    ]


def test_a_histogram(registry: CollectorRegistry) -> None:
    sizes = Histogram("size", "Sizes.", ["a"], buckets=(1, 2e6), registry=registry)
    for value in (0.5, 1, 3, math.inf):
        sizes.labels("x").observe(value)
    metric = _metric(registry)
    assert metric._replace(created=None) == Metric([("a", "x")], "histogram", math.inf, 4, ((1.0, 2.0), (2e6, 3.0)))
    assert metric.native is None


@pytest.mark.parametrize("count", [0, 1, 127, 128, 1023, 1024, 16383, 16384, 2**31, 2**52])
def test_counts_of_every_length(registry: CollectorRegistry, count: int) -> None:
    samples = [Sample("_bucket", {"le": "1"}, count), Sample("_bucket", {"le": "+Inf"}, count)]
    samples += [Sample("_count", {}, count), Sample("_sum", {}, -0.0)]
    registry.register(Custom(Family("size", "histogram", "Sizes.", samples)))
    metric = _metric(registry)
    assert (metric.number, metric.points, math.copysign(1, metric.value)) == (count, ((1.0, float(count)),), -1)


def test_start_times_are_those_of_the_series(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=registry)
    hits.labels("x").inc()
    sizes = Histogram("size", "Sizes.", registry=registry)
    wait = Summary("wait", "Wait.", registry=registry)

    def assert_same() -> None:
        for metric, family in zip((hits, sizes, wait), _families(registry), strict=True):
            [row] = metric.rows()
            assert family.metrics[0].created == pytest.approx(row.created, abs=1e-6)

    assert_same()
    before = hits.rows()[0].created
    hits.clear()
    hits.labels("x").inc()
    sizes.clear()
    wait.clear()
    assert hits.rows()[0].created != before
    assert_same()


def test_messages_are_renewed_when_numbers_change(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=registry)
    level = Gauge("level", "Level.", registry=registry)
    sizes = Histogram("size", "Sizes.", buckets=(1,), registry=registry)
    wait = Summary("wait", "Wait.", registry=registry)
    hits.labels("x" * 200)
    for number in (0.0, -0.0, 1.0, 1.0, math.inf, -math.inf, 2.5, math.nan):
        hits.labels("x" * 200).inc(2)
        level.set(number)
        sizes.observe(number if number == number else 3)
        wait.observe(1)
        for _ in range(2):
            families = _families(registry)
            got = [family.metrics[0] for family in families]
            assert got[0].value == hits.labels("x" * 200).value
            assert got[0].labels == [("a", "x" * 200)]
            assert str(got[1].value) == str(number)
            assert (got[2].number, str(got[2].value)) == (sizes.count, str(sizes.sum))
            assert (got[3].number, got[3].value) == (wait.count, wait.sum)


def test_a_metric_in_two_registries(registry: CollectorRegistry) -> None:
    other = CollectorRegistry(prefix="other")
    hits = Counter("hits_total", "Hits.", registry=registry)
    other.register(hits)
    for _ in range(2):
        hits.inc()
        assert [_families(each)[0].name for each in (registry, other)] == ["hits_total", "other_hits_total"]
        assert [_metric(each).value for each in (registry, other)] == [hits.value] * 2


def test_a_gauge_that_fails_is_left_out_alone(registry: CollectorRegistry) -> None:
    def fail() -> float:
        raise OSError("sensor lost")

    level = Gauge("level", "Level.", ["a"], registry=registry)
    level.labels("x").set_function(fail)
    level.labels("y").set_function(lambda: 5)
    families = families_of(b"".join(scrape(registry, ProtobufEncoder())))
    assert [family.name for family in families] == ["level", "pytheus_collector_errors_total"]
    assert [(metric.labels, metric.value) for metric in families[0].metrics] == [([("a", "y")], 5.0)]


def test_exemplars(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    hits.inc(2, exemplar={"trace_id": "a"})
    sizes = Histogram("size", "Sizes.", buckets=(1,), registry=registry)
    sizes.observe(0.5, exemplar={"trace_id": "b"})
    sizes.observe(7, exemplar={"trace_id": "c", "é"[:0] + "span_id": "d"})
    counter, histogram = (family.metrics[0] for family in _families(registry))
    [exemplar] = counter.exemplars
    assert (exemplar.labels, exemplar.value) == ([("trace_id", "a")], 2.0)
    assert exemplar.timestamp == pytest.approx(hits.rows()[0].exemplars[0].timestamp, abs=1e-6)  # type: ignore[index]  # there is one
    assert histogram.points == ((1.0, 1.0), (math.inf, 2.0))  # the last one carries an exemplar
    assert [(one.labels, one.value) for one in histogram.exemplars] == [
        ([("trace_id", "b")], 0.5),
        ([("trace_id", "c"), ("span_id", "d")], 7.0),
    ]


def test_a_native_histogram(registry: CollectorRegistry) -> None:
    native = NativeBuckets(growth=2.0)
    sizes = Histogram("size", "Sizes.", native=native, buckets=(), registry=registry)
    for value in (0.0, 1.5, 3.0, 3.5, 1000.0, -3.0):
        sizes.observe(value, exemplar={"trace_id": "a"} if value == 1.5 else None)
    metric = _metric(registry)
    [row] = sizes.rows()
    assert row.native is not None
    got = metric.native
    assert got is not None
    assert (got.schema, got.zero_threshold, got.zero_count) == (0, 2.0**-128, 1)
    assert {index: count for index, count in got.positive.items() if count} == {1: 1, 2: 2, 10: 1}
    assert got.negative == {2: 1}
    assert metric.points == ()
    assert (metric.number, metric.value) == (6, 1005.0)
    assert [(one.labels, one.value) for one in metric.native_exemplars] == [([("trace_id", "a")], 1.5)]
    assert metric.created == pytest.approx(row.created, abs=1e-6)


def test_native_and_classic_buckets_of_one_histogram(registry: CollectorRegistry) -> None:
    sizes = Histogram("size", "Sizes.", native=True, buckets=(1, 10), registry=registry)
    for value in (0.5, 5, 50):
        sizes.observe(value)
    metric = _metric(registry)
    assert metric.native is not None
    assert (metric.number, metric.points) == (3, ((1.0, 1.0), (10.0, 2.0)))


def test_an_empty_native_histogram_is_known_as_one(registry: CollectorRegistry) -> None:
    Histogram("size", "Sizes.", native=NativeBuckets(zero_threshold=0), buckets=(), registry=registry)
    metric = _metric(registry)
    assert metric.native is not None
    assert (metric.native.spans, metric.native.positive, metric.number) == (1, {}, 0)


def _custom_native(registry: CollectorRegistry, native: NativeHistogram, count: float, total: float) -> None:
    samples = [
        Sample("_bucket", {"le": "1"}, count),
        Sample("_bucket", {"le": "+Inf"}, count),
        Sample("_count", {}, count, None, None, 5.5, native, (Exemplar({"a": "b"}, 2.0, 7.25), Exemplar({}, 2.0))),
        Sample("_sum", {}, total),
    ]
    registry.register(Custom(Family("size", "histogram", "Sizes.", samples)))


@pytest.mark.parametrize(("total", "expected"), [(9.0, 3), (math.nan, 5)])
def test_the_count_is_that_of_the_native_buckets(registry: CollectorRegistry, total: float, expected: int) -> None:
    # Prometheus rejects the whole scrape if they are apart.
    _custom_native(registry, NativeHistogram(3, 0.25, 1, {-5: 2}, {}, nan_count=2), 17, total)
    metric = _metric(registry)
    assert metric.native is not None
    assert (metric.number, metric.points) == (expected, ((1.0, float(expected)),))
    assert (metric.native.zero_count, metric.native.positive, metric.created) == (1, {-5: 2}, 5.5)
    # Those of native buckets need a time.
    assert [(one.labels, one.timestamp) for one in metric.native_exemplars] == [([("a", "b")], 7.25)]


def test_a_gauge_histogram(registry: CollectorRegistry) -> None:
    samples = [
        Sample("_bucket", {"le": "1"}, 1, 7.5),
        Sample("_bucket", {"le": "+Inf"}, 2, 7.5),
        Sample("_gcount", {}, 2, 7.5),
        Sample("_gsum", {}, -3, 7.5),
    ]
    registry.register(Custom(Family("size", "gaugehistogram", "Sizes.", samples)))
    [family] = _families(registry)
    assert family.type == 5
    [metric] = family.metrics
    assert (metric.number, metric.value, metric.points, metric.timestamp_ms) == (2, -3.0, ((1.0, 1.0),), 7500)


def test_what_contradicts_itself_is_untyped(registry: CollectorRegistry) -> None:
    samples = [Sample("_bucket", {"le": "1"}, 1), Sample("_count", {}, 2), Sample("_sum", {}, 3)]
    registry.register(Custom(Family("size", "histogram", "Sizes.", samples)))
    assert [(family.name, family.type, family.metrics[0].value) for family in _families(registry)] == [
        ("size_bucket", 3, 1.0),
        ("size_count", 3, 2.0),
        ("size_sum", 3, 3.0),
    ]


def test_a_summary_with_quantiles(registry: CollectorRegistry) -> None:
    samples = [Sample("", {"quantile": "0.5"}, 1.5), Sample("_count", {}, 2), Sample("_sum", {}, 3)]
    samples += [Sample("_created", {}, 12.0)]
    registry.register(Custom(Family("wait", "summary", "Wait.", samples)))
    summary, created = _families(registry)
    assert summary.metrics == [Metric([], "summary", 3.0, 2, ((0.5, 1.5),))]
    assert (created.name, created.type, created.metrics[0].value) == ("wait_created", 1, 12.0)


def test_times_before_the_epoch(registry: CollectorRegistry) -> None:
    registry.register(Custom(Family("level", "unknown", "Level.", [Sample("", {}, 1.0, -2.5)])))
    assert _metric(registry) == Metric([], "untyped", 1.0, timestamp_ms=-2500)


def test_of_several_processes() -> None:
    sharded = ShardedRegistry(MemoryShardStore(MemoryBackend()), prefix="shop")
    hits = Counter("hits_total", "Hits.", ["a"], registry=sharded)
    hits.labels("x").inc(2, exemplar={"trace_id": "b"})
    [family] = _families(sharded)
    assert family.name == "shop_hits_total"
    [metric] = family.metrics
    assert (metric.labels, metric.value, metric.exemplars[0].labels) == ([("a", "x")], 2.0, [("trace_id", "b")])
    assert metric.created == pytest.approx(hits.rows()[0].created, abs=0.002)
    sharded.close()


def test_names_are_escaped(registry: CollectorRegistry) -> None:
    Counter("http.hits_total", "Hits.", ["host.name"], names="utf8", registry=registry).labels("a").inc()
    shown = {}
    for escaping in ("underscores", "dots", "values", "allow-utf-8"):
        [family] = _families(registry, RenderRequest(escaping))
        shown[family.name] = family.metrics[0].labels
    assert shown == {
        "http_hits_total": [("host_name", "a")],
        "http_dot_hits__total": [("host_dot_name", "a")],
        "U__http_2e_hits__total": [("U__host_2e_name", "a")],
        "http.hits_total": [("host.name", "a")],
    }


def test_families_by_name(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=registry)
    Counter("misses_total", "Misses.", registry=registry)
    options = RenderRequest(names=frozenset({"misses_total"}))
    assert len(begin_walk(registry, options).collectors) == 1
    assert [family.name for family in _families(registry, options)] == ["misses_total"]
