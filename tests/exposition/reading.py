"""Readers of the formats, for tests: lines of text, and protobuf from its wire format. Both refuse whatever is unknown.

Each returns every series by the name and labels under which Prometheus stores it, so that formats can be compared.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pytheus.textformat import format_bound

__all__ = ["Key", "Metric", "MetricFamily", "Native", "families_of", "lines_of", "series_of_families", "series_of_text"]

Key = tuple[str, frozenset[tuple[str, str]]]
"""The name and the labels of a series."""

# Text -----------------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """One line of a sample: the labels are in the order written; `exemplar` has labels, value and time as written."""

    name: str
    labels: list[tuple[str, str]]
    value: float
    timestamp: str | None
    exemplar: tuple[list[tuple[str, str]], float, str | None] | None


_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def _quoted(text: str, at: int) -> tuple[str, int]:
    assert text[at] == '"'
    at += 1
    characters: list[str] = []
    while text[at] != '"':
        if text[at] == "\\":
            characters.append(_ESCAPES[text[at : at + 2]])
            at += 2
        else:
            characters.append(text[at])
            at += 1
    return "".join(characters), at + 1


def _name(text: str, at: int, ends: str) -> tuple[str, int]:
    if text[at] == '"':
        return _quoted(text, at)
    end = at
    while text[end] not in ends:
        end += 1
    return text[at:end], end


def _labels(text: str, at: int) -> tuple[str | None, list[tuple[str, str]], int]:
    """Return the name within the braces that begin at `at`, the labels, and the place after them."""
    assert text[at] == "{"
    at += 1
    name = None
    labels: list[tuple[str, str]] = []
    while text[at] != "}":
        label, at = _name(text, at, '=,}"')
        if text[at] == "=":
            value, at = _quoted(text, at + 1)
            labels.append((label, value))
        else:
            assert name is None
            assert not labels
            name = label
        if text[at] == ",":
            at += 1
            assert text[at] != "}"
    return name, labels, at + 1


def _line(text: str) -> Line:
    labels: list[tuple[str, str]] = []
    inner = None
    if text[0] == "{":
        name, at = "", 0
    else:
        name, at = _name(text, 0, "{ ")
    if text[at] == "{":
        inner, labels, at = _labels(text, at)
        assert (inner is None) != (name == "")
    name = name or inner or ""
    assert text[at] == " "
    rest, mark, exemplar_text = text[at + 1 :].partition(" # ")
    numbers = rest.split(" ")
    assert len(numbers) <= 2
    exemplar = None
    if mark:
        none, pairs, at = _labels(exemplar_text, 0)
        assert none is None
        assert exemplar_text[at] == " "
        parts = exemplar_text[at + 1 :].split(" ")
        assert len(parts) <= 2
        exemplar = (pairs, _number(parts[0]), parts[1] if len(parts) > 1 else None)
    return Line(name, labels, _number(numbers[0]), numbers[1] if len(numbers) > 1 else None, exemplar)


def _number(text: str) -> float:
    return {"+Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}[text] if text[-1] in "fN" else float(text)


def lines_of(text: str) -> Iterator[Line]:
    """Yield the lines of samples."""
    assert text == "" or text[-1] == "\n"
    for line in text.split("\n")[:-1]:
        assert line
        if not line.startswith("#"):
            yield _line(line)


def series_of_text(text: str) -> dict[Key, float]:
    """Return the numbers of the series."""
    series: dict[Key, float] = {}
    for line in lines_of(text):
        assert len(dict(line.labels)) == len(line.labels), line
        key = line.name, frozenset(line.labels)
        assert key not in series, f"{key} twice"
        series[key] = line.value
    return series


# Protobuf -------------------------------------------------------------------------------------------------------------

Value = int | bytes
Message = dict[int, list[Value]]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        assert shift < 70


def _fields(data: bytes, known: dict[int, int]) -> Message:
    """Return the fields of a message, of which `known` has the numbers and wire types."""
    message: Message = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        assert known.get(number) == wire_type, (number, wire_type)
        value: Value
        if wire_type == 0:
            value, at = _varint(data, at)
        else:
            if wire_type == 1:
                size = 8
            else:
                size, at = _varint(data, at)
            value = data[at : at + size]
            assert len(value) == size
            at += size
        message.setdefault(number, []).append(value)
    return message


def _only(message: Message, number: int) -> Value | None:
    values = message.get(number, [])
    assert len(values) <= 1
    return values[0] if values else None


def _bytes(message: Message, number: int) -> bytes | None:
    value = _only(message, number)
    assert value is None or isinstance(value, bytes)
    return value


def _int(message: Message, number: int) -> int:
    value = _only(message, number)
    assert isinstance(value, int)
    return value


def _double(message: Message, number: int) -> float:
    value = _bytes(message, number)
    assert value is not None
    result: float = struct.unpack("<d", value)[0]
    return result


def _text(message: Message, number: int) -> str:
    return (_bytes(message, number) or b"").decode()


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _packed(data: bytes | None) -> list[int]:
    numbers: list[int] = []
    at = 0
    while data is not None and at < len(data):
        number, at = _varint(data, at)
        numbers.append(_zigzag(number))
    return numbers


def _timestamp(data: bytes | None) -> float | None:
    if data is None:
        return None
    message = _fields(data, {1: 0, 2: 0})
    seconds, nanos = _int(message, 1), _int(message, 2)
    assert 0 <= nanos < 10**9
    return (seconds - (1 << 64) if seconds >> 63 else seconds) + nanos / 1e9


class Exemplar(NamedTuple):
    """An exemplar."""

    labels: list[tuple[str, str]]
    value: float
    timestamp: float | None


class Native(NamedTuple):
    """The native buckets of a histogram, by index, and the spans as they are."""

    schema: int
    zero_threshold: float
    zero_count: int
    positive: dict[int, int]
    negative: dict[int, int]
    spans: int


class Metric(NamedTuple):
    """One metric of a family."""

    labels: list[tuple[str, str]]
    kind: str
    value: float = 0.0
    number: int = 0
    points: tuple[tuple[float, float], ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    created: float | None = None
    native: Native | None = None
    native_exemplars: tuple[Exemplar, ...] = ()
    timestamp_ms: int | None = None


class MetricFamily(NamedTuple):
    """A family."""

    name: str
    help: str
    type: int
    unit: str
    metrics: list[Metric]


def _pairs(message: Message, number: int) -> list[tuple[str, str]]:
    pairs = []
    for value in message.get(number, []):
        assert isinstance(value, bytes)
        pair = _fields(value, {1: 2, 2: 2})
        pairs.append((_text(pair, 1), _text(pair, 2)))
    return pairs


def _exemplar(data: bytes) -> Exemplar:
    message = _fields(data, {1: 2, 2: 1, 3: 2})
    return Exemplar(_pairs(message, 1), _double(message, 2), _timestamp(_bytes(message, 3)))


def _buckets(message: Message, span_number: int, delta_number: int) -> dict[int, int]:
    deltas = _packed(_bytes(message, delta_number))
    buckets: dict[int, int] = {}
    index = count = position = 0
    for value in message.get(span_number, []):
        assert isinstance(value, bytes)
        span = _fields(value, {1: 0, 2: 0})
        index += _zigzag(_int(span, 1))
        for _ in range(_int(span, 2)):
            count += deltas[position]
            position += 1
            buckets[index] = count
            index += 1
    assert position == len(deltas)
    return buckets


def _histogram(data: bytes) -> Metric:
    message = _fields(
        data, {1: 0, 2: 1, 3: 2, 5: 0, 6: 1, 7: 0, 9: 2, 10: 2, 12: 2, 13: 2, 15: 2, 16: 2}
    )  # fmt: skip
    points: list[tuple[float, float]] = []
    exemplars: list[Exemplar] = []
    for value in message.get(3, []):
        assert isinstance(value, bytes)
        bucket = _fields(value, {1: 0, 2: 1, 3: 2})
        points.append((_double(bucket, 2), float(_int(bucket, 1))))
        exemplar = _bytes(bucket, 3)
        if exemplar is not None:
            exemplars.append(_exemplar(exemplar))
    native = None
    if 5 in message:
        native = Native(
            _zigzag(_int(message, 5)),
            _double(message, 6),
            _int(message, 7),
            _buckets(message, 12, 13),
            _buckets(message, 9, 10),
            len(message.get(9, [])) + len(message.get(12, [])),
        )
    native_exemplars = tuple(_exemplar(value) for value in message.get(16, []) if isinstance(value, bytes))
    return Metric(
        [],
        "histogram",
        _double(message, 2),
        _int(message, 1),
        tuple(points),
        tuple(exemplars),
        _timestamp(_bytes(message, 15)),
        native,
        native_exemplars,
    )


def _summary(data: bytes) -> Metric:
    message = _fields(data, {1: 0, 2: 1, 3: 2, 4: 2})
    points: list[tuple[float, float]] = []
    for value in message.get(3, []):
        assert isinstance(value, bytes)
        quantile = _fields(value, {1: 1, 2: 1})
        points.append((_double(quantile, 1), _double(quantile, 2)))
    created = _timestamp(_bytes(message, 4))
    return Metric([], "summary", _double(message, 2), _int(message, 1), tuple(points), created=created)


def _counter(data: bytes) -> Metric:
    message = _fields(data, {1: 1, 2: 2, 3: 2})
    exemplar = _bytes(message, 2)
    return Metric(
        [],
        "counter",
        _double(message, 1),
        exemplars=() if exemplar is None else (_exemplar(exemplar),),
        created=_timestamp(_bytes(message, 3)),
    )


def _number_of(kind: str, data: bytes) -> Metric:
    return Metric([], kind, _double(_fields(data, {1: 1}), 1))


def _metric(data: bytes) -> Metric:
    message = _fields(data, {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 0, 7: 2})
    [number] = message.keys() & {2, 3, 4, 5, 7}
    inner = _bytes(message, number)
    assert inner is not None
    if number == 7:
        metric = _histogram(inner)
    elif number == 4:
        metric = _summary(inner)
    elif number == 3:
        metric = _counter(inner)
    else:
        metric = _number_of({2: "gauge", 5: "untyped"}[number], inner)
    time = _int(message, 6) if 6 in message else None
    if time is not None and time >> 63:
        time -= 1 << 64
    return metric._replace(labels=_pairs(message, 1), timestamp_ms=time)


_KINDS = {0: "counter", 1: "gauge", 2: "summary", 3: "untyped", 4: "histogram", 5: "histogram"}


def families_of(body: bytes) -> list[MetricFamily]:
    """Return the families of a body."""
    families: list[MetricFamily] = []
    at = 0
    while at < len(body):
        size, at = _varint(body, at)
        data = body[at : at + size]
        assert len(data) == size
        at += size
        message = _fields(data, {1: 2, 2: 2, 3: 0, 4: 2, 5: 2})
        metrics = [_metric(value) for value in message.get(4, []) if isinstance(value, bytes)]
        family = MetricFamily(_text(message, 1), _text(message, 2), _int(message, 3), _text(message, 5), metrics)
        assert all(metric.kind == _KINDS[family.type] for metric in metrics)
        families.append(family)
    names = [family.name for family in families]
    assert len(set(names)) == len(names), "a family occurs twice"
    return families


def series_of_families(families: list[MetricFamily]) -> dict[Key, float]:
    """Return the series as Prometheus makes them of the families."""
    series: dict[Key, float] = {}

    def add(name: str, labels: list[tuple[str, str]], value: float) -> None:
        assert len(dict(labels)) == len(labels), labels
        key = name, frozenset(labels)
        assert key not in series, f"{key} twice"
        series[key] = value

    for family in families:
        for metric in family.metrics:
            if metric.kind in ("histogram", "summary"):
                gauge = "g" if family.type == 5 else ""
                add(f"{family.name}_{gauge}sum", metric.labels, metric.value)
                add(f"{family.name}_{gauge}count", metric.labels, float(metric.number))
                label, suffix = ("quantile", "") if metric.kind == "summary" else ("le", "_bucket")
                points = dict(metric.points)
                if metric.kind == "histogram":
                    points.setdefault(math.inf, float(metric.number))
                for point, value in points.items():
                    add(family.name + suffix, [*metric.labels, (label, format_bound(point))], value)
            else:
                add(family.name, metric.labels, metric.value)
    return series
