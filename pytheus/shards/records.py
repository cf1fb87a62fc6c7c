"""A layout as bytes that are only ever appended to.

Rules:

- A record is its payload's length and CRC-32, as two unsigned 32-bit little-endian integers, and the payload: a
  MessagePack array that begins with the kind. So bytes that were cut off, overwritten or never records are told apart.
- Records are read in the order in which they were written. A definition comes before its series, and both are numbered
  by counting, from 0.
- What is read is checked whole before it changes anything, as if a user had given it: another process's mistake must
  not reach an exposition. After the first record that is wrong nothing more is read, and what came before it stays.

| kind | what follows |
| --- | --- |
| "d" | name, type, description, labels, bounds, states, mode, location |
| "s" | number of the definition, label values, offset |
| "f" | number of the slot that is gone |
| "i" | number of the slot, its facts |
| "e" | number of the slot, index of the number, labels, value, timestamp or nil |
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from math import isfinite
from typing import Annotated, Final
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import PytheusError, ShardFormatError
from pytheus.kinds import MetricType
from pytheus.names import reserved_label, validate_label_name, validate_label_names, validate_metric_name, validate_text
from pytheus.samples import Exemplar
from pytheus.shards.combining import series_size
from pytheus.shards.layout import Layout

__all__ = [
    "MAX_RECORD_BYTES",
    "LayoutReader",
    "encode_definition",
    "encode_exemplar",
    "encode_info",
    "encode_removal",
    "encode_layout",
    "encode_series",
]

MAX_RECORD_BYTES: Final = 1 << 20
"""How long a record may be. One that would be longer is refused when it is made, with `ShardFormatError`."""

# So that an offset can be reckoned with in 64 bits, whatever a broken writer made of it.
_OFFSET_AT_MOST: Final = 1 << 48

_HEAD: Final = struct.Struct("<II")

_Number = Annotated[int, msgspec.Meta(ge=0, lt=_OFFSET_AT_MOST)]


class _Definition(msgspec.Struct, array_like=True, tag="d", forbid_unknown_fields=True):
    name: str
    kind: MetricType  # msgspec's own tag has the name "type"
    description: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    states: tuple[str, ...]
    mode: str
    location: str


class _Series(msgspec.Struct, array_like=True, tag="s", forbid_unknown_fields=True):
    definition: _Number
    labels: tuple[str, ...]
    offset: _Number


class _Forget(msgspec.Struct, array_like=True, tag="f", forbid_unknown_fields=True):
    slot: _Number


class _Facts(msgspec.Struct, array_like=True, tag="i", forbid_unknown_fields=True):
    slot: _Number
    facts: dict[str, str]


class _Exemplar(msgspec.Struct, array_like=True, tag="e", forbid_unknown_fields=True):
    slot: _Number
    index: _Number
    labels: dict[str, str]
    value: float
    timestamp: float | None


_Payload = _Definition | _Series | _Forget | _Facts | _Exemplar

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[_Payload]] = msgspec.msgpack.Decoder(_Payload)


def encode_definition(definition: Definition) -> bytes:
    """A record of a definition, whose number is how many were written before it."""
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
    """A record of a series, whose slot's number is how many were written before it; `definition` is a number too."""
    return _record(_Series(definition, labels, offset), f"series with labels {labels!r:.80}")


def encode_removal(slot: int) -> bytes:
    """A record that the slot of that number is gone."""
    return _record(_Forget(slot), "end of a series")


def encode_info(slot: int, facts: Mapping[str, str]) -> bytes:
    """A record of an info's facts."""
    return _record(_Facts(slot, dict(facts)), f"facts {tuple(facts)!r:.80}")


def encode_exemplar(slot: int, index: int, exemplar: Exemplar) -> bytes:
    """A record of the latest exemplar of a slot's number `index`."""
    return _record(
        _Exemplar(slot, index, dict(exemplar.labels), exemplar.value, exemplar.timestamp), f"exemplar {exemplar!r:.80}"
    )


def encode_layout(layout: Layout) -> bytes:
    """All of `layout` anew, without the slots that are gone, so that the others may get other numbers.

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
    for number, slot in layout.entries():
        numbers[number] = len(numbers)
        records.append(encode_series(layout.definition_numbers[number], slot.labels, slot.offset))
    for number, facts in layout.info.items():
        records.append(encode_info(numbers[number], facts))
    for number, exemplars in layout.exemplars.items():
        records += [encode_exemplar(numbers[number], index, exemplar) for index, exemplar in exemplars.items()]
    return b"".join(records)


def _record(payload: _Payload, subject: str) -> bytes:
    data = _encoder.encode(payload)
    if len(data) > MAX_RECORD_BYTES:
        raise ShardFormatError(
            f"{subject} makes a record of {len(data)} bytes, but a shard takes {MAX_RECORD_BYTES} at most;"
            " shorten its texts"
        )
    return _HEAD.pack(len(data), crc32(data)) + data


class LayoutReader:
    """Makes a layout of records, as they come.

        >>> reader = LayoutReader()
        >>> record = encode_definition(Definition("hits_total", "counter", "Hits."))
        >>> reader.feed(record[:5])
        >>> reader.feed(record[5:])
        >>> reader.layout.definitions
        [<Definition of counter 'hits_total'>]

    Bytes may be cut anywhere between two calls of `feed`; a record that is not whole yet waits for the rest.
    """

    __slots__ = ("_failure", "_rest", "consumed_bytes", "layout")

    def __init__(self) -> None:
        self.layout: Layout = Layout()
        self.consumed_bytes: int = 0
        """How many of the bytes fed were whole records that are in the layout."""
        self._rest = b""
        self._failure: str | None = None

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait for the rest of their record."""
        return len(self._rest)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Read what `data` adds.

        Raises `ShardFormatError` for what is no record or makes no sense, and for everything that is fed after it; the
        layout then has all that came before.
        """
        if self._failure is not None:
            raise ShardFormatError(self._failure)
        stock = self._rest + bytes(data) if self._rest else bytes(data)
        position = 0
        try:
            while len(stock) - position >= _HEAD.size:
                length, checksum = _HEAD.unpack_from(stock, position)
                if length > MAX_RECORD_BYTES:
                    raise ShardFormatError(f"it would be {length} bytes long, and {MAX_RECORD_BYTES} is the most")
                end = position + _HEAD.size + length
                if end > len(stock):
                    break
                payload = stock[position + _HEAD.size : end]
                if crc32(payload) != checksum:
                    raise ShardFormatError("its checksum is wrong")
                self._take(_decoder.decode(payload))
                self.consumed_bytes += end - position
                position = end
        except (PytheusError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._failure = f"the record at byte {self.consumed_bytes} cannot be read: {error}"
            self._rest = b""
            raise ShardFormatError(self._failure) from error
        self._rest = stock[position:]

    def _take(self, payload: _Payload) -> None:
        layout = self.layout
        if isinstance(payload, _Series):
            if payload.definition >= len(layout.definitions):
                raise ShardFormatError(f"it is a series of definition {payload.definition}, which is not there")
            names = layout.definitions[payload.definition].labels
            if len(payload.labels) != len(names):
                raise ShardFormatError(f"it has values {payload.labels!r:.80} for the labels {names!r}")
            layout.add_series(payload.definition, payload.labels, payload.offset)
        elif isinstance(payload, _Definition):
            layout.add_definition(_checked_definition(payload))
        elif isinstance(payload, _Forget):
            self._definition_of(payload.slot)
            layout.remove_series(payload.slot)
        elif isinstance(payload, _Facts):
            definition = self._definition_of(payload.slot)
            if definition.type != "info":
                raise ShardFormatError(f"it has facts of {definition}, which is no info")
            for name in payload.facts:
                if validate_label_name(name, f"info {definition.name!r}") in definition.labels:
                    raise ShardFormatError(f"it has the fact {name!r}, which is a label of {definition}")
            layout.set_info(payload.slot, payload.facts)
        else:
            definition = self._definition_of(payload.slot)
            if payload.index >= series_size(definition):
                raise ShardFormatError(f"it is an exemplar of number {payload.index} of {definition}")
            for name in payload.labels:
                validate_label_name(name, f"an exemplar of {definition.name!r}")
            exemplar = Exemplar(payload.labels, payload.value, payload.timestamp)
            layout.set_exemplar(payload.slot, payload.index, exemplar)

    def _definition_of(self, slot: int) -> Definition:
        layout = self.layout
        if slot >= len(layout) or layout.offsets[slot] < 0:
            raise ShardFormatError(f"it is about slot {slot}, which is not there")
        return layout.definitions[layout.definition_numbers[slot]]


def _checked_definition(payload: _Definition) -> Definition:
    name = validate_metric_name(payload.name, payload.kind)
    subject = f"{payload.kind} {name!r}"
    reserved = reserved_label(name, payload.kind)
    if payload.kind == "stateset":
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
