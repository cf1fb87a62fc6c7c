"""OpenMetrics 1.0.0: what differs from the text format, and what it does not allow."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.exposition.formats import RenderRequest
from pytheus.exposition.openmetrics import OpenMetricsEncoder, begin_walk
from pytheus.exposition.walk import scrape
from pytheus.metrics import Exemplar, Family, Sample
from pytheus.registry import CollectorRegistry, Registry
from pytheus.settings import set_created_lines
from pytheus.shards import MemoryBackend, MemoryShardStore, ShardedRegistry
from tests.exposition.conftest import Custom


def _shown(registry: Registry, options: RenderRequest = RenderRequest()) -> str:  # noqa: B008
    text = "".join(scrape(registry, OpenMetricsEncoder(options), options, strict=True))
    assert text.endswith("# EOF\n")
    return text.removesuffix("# EOF\n")


@pytest.fixture
def created_lines() -> Iterator[None]:
    former = set_created_lines(True)
    yield
    set_created_lines(former)


def test_a_family_of_each_type(registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    Counter("orders_total", 'Orders "placed".\n\\', ["way"], registry=registry).labels('a"b').inc()
    Counter("busy_seconds_total", "Busy.", unit="seconds", registry=registry)
    Gauge("queue", "Queue.", registry=registry).set(-1)
    Histogram("size_bytes", "Sizes.", buckets=(1, 2_000_000), unit="bytes", registry=registry).observe(3)
    Summary("wait_seconds", "Wait.", registry=registry).observe(0.5)
    Info("build", "Build.", registry=registry).info(version="1")
    StateSet("door", "Door.", states=["open", "closed"], registry=registry).state("open")
    assert (
        _shown(registry)
        == """\
# TYPE shop_orders counter
# HELP shop_orders Orders \\"placed\\".\\n\\\\
shop_orders_total{way="a\\"b"} 1.0
# TYPE shop_busy_seconds counter
# UNIT shop_busy_seconds seconds
# HELP shop_busy_seconds Busy.
shop_busy_seconds_total 0.0
# TYPE shop_queue gauge
# HELP shop_queue Queue.
shop_queue -1.0
# TYPE shop_size_bytes histogram
# UNIT shop_size_bytes bytes
# HELP shop_size_bytes Sizes.
shop_size_bytes_bucket{le="1.0"} 0.0
shop_size_bytes_bucket{le="2e+06"} 1.0
shop_size_bytes_bucket{le="+Inf"} 1.0
shop_size_bytes_sum 3.0
shop_size_bytes_count 1.0
# TYPE shop_wait_seconds summary
# HELP shop_wait_seconds Wait.
shop_wait_seconds_sum 0.5
shop_wait_seconds_count 1.0
# TYPE shop_build info
# HELP shop_build Build.
shop_build_info{version="1"} 1.0
# TYPE shop_door stateset
# HELP shop_door Door.
shop_door{shop_door="open"} 1.0
shop_door{shop_door="closed"} 0.0
"""
    )


def test_the_text_of_a_metric_is_not_changed_by_it(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", registry=registry)
    first = _shown(registry)
    assert hits.text_parts("")[0] == "# HELP hits_total Hits.\n# TYPE hits_total counter\n"
    assert _shown(registry) == first


@pytest.mark.filterwarnings("ignore:counter 'hits' has no suffix")
def test_a_counter_without_the_suffix_is_an_unknown(registry: CollectorRegistry) -> None:
    Counter("hits", "Hits.", registry=registry).inc(exemplar={"trace_id": "a"})
    registry.register(Custom(Family("others", "counter", "Others.", [Sample("", {}, 2.0)])))
    registry.register(Custom(Family("none", "counter", "None.")))
    assert [line for line in _shown(registry).splitlines() if "HELP" not in line] == [
        "# TYPE hits unknown",
        "hits 1.0",
        "# TYPE others unknown",
        "others 2.0",
        "# TYPE none unknown",
    ]


def test_exemplars(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", ["a"], registry=registry).labels("x").inc(2, exemplar={"trace_id": 'a"b'})
    sizes = Histogram("sizes", "Sizes.", buckets=(1,), registry=registry)
    sizes.observe(0.5, exemplar={"trace_id": "c"})
    sizes.observe(7)
    lines = [line.partition(" # ") for line in _shown(registry).splitlines() if not line.startswith("#")]
    assert [(line, exemplar.rpartition(" ")[0]) for line, _, exemplar in lines] == [
        ('hits_total{a="x"} 2.0', '{trace_id="a\\"b"} 2.0'),
        ('sizes_bucket{le="1.0"} 1.0', '{trace_id="c"} 0.5'),
        ('sizes_bucket{le="+Inf"} 2.0', ""),
        ("sizes_sum 7.5", ""),
        ("sizes_count 2.0", ""),
    ]


def test_exemplars_of_custom_collectors(registry: CollectorRegistry) -> None:
    exemplar = Exemplar({"trace_id": "a"}, 1.0)
    too_long = Exemplar({"trace_id": "a" * 121}, 1.0)
    bad_label = Exemplar({"trace-id": "a"}, 1.0)
    for name, given in ("good", exemplar), ("long", too_long), ("bad", bad_label):
        registry.register(Custom(Family(name, "counter", "C.", [Sample("_total", {}, 1.0, None, given)])))
    registry.register(Custom(Family("level", "gauge", "G.", [Sample("", {}, 1.0, None, exemplar)])))
    assert [line for line in _shown(registry).splitlines() if not line.startswith("#")] == [
        'good_total 1.0 # {trace_id="a"} 1.0',
        "long_total 1.0",
        "bad_total 1.0",
        "level 1.0",
    ]


@pytest.mark.parametrize("value", [-5.0, math.inf, -math.inf])
def test_a_sum_that_is_not_allowed_makes_the_family_unknown(registry: CollectorRegistry, value: float) -> None:
    Histogram("size", "Sizes.", buckets=(1,), registry=registry).observe(value)
    Summary("wait", "Wait.", registry=registry).observe(value)
    types = [line for line in _shown(registry).splitlines() if line.startswith("# TYPE")]
    if value > 0:
        assert types == ["# TYPE size histogram", "# TYPE wait summary"]
    else:
        assert types == [
            "# TYPE size_bucket unknown",
            "# TYPE size_sum unknown",
            "# TYPE size_count unknown",
            "# TYPE wait_sum unknown",
            "# TYPE wait_count unknown",
        ]


def test_buckets_of_negative_values_have_no_sum_beside_them(registry: CollectorRegistry) -> None:
    Histogram("size", "Sizes.", buckets=(-1, 1), registry=registry).observe(3)
    assert _shown(registry).startswith("# TYPE size_bucket unknown\n")


def test_a_sum_that_is_not_a_number(registry: CollectorRegistry) -> None:
    sizes = Histogram("size", "Sizes.", buckets=(1,), registry=registry)
    sizes.observe(math.inf)
    sizes.observe(-math.inf)
    assert "\nsize_sum NaN\n" in _shown(registry)
    assert "# TYPE size histogram" not in _shown(registry)


def test_the_samples_of_a_series_are_written_together(registry: CollectorRegistry) -> None:
    samples = [
        *(Sample("_count", {"a": a}, 2) for a in "xy"),
        *(Sample("_bucket", {"a": a, "le": "inf"}, 2) for a in "xy"),
        *(Sample("_bucket", {"a": a, "le": "5"}, 1) for a in "xy"),
        *(Sample("_sum", {"a": a}, 9) for a in "xy"),
    ]
    registry.register(Custom(Family("size", "histogram", "Sizes.", samples)))
    lines = [line for line in _shown(registry).splitlines() if not line.startswith("#")]
    assert lines[:5] == [
        'size_bucket{a="x",le="5.0"} 1.0',
        'size_bucket{a="x",le="+Inf"} 2.0',
        'size_sum{a="x"} 9.0',
        'size_count{a="x"} 2.0',
        'size_bucket{a="y",le="5.0"} 1.0',
    ]


INCOMPLETE = {
    "no count": [Sample("_bucket", {"le": "+Inf"}, 2), Sample("_sum", {}, 2)],
    "no sum": [Sample("_bucket", {"le": "+Inf"}, 2), Sample("_count", {}, 2)],
    "no last bucket": [Sample("_bucket", {"le": "1"}, 2), Sample("_sum", {}, 2), Sample("_count", {}, 2)],
    "another count": [Sample("_bucket", {"le": "+Inf"}, 2), Sample("_sum", {}, 2), Sample("_count", {}, 3)],
    "no number": [Sample("_bucket", {"le": "many"}, 2), Sample("_sum", {}, 2), Sample("_count", {}, 2)],
    "no bound": [Sample("_bucket", {}, 2), Sample("_sum", {}, 2), Sample("_count", {}, 2)],
    "fewer": [
        Sample("_bucket", {"le": "1"}, 3),
        Sample("_bucket", {"le": "+Inf"}, 2),
        Sample("_sum", {}, 2),
        Sample("_count", {}, 2),
    ],
    "halves": [Sample("_bucket", {"le": "+Inf"}, 2.5), Sample("_sum", {}, 2), Sample("_count", {}, 2.5)],
    "other times": [Sample("_bucket", {"le": "+Inf"}, 2, 1.0), Sample("_sum", {}, 2), Sample("_count", {}, 2)],
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_a_histogram_that_contradicts_itself_is_unknown(registry: CollectorRegistry, case: str) -> None:
    registry.register(Custom(Family("size", "histogram", "Sizes.", INCOMPLETE[case])))
    assert "# TYPE size_bucket unknown\n" in _shown(registry)


def test_times_are_in_seconds(registry: CollectorRegistry) -> None:
    times = (1700000000.25, 0.00001, -3.0)
    samples = [Sample("", {"a": str(index)}, 1.0, time) for index, time in enumerate(times)]
    registry.register(Custom(Family("level", "gauge", "Level.", samples)))
    assert _shown(registry).splitlines()[2:] == [
        'level{a="0"} 1.0 1700000000.25',
        'level{a="1"} 1.0 0.000010000',
        'level{a="2"} 1.0 -3.0',
    ]


@pytest.mark.usefixtures("created_lines")
def test_start_times_are_lines_if_they_are_asked_for(registry: CollectorRegistry) -> None:
    hits = Counter("hits_total", "Hits.", ["a"], registry=registry)
    hits.labels("x").inc()
    sizes = Histogram("size", "Sizes.", buckets=(1,), registry=registry)
    wait = Summary("wait", "Wait.", registry=registry)
    Gauge("level", "Level.", registry=registry)
    lines = [line for line in _shown(registry).splitlines() if "_created" in line]
    assert lines == [
        f'hits_created{{a="x"}} {hits.rows()[0].created!r}',
        f"size_created {sizes.rows()[0].created!r}",
        f"wait_created {wait.rows()[0].created!r}",
    ]


def test_start_times_are_not_lines_otherwise(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=registry).inc(exemplar={"a": "b"})
    assert "_created" not in _shown(registry)


def test_times_that_a_collector_yields_are_in_its_family(registry: CollectorRegistry) -> None:
    samples = [Sample("_created", {"a": a}, 5.0) for a in "xy"] + [Sample("_total", {"a": a}, 1.0) for a in "xy"]
    registry.register(Custom(Family("hits", "counter", "Hits.", samples)))
    assert _shown(registry).splitlines() == [
        "# TYPE hits counter",
        "# HELP hits Hits.",
        'hits_created{a="x"} 5.0',
        'hits_total{a="x"} 1.0',
        'hits_created{a="y"} 5.0',
        'hits_total{a="y"} 1.0',
    ]


def test_names_that_are_not_legacy_names(registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    hits = Counter("http.hits_seconds_total", "Hits.", ["host.name"], unit="seconds", names="utf8", registry=registry)
    hits.labels("a").inc()
    Gauge("level", "Level.", ["é"], names="utf8", registry=registry).labels("b").set(1)
    StateSet("door.state", "Door.", states=["open"], names="utf8", registry=registry)
    assert (
        _shown(registry, RenderRequest("allow-utf-8"))
        == """\
# TYPE "shop_http.hits_seconds" counter
# UNIT "shop_http.hits_seconds" seconds
# HELP "shop_http.hits_seconds" Hits.
{"shop_http.hits_seconds_total","host.name"="a"} 1.0
# TYPE shop_level gauge
# HELP shop_level Level.
shop_level{"é"="b"} 1.0
# TYPE "shop_door.state" stateset
# HELP "shop_door.state" Door.
{"shop_door.state","shop_door.state"="open"} 0.0
"""
    )
    assert (
        _shown(registry)
        == """\
# TYPE shop_http_hits_seconds counter
# UNIT shop_http_hits_seconds seconds
# HELP shop_http_hits_seconds Hits.
shop_http_hits_seconds_total{host_name="a"} 1.0
# TYPE shop_level gauge
# HELP shop_level Level.
shop_level{_="b"} 1.0
# TYPE shop_door_state stateset
# HELP shop_door_state Door.
shop_door_state{shop_door_state="open"} 0.0
"""
    )
    # Escaped, the unit is not the end of the name, and Prometheus would reject the scrape.
    assert "# UNIT" not in _shown(registry, RenderRequest("values"))


def test_of_several_processes(registry: CollectorRegistry) -> None:
    backend = MemoryBackend()
    sharded = ShardedRegistry(MemoryShardStore(backend), prefix="shop")
    hits = Counter("hits_total", "Hits.", ["a"], registry=sharded)
    hits.labels("x").inc(2)
    assert _shown(sharded) == '# TYPE shop_hits counter\n# HELP shop_hits Hits.\nshop_hits_total{a="x"} 2.0\n'
    hits.labels("x").inc(1, exemplar={"trace_id": "a"})
    assert 'shop_hits_total{a="x"} 3.0 # {trace_id="a"} 1.0 ' in _shown(sharded)
    sharded.close()


def test_families_by_name(registry: CollectorRegistry) -> None:
    Counter("hits_total", "Hits.", registry=registry)
    Counter("misses_total", "Misses.", registry=registry)
    options = RenderRequest(names=frozenset({"hits_total"}))
    walk = begin_walk(registry, options)
    assert [definition.name for definition in walk.definitions if definition] == ["hits_total"]
    assert _shown(registry, options).splitlines()[0] == "# TYPE hits counter"
