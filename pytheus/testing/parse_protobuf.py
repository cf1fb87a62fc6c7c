"""The parser of Prometheus's protobuf format: delimited messages of the type ``MetricFamily``.

Rules:

- A family becomes the samples that the text format has. The bucket up to +Inf may be absent, and has the count of all.
- A histogram has native buckets if one of their fields says so, as Prometheus decides it. Spans are expanded only if
  their length equals the number of their counts, so that the length of the body bounds the memory. There are at most
  two million samples.
- Damage is an error with its byte; see `pytheus.testing.protobuf_wire`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from pytheus.native_bounds import MAX_SCHEMA, MIN_SCHEMA
from pytheus.native_buckets import NativeHistogram
from pytheus.samples import Exemplar
from pytheus.testing.parsed import ParsedFamily, ParsedSample
from pytheus.testing.protobuf_schema import METRIC_TYPES
from pytheus.testing.protobuf_wire import Message, MessageReader

__all__ = ["parse_protobuf", "protobuf_families"]

# The field of `Metric` with the number of a family, by its type.
_FIELDS: Final = {"counter": 3, "gauge": 2, "summary": 4, "untyped": 5, "histogram": 7, "gaugehistogram": 7}
_HISTOGRAM, _SUMMARY = 7, 4
# So many take about a gigabyte.
_SAMPLES_AT_MOST: Final = 2_000_000

_Labels = tuple[tuple[str, str], ...]


def parse_protobuf(body: bytes, *, strict: bool = True) -> dict[str, ParsedFamily]:
    """Return the families of `body` by name.

    Raises `ValueError` for damage, with its byte. With `strict` also for a family or series that occurs twice and for
    buckets that do not rise; otherwise the samples of such a family follow each other.

        >>> parse_protobuf(bytes.fromhex("08 0a04 68697473 1a00"))
        Traceback (most recent call last):
        ...
        ValueError: byte 7: the field 3, 'type', has the wire type 2, but a whole number has 0
    """
    families: dict[str, ParsedFamily] = {}
    for family in protobuf_families(body, strict=strict):
        known = families.setdefault(family.name, family)
        if known is not family:
            known.samples += family.samples
    return families


def protobuf_families(body: bytes, *, strict: bool = True) -> Iterator[ParsedFamily]:
    """Yield the family of each message of `body`; see `parse_protobuf` for its errors.

    >>> [family.name for family in protobuf_families(bytes.fromhex("08 0a04 68697473 1800") * 2, strict=False)]
    ['hits', 'hits']
    """
    reader = MessageReader(body)
    names: set[str] = set()
    left = _SAMPLES_AT_MOST
    for message in reader.families():
        family = _Family(reader, message, strict).read(left)
        left -= len(family.samples)
        if left < 0:
            reader.refuse(message.start, f"more than {_SAMPLES_AT_MOST} samples")
        if strict and family.name in names:
            reader.refuse(message.start, f"a second family {family.name!r:.80}")
        names.add(family.name)
        yield family


class _Family:
    """The reading of one family."""

    def __init__(self, reader: MessageReader, message: Message, strict: bool) -> None:
        self._reader: Final = reader
        self._message: Final = message
        self._strict: Final = strict
        name = message.text(1)
        if not name:
            reader.refuse(message.start, "a family without a name")
        number = int(message.number(3))
        if number >= len(METRIC_TYPES):
            if strict:
                reader.refuse(message.start, f"the family {name!r:.80} has the type {number}, which does not exist")
            number = METRIC_TYPES.index("UNTYPED")
        type_ = METRIC_TYPES[number].lower().replace("_", "")
        self._family: Final = ParsedFamily(name, type_, message.text(2), message.text(5))

    def read(self, samples_at_most: int) -> ParsedFamily:
        """Return the family; raises `ValueError` if it has more samples."""
        family, reader = self._family, self._reader
        field = _FIELDS[family.type]
        series: set[_Labels] = set()
        for metric in self._message.messages(4):
            if len(family.samples) > samples_at_most:
                reader.refuse(metric.start, f"more than {_SAMPLES_AT_MOST} samples")
            labels = self._labels(metric)
            if self._strict:
                if labels in series:
                    reader.refuse(metric.start, f"the series {dict(labels)!r:.200} of {family.name!r:.80} occurs twice")
                series.add(labels)
            value = metric.message(field)
            if value is None:
                reader.refuse(metric.start, f"a metric of the {family.type} {family.name!r:.80} without its value")
            moment = metric.signed64(6) / 1000 if 6 in metric.numbers else None
            if field == _HISTOGRAM:
                self._read_histogram(value, labels, moment)
            elif field == _SUMMARY:
                self._read_summary(value, labels, moment)
            else:
                exemplar = created = None
                if family.type == "counter":
                    exemplar, created = self._exemplar(value, 2), _moment(value, 3)
                family.samples.append(
                    ParsedSample(family.name, labels, float(value.number(1)), moment, exemplar, created)
                )
        return family

    def _labels(self, message: Message) -> _Labels:
        reader = self._reader
        body = reader.body
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
                name, value = reader.text((start + 2, middle)), reader.text((middle + 2, end))
            else:
                pair = reader.message("LabelPair", ((start, end),))
                name, value = pair.text(1), pair.text(2)
            if name in labels:
                reader.refuse(start, f"the label {name!r:.80} occurs twice")
            labels[name] = value
        return tuple(sorted(labels.items())) if len(labels) > 1 else tuple(labels.items())

    def _exemplar(self, message: Message, field: int) -> Exemplar | None:
        found = message.message(field)
        return None if found is None else self._read_exemplar(found)

    def _read_exemplar(self, found: Message) -> Exemplar:
        return Exemplar(dict(self._labels(found)), float(found.number(2)), _moment(found, 3))

    def _read_summary(self, summary: Message, labels: _Labels, moment: float | None) -> None:
        family = self._family
        for found in summary.messages(3):
            own = _with(labels, "quantile", _number(found.number(1)))
            family.samples.append(ParsedSample(family.name, own, float(found.number(2)), moment))
        name = family.name
        family.samples.append(ParsedSample(name + "_sum", labels, float(summary.number(2)), moment))
        count = float(summary.number(1))
        created = _moment(summary, 4)
        family.samples.append(ParsedSample(name + "_count", labels, count, moment, created=created))

    def _read_histogram(self, histogram: Message, labels: _Labels, moment: float | None) -> None:
        family = self._family
        name = family.name
        count = float(histogram.number(4) or histogram.number(1))
        native = self._native(histogram, count)
        buckets: list[tuple[float, ParsedSample]] = []
        for bucket in histogram.messages(3):
            bound = bucket.number(2)
            value = float(bucket.number(4) or bucket.number(1))
            own = _with(labels, "le", _number(bound))
            buckets.append((bound, ParsedSample(f"{name}_bucket", own, value, moment, self._exemplar(bucket, 3))))
        if (buckets or native is None) and (not buckets or buckets[-1][0] != math.inf):
            buckets.append((math.inf, ParsedSample(f"{name}_bucket", _with(labels, "le", "+Inf"), count, moment)))
        if self._strict:
            for low, high in pairwise(buckets):
                if not (low[0] < high[0] and low[1].value <= high[1].value):
                    self._reader.refuse(
                        histogram.start,
                        f"{family.type} {name!r:.80} has buckets {dict(labels)!r:.200}"
                        " whose bounds or counts do not rise",
                    )
        gauge = "g" if family.type == "gaugehistogram" else ""
        family.samples += [bucket for _, bucket in buckets]
        family.samples.append(ParsedSample(f"{name}_{gauge}sum", labels, float(histogram.number(2)), moment))
        exemplars = tuple(map(self._read_exemplar, histogram.messages(16)))
        family.samples.append(
            ParsedSample(f"{name}_{gauge}count", labels, count, moment, None, _moment(histogram, 15), native, exemplars)
        )

    def _native(self, histogram: Message, count: float) -> NativeHistogram | None:
        """Return the native buckets, which are there if one of these fields says so, as Prometheus reads them."""
        zero_count = histogram.number(8) or histogram.number(7)
        threshold = histogram.number(6)
        if not (histogram.parts.get(9) or histogram.parts.get(12) or threshold > 0 or zero_count > 0):
            return None
        schema = int(histogram.number(5))
        if not MIN_SCHEMA <= schema <= MAX_SCHEMA:
            self._reader.refuse(
                histogram.start, f"native buckets with the schema {schema}; expected {MIN_SCHEMA} to {MAX_SCHEMA}"
            )
        positive = self._native_buckets(histogram, 12)
        negative = self._native_buckets(histogram, 9)
        native = NativeHistogram(schema, float(threshold), zero_count, positive, negative)
        # Prometheus allows counts that are in no bucket only for a sum that is NaN, because NaN was observed.
        missing = count - native.total
        if missing > 0 and math.isnan(histogram.number(2)):
            return native._replace(nan_count=int(missing) if missing.is_integer() else missing)
        return native

    def _native_buckets(self, histogram: Message, field: int) -> dict[int, float]:
        spans = [(int(span.number(1)), int(span.number(2))) for span in histogram.messages(field)]
        deltas = histogram.numbers.get(field + 1, ())
        counts: Sequence[float] = histogram.numbers.get(field + 2) or list(accumulate(deltas))
        length = sum(length for _, length in spans)
        if length != len(counts):
            self._reader.refuse(
                histogram.start, f"native buckets with spans of {length} buckets, but {len(counts)} counts"
            )
        buckets: dict[int, float] = {}
        index = place = 0
        for offset, length in spans:
            index += offset
            for count in counts[place : place + length]:
                if not count >= 0:
                    self._reader.refuse(
                        histogram.start, f"a native bucket with the count {count}, which is less than zero"
                    )
                if count:
                    buckets[index] = count
                index += 1
            place += length
        return buckets


def _with(labels: _Labels, name: str, value: str) -> _Labels:
    return tuple(sorted((*labels, (name, value))))


def _number(value: float) -> str:
    """Return the text of a bound or quantile, as OpenMetrics has it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))


def _moment(message: Message, field: int) -> float | None:
    found = message.message(field)
    return None if found is None else found.signed64(1) + found.signed64(2) / 1e9
