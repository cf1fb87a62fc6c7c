"""A layout as bytes that are only ever appended to.

Rules:

- A record is a CRC-32 of all that follows, the length of the payload, both as unsigned 32-bit little-endian integers,
  and the payload: a MessagePack array that begins with the kind of the record. So a reader recognises bytes that were
  cut off, overwritten or never records.
- Records are read in the order in which they were written. A definition comes before its series, and both are numbered
  from 0 in that order.
- The numbers of the series of one record lie one after the other. Many series in one record are read several times as
  fast as one by one, so writers gather them, and the same series in the same order give the same records.
- Later versions may add kinds of records and further items at the end of a record, for example a column with a time or
  with further numbers for each series. A reader ignores both, once their checksum is right.
- A record is validated as a whole before it changes anything, as if a user had given it, because a mistake of another
  process must not reach an exposition. After the first wrong record nothing more is read; the layout keeps the records
  before it.

| kind | further items |
| --- | --- |
| "d" | name, type, description, labels, bounds, states, mode, location |
| "s" | number of the definition, label values of one or more series, offset of the first |
| "f" | number of the removed series |
| "i" | number of the series, its info labels |
| "e" | number of the series, slot, labels, value, timestamp or nil |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from math import isfinite
from typing import Annotated, Final
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import PytheusError, ShardFormatError
from pytheus.kinds import KINDS, MergeRule, MetricType
from pytheus.names import reserved_label, validate_label_name, validate_label_names, validate_metric_name, validate_text
from pytheus.samples import Exemplar
from pytheus.shards.label_blocks import LabelBlocks, split_labels
from pytheus.shards.layout import Layout
from pytheus.shards.merge_rules import merge_rule_of, series_size

__all__ = [
    "MAX_RECORD_BYTES",
    "LayoutReader",
    "encode_definition",
    "encode_exemplar",
    "encode_info",
    "encode_removal",
    "encode_layout",
    "encode_series",
    "encode_series_run",
]

MAX_RECORD_BYTES: Final = 1 << 20
"""The maximum length of a record. Encoding a longer one raises `ShardFormatError`."""

# Bounds the arithmetic with offsets that a broken writer wrote to 64 bits.
_OFFSET_LIMIT: Final = 1 << 48

# A record has at most this many series, and characters of their labels, of up to 4 bytes each, unless one has more.
_MAX_SERIES: Final = 1024
_MAX_CHARACTERS: Final = 1 << 16

# Records of series that are at least this long are decoded in two steps.
_LONG_BYTES: Final = 256
_SERIES_TAG: Final = b"\xa1s"

_HEAD: Final = struct.Struct("<II")
_LENGTH: Final = struct.Struct("<I")
_CHECKSUM_SIZE: Final = 4

_Number = Annotated[int, msgspec.Meta(ge=0, lt=_OFFSET_LIMIT)]


class _Definition(msgspec.Struct, array_like=True, tag="d"):
    name: str
    kind: MetricType  # msgspec's own tag has the name "type"
    description: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    states: tuple[str, ...]
    mode: str
    location: str


class _Series(msgspec.Struct, array_like=True, tag="s"):
    definition: _Number
    labels: tuple[str, ...]
    offset: _Number


class _SeriesRun(msgspec.Struct, array_like=True, tag="s"):
    """The same, with the labels as they are encoded."""

    definition: _Number
    labels: msgspec.Raw
    offset: _Number


class _Removal(msgspec.Struct, array_like=True, tag="f"):
    series: _Number


class _Info(msgspec.Struct, array_like=True, tag="i"):
    series: _Number
    info: dict[str, str]


class _Exemplar(msgspec.Struct, array_like=True, tag="e"):
    series: _Number
    slot: _Number
    labels: dict[str, str]
    value: float
    timestamp: float | None


_Payload = _Definition | _Series | _SeriesRun | _Removal | _Info | _Exemplar
_KINDS: Final = frozenset("dsfie")

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[_Payload]] = msgspec.msgpack.Decoder(
    _Definition | _Series | _Removal | _Info | _Exemplar
)
_run_decoder: Final = msgspec.msgpack.Decoder(_SeriesRun)


def encode_definition(definition: Definition) -> bytes:
    """A record of a definition."""
    return _record(
        _Definition(
            definition.name,
            definition.type,
            definition.description,
            definition.labels,
            definition.bounds,
            definition.states,
            definition.mode,
            definition.location,
        ),
        definition.name,
    )


def encode_series(definition: int, labels: tuple[str, ...], offset: int) -> bytes:
    """A record of a series; `definition` is the number of its definition."""
    return _record(_Series(definition, labels, offset), f"series with labels {labels!r:.80}")


def encode_series_run(definition: int, labels: Sequence[tuple[str, ...]], offset: int, size: int) -> list[bytes]:
    """Records of several series of `size` numbers each, which lie one after the other from `offset` on."""
    records: list[bytes] = []
    for part in _parts(labels):
        values = tuple(chain.from_iterable(part))
        records.append(_record(_Series(definition, values, offset), f"series with labels {values!r:.80}"))
        offset += size * len(part)
    return records


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
    return _record(_Removal(series), "removal of a series")


def encode_info(series: int, info: Mapping[str, str]) -> bytes:
    """A record of the labels that an info's series was set to."""
    return _record(_Info(series, dict(info)), f"info {tuple(info)!r:.80}")


def encode_exemplar(series: int, slot: int, exemplar: Exemplar) -> bytes:
    """A record of the latest exemplar of the number at index `slot` of a series."""
    return _record(
        _Exemplar(series, slot, dict(exemplar.labels), exemplar.value, exemplar.timestamp), f"exemplar {exemplar!r:.80}"
    )


def encode_layout(layout: Layout) -> bytes:
    """All records of `layout` without its removed series.

    The other series may get other numbers.

    >>> layout = Layout()
    >>> layout.add_series(layout.add_definition(Definition("hits_total", "counter", "Hits.")), (), 0)
    0
    >>> reader = LayoutReader()
    >>> reader.feed(encode_layout(layout))
    >>> reader.layout
    <Layout of 1 series, 1 numbers>
    """
    records = [encode_definition(definition) for definition in layout.definitions]
    numbers: dict[int, int] = {}
    run: list[tuple[str, ...]] = []
    definition = first = following = size = -1
    for number, entry in layout.entries():
        numbers[number] = len(numbers)
        if layout.definition_numbers[number] != definition or entry.offset != following:
            records += encode_series_run(definition, run, first, size)
            run = []
            definition, first, size = layout.definition_numbers[number], entry.offset, entry.size
        run.append(entry.labels)
        following = entry.offset + size
    records += encode_series_run(definition, run, first, size)
    for number, info in layout.info.items():
        records.append(encode_info(numbers[number], info))
    for number, exemplars in layout.exemplars.items():
        records += [encode_exemplar(numbers[number], slot, exemplar) for slot, exemplar in exemplars.items()]
    return b"".join(records)


def _record(payload: _Payload, subject: str) -> bytes:
    data = _encoder.encode(payload)
    if len(data) > MAX_RECORD_BYTES:
        raise ShardFormatError(
            f"the record of {subject} has {len(data)} bytes, but a shard accepts at most {MAX_RECORD_BYTES};"
            " shorten its texts"
        )
    data = _LENGTH.pack(len(data)) + data
    return _LENGTH.pack(crc32(data)) + data


def _decode(payload: bytes) -> _Payload | None:
    """The content of a record; None for a kind of a later version."""
    try:
        if len(payload) >= _LONG_BYTES and payload[1:3] == _SERIES_TAG:
            return _run_decoder.decode(payload)
        return _decoder.decode(payload)
    except msgspec.ValidationError:
        try:
            items = msgspec.msgpack.decode(payload, type=list[object])
        except msgspec.MsgspecError:
            items = []
        if items and isinstance(items[0], str) and items[0] not in _KINDS:
            return None
        raise


class LayoutReader:
    """Builds a layout from records as they arrive.

        >>> reader = LayoutReader()
        >>> record = encode_definition(Definition("hits_total", "counter", "Hits."))
        >>> reader.feed(record[:5])
        >>> reader.feed(record[5:])
        >>> reader.layout.definitions
        [<Definition of counter 'hits_total'>]

    Bytes may be cut anywhere between two calls of `feed`; an incomplete record waits for its rest. Readers of several
    shards share `blocks`, so that equal labels are decoded and kept once.
    """

    __slots__ = ("_blocks", "_failure", "_rest", "consumed_bytes", "layout")

    def __init__(self, blocks: LabelBlocks | None = None) -> None:
        self._blocks = LabelBlocks() if blocks is None else blocks
        self.layout: Layout = Layout()
        self.consumed_bytes: int = 0
        """How many bytes were complete records that are now in the layout."""
        self._rest = b""
        self._failure: str | None = None

    @property
    def pending_bytes(self) -> int:
        """How many bytes belong to a record that is not complete yet."""
        return len(self._rest)

    @property
    def has_failed(self) -> bool:
        """Whether a record could not be read, so that nothing more is."""
        return self._failure is not None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add the records in `data` to the layout.

        Raises `ShardFormatError` for a record that is malformed or makes no sense, and for everything after it; the
        layout then has all records before it.
        """
        if self._failure is not None:
            raise ShardFormatError(self._failure)
        buffered = self._rest + bytes(data) if self._rest else bytes(data)
        position = 0
        try:
            while len(buffered) - position >= _HEAD.size:
                checksum, length = _HEAD.unpack_from(buffered, position)
                if length > MAX_RECORD_BYTES:
                    raise ShardFormatError(f"it would be {length} bytes long, but the maximum is {MAX_RECORD_BYTES}")
                end = position + _HEAD.size + length
                if end > len(buffered):
                    break
                if crc32(buffered[position + _CHECKSUM_SIZE : end]) != checksum:
                    raise ShardFormatError("its checksum is wrong")
                content = _decode(buffered[position + _HEAD.size : end])
                if content is not None:
                    self._take(content)
                self.consumed_bytes += end - position
                position = end
        except (PytheusError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._failure = f"the record at byte {self.consumed_bytes} cannot be read: {error}"
            self._rest = b""
            raise ShardFormatError(self._failure) from error
        self._rest = buffered[position:]

    def _take(self, payload: _Payload) -> None:
        layout = self.layout
        if isinstance(payload, _Series):
            definition = self._definition(payload.definition)
            offset = payload.offset
            for labels in split_labels(payload.labels, definition.labels):
                layout.add_series(payload.definition, labels, offset)
                offset += series_size(definition)
        elif isinstance(payload, _SeriesRun):
            names = self._definition(payload.definition).labels
            layout.add_block(payload.definition, self._blocks.decode(bytes(payload.labels), names), payload.offset)
        elif isinstance(payload, _Definition):
            layout.add_definition(_checked_definition(payload))
        elif isinstance(payload, _Removal):
            if payload.series >= len(layout):
                raise ShardFormatError(f"it removes series {payload.series}, which does not exist")
            layout.remove_series(payload.series)
        elif isinstance(payload, _Info):
            definition = self._definition_of(payload.series)
            if merge_rule_of(definition) is not MergeRule.INFO:
                raise ShardFormatError(f"it sets info labels of {definition}, which is not an info")
            for name in payload.info:
                if validate_label_name(name, f"info {definition.name!r}") in definition.labels:
                    raise ShardFormatError(f"it sets the info label {name!r}, which is a label of {definition}")
            layout.set_info(payload.series, payload.info)
        else:
            definition = self._definition_of(payload.series)
            if payload.slot >= series_size(definition):
                raise ShardFormatError(f"it is an exemplar of number {payload.slot} of {definition}, which has fewer")
            for name in payload.labels:
                validate_label_name(name, f"an exemplar of {definition.name!r}")
            exemplar = Exemplar(payload.labels, payload.value, payload.timestamp)
            layout.set_exemplar(payload.series, payload.slot, exemplar)

    def _definition(self, number: int) -> Definition:
        definitions = self.layout.definitions
        if number >= len(definitions):
            raise ShardFormatError(f"it is a series of definition {number}, which does not exist")
        return definitions[number]

    def _definition_of(self, series: int) -> Definition:
        layout = self.layout
        if series >= len(layout) or layout.offsets[series] < 0:
            raise ShardFormatError(f"it refers to series {series}, which does not exist")
        return layout.definitions[layout.definition_numbers[series]]


def _checked_definition(payload: _Definition) -> Definition:
    name = validate_metric_name(payload.name, payload.kind)
    subject = f"{payload.kind} {name!r}"
    reserved = reserved_label(name, payload.kind)
    if KINDS[payload.kind].reserved_label == "":  # a state's label has the metric's name
        validate_label_name(name, subject)
        if not payload.states or len(set(payload.states)) != len(payload.states):
            raise ShardFormatError(f"{subject} has the states {payload.states!r:.80}")
    bounds = payload.bounds
    if any(not isfinite(bound) for bound in bounds) or any(low >= high for low, high in pairwise(bounds)):
        raise ShardFormatError(f"{subject} has the buckets {bounds!r:.80}")
    return Definition(
        name,
        payload.kind,
        validate_text(payload.description, subject),
        validate_label_names(payload.labels, subject, reserved),
        bounds=bounds,
        states=payload.states,
        mode=payload.mode,
        location=payload.location,
    )
