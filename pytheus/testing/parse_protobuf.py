"""The parser of Prometheus's protobuf format, without a library: delimited messages of the type ``MetricFamily``.

Rules:

- The messages and their fields are those of
  https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto, in the encoding of
  https://protobuf.dev/programming-guides/encoding/. Fields of other numbers are read over.
- Of a field that occurs twice, the last one counts, and messages are merged, as that document says. A repeated number
  may be packed.
- A message ends within the one around it, so that nothing is read twice, and the length of the body bounds the memory.
  Spans are expanded only if their length equals the number of their counts.
- A family becomes the samples that the text format has. The bucket up to +Inf may be absent, and has the count of all.
- An error names the byte, from the beginning of the body.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from struct import unpack_from
from typing import Final, NoReturn

from pytheus.native_buckets import NativeHistogram
from pytheus.samples import Exemplar
from pytheus.testing.parsed import ParsedFamily, ParsedSample

__all__ = ["parse_protobuf"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES: Final = 10

# The kinds of fields: a message or text, a whole number, one of either sign in zigzag, and a double.
_PART, _WHOLE, _SIGNED, _DOUBLE = "part", "whole number", "signed number", "double"
_WIRE: Final = {_PART: _LENGTH, _WHOLE: _VARINT, _SIGNED: _VARINT, _DOUBLE: _FIXED64}

_FAMILY: Final = {1: _PART, 2: _PART, 3: _WHOLE, 4: _PART, 5: _PART}
_METRIC: Final = {1: _PART, 2: _PART, 3: _PART, 4: _PART, 5: _PART, 6: _WHOLE, 7: _PART}
_LABEL: Final = {1: _PART, 2: _PART}
# Gauge, Untyped and Counter.
_NUMBER: Final = {1: _DOUBLE, 2: _PART, 3: _PART}
_SUMMARY: Final = {1: _WHOLE, 2: _DOUBLE, 3: _PART, 4: _PART}
_QUANTILE: Final = {1: _DOUBLE, 2: _DOUBLE}
_BUCKET: Final = {1: _WHOLE, 2: _DOUBLE, 3: _PART, 4: _DOUBLE}
_EXEMPLAR: Final = {1: _PART, 2: _DOUBLE, 3: _PART}
_TIMESTAMP: Final = {1: _WHOLE, 2: _WHOLE}
_SPAN: Final = {1: _SIGNED, 2: _WHOLE}
_HISTOGRAM: Final = {
    1: _WHOLE, 2: _DOUBLE, 3: _PART, 4: _DOUBLE, 5: _SIGNED, 6: _DOUBLE, 7: _WHOLE, 8: _DOUBLE, 9: _PART, 10: _SIGNED,
    11: _DOUBLE, 12: _PART, 13: _SIGNED, 14: _DOUBLE, 15: _PART, 16: _PART,
}  # fmt: skip

_TYPES: Final = ("counter", "gauge", "summary", "untyped", "histogram", "gaugehistogram")
# The field of `Metric` with the number of a family, by its type.
_FIELDS: Final = {"counter": 3, "gauge": 2, "summary": 4, "untyped": 5, "histogram": 7, "gaugehistogram": 7}

_Range = tuple[int, int]


def parse_protobuf(body: bytes, *, strict: bool = True) -> dict[str, ParsedFamily]:
    """Return the families of `body` by name.

    Raises `ValueError` for damage, with its byte. With `strict` also for a family or series that occurs twice and for
    buckets that do not rise; otherwise the samples of such a family follow each other.

        >>> parse_protobuf(bytes.fromhex("08 0a04 68697473 1a00"))
        Traceback (most recent call last):
        ...
        ValueError: byte 7: the field 3 has the wire type 2, but a whole number has 0
    """
    families: dict[str, ParsedFamily] = {}
    data = _Data(body)
    place = 0
    while place < len(body):
        start = place
        length, place = data.varint(place, len(body))
        if place + length > len(body):
            data.refuse(start, f"a family has {length} bytes, but {len(body) - place} are left")
        family = _Family(data, (place, place + length), strict).read()
        known = families.get(family.name)
        if known is None:
            families[family.name] = family
        elif strict:
            data.refuse(start, f"a second family {family.name!r:.80}")
        else:
            known.samples += family.samples
        place += length
    return families


class _Data:
    """The bytes of a body, and their readers; each place is counted from the beginning of the body."""

    def __init__(self, body: bytes) -> None:
        self.body: Final = body

    def refuse(self, place: int, message: str) -> NoReturn:
        raise ValueError(f"byte {place}: {message}")

    def varint(self, place: int, end: int) -> tuple[int, int]:
        """Return the number at `place`, and the place after it."""
        body = self.body
        if place < end and body[place] < 128:
            return body[place], place + 1
        number = shift = 0
        for index in range(place, min(end, place + _MAX_VARINT_BYTES)):
            byte = body[index]
            number |= (byte & 127) << shift
            if byte < 128:
                if number >= 1 << 64:
                    break
                return number, index + 1
            shift += 7
        if end - place < _MAX_VARINT_BYTES:
            self.refuse(place, "the message ends within a number")
        self.refuse(place, "a number of more than 64 bits")

    def text(self, span: _Range) -> str:
        start, end = span
        try:
            return str(self.body[start:end], "utf-8")
        except UnicodeDecodeError as error:
            self.refuse(start + error.start, f"a text that is not UTF-8: {error.reason}")

    def fields(self, spans: Sequence[_Range], kinds: dict[int, str]) -> _Fields:
        """Return the fields of one message, of which there may be several parts."""
        found = _Fields(self, spans[0][0])
        for start, end in spans:
            place = start
            while place < end:
                place = self._field(place, end, kinds, found)
        return found

    def _field(self, place: int, end: int, kinds: dict[int, str], found: _Fields) -> int:
        start = place
        key, place = self.varint(place, end)
        number, wire = key >> 3, key & 7
        if not number:
            self.refuse(start, "a field without a number")
        kind = kinds.get(number)
        if wire == _LENGTH:
            length, place = self.varint(place, end)
            after = place + length
            if after > end:
                self.refuse(start, f"the field {number} has {length} bytes, but {end - place} are left")
            if kind is _PART:
                found.parts.setdefault(number, []).append((place, after))
            elif kind is not None:
                self._packed(start, place, after, number, kind, found)
            return after
        if wire not in (_VARINT, _FIXED64, _FIXED32):
            self.refuse(start, f"the field {number} has the wire type {wire}, which does not exist")
        if kind is not None and _WIRE[kind] != wire:
            a_kind = f"a {kind} has {_WIRE[kind]}" if kind is not _PART else f"a text or message has {_LENGTH}"
            self.refuse(start, f"the field {number} has the wire type {wire}, but {a_kind}")
        if wire == _VARINT or kind is not None:
            value, place = self._number(place, end, wire, kind)
            if kind is not None:
                found.numbers.setdefault(number, []).append(value)
            return place
        after = place + (8 if wire == _FIXED64 else 4)
        if after > end:
            self.refuse(start, f"the message ends within the field {number}")
        return after

    def _number(self, place: int, end: int, wire: int, kind: str | None) -> tuple[float, int]:
        if wire == _FIXED64:
            if place + 8 > end:
                self.refuse(place, "the message ends within a number")
            value: float
            (value,) = unpack_from("<d", self.body, place)
            return value, place + 8
        whole, place = self.varint(place, end)
        return (whole >> 1) ^ -(whole & 1) if kind is _SIGNED else whole, place

    def _packed(self, start: int, place: int, end: int, number: int, kind: str, found: _Fields) -> None:
        if (number, kind) not in _REPEATED:
            self.refuse(start, f"the field {number} has the wire type {_LENGTH}, but a {kind} has {_WIRE[kind]}")
        numbers = found.numbers.setdefault(number, [])
        while place < end:
            value, place = self._number(place, end, _WIRE[kind], kind)
            numbers.append(value)


# The numbers of `Histogram` that are repeated.
_REPEATED: Final = frozenset({(10, _SIGNED), (13, _SIGNED), (11, _DOUBLE), (14, _DOUBLE)})


class _Fields:
    """The fields of a message that begins at `start`: numbers, and the ranges of texts and messages."""

    __slots__ = ("_data", "numbers", "parts", "start")

    def __init__(self, data: _Data, start: int) -> None:
        self._data: Final = data
        self.start: Final = start
        self.numbers: Final[dict[int, list[float]]] = {}
        self.parts: Final[dict[int, list[_Range]]] = {}

    def number(self, field: int, default: float = 0) -> float:
        numbers = self.numbers.get(field)
        return numbers[-1] if numbers else default

    def text(self, field: int) -> str:
        parts = self.parts.get(field)
        return self._data.text(parts[-1]) if parts else ""

    def message(self, field: int, kinds: dict[int, str]) -> _Fields | None:
        parts = self.parts.get(field)
        return self._data.fields(parts, kinds) if parts else None

    def messages(self, field: int, kinds: dict[int, str]) -> Iterator[_Fields]:
        for part in self.parts.get(field, ()):
            yield self._data.fields((part,), kinds)


class _Family:
    """The reading of one family."""

    def __init__(self, data: _Data, span: _Range, strict: bool) -> None:
        self._data: Final = data
        self._fields: Final = data.fields((span,), _FAMILY)
        self._strict: Final = strict
        name = self._fields.text(1)
        if not name:
            data.refuse(span[0], "a family without a name")
        number = int(self._fields.number(3))
        if number >= len(_TYPES) and strict:
            data.refuse(span[0], f"the family {name!r:.80} has the type {number}; expected 0 to {len(_TYPES) - 1}")
        type_ = _TYPES[number] if number < len(_TYPES) else "untyped"
        self._family: Final = ParsedFamily(name, type_, self._fields.text(2), self._fields.text(5))

    def read(self) -> ParsedFamily:
        family, data = self._family, self._data
        field = _FIELDS[family.type]
        series: set[tuple[tuple[str, str], ...]] = set()
        for metric in self._fields.messages(4, _METRIC):
            labels = self._labels(metric)
            if self._strict:
                if labels in series:
                    data.refuse(metric.start, f"the series {dict(labels)!r:.200} of {family.name!r:.80} occurs twice")
                series.add(labels)
            parts = metric.parts.get(field)
            if parts is None:
                data.refuse(metric.start, f"a metric of the {family.type} {family.name!r:.80} without its value")
            milliseconds = metric.numbers.get(6)
            moment = _signed64(milliseconds[-1]) / 1000 if milliseconds else None
            if field == 7:
                self._read_histogram(data.fields(parts, _HISTOGRAM), labels, moment)
            elif field == 4:
                self._read_summary(data.fields(parts, _SUMMARY), labels, moment)
            else:
                number = data.fields(parts, _NUMBER)
                exemplar = created = None
                if family.type == "counter":
                    exemplar, created = self._exemplar(number, 2), self._moment(number, 3)
                family.samples.append(
                    ParsedSample(family.name, labels, float(number.number(1)), moment, exemplar, created)
                )
        return family

    def _labels(self, message: _Fields) -> tuple[tuple[str, str], ...]:
        data = self._data
        body = data.body
        labels: dict[str, str] = {}
        for start, end in message.parts.get(1, ()):
            # A short name and a short value in their usual order need no reader of fields.
            middle = start + 2 + body[start + 1] if end - start > 3 else end
            if (
                middle + 2 <= end
                and body[start] == 10
                and body[middle] == 18
                and body[start + 1] < 128 > body[middle + 1]
                and middle + 2 + body[middle + 1] == end
            ):
                name, value = data.text((start + 2, middle)), data.text((middle + 2, end))
            else:
                pair = data.fields(((start, end),), _LABEL)
                name, value = pair.text(1), pair.text(2)
            if name in labels:
                data.refuse(start, f"the label {name!r:.80} occurs twice")
            labels[name] = value
        return tuple(sorted(labels.items())) if len(labels) > 1 else tuple(labels.items())

    def _moment(self, message: _Fields, field: int) -> float | None:
        found = message.message(field, _TIMESTAMP)
        if found is None:
            return None
        return _signed64(found.number(1)) + _signed64(found.number(2)) / 1e9

    def _exemplar(self, message: _Fields, field: int) -> Exemplar | None:
        found = message.message(field, _EXEMPLAR)
        return None if found is None else self._read_exemplar(found)

    def _read_exemplar(self, found: _Fields) -> Exemplar:
        return Exemplar(dict(self._labels(found)), float(found.number(2)), self._moment(found, 3))

    def _read_summary(self, summary: _Fields, labels: tuple[tuple[str, str], ...], moment: float | None) -> None:
        family = self._family
        for found in summary.messages(3, _QUANTILE):
            own = _with(labels, "quantile", _number(found.number(1)))
            family.samples.append(ParsedSample(family.name, own, float(found.number(2)), moment))
        name = family.name
        family.samples.append(ParsedSample(name + "_sum", labels, float(summary.number(2)), moment))
        count = float(summary.number(1))
        created = self._moment(summary, 4)
        family.samples.append(ParsedSample(name + "_count", labels, count, moment, created=created))

    def _read_histogram(self, histogram: _Fields, labels: tuple[tuple[str, str], ...], moment: float | None) -> None:
        family = self._family
        name = family.name
        count = float(histogram.number(4) or histogram.number(1))
        native = self._native(histogram, count)
        buckets: list[tuple[float, ParsedSample]] = []
        for bucket in histogram.messages(3, _BUCKET):
            bound = bucket.number(2)
            value = float(bucket.number(4) or bucket.number(1))
            own = _with(labels, "le", _number(bound))
            buckets.append((bound, ParsedSample(f"{name}_bucket", own, value, moment, self._exemplar(bucket, 3))))
        if (buckets or native is None) and (not buckets or buckets[-1][0] != math.inf):
            buckets.append((math.inf, ParsedSample(f"{name}_bucket", _with(labels, "le", "+Inf"), count, moment)))
        if self._strict:
            for low, high in pairwise(buckets):
                if not (low[0] < high[0] and low[1].value <= high[1].value):
                    self._data.refuse(
                        histogram.start,
                        f"{family.type} {name!r:.80} has buckets {dict(labels)!r:.200}"
                        " whose bounds or counts do not rise",
                    )
        gauge = "g" if family.type == "gaugehistogram" else ""
        family.samples += [bucket for _, bucket in buckets]
        family.samples.append(ParsedSample(f"{name}_{gauge}sum", labels, float(histogram.number(2)), moment))
        exemplars = tuple(map(self._read_exemplar, histogram.messages(16, _EXEMPLAR)))
        family.samples.append(
            ParsedSample(
                f"{name}_{gauge}count", labels, count, moment, None, self._moment(histogram, 15), native, exemplars
            )
        )

    def _native(self, histogram: _Fields, count: float) -> NativeHistogram | None:
        """Return the native buckets, which are there if one of these fields says so, as Prometheus reads them."""
        zero_count = histogram.number(8) or histogram.number(7)
        threshold = histogram.number(6)
        if not (histogram.parts.get(9) or histogram.parts.get(12) or threshold > 0 or zero_count > 0):
            return None
        positive = self._native_buckets(histogram, 12)
        negative = self._native_buckets(histogram, 9)
        native = NativeHistogram(int(histogram.number(5)), float(threshold), zero_count, positive, negative)
        # Prometheus allows counts that are in no bucket only for a sum that is NaN, because NaN was observed.
        missing = count - native.total
        if missing > 0 and math.isnan(histogram.number(2)):
            return native._replace(nan_count=int(missing) if missing.is_integer() else missing)
        return native

    def _native_buckets(self, histogram: _Fields, field: int) -> dict[int, float]:
        data = self._data
        spans = [(int(span.number(1)), int(span.number(2))) for span in histogram.messages(field, _SPAN)]
        deltas = histogram.numbers.get(field + 1, ())
        counts: Sequence[float] = histogram.numbers.get(field + 2) or list(accumulate(deltas))
        length = sum(length for _, length in spans)
        if length != len(counts):
            data.refuse(histogram.start, f"native buckets with spans of {length} buckets, but {len(counts)} counts")
        buckets: dict[int, float] = {}
        index = place = 0
        for offset, length in spans:
            index += offset
            for count in counts[place : place + length]:
                if not count >= 0:
                    data.refuse(histogram.start, f"a native bucket with the count {count}, which is less than zero")
                if count:
                    buckets[index] = count
                index += 1
            place += length
        return buckets


def _with(labels: tuple[tuple[str, str], ...], name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((*labels, (name, value))))


def _number(value: float) -> str:
    """Return the text of a bound or quantile, as OpenMetrics has it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))


def _signed64(number: float) -> int:
    """Return the number that is negative in two's complement."""
    whole = int(number)
    return whole - (1 << 64) if whole >= 1 << 63 else whole
