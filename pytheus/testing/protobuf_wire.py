"""A reader of the protobuf messages of `pytheus.testing.protobuf_schema`, without a library.

Rules, https://protobuf.dev/programming-guides/encoding/:

- Fields of other numbers are read over. Of a field that occurs twice, the last one counts, and messages are merged. A
  repeated number may be packed.
- A message ends within the one around it, so that nothing is read twice, and the length of the body bounds the memory.
  Because an empty message has two bytes, and its place fifty times as many, a field has at most a million of them.
- An error names the byte, from the beginning of the body. A wire type that does not fit its field is damage, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import unpack_from
from typing import Final, NoReturn

from pytheus.testing.protobuf_schema import SCHEMA, SIGNED, Field, MessageSchema

__all__ = ["Message", "MessageReader", "Range"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES: Final = 10
_ELEMENTS_AT_MOST: Final = 1_000_000

Range = tuple[int, int]
"""The place of a text or message, and the one after it."""


class MessageReader:
    """Reads the messages in `body`; each place is counted from its beginning.

    >>> reader = MessageReader(b"\\x0a\\x04hits\\x18\\x01")
    >>> message = reader.message("MetricFamily", [(0, 8)])
    >>> message.text(1), message.number(3)
    ('hits', 1)
    """

    def __init__(self, body: bytes) -> None:
        self.body: Final = body

    def refuse(self, place: int, message: str) -> NoReturn:
        """Raise `ValueError`."""
        raise ValueError(f"byte {place}: {message}")

    def families(self) -> Iterator[Message]:
        """Yield the delimited messages ``MetricFamily`` of which the body consists."""
        place, end, count = 0, len(self.body), 0
        while place < end:
            start = place
            count += 1
            if count > _ELEMENTS_AT_MOST:
                self.refuse(start, f"more than {_ELEMENTS_AT_MOST} families")
            length, place = self.varint(place, end)
            if place + length > end:
                self.refuse(start, f"a family has {length} bytes, but {end - place} are left")
            yield self.message("MetricFamily", ((place, place + length),))
            place += length

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

    def text(self, span: Range) -> str:
        """Return the text at a range."""
        start, end = span
        try:
            return str(self.body[start:end], "utf-8")
        except UnicodeDecodeError as error:
            self.refuse(start + error.start, f"a text that is not UTF-8: {error.reason}")

    def message(self, name: str, spans: Sequence[Range]) -> Message:
        """Return the message of this name, of which there may be several parts."""
        schema = SCHEMA[name]
        found = Message(self, schema, spans[0][0], spans[-1][1])
        for start, end in spans:
            place = start
            while place < end:
                place = self._read_field(place, end, schema, found)
        return found

    def _read_field(self, place: int, end: int, schema: MessageSchema, found: Message) -> int:
        start = place
        key, place = self.varint(place, end)
        number, wire = key >> 3, key & 7
        if not number:
            self.refuse(start, "a field without a number")
        field = schema.get(number)
        if wire == _LENGTH:
            length, place = self.varint(place, end)
            after = place + length
            if after > end:
                self.refuse(start, f"the field {number} has {length} bytes, but {end - place} are left")
            if field is None:
                return after
            if field.kind.wire == _LENGTH:
                parts = found.parts.setdefault(number, [])
                parts.append((place, after))
                if len(parts) > _ELEMENTS_AT_MOST:
                    self.refuse(start, f"the field {number}, {field.name!r}, more than {_ELEMENTS_AT_MOST} times")
                return after
            if field.is_repeated:
                while place < after:
                    value, place = self._number(place, after, field)
                    self._append(start, found, number, value)
                return after
        elif wire not in (_VARINT, _FIXED64, _FIXED32):
            self.refuse(start, f"the field {number} has the wire type {wire}, which is not in use")
        if field is not None:
            if field.kind.wire != wire:
                self.refuse(
                    start,
                    f"the field {number}, {field.name!r}, has the wire type {wire}, but {field.kind.shown} has"
                    f" {field.kind.wire}",
                )
            value, place = self._number(place, end, field)
            self._append(start, found, number, value)
            return place
        if wire == _VARINT:
            return self.varint(place, end)[1]
        after = place + (8 if wire == _FIXED64 else 4)
        if after > end:
            self.refuse(start, f"the message ends within the field {number}")
        return after

    def _append(self, start: int, found: Message, number: int, value: float) -> None:
        numbers = found.numbers.setdefault(number, [])
        numbers.append(value)
        if len(numbers) > _ELEMENTS_AT_MOST:
            self.refuse(start, f"the field {number} more than {_ELEMENTS_AT_MOST} times")

    def _number(self, place: int, end: int, field: Field) -> tuple[float, int]:
        kind = field.kind
        if kind.wire == _FIXED64:
            if place + 8 > end:
                self.refuse(place, "the message ends within a number")
            value: float
            (value,) = unpack_from("<d", self.body, place)
            return value, place + 8
        whole, place = self.varint(place, end)
        return (whole >> 1) ^ -(whole & 1) if kind is SIGNED else whole, place


class Message:
    """The fields of a message from `start` to `end`: numbers, and the ranges of texts and messages, by field."""

    __slots__ = ("_reader", "end", "numbers", "parts", "schema", "start")

    def __init__(self, reader: MessageReader, schema: MessageSchema, start: int, end: int) -> None:
        self._reader: Final = reader
        self.schema: Final = schema
        self.start: Final = start
        self.end: Final = end
        self.numbers: Final[dict[int, list[float]]] = {}
        self.parts: Final[dict[int, list[Range]]] = {}

    def number(self, field: int) -> float:
        """Return a number, or zero."""
        numbers = self.numbers.get(field)
        return numbers[-1] if numbers else 0

    def signed64(self, field: int) -> int:
        """Return an ``int64``, which is negative in two's complement."""
        whole = int(self.number(field))
        return whole - (1 << 64) if whole >= 1 << 63 else whole

    def text(self, field: int) -> str:
        """Return a text, or ""."""
        parts = self.parts.get(field)
        return self._reader.text(parts[-1]) if parts else ""

    def message(self, field: int) -> Message | None:
        """Return the message of a field that is not repeated."""
        parts = self.parts.get(field)
        return self._reader.message(self.schema[field].message, parts) if parts else None

    def messages(self, field: int) -> Iterator[Message]:
        """Yield the messages of a repeated field."""
        name = self.schema[field].message
        for part in self.parts.get(field, ()):
            yield self._reader.message(name, (part,))
