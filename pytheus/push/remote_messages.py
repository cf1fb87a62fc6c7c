"""The messages of remote write 1.0 and 2.0, without a library.

Rules:

- A series is a name with labels, sorted, and one number; a histogram is several series, as in the text format. Native
  buckets are one more, named as the family.
- Series of one snapshot are in requests of limited size. Each series stays in its request, so that its bytes, which in
  2.0 refer to the texts of that request, can be kept.
- Series whose samples have times of their own are in requests of their own, because Prometheus refuses a request for
  one sample that is too old, or older than the last one of its series.
- Whatever does not come with every snapshot, such as an exemplar, is in messages of its own with the same labels.

https://prometheus.io/docs/specs/prw/remote_write_spec/ and https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/;
https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from pytheus.native_buckets import NativeHistogram
from pytheus.protobufformat import double, label_pairs, native_count, native_fields, nested, text_field, varint
from pytheus.push.readings import Labels, Shape
from pytheus.push.snapshot import Block, Measurement, Snapshot, TextSeries, text_series
from pytheus.push.templates import Output, Packed, Piece, Template, cumulative
from pytheus.samples import Exemplar

__all__ = ["RemoteRequest", "RemoteWriteEncoder", "RemoteWriteVersion"]

RemoteWriteVersion: TypeAlias = Literal["1.0", "2.0"]

# The numbers of the types, the same in both versions.
_TYPES: Final[dict[str, int]] = {
    "unknown": 0,
    "counter": 1,
    "gauge": 2,
    "histogram": 3,
    "gaugehistogram": 4,
    "summary": 5,
    "info": 6,
    "stateset": 7,
}

_STALE: Final = (0x7FF0000000000002).to_bytes(8, "little")
"""The number that ends a series. As a float of Python it might become another NaN."""

_NATIVE_KEYS: Final = (b"\x20", b"\x29", b"\x30", b"\x42", b"\x4a", b"\x5a", b"\x62")
_NO_BUCKETS: Final = NativeHistogram(0, 0.0, 0, {}, {})
# A varint of six bytes, as the times from 2 November 1971 to May 2109 have.
_SIX_BYTES_FROM: Final = 1 << 35
_SIX_BYTES_BELOW: Final = 1 << 42
_SERIES_PER_REQUEST: Final = 10_000
_NATIVE_SLOT: Final = -1


class RemoteRequest(NamedTuple):
    """The message of a request, not compressed, and the number of samples, histograms and exemplars in it.

    `numbers` are those that it has of the snapshot, of `blocks` blocks, and `points` are at most its series. A message
    of an encoder is valid until it encodes the next snapshot.
    """

    message: bytes | memoryview
    samples: int
    histograms: int
    exemplars: int
    numbers: int
    blocks: int
    points: int


class _Symbols:
    """The texts of a request of 2.0, each with its place; the first ones are in `base`."""

    def __init__(self, base: _Symbols | None = None) -> None:
        self._base: Final = base
        self._first: Final = 0 if base is None else base.count
        self._places: Final[dict[str, int]] = {}
        self._pieces: Final[list[bytes]] = []
        if base is None:
            self.refer("")

    @property
    def count(self) -> int:
        return self._first + len(self._places)

    def refer(self, text: str) -> int:
        """Return the place of `text`, which is added if it is new."""
        place = self._places.get(text)
        if place is None and self._base is not None:
            place = self._base._places.get(text)
        if place is None:
            place = self._places[text] = self.count
            self._pieces.append(text_field(b"\x22", text))
        return place

    def message(self) -> bytes:
        if len(self._pieces) > 1:
            self._pieces[:] = [b"".join(self._pieces)]
        return b"".join(self._pieces)


class _Group:
    """The blocks of one request, and their templates."""

    def __init__(self, has_times: bool = False) -> None:
        self.has_times: Final = has_times
        self.symbols = _Symbols()
        self.output = Output()
        self.templates: dict[Block, Template | None] = {}
        self.points = 0
        self.made = 0


class RemoteWriteEncoder:
    """Encodes snapshots in one version of the protocol; `labels` are added to each series that lacks them.

    One thread at a time may use it.

        >>> from pytheus import Gauge
        >>> from pytheus.push.snapshot import SnapshotReader
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> Gauge("jobs", "Jobs.", registry=registry).set(3)
        >>> [request] = RemoteWriteEncoder("1.0", {"job": "shop"}).encode(SnapshotReader(registry).read())
        >>> request.samples, b"shop" in bytes(request.message)
        (1, True)
    """

    def __init__(self, version: RemoteWriteVersion, labels: Mapping[str, str] | None = None) -> None:
        self._is_2: Final = version == "2.0"
        self._labels: Final = {} if labels is None else {name: value for name, value in labels.items() if value}
        self.natives = True
        """Whether native buckets are encoded."""
        self.points_per_request: int = _SERIES_PER_REQUEST
        self._groups: list[_Group] = []
        # The keys of a series in a request, and of a native histogram in a series.
        self._key: Final = b"\x2a" if self._is_2 else b"\x0a"
        self._histogram_key: Final = b"\x1a" if self._is_2 else b"\x22"
        self._exemplar_key: Final = b"\x22" if self._is_2 else b"\x1a"

    def encode(self, snapshot: Snapshot, *, metadata: bool = False) -> list[RemoteRequest]:
        """Return the requests of `snapshot`, which may be sent in any order.

        With `metadata`, those of 1.0 have the type and description of each family; those of 2.0 always do.
        """
        milliseconds = round(snapshot.time * 1000)
        requests = [
            self._request(group, measurements, milliseconds, metadata)
            for group, measurements in self._assigned(snapshot.measurements)
        ]
        ended = sorted(snapshot.ended, key=lambda each: each[0].shape.has_times)
        group, begin = _Group(), 0
        for place, (block, _) in enumerate(ended):
            is_full = group.points + _points(block) > self.points_per_request
            if begin < place and (is_full or block.shape.has_times != ended[begin][0].shape.has_times):
                requests.append(self._end_request(group, ended[begin:place], snapshot.continued, milliseconds))
                group, begin = _Group(), place
            group.points += _points(block)
        if begin < len(ended):
            requests.append(self._end_request(group, ended[begin:], snapshot.continued, milliseconds))
        return requests

    def split(self, request: RemoteRequest) -> bool:
        """Make requests at most half as large as `request` from now on; return whether that is possible."""
        if request.blocks < 2:
            return False
        self.points_per_request = request.points // 2
        self._groups = []
        return True

    def _assigned(self, measurements: Sequence[Measurement]) -> list[tuple[_Group, list[Measurement]]]:
        """Return the measurements of each request, each block in the request that has it already."""
        blocks = {measurement.block for measurement in measurements}
        place_of: dict[Block, _Group] = {}
        groups: list[_Group] = []
        for group in self._groups:
            kept = {block: template for block, template in group.templates.items() if block in blocks}
            if not kept or group.made > 4 * len(kept) + 16:  # or most of its texts belong to blocks that are gone
                continue
            group.templates = kept
            group.points = sum([_points(block) for block in kept])
            place_of.update(dict.fromkeys(kept, group))
            groups.append(group)
        latest = {group.has_times: group for group in groups}
        assigned: dict[int, list[Measurement]] = {}
        for measurement in measurements:
            block = measurement.block
            found = place_of.get(block)
            if found is None:
                has_times = block.shape.has_times
                found = latest.get(has_times)
                if found is None or found.points + _points(block) > self.points_per_request:
                    found = latest[has_times] = _Group(has_times)
                    groups.append(found)
                found.points += _points(block)
                found.templates[block] = self._template(block, found.symbols)
                found.made += 1
            assigned.setdefault(id(found), []).append(measurement)
        self._groups = groups
        return [(group, assigned[id(group)]) for group in groups]

    def _request(
        self,
        group: _Group,
        measurements: Sequence[Measurement],
        milliseconds: int,
        metadata: bool,
    ) -> RemoteRequest:
        samples = histograms = exemplars = 0
        packed: list[Piece] = []
        others: list[bytes] = []
        symbols = _Symbols(group.symbols)
        time = varint(milliseconds & 0xFFFFFFFFFFFFFFFF)
        end = int.from_bytes(b"\x10" + time + self._key, "little")
        fits = _SIX_BYTES_FROM <= milliseconds < _SIX_BYTES_BELOW
        for measurement in measurements:
            block = measurement.block
            template = group.templates[block]
            if template is not None:
                numbers = _numbers_of_points(measurement)
                samples += len(numbers)
                if fits and not measurement.times:
                    packed.append(Packed(template, {0: numbers, 1: [end] * len(numbers)}))
                else:
                    others += self._apart(measurement, numbers, milliseconds, symbols)
            if measurement.natives and self.natives:
                found = self._natives(measurement, milliseconds, symbols)
                histograms += len(found)
                others += found
            for place, slot, exemplar in measurement.exemplars:
                if not self.natives and (template is None or slot == _NATIVE_SLOT):
                    continue
                exemplars += 1
                others.append(self._exemplar(block, place, slot, exemplar, milliseconds, symbols))
        pieces: list[Piece] = []
        if self._is_2:
            pieces += (group.symbols.message(), symbols.message())
        if metadata and not self._is_2:
            pieces += dict.fromkeys([_metadata_1(measurement.block.shape) for measurement in measurements])
        # The numbers come first, because Prometheus ignores an exemplar of a series that it does not know yet. Each
        # packed series ends with the key of the next one.
        if packed:
            pieces += (self._key, *packed)
        for place, other in enumerate(others):
            pieces.append(nested(b"" if packed and place == 0 else self._key, other))
        message = group.output.join(pieces, len(self._key) if packed and not others else 0)
        whole = sum([measurement.samples for measurement in measurements])
        return RemoteRequest(message, samples, histograms, exemplars, whole, len(measurements), group.points)

    def _end_request(
        self,
        group: _Group,
        ended: Sequence[tuple[Block, list[int]]],
        continued: frozenset[TextSeries],
        milliseconds: int,
    ) -> RemoteRequest:
        """Return the request that ends all series of `ended` but those of `continued`."""
        symbols = group.symbols
        time = varint(milliseconds & 0xFFFFFFFFFFFFFFFF)
        floats: list[bytes] = []
        natives: list[bytes] = []
        for block, places in ended:
            shape = block.shape
            for place in places:
                labels = block.series[place]
                for name, shown in shape.text_series(labels):
                    if not continued or text_series(name, shown) not in continued:
                        floats.append(self._series(self._head(block, name, shown, symbols), b"", _STALE, time))
                if shape.is_native and self.natives and text_series(shape.stem, labels) not in continued:
                    body = _native_message(_NO_BUCKETS, _STALE, 0, milliseconds, b"")
                    head = self._head(block, shape.stem, labels, symbols)
                    natives.append(head + nested(self._histogram_key, body))
        pieces: list[Piece] = [symbols.message()] if self._is_2 else []
        pieces += [nested(self._key, series) for series in (*floats, *natives)]
        message = group.output.join(pieces)
        return RemoteRequest(message, len(floats), len(natives), 0, 0, len(ended), group.points)

    # Series -----------------------------------------------------------------------------------------------------------

    def _template(self, block: Block, symbols: _Symbols) -> Template | None:
        if block.shape.is_native and not block.shape.bounds:
            return None
        heads: list[bytes] = []
        for labels, start in zip(block.series, block.starts, strict=True):
            began = self._start(block.shape, start)
            sample = b"\x12" + varint(16 + len(began)) + began + b"\x09"
            for name, shown in block.shape.text_series(labels):
                head = self._head(block, name, shown, symbols)
                heads.append(varint(len(head) + len(sample) + 15) + head + sample)
        # The second number is the rest of the sample and the key of the next series, which have eight bytes together.
        return Template(heads, ["d", "Q"], [None, None])

    def _head(self, block: Block, name: str, labels: Labels, symbols: _Symbols) -> bytes:
        """Return the fields of a series besides its samples."""
        merged = {"__name__": name, **self._labels, **{label: value for label, value in labels if value}}
        pairs = sorted(merged.items())
        if not self._is_2:
            return label_pairs(pairs)
        shape = block.shape
        references = b"".join([varint(symbols.refer(text)) for pair in pairs for text in pair])
        metadata = b"\x08" + varint(_TYPES[shape.type]) + b"\x18" + varint(symbols.refer(shape.description))
        if shape.unit:
            metadata += b"\x20" + varint(symbols.refer(shape.unit))
        return nested(b"\x0a", references) + nested(b"\x2a", metadata)

    def _start(self, shape: Shape, start: float) -> bytes:
        """Return the field of a sample with the start time of its series, which 1.0 has not."""
        if not self._is_2 or not start or shape.type not in ("counter", "histogram", "summary"):
            return b""
        return b"\x18" + varint(round(start * 1000) & 0xFFFFFFFFFFFFFFFF)

    def _series(self, head: bytes, start: bytes, number: bytes, time: bytes) -> bytes:
        return head + nested(b"\x12", b"".join((start, b"\x09", number, b"\x10", time)))

    def _apart(
        self, measurement: Measurement, numbers: Sequence[float], milliseconds: int, symbols: _Symbols
    ) -> list[bytes]:
        """Return the series of a measurement one by one, because their times differ or have another length."""
        block = measurement.block
        given = iter(numbers)
        found: list[bytes] = []
        for place, (labels, start) in enumerate(zip(block.series, block.starts, strict=True)):
            began = self._start(block.shape, start)
            time = _milliseconds(measurement, place, milliseconds)
            for name, shown in block.shape.text_series(labels):
                head = self._head(block, name, shown, symbols)
                found.append(self._series(head, began, double(next(given)), varint(time)))
        return found

    def _natives(self, measurement: Measurement, milliseconds: int, symbols: _Symbols) -> list[bytes]:
        block = measurement.block
        width = block.shape.width
        found: list[bytes] = []
        for place, native in enumerate(measurement.natives):
            if native is not None:
                total = measurement.numbers[place * width]
                time = _milliseconds(measurement, place, milliseconds)
                start = block.starts[place]
                began = b"\x88\x01" + varint(round(start * 1000)) if self._is_2 and start else b""
                # Of a gauge histogram, whose counts may fall.
                hint = b"\x70\x03" if block.shape.type == "gaugehistogram" else b""
                count = native_count(native, total)
                body = _native_message(native, double(total), count, time, hint + began)
                head = self._head(block, block.shape.stem, block.series[place], symbols)
                found.append(head + nested(self._histogram_key, body))
        return found

    def _exemplar(
        self, block: Block, place: int, slot: int, exemplar: Exemplar, milliseconds: int, symbols: _Symbols
    ) -> bytes:
        labels = block.series[place]
        if slot == _NATIVE_SLOT or (block.shape.is_native and not block.shape.bounds):
            name = block.shape.stem
        else:
            name, labels = block.shape.text_series(labels)[slot]
        pairs = sorted(exemplar.labels.items())
        if self._is_2:
            shown = nested(b"\x0a", b"".join([varint(symbols.refer(text)) for pair in pairs for text in pair]))
        else:
            shown = label_pairs(pairs)
        time = milliseconds if exemplar.timestamp is None else round(exemplar.timestamp * 1000)
        message = b"".join((shown, b"\x11", double(exemplar.value), b"\x18", varint(time & 0xFFFFFFFFFFFFFFFF)))
        return self._head(block, name, labels, symbols) + nested(self._exemplar_key, message)


def _points(block: Block) -> int:
    """Return how many series a block is at most."""
    shape = block.shape
    return len(block.series) * (shape.width + shape.is_histogram)


def _numbers_of_points(measurement: Measurement) -> Sequence[float]:
    shape = measurement.block.shape
    if not shape.is_histogram:
        return measurement.numbers
    width = shape.width
    below, counts = cumulative(measurement.numbers, width)
    numbers = [0.0] * (len(counts) * (width + 1))
    for place in range(width):
        numbers[place :: width + 1] = below[place::width]
    numbers[width :: width + 1] = counts
    return numbers


def _milliseconds(measurement: Measurement, place: int, milliseconds: int) -> int:
    if not measurement.times:
        return milliseconds & 0xFFFFFFFFFFFFFFFF
    return round(measurement.times[place] * 1000) & 0xFFFFFFFFFFFFFFFF


def _native_message(native: NativeHistogram, total: bytes, count: int, milliseconds: int, more: bytes) -> bytes:
    pieces = (
        b"\x08",
        varint(count),
        b"\x19",
        total,
        native_fields(native, _NATIVE_KEYS),
        b"\x78",
        varint(milliseconds),
    )
    return b"".join((*pieces, more))


def _metadata_1(shape: Shape) -> bytes:
    message = b"\x08" + varint(_TYPES[shape.type]) + text_field(b"\x12", shape.name)
    message += text_field(b"\x22", shape.description)
    return nested(b"\x1a", message + text_field(b"\x2a", shape.unit) if shape.unit else message)
