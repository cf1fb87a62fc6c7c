"""The messages of remote write, read by protobuf's own library: every type, both versions, and what is kept."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.metrics import CustomCollector, Exemplar, Family, NativeBuckets, Sample
from pytheus.push.remote_messages import RemoteRequest, RemoteWriteEncoder, RemoteWriteVersion
from pytheus.push.snapshot import Snapshot, SnapshotReader
from pytheus.registry import CollectorRegistry
from tests.push.remote_schema import parsed_1, parsed_2, plain, series_of

VERSIONS = pytest.mark.parametrize("version", ["1.0", "2.0"])


class Custom(CustomCollector):
    def __init__(self, *families: Family) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Family]:
        yield from self.families


def _parsed(version: RemoteWriteVersion, body: bytes | memoryview) -> Any:
    return parsed_1(bytes(body)) if version == "1.0" else parsed_2(bytes(body))


def _requests(version: RemoteWriteVersion, requests: list[RemoteRequest]) -> list[tuple[Any, dict[str, str], Any]]:
    """The series of all requests: request, labels and series."""
    found: list[tuple[Any, dict[str, str], Any]] = []
    for request in requests:
        message = _parsed(version, request.message)
        pairs = series_of(message)
        assert request.samples == sum(len(one.samples) for _, one in pairs)
        assert request.histograms == sum(len(one.histograms) for _, one in pairs)
        assert request.exemplars == sum(len(one.exemplars) for _, one in pairs)
        found += [(message, labels, one) for labels, one in pairs]
    return found


def _numbers(version: RemoteWriteVersion, snapshot: Snapshot, encoder: RemoteWriteEncoder | None = None) -> Any:
    """The number of each series, by its name and labels in the text format."""
    encoder = encoder or RemoteWriteEncoder(version)
    numbers: dict[str, float] = {}
    for _, labels, series in _requests(version, encoder.encode(snapshot)):
        name = labels.pop("__name__")
        for sample in series.samples:
            key = f"{name}{labels}"
            assert key not in numbers
            numbers[key] = sample.value
    return numbers


@VERSIONS
def test_a_series_of_each_type(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    registry.prefix = "shop"
    Counter("orders_total", "Orders.", ["way"], registry=registry).labels("web").inc(3)
    Gauge("queue", "Queue.", ["a"], registry=registry).labels("").set(-1.5)
    Histogram("wait_seconds", "Wait.", buckets=(0.5, 2e6), registry=registry).observe_many([0.1, 7, 7])
    Summary("size", "Size.", registry=registry).observe(2.5)
    Info("build", "Build.", registry=registry).info(version="1")
    StateSet("door", "Door.", states=["open", "closed"], registry=registry).state("open")
    encoder = RemoteWriteEncoder(version, {"job": "j", "instance": ""})
    j = {"job": "j"}
    assert _numbers(version, SnapshotReader(registry).read(), encoder) == {
        f"shop_orders_total{ {**j, 'way': 'web'} }": 3.0,
        f"shop_queue{j}": -1.5,
        f"shop_wait_seconds_bucket{ {**j, 'le': '0.5'} }": 1.0,
        f"shop_wait_seconds_bucket{ {**j, 'le': '2e+06'} }": 3.0,
        f"shop_wait_seconds_bucket{ {**j, 'le': '+Inf'} }": 3.0,
        f"shop_wait_seconds_sum{j}": 14.1,
        f"shop_wait_seconds_count{j}": 3.0,
        f"shop_size_sum{j}": 2.5,
        f"shop_size_count{j}": 1.0,
        f"shop_build_info{ {**j, 'version': '1'} }": 1.0,
        f"shop_door{ {**j, 'shop_door': 'open'} }": 1.0,
        f"shop_door{ {**j, 'shop_door': 'closed'} }": 0.0,
    }


@VERSIONS
def test_the_labels_of_a_series_win_over_those_of_the_writer(version: RemoteWriteVersion) -> None:
    registry = CollectorRegistry()
    Gauge("g", "G.", ["job"], registry=registry).labels("own").set(1)
    encoder = RemoteWriteEncoder(version, {"job": "writer"})
    assert _numbers(version, SnapshotReader(registry).read(), encoder) == {"g{'job': 'own'}": 1.0}


@VERSIONS
def test_families_of_a_custom_collector(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    quantiles = [Sample("", {"quantile": "0.5"}, 4.0), Sample("_sum", {}, 9.0), Sample("_count", {}, 2.0)]
    gauges = [
        Sample("_bucket", {"le": "1"}, 2.0),
        Sample("_bucket", {"le": "+Inf"}, 3.0),
        Sample("_gsum", {}, 5.0),
        Sample("_gcount", {}, 3.0),
    ]
    registry.register(
        Custom(
            Family("s", "summary", "S.", quantiles),
            Family("gh", "gaugehistogram", "G.", gauges),
            Family("u", "unknown", "U.", [Sample("", {"x": "y"}, math.inf, 12.5)]),
            Family("h", "histogram", "Incomplete.", [Sample("_count", {}, 2.0)]),
            Family("c", "counter", "C.", [Sample("_total", {}, 2.0), Sample("_created", {}, 7.0)]),
        )
    )
    snapshot = SnapshotReader(registry).read()
    assert _numbers(version, snapshot) == {
        "s{'quantile': '0.5'}": 4.0,
        "s_sum{}": 9.0,
        "s_count{}": 2.0,
        "gh_bucket{'le': '1.0'}": 2.0,
        "gh_bucket{'le': '+Inf'}": 3.0,
        "gh_gsum{}": 5.0,
        "gh_gcount{}": 3.0,
        "u{'x': 'y'}": math.inf,
        "h_count{}": 2.0,
        "c_total{}": 2.0,
    }
    times = {
        labels["__name__"]: series.samples[0].timestamp
        for _, labels, series in _requests(version, RemoteWriteEncoder(version).encode(snapshot))
    }
    assert times.pop("u") == 12_500
    assert set(times.values()) == {round(snapshot.time * 1000)}


@VERSIONS
def test_series_with_times_of_their_own_are_in_requests_of_their_own(
    version: RemoteWriteVersion, registry: CollectorRegistry
) -> None:
    collector = Custom(
        Family("g", "gauge", "G.", [Sample("", {"a": "own"}, 1.0, 12.5), Sample("", {"a": "now"}, 2.0)]),
        Family("s", "summary", "S.", [Sample("_sum", {}, 9.0, 7.0), Sample("_count", {}, 2.0, 7.0)]),
    )
    registry.register(collector)
    Gauge("other", "Other.", registry=registry).set(3)
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder(version)

    def times() -> list[dict[str, int]]:
        """The times of the series of each request, 0 for that of the snapshot; the longest request first."""
        snapshot = reader.read()
        requests = encoder.encode(snapshot)
        assert sum(request.numbers for request in requests) == snapshot.samples
        found = [
            {labels["__name__"] + labels.get("a", ""): one.samples[0].timestamp for _, labels, one in series}
            for series in [_requests(version, [request]) for request in requests]
        ]
        now = round(snapshot.time * 1000)
        shown = [{name: 0 if time == now else time for name, time in each.items()} for each in found]
        return sorted(shown, key=len, reverse=True)

    expected = [{"gown": 12_500, "s_sum": 7000, "s_count": 7000}, {"gnow": 0, "other": 0}]
    for _ in range(2):
        assert times() == expected
    # The time of one goes, and another one gets one; at the same places of the family.
    samples = [Sample("", {"a": "own"}, 1.0), Sample("", {"a": "now"}, 2.0, 8.0)]
    collector.families = [Family("g", "gauge", "G.", samples)]
    assert times() == [{"gown": 0, "other": 0}, {"s_sum": 0, "s_count": 0}, {"gnow": 8000}]  # those of "s" have ended
    assert times() == [{"gown": 0, "other": 0}, {"gnow": 8000}]
    # An end may be older than a sample with a time in the future, so these are apart, too.
    ends = [{labels["__name__"] for _, labels, _ in _requests(version, [one])} for one in encoder.encode(reader.end())]
    assert len(ends) == 2
    assert sorted(ends, key=len) == [{"g"}, {"g", "other"}]


@VERSIONS
@pytest.mark.parametrize("seconds", [0.0, -1.5, 1.0, 34_359_738.367, 34_359_738.368, 4_398_046_511.103, 1e11])
def test_any_time(version: RemoteWriteVersion, seconds: float, registry: CollectorRegistry) -> None:
    for value in range(3):
        Gauge("g", "G.", ["a"], registry=registry).labels(value).set(value)
    snapshot = SnapshotReader(registry).read()._replace(time=seconds)
    found = _requests(version, RemoteWriteEncoder(version).encode(snapshot))
    assert [series.samples[0].timestamp for _, _, series in found] == [round(seconds * 1000)] * 3
    assert [series.samples[0].value for _, _, series in found] == [0.0, 1.0, 2.0]


@VERSIONS
def test_native_buckets_beside_classic_ones(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    for name, bounds in ("both", (1.0,)), ("alone", ()):
        one = Histogram(name, "H.", buckets=bounds, native=NativeBuckets(growth=2), registry=registry)
        one.observe_many([0.0, 0.25, 0.25, 3.0, -4.0])
    snapshot = SnapshotReader(registry).read()
    found = _requests(version, RemoteWriteEncoder(version).encode(snapshot))
    names = [labels["__name__"] for _, labels, series in found if series.samples]
    assert names == ["both_sum", "both_bucket", "both_bucket", "both_count"]
    natives = {labels["__name__"]: series.histograms[0] for _, labels, series in found if series.histograms}
    assert list(natives) == ["both", "alone"]
    for native in natives.values():
        assert (native.count_int, native.sum, native.schema, native.zero_count_int) == (5, -0.5, 0, 1)
        assert [(span.offset, span.length) for span in native.positive_spans] == [(-2, 1), (3, 1)]
        assert list(native.positive_deltas) == [2, -1]
        assert [(span.offset, span.length) for span in native.negative_spans] == [(2, 1)]
        assert list(native.negative_deltas) == [1]
        assert native.timestamp == round(snapshot.time * 1000)
        if version == "2.0":
            assert abs(native.start_timestamp - native.timestamp) < 60_000


@VERSIONS
def test_native_buckets_as_classic_ones(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    Histogram("h", "H.", buckets=[], native=NativeBuckets(growth=2), registry=registry).observe(0.3)
    numbers = _numbers(version, SnapshotReader(registry, native=False).read())
    assert numbers["h_bucket{'le': '0.5'}"] == 1.0
    assert numbers["h_count{}"] == 1.0


@VERSIONS
def test_an_exemplar_is_sent_once(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    counter = Counter("c_total", "C.", ["a"], registry=registry)
    counter.labels("x").inc(2, exemplar={"trace_id": "t1"})
    Histogram("h", "H.", buckets=(1.0,), registry=registry).observe(0.5, exemplar={"trace_id": "t2"})
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder(version)

    def sent() -> list[tuple[dict[str, str], list[tuple[str, str]], float]]:
        return [
            (labels, plain(message, exemplar), exemplar.value)
            for message, labels, series in _requests(version, encoder.encode(reader.read()))
            for exemplar in series.exemplars
        ]

    assert sent() == [
        ({"__name__": "c_total", "a": "x"}, [("trace_id", "t1")], 2.0),
        ({"__name__": "h_bucket", "le": "1.0"}, [("trace_id", "t2")], 0.5),
    ]
    assert sent() == []
    counter.labels("x").inc(1, exemplar={"trace_id": "t3"})
    assert sent() == [({"__name__": "c_total", "a": "x"}, [("trace_id", "t3")], 1.0)]


@VERSIONS
def test_the_exemplars_of_native_buckets(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    one = Histogram("h", "H.", buckets=[], native=True, registry=registry)
    one.observe(0.5, exemplar={"trace_id": "t1"})
    one.observe(50, exemplar={"trace_id": "t2"})
    found = _requests(version, RemoteWriteEncoder(version).encode(SnapshotReader(registry).read()))
    shown = [(labels["__name__"], exemplar.value) for _, labels, series in found for exemplar in series.exemplars]
    assert sorted(shown) == [("h", 0.5), ("h", 50.0)]


@VERSIONS
def test_a_summary_has_no_exemplars(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    quantile = Sample("", {"quantile": "0.5"}, 4.0, None, Exemplar({"trace_id": "t1"}, 1.0, 7.0))
    samples = [quantile, Sample("_sum", {}, 9.0), Sample("_count", {}, 2.0)]
    registry.register(Custom(Family("s", "summary", "S.", samples)))
    found = _requests(version, RemoteWriteEncoder(version).encode(SnapshotReader(registry).read()))
    assert [(len(one.samples), len(one.exemplars)) for _, _, one in found] == [(1, 0)] * 3


@VERSIONS
def test_a_series_that_ended_is_told_once(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "G.", ["a"], registry=registry)
    for value in "xyz":
        gauge.labels(value).set(1)
    native = Histogram("h", "H.", ["a"], buckets=[], native=True, registry=registry)
    native.labels("x").observe(1)
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder(version)
    encoder.encode(reader.read())
    gauge.remove("y")
    native.remove("x")

    def stale(snapshot: Snapshot) -> list[str]:
        shown: list[str] = []
        for _, labels, series in _requests(version, encoder.encode(snapshot)):
            for number in [*(one.value for one in series.samples), *(one.sum for one in series.histograms)]:
                if math.isnan(number):
                    shown.append(labels["__name__"] + labels["a"])
        return shown

    assert stale(reader.read()) == ["gy", "hx"]
    assert stale(reader.read()) == []
    assert stale(reader.end()) == ["gx", "gz"]


@VERSIONS
def test_the_bits_of_the_number_that_ends_a_series(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    Gauge("g", "G.", registry=registry).set(1)
    reader = SnapshotReader(registry)
    reader.read()
    [request] = RemoteWriteEncoder(version).encode(reader.end())
    assert struct.pack("<Q", 0x7FF0000000000002) in bytes(request.message)


def test_the_types_and_descriptions_of_1(registry: CollectorRegistry) -> None:
    Counter("sold_bytes_total", "Sold.", unit="bytes", registry=registry)
    Histogram("h", "H.", registry=registry).observe(1)
    encoder, snapshot = RemoteWriteEncoder("1.0"), SnapshotReader(registry).read()
    [request] = encoder.encode(snapshot, metadata=True)
    told = [(one.type, one.metric_family_name, one.help, one.unit) for one in parsed_1(bytes(request.message)).metadata]
    assert told == [(1, "sold_bytes_total", "Sold.", "bytes"), (3, "h", "H.", "")]
    [request] = encoder.encode(snapshot)
    assert not parsed_1(bytes(request.message)).metadata


def test_what_only_2_has(registry: CollectorRegistry) -> None:
    Counter("sold_bytes_total", "Sold.", unit="bytes", registry=registry).inc()
    Gauge("g", "", registry=registry).set(1)
    snapshot = SnapshotReader(registry).read()
    counter, gauge = _requests("2.0", RemoteWriteEncoder("2.0").encode(snapshot))
    message, _, series = counter
    assert 0 <= series.samples[0].timestamp - series.samples[0].start_timestamp < 60_000
    told = series.metadata
    assert (told.type, message.symbols[told.help_ref], message.symbols[told.unit_ref]) == (1, "Sold.", "bytes")
    assert gauge[2].samples[0].start_timestamp == 0
    assert gauge[2].metadata.type == 2


@VERSIONS
def test_many_series_in_several_requests(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "G.", ["a"], registry=registry)
    for value in range(25_000):
        gauge.labels(value).set(value)
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder(version)
    requests = encoder.encode(reader.read())
    assert len(requests) > 1
    assert max(request.samples for request in requests) <= 10_000
    expected = {f"g{ {'a': str(value)} }": float(value) for value in range(25_000)}
    assert _numbers(version, reader.read(), encoder) == expected


@VERSIONS
def test_series_that_come_and_go(version: RemoteWriteVersion, registry: CollectorRegistry) -> None:
    """What is kept of former series neither grows nor reaches a request."""
    gauge = Gauge("g", "G.", ["a"], registry=registry)
    reader, encoder = SnapshotReader(registry), RemoteWriteEncoder(version)
    sizes: list[int] = []
    for value in range(100):
        gauge.clear()
        gauge.labels(f"{value:09}").set(value)
        snapshot = reader.read()._replace(ended=[])
        assert _numbers(version, snapshot, encoder) == {f"g{ {'a': f'{value:09}'} }": float(value)}
        sizes.append(len(encoder.encode(snapshot)[0].message))
    assert max(sizes) < 1000


@VERSIONS
def test_an_exemplar_without_a_time_has_that_of_the_snapshot(version: RemoteWriteVersion) -> None:
    registry = CollectorRegistry()
    sample = Sample("", {}, 2.0, None, Exemplar({"span": "s"}, 1.0))
    registry.register(Custom(Family("c_total", "counter", "C.", [sample])))
    snapshot = SnapshotReader(registry).read()
    found = _requests(version, RemoteWriteEncoder(version).encode(snapshot))
    [exemplar] = [exemplar for _, _, series in found for exemplar in series.exemplars]
    assert exemplar.timestamp == round(snapshot.time * 1000)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@pytest.mark.property
@given(st.dictionaries(st.tuples(texts, texts), st.floats(), max_size=20), st.dictionaries(texts, texts, max_size=5))
def test_any_labels_and_numbers(series: dict[tuple[str, str], float], more: dict[str, str]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "G.", ["é b", "a"], names="utf8", registry=registry)
    for labels, number in series.items():
        gauge.labels(*labels).set(number)
    more = {f"m{name}": value for name, value in more.items()}
    snapshot = SnapshotReader(registry, escaping="allow-utf-8").read()
    expected = {}
    for (first, second), number in series.items():
        every = {"__name__": "g", "é b": first, "a": second, **more}
        expected[frozenset((name, value) for name, value in every.items() if value)] = struct.pack("d", number)
    versions: tuple[RemoteWriteVersion, ...] = ("1.0", "2.0")
    for version in versions:
        found = _requests(version, RemoteWriteEncoder(version, more).encode(snapshot))
        numbers = {frozenset(labels.items()): struct.pack("d", one.samples[0].value) for _, labels, one in found}
        assert numbers == expected
