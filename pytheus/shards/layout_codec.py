"""A layout as bytes that are only ever appended to.

Rules:

- A record is a CRC-32 of all that follows, the length of the payload, both as unsigned 32-bit little-endian integers,
  and the payload: a MessagePack array that begins with the kind of the record. So a reader recognises bytes that were
  cut off, overwritten or never records.
- Records are read in the order in which they were written. A definition comes before its series, and both are numbered
  from 0 in that order.
- The numbers of the series of one record lie one after the other. Many series in one record are read several times as
  fast as one by one, so writers gather them, and the same series in the same order give the same records.
- Later versions may add kinds of records and further items at the end of a record. A reader ignores both, once their
  checksum is right.

| kind | further items |
| --- | --- |
| "d" | name, type, description, labels, bounds, states, mode, location, unit, options of native buckets, name rules |
| "s" | number of the definition, label values of one or more series, offset of the first, start times |
| "m" | of several series: numbers of their definitions, all label values, offsets, start times |
| "f" | number of the removed series |
| "i" | number of the series, its info labels |
| "e" | number of the series, slot, labels, value, timestamp or nil |
| "t" | number of the series, its start time from now on, because it was created again |

`start_times.py` has the form of start times. The definition of a histogram's native buckets (`bucket_series.py`) is
that of the histogram, in a mode of its own and with a further label.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated, Final
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import ShardFormatError
from pytheus.kinds import MetricType
from pytheus.samples import Exemplar
from pytheus.settings import NameRules
from pytheus.shards.layout import Layout
from pytheus.shards.merge_rules import NATIVE_OPTIONS, has_start_times, series_size
from pytheus.shards.start_times import NO_START_TIMES, StartTimesItem, encoded_start_times

__all__ = [
    "HEAD",
    "MAX_RECORD_BYTES",
    "RECORD_KINDS",
    "DefinitionRecord",
    "ExemplarRecord",
    "InfoRecord",
    "NativeOptions",
    "Record",
    "RemovalRecord",
    "ScatteredRecord",
    "SeriesRecord",
    "SeriesRunRecord",
    "StartTimeRecord",
    "encode_definition",
    "encode_exemplar",
    "encode_filler",
    "encode_info",
    "encode_removal",
    "encode_layout",
    "encode_series",
    "encode_series_run",
    "encode_several_series",
    "encode_start_time",
]

MAX_RECORD_BYTES: Final = 1 << 20
"""The maximum length of a record. Encoding a longer one raises `ShardFormatError`."""

# Bounds the arithmetic with offsets that a broken writer wrote to 64 bits.
_OFFSET_LIMIT: Final = 1 << 48

# A record has at most this many series, and characters of their labels, of up to 4 bytes each, unless one has more.
_MAX_SERIES: Final = 1024
_MAX_CHARACTERS: Final = 1 << 16

# Fewer series in a row share a record with others.
_MIN_RUN: Final = 8

HEAD: Final = struct.Struct("<II")
_LENGTH: Final = struct.Struct("<I")

_Number = Annotated[int, msgspec.Meta(ge=0, lt=_OFFSET_LIMIT)]


class NativeOptions(msgspec.Struct, array_like=True):
    growth: float
    max_buckets: int
    min_reset_seconds: float
    zero_threshold: float
    max_zero_threshold: float


class DefinitionRecord(msgspec.Struct, array_like=True, tag="d"):
    name: str
    kind: MetricType  # msgspec's own tag has the name "type"
    description: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    states: tuple[str, ...]
    mode: str
    location: str
    unit: str = ""
    native: NativeOptions | None = None
    names: NameRules = "legacy"


class SeriesRecord(msgspec.Struct, array_like=True, tag="s"):
    definition: _Number
    labels: tuple[str, ...]
    offset: _Number
    start_times: StartTimesItem = None


class SeriesRunRecord(msgspec.Struct, array_like=True, tag="s"):
    """The same, with the labels and the start times as they are encoded."""

    definition: _Number
    labels: msgspec.Raw
    offset: _Number
    start_times: msgspec.Raw = msgspec.Raw(NO_START_TIMES)


class ScatteredRecord(msgspec.Struct, array_like=True, tag="m"):
    definitions: list[_Number]
    labels: list[str]
    offsets: list[_Number]
    start_times: msgspec.Raw = msgspec.Raw(NO_START_TIMES)


class RemovalRecord(msgspec.Struct, array_like=True, tag="f"):
    series: _Number


class InfoRecord(msgspec.Struct, array_like=True, tag="i"):
    series: _Number
    info: dict[str, str]


class ExemplarRecord(msgspec.Struct, array_like=True, tag="e"):
    series: _Number
    slot: _Number
    labels: dict[str, str]
    value: float
    timestamp: float | None


class StartTimeRecord(msgspec.Struct, array_like=True, tag="t"):
    series: _Number
    milliseconds: _Number


Record = (
    DefinitionRecord
    | SeriesRecord
    | SeriesRunRecord
    | ScatteredRecord
    | RemovalRecord
    | InfoRecord
    | ExemplarRecord
    | StartTimeRecord
)
RECORD_KINDS: Final = frozenset("dsmfiet")

_encoder: Final = msgspec.msgpack.Encoder()


def encode_definition(definition: Definition) -> bytes:
    """A record of a definition."""
    native = definition.native
    return _record(
        DefinitionRecord(
            definition.name,
            definition.type,
            definition.description,
            definition.labels,
            definition.bounds,
            definition.states,
            definition.mode,
            definition.location,
            definition.unit,
            None if native is None else NativeOptions(*(getattr(native, name) for name in NATIVE_OPTIONS)),
            definition.name_rules,
        ),
        definition.type,
        definition.name,
    )


def encode_series(definition: int, labels: tuple[str, ...], offset: int, created: float = 0.0) -> bytes:
    """A record of a series; `definition` is the number of its definition.

    `created` is when it began at zero, in seconds since the Unix epoch; 0.0 if that is unknown.
    """
    return _series_record(definition, labels, offset, [round(created * 1000)])


def _series_record(definition: int, values: tuple[str, ...], offset: int, milliseconds: Sequence[int]) -> bytes:
    payload = SeriesRecord(definition, values, offset, encoded_start_times(milliseconds))
    return _record(payload, "series with labels", values)


def encode_series_run(
    definition: int, labels: Sequence[tuple[str, ...]], offset: int, size: int, created: Sequence[float] = ()
) -> list[bytes]:
    """Records of several series of `size` numbers each, which lie one after the other from `offset` on.

    `created` are their start times as in `encode_series`, or nothing if none is known.
    """
    return _encode_run(definition, labels, offset, size, [round(seconds * 1000) for seconds in created])


def _encode_run(
    definition: int, labels: Sequence[tuple[str, ...]], offset: int, size: int, milliseconds: Sequence[int]
) -> list[bytes]:
    records: list[bytes] = []
    start = 0
    for part in _parts(labels):
        end = start + len(part)
        values = tuple(chain.from_iterable(part))
        records.append(_series_record(definition, values, offset, milliseconds[start:end]))
        offset += size * len(part)
        start = end
    return records


def encode_several_series(layout: Layout, numbers: Sequence[int]) -> list[bytes]:
    """Records of the series of `layout` with these numbers, in this order, as few as possible."""
    records: list[bytes] = []
    scattered: list[int] = []
    milliseconds = dict(zip(numbers, layout.start_times.pick(numbers), strict=True))
    for run in _runs(layout, numbers):
        if len(run) < _MIN_RUN:
            scattered += run
            continue
        records += _encode_scattered(layout, scattered, milliseconds)
        scattered = []
        definition, labels = layout.definition_numbers[run[0]], [layout.labels[number] for number in run]
        size = series_size(layout.definitions[definition])
        times = [milliseconds[number] for number in run]
        records += _encode_run(definition, labels, layout.offsets[run[0]], size, times)
    return records + _encode_scattered(layout, scattered, milliseconds)


def _runs(layout: Layout, numbers: Iterable[int]) -> Iterator[list[int]]:
    """The series in groups of one definition whose numbers lie one after the other."""
    sizes = [series_size(definition) for definition in layout.definitions]
    run: list[int] = []
    definition = following = -1
    for number in numbers:
        offset = layout.offsets[number]
        if run and (layout.definition_numbers[number] != definition or offset != following):
            yield run
            run = []
        run.append(number)
        definition = layout.definition_numbers[number]
        following = offset + sizes[definition]
    yield run


def _encode_scattered(layout: Layout, numbers: list[int], milliseconds: Mapping[int, int]) -> list[bytes]:
    if not numbers:
        return []
    if len(numbers) == 1:
        only = numbers[0]
        return [
            _series_record(
                layout.definition_numbers[only], layout.labels[only], layout.offsets[only], [milliseconds[only]]
            )
        ]
    values = list(chain.from_iterable([layout.labels[number] for number in numbers]))
    if len(numbers) > _MAX_SERIES or sum(map(len, values)) > _MAX_CHARACTERS:
        half = len(numbers) // 2
        return [
            *_encode_scattered(layout, numbers[:half], milliseconds),
            *_encode_scattered(layout, numbers[half:], milliseconds),
        ]
    definitions = [layout.definition_numbers[number] for number in numbers]
    offsets = [layout.offsets[number] for number in numbers]
    times = _between(layout, numbers, milliseconds)
    start_times = msgspec.Raw(_encoder.encode(encoded_start_times(times)))
    return [_record(ScatteredRecord(definitions, values, offsets, start_times), "series with labels", values)]


def _between(layout: Layout, numbers: list[int], milliseconds: Mapping[int, int]) -> list[int]:
    """The start times; those that mean nothing are as the ones before, which takes a byte instead of 18."""
    times: list[int] = []
    latest = 0
    for number in numbers:
        known = milliseconds[number]
        if known or has_start_times(layout.definitions[layout.definition_numbers[number]]):
            latest = known
        times.append(latest)
    return times


def _parts(labels: Sequence[tuple[str, ...]]) -> Iterator[Sequence[tuple[str, ...]]]:
    """The series of each record; the same for the same series."""
    if len(labels) > _MAX_SERIES:
        for start in range(0, len(labels), _MAX_SERIES):
            yield from _parts(labels[start : start + _MAX_SERIES])
    elif len(labels) > 1 and (not labels[0] or sum(map(len, chain.from_iterable(labels))) > _MAX_CHARACTERS):
        # Series without labels, which a damaged registry may have, need a record each.
        yield from _parts(labels[: len(labels) // 2])
        yield from _parts(labels[len(labels) // 2 :])
    elif labels:
        yield labels


def encode_removal(series: int) -> bytes:
    """A record that the series with that number was removed."""
    return _record(RemovalRecord(series), "removal of series", series)


def encode_info(series: int, info: Mapping[str, str]) -> bytes:
    """A record of the labels that an info's series was set to."""
    return _record(InfoRecord(series, dict(info)), "info", info)


def encode_exemplar(series: int, slot: int, exemplar: Exemplar) -> bytes:
    """A record of the latest exemplar of the number at index `slot` of a series."""
    return _record(
        ExemplarRecord(series, slot, dict(exemplar.labels), exemplar.value, exemplar.timestamp),
        "exemplar",
        exemplar,
    )


def encode_start_time(series: int, created: float) -> bytes:
    """A record that the series with that number was created again, in seconds since the Unix epoch."""
    return _record(StartTimeRecord(series, round(created * 1000)), "start time of series", series)


def encode_layout(layout: Layout) -> bytes:
    """All records of `layout` without its removed series.

    The other series may get other numbers.

    >>> layout = Layout()
    >>> layout.add_series(layout.add_definition(Definition("hits_total", "counter", "Hits.")), (), 0)
    0
    >>> from pytheus.shards import LayoutReader
    >>> reader = LayoutReader()
    >>> reader.feed(encode_layout(layout))
    >>> reader.layout
    <Layout of 1 series, 1 numbers>
    """
    records = [encode_definition(definition) for definition in layout.definitions]
    present = [number for number, _ in layout.entries()]
    records += encode_several_series(layout, present)
    numbers = {number: position for position, number in enumerate(present)}
    for number, info in layout.info.items():
        records.append(encode_info(numbers[number], info))
    for number, exemplars in layout.exemplars.items():
        records += [encode_exemplar(numbers[number], slot, exemplar) for slot, exemplar in exemplars.items()]
    return b"".join(records)


def encode_filler() -> bytes:
    """A record without meaning, which makes an index longer."""
    return _framed(_encoder.encode(["-"]))


def _record(payload: Record, subject: str, detail: object) -> bytes:
    data = _encoder.encode(payload)
    if len(data) > MAX_RECORD_BYTES:
        raise ShardFormatError(
            f"the record of {subject} {detail!r:.80} has {len(data)} bytes, but a shard accepts at most"
            f" {MAX_RECORD_BYTES}; shorten its texts"
        )
    return _framed(data)


def _framed(data: bytes) -> bytes:
    data = _LENGTH.pack(len(data)) + data
    return _LENGTH.pack(crc32(data)) + data
