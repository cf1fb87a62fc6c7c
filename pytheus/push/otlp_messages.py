"""The message of OTLP's export of metrics, without a library.

Rules:

- A metric is named as its family in the text format, so that a series has the same name however it is sent. All are
  cumulative.
- Counters are monotonic sums; gauges, infos, state sets and families of the type unknown are gauges; histograms are
  such with explicit bounds, or exponential ones if they have native buckets; summaries are summaries. OTLP has no
  histogram whose counts may fall, so a gauge histogram is a gauge for each of its series in the text format.
- Exponential histograms have a bucket for each index between the first and the last one, so wide ones get wider
  buckets. None is for infinite values: they are in the count alone, and the sum is NaN.
- Times are in nanoseconds from 1970 to 2554; others become the nearest of them.
- Series whose samples have times of their own are in requests of their own, because Prometheus refuses a request for
  one sample that is too old.
- A unit is one of UCUM where there is one.
- The labels ``trace_id`` and ``span_id`` of an exemplar are its trace and span if they are ids of OpenTelemetry.

https://opentelemetry.io/docs/specs/otlp/ and
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import inf, nan
from struct import pack
from typing import Final, NamedTuple, TypeAlias

from pytheus.native_bounds import MAX_SCHEMA, bucket_index
from pytheus.native_buckets import NativeHistogram, with_schema
from pytheus.protobufformat import double, doubles, nested, signed, text_field, varint
from pytheus.push.readings import Labels, Shape
from pytheus.push.snapshot import Block, Measurement, Snapshot
from pytheus.push.templates import Output, Packed, Piece, Template, cumulative, size_of
from pytheus.samples import Exemplar
from pytheus.textformat import format_bound
from pytheus.version import __version__

__all__ = ["AttributeValue", "OtlpEncoder", "OtlpRequest"]

AttributeValue: TypeAlias = str | bool | int | float
"""The value of an attribute of a resource."""

# The keys of the fields of ``Metric`` with its data, and what follows the data points.
_GAUGE: Final = (b"\x2a", b"")
_SUM: Final = (b"\x3a", b"\x10\x02\x18\x01")  # cumulative and monotonic
_HISTOGRAM: Final = (b"\x4a", b"\x10\x02")
_EXPONENTIAL: Final = (b"\x52", b"\x10\x02")
_SUMMARY: Final = (b"\x5a", b"")

_ATTRIBUTE_OF_HISTOGRAM: Final = b"\x4a"
_ATTRIBUTE_OF_EXPONENTIAL: Final = b"\x0a"
_ATTRIBUTE: Final = b"\x3a"

# https://ucum.org/ucum
_UNITS: Final[dict[str, str]] = {
    "seconds": "s",
    "milliseconds": "ms",
    "bytes": "By",
    "meters": "m",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "watts": "W",
    "grams": "g",
    "celsius": "Cel",
    "hertz": "Hz",
    "ratio": "1",
    "percent": "%",
}

_SERIES_PER_REQUEST: Final = 10_000
_BYTES_PER_REQUEST: Final = 4 * 1024 * 1024
_LATEST_NANOSECONDS: Final = 0xFFFFFFFFFFFFFFFF
_BUCKETS_AT_MOST: Final = 320
"""Those of one sign, twice as many as OpenTelemetry's libraries have."""

_SMALLEST: Final = 5e-324
_LARGEST: Final = 1.7976931348623157e308


class OtlpRequest(NamedTuple):
    """The message of a request, and the number of data points in it.

    `numbers` are those that it has of the snapshot, of `blocks` blocks.
    """

    message: bytes | memoryview
    points: int
    numbers: int
    blocks: int


class _Part:
    """The measurements of one request."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.points = self.numbers = self.blocks = self.size = 0


class OtlpEncoder:
    """Encodes snapshots; `resource` has the attributes of the program.

    One thread at a time may use it.

        >>> from pytheus import Gauge
        >>> from pytheus.push.snapshot import SnapshotReader
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> Gauge("jobs", "Jobs.", registry=registry).set(3)
        >>> [request] = OtlpEncoder({"service.name": "shop"}).encode(SnapshotReader(registry).read())
        >>> request.points, b"shop" in bytes(request.message)
        (1, True)
    """

    def __init__(self, resource: Mapping[str, AttributeValue]) -> None:
        attributes = b"".join([nested(b"\x0a", _attribute(name, value)) for name, value in resource.items()])
        self._resource: Final = nested(b"\x0a", attributes)
        self._scope: Final = nested(b"\x0a", text_field(b"\x0a", "pytheus") + text_field(b"\x12", __version__))
        self._templates: dict[Block, Template | None] = {}
        self._outputs: list[Output] = []
        self._points_per_request = _SERIES_PER_REQUEST

    def encode(self, snapshot: Snapshot) -> list[OtlpRequest]:
        """Return the requests of `snapshot`, which are valid until the next one is encoded."""
        nanoseconds = _nanoseconds(snapshot.time)
        parts: list[_Part] = []
        latest: dict[bool, _Part] = {}
        templates: dict[Block, Template | None] = {}
        for measurement in snapshot.measurements:
            block = measurement.block
            count = len(block.series)
            if block in self._templates:
                templates[block] = self._templates[block]
            else:
                templates[block] = _template(block)
            pieces = _metrics(measurement, templates[block], nanoseconds)
            size = size_of(pieces)
            has_times = block.shape.has_times
            part = latest.get(has_times)
            if part is None or (
                part.points + count > self._points_per_request or part.size + size > _BYTES_PER_REQUEST
            ):
                part = latest[has_times] = _Part()
                parts.append(part)
            part.pieces += pieces
            part.size += size
            part.points += count
            part.numbers += measurement.samples
            part.blocks += 1
        self._templates = templates
        while len(self._outputs) < len(parts):
            self._outputs.append(Output())
        return [
            OtlpRequest(self._request(part.pieces, output), part.points, part.numbers, part.blocks)
            for part, output in zip(parts, self._outputs, strict=False)
            if part.points
        ]

    def split(self, request: OtlpRequest) -> bool:
        """Make requests at most half as large as `request` from now on; return whether that is possible."""
        if request.blocks < 2:
            return False
        self._points_per_request = request.points // 2
        return True

    def _request(self, metrics: Sequence[Piece], output: Output) -> memoryview:
        size = len(self._scope) + size_of(metrics)
        scoped = b"\x12" + varint(size)
        whole = b"\x0a" + varint(len(self._resource) + len(scoped) + size)
        return output.join([b"".join((whole, self._resource, scoped, self._scope)), *metrics])


def _metrics(measurement: Measurement, template: Template | None, nanoseconds: int) -> list[Piece]:
    block = measurement.block
    shape = block.shape
    if shape.type == "gaugehistogram":
        return _gauges_of_histogram(measurement, nanoseconds)
    if measurement.natives:
        return _metric(shape, shape.name, _EXPONENTIAL, _exponential_points(measurement, nanoseconds))
    if template is None or measurement.exemplars or measurement.times:
        return _metric(shape, shape.name, _data(shape), _points_apart(measurement, nanoseconds))
    columns = _columns(shape, measurement.numbers)
    columns[0] = [nanoseconds] * len(block.series)
    return _metric(shape, shape.name, _data(shape), [Packed(template, columns)])


def _data(shape: Shape) -> tuple[bytes, bytes]:
    if shape.type == "counter":
        return _SUM
    if shape.type == "summary":
        return _SUMMARY
    return _HISTOGRAM if shape.is_histogram else _GAUGE


def _metric(shape: Shape, name: str, data: tuple[bytes, bytes], points: Sequence[Piece]) -> list[Piece]:
    key, more = data
    size = size_of(points) + len(more)
    head = text_field(b"\x0a", name) + text_field(b"\x12", shape.description)
    if shape.unit:
        head += text_field(b"\x1a", _UNITS.get(shape.unit, shape.unit))
    head += key + varint(size)
    return [b"\x12" + varint(len(head) + size) + head, *points, more]


# Data points ----------------------------------------------------------------------------------------------------------
#
# The fields after the head are the time and the numbers; `_form` has their formats, and the keys between them.


def _form(shape: Shape) -> tuple[list[str], list[bytes | None]]:
    form = ["Q", "1s"]
    constants: list[bytes | None] = [None, b"\x21"]
    if not shape.is_histogram and shape.type != "summary":
        return [*form, "d"], [*constants, None]
    form += ["Q", "1s", "d"]
    constants += [None, b"\x29", None]
    if shape.type == "summary":
        for quantile in shape.quantiles:
            form += ["12s", "d"]
            constants += [b"\x32\x12\x09" + double(quantile) + b"\x11", None]
        return form, constants
    counts = 1 + len(shape.bounds)
    key = b"\x32" + varint(8 * counts)
    tail = nested(b"\x3a", doubles(shape.bounds)) if shape.bounds else b""
    form += [f"{len(key)}s", *["Q"] * counts, f"{len(tail)}s"]
    constants += [key, *[None] * counts, tail]
    return form, constants


def _columns(shape: Shape, numbers: array[float]) -> dict[int, Iterable[object]]:
    """Return the values of the fields that are not constant, by their places in `_form`; the time is at 0."""
    if not shape.is_histogram and shape.type != "summary":
        return {2: numbers}
    width = shape.width
    columns: dict[int, Iterable[object]] = {4: numbers[0::width]}
    if shape.type == "summary":
        columns[2] = map(int, numbers[1::width])
        for place in range(2, width):
            columns[2 + 2 * place] = numbers[place::width]
        return columns
    columns[2] = map(int, cumulative(numbers, width)[1])
    for place in range(1, width):
        columns[5 + place] = map(int, numbers[place::width])
    return columns


def _head(shape: Shape, labels: Labels, start: float) -> bytes:
    """Return the first fields of a data point, up to the key of its time."""
    key = _ATTRIBUTE_OF_HISTOGRAM if shape.is_histogram else _ATTRIBUTE
    began = _start(start) if shape.type != "gauge" else b""
    return b"".join([_attributes(key, labels), began, b"\x19"])


def _template(block: Block) -> Template | None:
    shape = block.shape
    if shape.is_native or shape.type == "gaugehistogram":
        return None
    form, constants = _form(shape)
    rest = Template([b""], form, constants).size
    heads: list[bytes] = []
    for labels, start in zip(block.series, block.starts, strict=True):
        head = _head(shape, labels, start)
        heads.append(b"\x0a" + varint(len(head) + rest) + head)
    return Template(heads, form, constants)


def _points_apart(measurement: Measurement, nanoseconds: int) -> list[Piece]:
    """Return the data points one by one, because their times differ or some have exemplars."""
    block = measurement.block
    shape = block.shape
    width = shape.width
    rest = Template([b""], *_form(shape))
    exemplars: dict[int, list[bytes]] = {}
    key = b"\x42" if shape.is_histogram else b"\x2a"
    for place, _, exemplar in measurement.exemplars:
        exemplars.setdefault(place, []).append(nested(key, _exemplar(exemplar, nanoseconds)))
    points: list[Piece] = []
    for place, (labels, start) in enumerate(zip(block.series, block.starts, strict=True)):
        columns = _columns(shape, measurement.numbers[place * width : (place + 1) * width])
        columns[0] = [_time(measurement, place, nanoseconds)]
        parts = [_head(shape, labels, start), rest.pack(columns), *exemplars.get(place, ())]
        points.append(nested(b"\x0a", b"".join(parts)))
    return points


def _exponential_points(measurement: Measurement, nanoseconds: int) -> list[Piece]:
    block = measurement.block
    width = block.shape.width
    exemplars: dict[int, list[bytes]] = {}
    for place, slot, exemplar in measurement.exemplars:
        if slot < 0:  # those of classic buckets are among them
            exemplars.setdefault(place, []).append(nested(b"\x5a", _exemplar(exemplar, nanoseconds)))
    points: list[Piece] = []
    for place, native in enumerate(measurement.natives):
        if native is None:
            continue
        count = int(native.total)
        native = _limited(native)
        # With another sum, Prometheus refuses a count above that of all buckets:
        # https://github.com/prometheus/prometheus/blob/main/model/histogram/histogram.go, Validate.
        total = measurement.numbers[place * width] if int(native.total) == count else nan
        pieces = [_attributes(_ATTRIBUTE_OF_EXPONENTIAL, block.series[place]), _start(block.starts[place])]
        pieces.append(b"\x19" + pack("<QBQ", _time(measurement, place, nanoseconds), 0x21, count))
        # Scales and schemas are the same, but a bucket of OTLP has the index of its lower bound.
        pieces += [b"\x29", double(total), b"\x30", signed(native.schema)]
        pieces.append(b"\x39" + pack("<Q", int(native.zero_count)))
        for key, buckets in (b"\x42", native.positive), (b"\x4a", native.negative):
            if buckets:
                first = min(buckets)
                counts = [varint(int(buckets.get(index, 0))) for index in range(first, max(buckets) + 1)]
                pieces.append(nested(key, b"\x08" + signed(first - 1) + nested(b"\x12", b"".join(counts))))
        pieces += exemplars.get(place, ())
        pieces.append(b"\x71" + double(native.zero_threshold))
        points.append(nested(b"\x0a", b"".join(pieces)))
    return points


def _limited(native: NativeHistogram) -> NativeHistogram:
    """Return `native` with the finite buckets that have observations, as wide as the limit of their number needs."""
    native = with_schema(native, MAX_SCHEMA)  # of which a custom collector may know others
    lowest, highest = bucket_index(_SMALLEST, native.schema), bucket_index(_LARGEST, native.schema)
    positive, negative = (
        {index: count for index, count in buckets.items() if count and lowest <= index <= highest}
        for buckets in (native.positive, native.negative)
    )
    limited = native._replace(positive=positive, negative=negative)
    while max(map(_width, (limited.positive, limited.negative))) > _BUCKETS_AT_MOST:
        limited = with_schema(limited, limited.schema - 1)
    return limited


def _width(buckets: Mapping[int, float]) -> int:
    return max(buckets) - min(buckets) + 1 if buckets else 0


def _gauges_of_histogram(measurement: Measurement, nanoseconds: int) -> list[Piece]:
    block = measurement.block
    shape = block.shape
    below, counts = cumulative(measurement.numbers, shape.width)
    families: dict[str, list[Piece]] = {"_bucket": [], "_gsum": [], "_gcount": []}
    for place, labels in enumerate(block.series):
        time = _time(measurement, place, nanoseconds)
        numbers = below[place * shape.width : (place + 1) * shape.width]
        series = [("_gsum", labels, numbers[0]), ("_gcount", labels, counts[place])]
        for bound, number in zip((*shape.bounds, inf), numbers[1:], strict=True):
            series.append(("_bucket", (*labels, ("le", format_bound(bound))), number))
        for suffix, shown, number in series:
            point = _attributes(_ATTRIBUTE, shown) + b"\x19" + pack("<Q", time) + b"\x21" + double(number)
            families[suffix].append(nested(b"\x0a", point))
    pieces: list[Piece] = []
    for suffix, points in families.items():
        pieces += _metric(shape, shape.name + suffix, _GAUGE, points)
    return pieces


def _time(measurement: Measurement, place: int, nanoseconds: int) -> int:
    return _nanoseconds(measurement.times[place]) if measurement.times else nanoseconds


def _nanoseconds(seconds: float) -> int:
    return min(max(0, round(seconds * 1e9)), _LATEST_NANOSECONDS)


def _start(seconds: float) -> bytes:
    """Return the field of a start time, b"" if it is not known."""
    return b"\x11" + pack("<Q", _nanoseconds(seconds)) if seconds else b""


def _attributes(key: bytes, labels: Labels) -> bytes:
    return b"".join([nested(key, _attribute(name, value)) for name, value in labels])


def _attribute(name: str, value: AttributeValue) -> bytes:
    """Return a ``KeyValue``."""
    if isinstance(value, bool):
        shown = b"\x10\x01" if value else b"\x10\x00"
    elif isinstance(value, int):
        shown = b"\x18" + varint(value & 0xFFFFFFFFFFFFFFFF)
    else:
        shown = b"\x21" + double(value) if isinstance(value, float) else text_field(b"\x0a", value)
    return text_field(b"\x0a", name) + nested(b"\x12", shown)


def _exemplar(exemplar: Exemplar, nanoseconds: int) -> bytes:
    time = nanoseconds if exemplar.timestamp is None else _nanoseconds(exemplar.timestamp)
    pieces = [b"\x11" + pack("<Q", time), b"\x19" + double(exemplar.value)]
    others: list[tuple[str, str]] = []
    for name, value in exemplar.labels.items():
        if name == "span_id" and (identity := _id_bytes(value, 8)):
            pieces.append(nested(b"\x22", identity))
        elif name == "trace_id" and (identity := _id_bytes(value, 16)):
            pieces.append(nested(b"\x2a", identity))
        else:
            others.append((name, value))
    return b"".join([*pieces, _attributes(_ATTRIBUTE, tuple(others))])


def _id_bytes(text: str, length: int) -> bytes:
    """Return the bytes of an id in hexadecimal digits, or b"" if it is another text."""
    if len(text) != 2 * length:
        return b""
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        return b""
    return identity if len(identity) == length and any(identity) else b""
