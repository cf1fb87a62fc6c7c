"""The parser of protobuf reads what Prometheus's own schema reads, and refuses damage with its byte."""

from __future__ import annotations

import math
import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytheus import Counter, Histogram
from pytheus.native_buckets import NativeHistogram
from pytheus.registry import CollectorRegistry
from pytheus.samples import Exemplar
from pytheus.testing import ParsedFamily, ParsedSample, parse_exposition
from tests.exposition.any_registry import Escaping
from tests.exposition.official_schema import needs_schema
from tests.exposition.test_formats_roundtrip import (
    PROTOBUF_TYPE,
    Read,
    any_registry,
    assert_same,
    body_of,
    by_number,
    read_protobuf,
    shown,
)

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:counter .* has no suffix")]


def parse(body: bytes, *, strict: bool = True) -> dict[str, ParsedFamily]:
    return parse_exposition(body, PROTOBUF_TYPE, strict=strict)


def read_parsed(families: dict[str, ParsedFamily]) -> Read:
    read = Read.nothing()
    for family in families.values():
        read.add_family(family.name, "unknown" if family.type == "untyped" else family.type, family.unit)
        for sample in family.samples:
            read.add(sample.name, dict(sample.labels), sample.value, sample.exemplar)
            key = sample.name, frozenset(sample.labels)
            if sample.created is not None:
                read.created[key] = sample.created
            if sample.native is not None:
                read.natives[key] = sample.native, frozenset(map(shown, sample.exemplars))
    return read


@pytest.mark.property
@needs_schema
@settings(max_examples=40)
@any_registry
def test_it_reads_what_the_official_schema_reads(case: tuple[CollectorRegistry, Escaping]) -> None:
    registry, escaping = case
    body = body_of(registry, PROTOBUF_TYPE, escaping)
    read, expected = read_parsed(parse(body)), read_protobuf(body)
    natives = {re.sub("_g?count$", "_bucket", name) for name, _ in expected.natives}
    # The schema's reader leaves out the one bucket that carries an exemplar of a histogram with native buckets alone.
    values = {
        key: value for key, value in by_number(read.values).items() if key in expected.values or key[0] not in natives
    }
    assert_same(values, expected.values)
    assert read.natives == expected.natives
    assert {key: each for key, each in by_number(read.exemplars).items() if key in values} == expected.exemplars
    assert read.created == expected.created
    assert (read.types, read.units) == (expected.types, expected.units)


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def number(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


def double(number: int, value: float) -> bytes:
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def family(type_: int, *metrics: bytes, name: bytes = b"a") -> bytes:
    content = field(1, name) + number(3, type_) + b"".join([field(4, metric) for metric in metrics])
    return bytes([len(content)]) + content


COUNTER, GAUGE, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = 0, 1, 3, 4, 5


def histogram(*fields: bytes) -> list[ParsedSample]:
    [found] = parse(family(HISTOGRAM, field(7, b"".join(fields)))).values()
    return found.samples


def test_an_empty_body_has_no_families() -> None:
    assert parse(b"") == {}


def test_a_family_may_have_no_metrics() -> None:
    [found] = parse(family(GAUGE)).values()
    assert (found.name, found.type, found.samples) == ("a", "gauge", [])


def test_counts_may_be_floats() -> None:
    bucket = double(4, 1.5) + double(2, 2.0)
    samples = histogram(double(4, 2.5), double(2, 3.0), field(3, bucket))
    assert [(sample.name, sample.labels, sample.value) for sample in samples] == [
        ("a_bucket", (("le", "2.0"),), 1.5),
        ("a_bucket", (("le", "+Inf"),), 2.5),
        ("a_sum", (), 3.0),
        ("a_count", (), 2.5),
    ]


def test_native_buckets_may_be_floats_and_numbers_packed() -> None:
    span = field(12, number(1, 2) + number(2, 2))
    counts = field(14, struct.pack("<2d", 0.5, 2.0))
    samples = histogram(double(4, 3.5), number(5, 6), double(6, 0.25), double(8, 1.0), span, counts)
    assert samples[-1].native == NativeHistogram(3, 0.25, 1.0, {1: 0.5, 2: 2.0}, {})
    deltas = field(10, bytes([4, 1]))  # 2 and -1 in zigzag
    samples = histogram(number(1, 3), field(9, number(1, 1) + number(2, 2)), deltas)
    assert samples[-1].native == NativeHistogram(0, 0.0, 0, {}, {-1: 2, 0: 1})
    assert [sample.name for sample in samples] == ["a_sum", "a_count"]


def test_a_gauge_histogram_and_a_timestamp() -> None:
    value = field(7, number(1, 2) + double(2, -1.0)) + b"\x30\xd0\x0f"
    [found] = parse(family(GAUGE_HISTOGRAM, value)).values()
    assert [(sample.name, sample.value) for sample in found.samples] == [
        ("a_bucket", 2),
        ("a_gsum", -1),
        ("a_gcount", 2),
    ]
    assert {sample.timestamp for sample in found.samples} == {2.0}


def test_a_time_before_the_epoch_is_negative() -> None:
    [found] = parse(family(GAUGE, field(2, double(1, 1.0)) + b"\x30" + b"\xff" * 9 + b"\x01")).values()
    assert found.samples == [ParsedSample("a", (), 1.0, -0.001)]


def test_fields_of_other_numbers_are_read_over_and_messages_merge() -> None:
    unknown = field(15, b"x") + bytes([15 << 3, 1]) + double(14, 1.0) + bytes([15 << 3 | 5]) + b"abcd"
    exemplar = field(2, field(1, field(1, b"id") + field(2, b"7")) + double(2, 3.0))
    value = field(3, double(1, 1.0)) + field(3, exemplar + double(1, 2.0))
    [found] = parse(family(COUNTER, unknown + value)).values()
    assert found.samples == [ParsedSample("a", (), 2.0, None, Exemplar({"id": "7"}, 3.0))]


def test_labels_in_any_order_of_their_fields() -> None:
    one, two = field(1, b"z") + field(2, b"1"), field(2, b"2") + field(1, b"b")
    long = field(1, b"c") + b"\x12\x80\x01" + b"x" * 128
    metric = field(1, one) + field(1, two) + b"\x0a" + b"\x86\x01" + long + field(2, double(1, 0.0))
    body = field(1, b"a") + number(3, GAUGE) + b"\x22" + bytes([len(metric) & 127 | 128, len(metric) >> 7]) + metric
    [found] = parse(bytes([len(body) & 127 | 128, len(body) >> 7]) + body).values()
    assert found.samples[0].labels == (("b", "2"), ("c", "x" * 128), ("z", "1"))


SOUND = family(GAUGE, field(2, double(1, 1.0)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x05", "byte 0: a family has 5 bytes, but 0 are left"),
        (b"\xff" * 9, "byte 0: the message ends within a number"),
        (b"\xff" * 12, "byte 0: a number of more than 64 bits"),
        (b"\xff" * 9 + b"\x7f", "byte 0: a number of more than 64 bits"),
        (SOUND + b"\x03\x0a\x05a", r"byte 20: the field 1 has 5 bytes, but 1 are left"),
        (b"\x01\x00", "byte 1: a field without a number"),
        (b"\x01\x0b", "byte 1: the field 1 has the wire type 3, which is not in use"),
        (b"\x02\x08\x01", "byte 1: the field 1, 'name', has the wire type 0, but a text has 2"),
        (b"\x02\x1a\x00", "byte 1: the field 3, 'type', has the wire type 2, but a whole number has 0"),
        (b"\x04\x0a\x02\xc3\x28", "byte 3: a text that is not UTF-8"),
        (b"\x00", "byte 1: a family without a name"),
        (family(9), "byte 1: the family 'a' has the type 9"),
        (family(GAUGE, field(3, double(1, 1.0))), "byte 8: a metric of the gauge 'a' without its value"),
        (SOUND + SOUND, "byte 20: a second family 'a'"),
        (family(GAUGE, *[field(2, double(1, 1.0))] * 2), "byte 21: the series {} of 'a' occurs twice"),
        (family(GAUGE, field(2, b"\x09123")), "byte 11: the message ends within a number"),
        (family(GAUGE, field(1, field(1, b"b")) * 2), "byte 15: the label 'b' occurs twice"),
        (family(GAUGE, b"\x3d12"), "byte 8: the field 7, 'histogram', has the wire type 5, but a message has 2"),
        (family(HISTOGRAM, field(7, number(5, 18) + number(7, 1))), "byte 10: native buckets with the schema 9"),
        (family(HISTOGRAM, field(7, field(12, number(2, 100)))), "spans of 100 buckets, but 0 counts"),
        (family(HISTOGRAM, field(7, field(12, number(2, 1)) + number(13, 1))), "a native bucket with the count -1"),
        (
            family(HISTOGRAM, field(7, field(3, double(2, 2.0)) + field(3, double(2, 1.0)))),
            r"byte 10: histogram 'a' has buckets \{\} whose bounds or counts do not rise",
        ),
    ],
)
def test_damage_is_refused_with_its_byte(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(body)


def test_a_lenient_parse_keeps_what_a_registry_did_wrong() -> None:
    [found] = parse(SOUND + SOUND, strict=False).values()
    assert [sample.value for sample in found.samples] == [1.0, 1.0]
    [found] = parse(family(9, field(5, double(1, 3.0))), strict=False).values()
    assert found.type == "untyped"


def test_a_span_without_an_end_takes_no_memory() -> None:
    huge = field(12, number(1, 2) + b"\x10" + b"\xff" * 4 + b"\x0f")
    with pytest.raises(ValueError, match="spans of 4294967295 buckets, but 0 counts"):
        histogram(number(1, 1), huge)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (family(GAUGE, *[b""] * 4), "the field 4, 'metric', more than 3 times"),
        (family(HISTOGRAM, field(7, field(13, bytes(4)))), "the field 13 more than 3 times"),
        (family(HISTOGRAM, field(7, number(13, 0) * 4)), "the field 13 more than 3 times"),
        (b"".join(family(GAUGE, name=bytes([name])) for name in b"abcd"), "more than 3 families"),
        (family(HISTOGRAM, *[field(7, field(3, b""))] * 3), "more than 2 samples"),
        (b"".join(family(HISTOGRAM, field(7, b""), name=bytes([name])) for name in b"abc"), "more than 2 samples"),
    ],
)
def test_small_messages_take_a_bounded_amount_of_memory(
    body: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytheus.testing.protobuf_wire._ELEMENTS_AT_MOST", 3)
    monkeypatch.setattr("pytheus.testing.parse_protobuf._SAMPLES_AT_MOST", 2)
    with pytest.raises(ValueError, match=message):
        parse(body, strict=False)


def some_body() -> bytes:
    registry = CollectorRegistry()
    counter = Counter("orders_total", "Orders, 50 %.", ["method"], registry=registry)
    counter.labels("card").inc(2, {"trace_id": "abc"})
    latency = Histogram("wait_seconds", "Wait.", native=True, registry=registry)
    for value in (-1.0, 0.0, 0.3, math.nan):
        latency.observe(value)
    return body_of(registry, PROTOBUF_TYPE)


SOME = some_body()


@pytest.mark.property
@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_with_a_byte(body: bytes) -> None:
    assert_read_or_refused(body)


@pytest.mark.property
@given(st.data())
def test_a_damaged_body_is_read_or_refused_with_a_byte(data: st.DataObject) -> None:
    body = bytearray(SOME)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert_read_or_refused(bytes(body))


def assert_read_or_refused(body: bytes) -> None:
    for strict in (True, False):
        try:
            parse(body, strict=strict)
        except ValueError as error:
            assert re.match("byte [0-9]+: ", str(error)), error  # both outcomes are allowed
