"""The grammar of Prometheus's protobuf format: the fields of its messages as bytes, without a library.

The messages are those of the package ``io.prometheus.client``
(https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto), in the encoding of
https://protobuf.dev/programming-guides/encoding/. A field is a key, its number and type in one byte or two, and a
value; a message within another comes after its length. Every number is written, also zero, because a reader cannot
tell an absent number from one that is zero.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import floor, isnan
from sys import byteorder
from typing import Final

from pytheus.compilation import vec
from pytheus.native_buckets import NativeHistogram, spans_and_deltas

__all__ = [
    "COUNTER",
    "GAUGE",
    "HISTOGRAM",
    "NATIVE_KEYS",
    "SUMMARY",
    "UNTYPED",
    "KeptMessage",
    "KeptNumbers",
    "bucket_head",
    "bucket_tail",
    "counter_message",
    "double",
    "doubles",
    "exemplar_message",
    "family_head",
    "histogram_head",
    "histogram_message",
    "histogram_start",
    "label_pairs",
    "metric_message",
    "native_count",
    "native_fields",
    "nested",
    "number_message",
    "quantile_message",
    "signed",
    "summary_message",
    "text_field",
    "varint",
]

_SMALL_BELOW: Final = 1024
# Each is made when it is first needed.
_SMALL_VARINTS: Final[list[bytes]] = [b""] * _SMALL_BELOW

# The keys of the fields of ``Metric`` that hold its number.
GAUGE: Final = b"\x12"
COUNTER: Final = b"\x1a"
SUMMARY: Final = b"\x22"
UNTYPED: Final = b"\x2a"
HISTOGRAM: Final = b"\x3a"

NATIVE_KEYS: Final = (b"\x28", b"\x31", b"\x38", b"\x4a", b"\x52", b"\x62", b"\x6a")
"""The keys of the fields of ``Histogram`` with native buckets.

They are those of the schema, the zero threshold, the count of the zero bucket, and of the spans and deltas of the
negative buckets, then of the positive ones.
"""

# The numbers of ``MetricType``, by the type of a family. Infos and state sets are gauges, as in the text format.
_TYPES: Final[dict[str, int]] = {
    "counter": 0,
    "gauge": 1,
    "info": 1,
    "stateset": 1,
    "summary": 2,
    "unknown": 3,
    "histogram": 4,
    "gaugehistogram": 5,
}


class KeptNumbers:
    """The ``Metric`` messages of series of one number each, as a scrape wrote them last.

    `around` are the bytes before each number, with those after the one before, and the bytes after the last. Never
    changed, so that several scrapes may share it.
    """

    __slots__ = ("around", "messages", "numbers", "owners")

    def __init__(self, owners: list[object], numbers: list[float], around: list[bytes]) -> None:
        self.owners: list[object] = owners
        self.numbers: vec[float] = vec[float](numbers)
        self.around: list[bytes] = around
        packed = doubles(numbers)
        pieces = [b""] * (2 * len(numbers) + 1)
        pieces[::2] = around
        pieces[1::2] = [packed[place : place + 8] for place in range(0, len(packed), 8)]
        self.messages: bytes = b"".join(pieces)

    def belongs_to(self, owners: list[object]) -> bool:
        """Return whether these are the messages of the series `owners`."""
        own = self.owners
        if len(own) != len(owners):
            return False
        return all(own[index] is owner for index, owner in enumerate(owners))

    def with_numbers(self, numbers: list[float]) -> KeptNumbers:
        """Return the messages with other numbers."""
        return KeptNumbers(self.owners, numbers, self.around)


class KeptMessage:
    """The ``Metric`` message of one histogram or summary, as a scrape wrote it last, and the numbers in it.

    `number` is the sum, and `count` the number of observations. `place` is where the labels end. Never changed, so that
    several scrapes may share it.
    """

    __slots__ = ("count", "created", "message", "number", "place")

    def __init__(self, message: bytes, number: float, count: int, place: int, created: float) -> None:
        self.message: bytes = message
        self.number: float = number
        self.count: int = count
        self.place: int = place
        self.created: float = created

    @property
    def labels(self) -> bytes:
        """The labels, where `place` is their end."""
        message = self.message
        start = 2
        while message[start - 1] > 127:  # the length, of seven bits a byte
            start += 1
        return message[start : self.place]


def varint(number: int) -> bytes:
    """Return a whole number that is not negative, seven bits to a byte."""
    if number < _SMALL_BELOW:
        small = _SMALL_VARINTS[number]
        if small:
            return small
    pieces: list[int] = []
    rest = number
    while rest > 127:
        pieces.append(rest & 127 | 128)
        rest >>= 7
    pieces.append(rest)
    encoded = bytes(pieces)
    if number < _SMALL_BELOW:
        _SMALL_VARINTS[number] = encoded
    return encoded


def double(number: float) -> bytes:
    """Return the eight bytes of a double."""
    packed = array("d", (number,))  # and not struct, which would take a quarter of a millisecond of each import
    if byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def doubles(numbers: Sequence[float]) -> bytes:
    """Return the bytes of several doubles, without an object for each."""
    from struct import pack

    return pack(f"<{len(numbers)}d", *numbers)


def signed(number: int) -> bytes:
    """Return a whole number of either sign as ``sint32`` and ``sint64`` have it."""
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def nested(key: bytes, message: bytes) -> bytes:
    """Return the field of a message within another: key, length and message."""
    return b"".join((key, varint(len(message)), message))


def text_field(key: bytes, text: str) -> bytes:
    """Return the field of a text."""
    return nested(key, text.encode())


def _timestamp(key: bytes, seconds: float) -> bytes:
    """Return the field of a ``google.protobuf.Timestamp``."""
    whole = floor(seconds)
    nanos = int((seconds - whole) * 1e9)
    # A negative int64 takes ten bytes.
    return nested(key, b"".join((b"\x08", varint(whole & 0xFFFFFFFFFFFFFFFF), b"\x10", varint(nanos))))


def family_head(name: str, type_: str, description: str, unit: str) -> bytes:
    """Return the fields of a ``MetricFamily`` besides its metrics."""
    shown = name.encode()
    text = description.encode()
    type_number = varint(_TYPES[type_])
    head = b"".join((b"\x0a", varint(len(shown)), shown, b"\x12", varint(len(text)), text, b"\x18", type_number))
    return head + text_field(b"\x2a", unit) if unit else head


def label_pairs(labels: Iterable[tuple[str, str]]) -> bytes:
    """Return the fields of a ``Metric`` that hold its labels."""
    pieces: list[bytes] = []
    for name, value in labels:
        pieces.append(nested(b"\x0a", text_field(b"\x0a", name) + text_field(b"\x12", value)))
    return b"".join(pieces)


def exemplar_message(labels: Mapping[str, str], value: float, timestamp: float | None) -> bytes:
    """Return an ``Exemplar``."""
    message = label_pairs(labels.items()) + b"\x11" + double(value)
    return message if timestamp is None else message + _timestamp(b"\x1a", timestamp)


def metric_message(labels: bytes, key: bytes, number: bytes, timestamp: float | None = None) -> bytes:
    """Return the field of a ``MetricFamily`` with one metric.

    `labels` are as from `label_pairs`, and `number` is the message of the field `key`. The `timestamp` is in seconds.
    """
    if timestamp is None:
        time = b""
    else:
        time = b"\x30" + varint(round(timestamp * 1000) & 0xFFFFFFFFFFFFFFFF)
    size = varint(len(number))
    return b"".join(
        (b"\x22", varint(len(labels) + len(key) + len(size) + len(number) + len(time)), labels, key, size, number, time)
    )


def number_message(value: float) -> bytes:
    """Return a ``Gauge``, an ``Untyped``, or a ``Counter`` of a number alone."""
    return b"\x09" + double(value)


def counter_message(value: float, exemplar: bytes, created: float | None) -> bytes:
    """Return a ``Counter``; `exemplar` is a message, or empty."""
    pieces = [b"\x09", double(value)]
    if exemplar:
        pieces.append(nested(b"\x12", exemplar))
    if created is not None:
        pieces.append(_timestamp(b"\x1a", created))
    return b"".join(pieces)


def quantile_message(quantile: float, value: float) -> bytes:
    """Return the field of a ``Summary`` with one quantile."""
    return b"".join((b"\x1a\x12\x09", double(quantile), b"\x11", double(value)))


def summary_message(count: int, total: float, quantiles: bytes, created: float | None) -> bytes:
    """Return a ``Summary``; `quantiles` are fields as from `quantile_message`."""
    pieces = [b"\x08", varint(count), b"\x11", double(total), quantiles]
    if created is not None:
        pieces.append(_timestamp(b"\x22", created))
    return b"".join(pieces)


_SMALL_HEADS: Final[list[bytes]] = [b""] * _SMALL_BELOW


def bucket_head(count: int) -> bytes:
    """Return the beginning of the field of a ``Histogram`` with one bucket without exemplar: key, length and count."""
    if count < _SMALL_BELOW:
        head = _SMALL_HEADS[count]
        if head:
            return head
    number = varint(count)
    head = b"\x1a" + bytes([len(number) + 10]) + b"\x08" + number
    if count < _SMALL_BELOW:
        _SMALL_HEADS[count] = head
    return head


def bucket_tail(bound: float) -> bytes:
    """Return the rest of a bucket after `bucket_head`."""
    return b"\x11" + double(bound)


def histogram_head(count: int, total: float) -> list[bytes]:
    """Return the fields of a ``Histogram`` with the number of observations and their sum."""
    return [b"\x08", varint(count), b"\x11", double(total)]


def histogram_start(created: float) -> bytes:
    """Return the field of a ``Histogram`` with its start time, in seconds."""
    return _timestamp(b"\x7a", created)


def histogram_message(
    count: int,
    total: float,
    buckets: Sequence[tuple[float, int, bytes]],
    created: float | None,
    native: NativeHistogram | None = None,
    exemplars: Iterable[bytes] = (),
) -> bytes:
    """Return a ``Histogram``.

    `buckets` have a bound, a cumulative count and the message of an exemplar, or an empty one. `exemplars` are the
    messages of those of the native buckets. Beside native buckets, the count is the sum of these, whatever `count` is,
    because Prometheus rejects the whole scrape otherwise; those of the classic buckets are at most that.
    """
    if native is not None:
        count = native_count(native, total)
    pieces = histogram_head(count, total)
    for bound, below, exemplar in buckets:
        head = bucket_head(min(below, count))
        if exemplar:
            bucket = head[2:] + bucket_tail(bound) + nested(b"\x1a", exemplar)
            pieces.append(nested(b"\x1a", bucket))
        else:
            pieces.append(head)
            pieces.append(bucket_tail(bound))
    if native is not None:
        pieces.append(native_fields(native))
    if created is not None:
        pieces.append(histogram_start(created))
    for exemplar in exemplars:
        pieces.append(nested(b"\x82\x01", exemplar))
    return b"".join(pieces)


def native_count(native: NativeHistogram, total: float) -> int:
    """Return the number of observations beside the sum `total`, as Prometheus wants it to match the buckets.

    With a sum that is NaN, it includes the values that are in no bucket:
    https://github.com/prometheus/prometheus/blob/main/model/histogram/histogram.go, Validate.
    """
    return int(native.total if isnan(total) else native.total - native.nan_count)


def native_fields(native: NativeHistogram, keys: Sequence[bytes] = NATIVE_KEYS) -> bytes:
    """Return the fields of native buckets by their `keys`, in the order of `NATIVE_KEYS`."""
    schema, threshold, zeros, negative_span, negative_delta, positive_span, positive_delta = keys
    zero_count = int(native.zero_count)
    pieces = [schema, signed(native.schema), threshold, double(native.zero_threshold), zeros, varint(zero_count)]
    has_spans = False
    for span_key, delta_key, buckets in (
        (negative_span, negative_delta, native.negative),
        (positive_span, positive_delta, native.positive),
    ):
        spans, deltas = spans_and_deltas({index: count for index, count in buckets.items() if count})
        for offset, length in spans:
            has_spans = True
            pieces.append(nested(span_key, b"".join((b"\x08", signed(offset), b"\x10", varint(length)))))
        if deltas:
            pieces.append(nested(delta_key, b"".join([signed(delta) for delta in deltas])))
    if not has_spans and not zero_count and not native.zero_threshold:
        # A span of no buckets, without which a reader takes the histogram for one without native buckets.
        pieces.append(positive_span + b"\x04\x08\x00\x10\x00")
    return b"".join(pieces)
