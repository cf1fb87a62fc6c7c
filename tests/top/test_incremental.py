"""Responses as snapshots: the same as if each one were parsed from the start."""

from __future__ import annotations

import math
import random

import pytest

from pytheus import Counter, Gauge, Histogram, Summary
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry
from pytheus.testing import parse_exposition
from pytheus.top.incremental import IncrementalParser
from pytheus.top.values import Distribution, FamilyInfo, Series, Snapshot, Value, shapes_of

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TEXTS = ("a b", 'q"', "{}", "1 2", "\u4e2d" * 50)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


def by_series(snapshot: Snapshot) -> dict[Series, str]:
    # By their text, because NaN is not equal to itself.
    return {series: repr(value) for series, value in zip(snapshot.series, snapshot.values, strict=True)}


def plainly(body: bytes, content_type: str) -> dict[Series, str]:
    """The series as the parser alone gives them."""
    found: dict[Series, str] = {}
    for family in parse_exposition(body, content_type, strict=False).values():
        numbers = [sample.value for sample in family.samples]
        info = FamilyInfo(family.name, family.type or "untyped", family.description, family.unit)
        for shape in shapes_of(info, family):
            found[shape.series] = repr(shape.value(numbers, family.samples))
    return found


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS, PROTOBUF])
def test_each_response_is_as_if_it_were_the_first(accept: str) -> None:
    chance = random.Random(16)
    registry = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", ["path", "x"], registry=registry)
    carts = Gauge("carts", "Carts.", ["shop"], registry=registry)
    seconds = Histogram("seconds", "Seconds.", ["path"], registry=registry)
    native = Histogram("native_seconds", "Seconds.", ["path"], native=True, registry=registry)
    sizes = Summary("sizes", "Sizes.", ["path"], registry=registry)
    parser = IncrementalParser()
    found = Snapshot((), [], [])
    for number in range(60):
        for _ in range(chance.randint(0, 6)):
            path = f"/{chance.randint(0, 4)}"
            hits.labels(path=path, x=chance.choice(TEXTS)).inc(chance.choice([1, 0.5, 1e20]))
            carts.labels(shop=path).set(chance.choice([1, -2.5, math.nan, math.inf, 1e-9]))
            seconds.labels(path=path).observe(chance.random())
            native.labels(path=path).observe(chance.choice([0.0, 0.1, 3.0, -2.0]))
            sizes.labels(path=path).observe(3)
        if number % 20 == 19:
            carts.clear()  # series go
        body, content_type, _ = expose(registry, accept)
        found = parser.parse(body, content_type)
        assert (
            by_series(found) == by_series(IncrementalParser().parse(body, content_type)) == plainly(body, content_type)
        )
        assert found.is_protobuf == (accept == PROTOBUF)
    if accept == PROTOBUF:
        values = dict(zip(found.series, found.values, strict=True))
        assert any(isinstance(value, Distribution) and value.native is not None for value in values.values())


@pytest.mark.parametrize("accept", [TEXT, PROTOBUF])
def test_series_and_unchanged_values_are_the_same_objects(accept: str) -> None:
    registry = CollectorRegistry()
    hits = Counter("hits_total", "Hits.", ["path"], registry=registry)
    for path in "abc":
        hits.labels(path=path).inc()
    parser = IncrementalParser()
    body, content_type, _ = expose(registry, accept)
    first = parser.parse(body, content_type)
    hits.labels(path="b").inc()
    body, content_type, _ = expose(registry, accept)
    second = parser.parse(body, content_type)
    assert second.series is first.series
    assert second.values == [1.0, 2.0, 1.0]
    assert first.values == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("x 1\ny 2\n", "y 3\nx 4\n", [3.0, 4.0]),  # another order
        ("x 1 1000\n", "x 2 2000\n", [2.0]),  # timestamps
        ('x{a="1 2"} 1\n', 'x{a="1 2"} 5\n', [5.0]),
        ("x  1\n", "x  2\n", [2.0]),
        ("x 1\n", "x 2\ny 3\n", [2.0, 3.0]),
        ("# TYPE x gauge\nx 1\n", "# TYPE x gauge\n", []),
        ('# TYPE a gauge\na 1\n# TYPE b gauge\nb 2\na{x=""} 3\n',) * 2 + ([1.0, 3.0, 2.0],),
    ],
)
def test_other_texts_are_parsed_again(before: str, after: str, expected: list[Value]) -> None:
    parser = IncrementalParser()
    parser.parse(before.encode(), "text/plain")
    assert list(parser.parse(after.encode(), "text/plain").values) == expected


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>", "text/plain"),
        (b"x one\n", "text/plain"),
        (b"x \xff\n", "text/plain"),
        (b"x 1\n", "text/html"),
        (b"\x05\x0a", PROTOBUF),
        (b"\xff" * 20, PROTOBUF),
        (b"\x03\x0a\x01x\x04\x0a\x01", PROTOBUF),
    ],
)
def test_damage_is_an_error_and_the_next_response_is_read(body: bytes, content_type: str) -> None:
    parser = IncrementalParser()
    parser.parse(b"x 1\n", "text/plain")
    with pytest.raises(ValueError, match=r".+"):
        parser.parse(body, content_type)
    assert parser.parse(b"x 2\n", "text/plain").values == [2.0]


def test_a_family_may_be_in_two_messages() -> None:
    registry = CollectorRegistry()
    Counter("hits_total", "Hits.", ["path"], registry=registry).labels(path="a").inc()
    one, content_type, _ = expose(registry, PROTOBUF)
    registry = CollectorRegistry()
    Counter("hits_total", "Hits.", ["path"], registry=registry).labels(path="b").inc(5)
    other, _, _ = expose(registry, PROTOBUF)
    parser = IncrementalParser()
    for _ in range(2):
        assert parser.parse(one + other, content_type).values == [1.0, 5.0]


def _field(key: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([key, len(content)]) + content


def _family(*metrics: bytes) -> bytes:
    head = _field(0x0A, b"x") + b"\x18\x01"
    return _field(0, head + b"".join(_field(0x22, metric) for metric in metrics))[1:]


LABEL = _field(0x0A, _field(0x0A, b"a") + _field(0x12, b"1"))
NUMBER = b"\x09" + b"\x00" * 6 + b"\xf0\x3f"


@pytest.mark.parametrize(
    "metric",
    [
        LABEL + _field(0x12, NUMBER),
        _field(0x12, NUMBER),
        _field(0x12, NUMBER) + LABEL,
        _field(0x12, b""),  # the number is zero
        LABEL + _field(0x12, NUMBER) + b"\x30\x05",  # a timestamp
        LABEL + _field(0x12, NUMBER + NUMBER[:1] + b"\x00" * 8),  # the second number counts
        _field(0x0A, _field(0x12, b"1") + _field(0x0A, b"a")) + _field(0x12, NUMBER),
        _field(0x0A, _field(0x0A, b"a")) + _field(0x12, NUMBER),
        _field(0x0A, b"") + _field(0x12, NUMBER),
        LABEL + _field(0x12, NUMBER) + _field(0x12, NUMBER),
    ],
)
def test_every_message_is_read_as_the_parser_reads_it(metric: bytes) -> None:
    other = LABEL.replace(b"1", b"2") + _field(0x12, NUMBER)
    for body in (_family(metric), _family(other, metric)):
        parser = IncrementalParser()
        for _ in range(2):
            assert by_series(parser.parse(body, PROTOBUF)) == plainly(body, PROTOBUF)
