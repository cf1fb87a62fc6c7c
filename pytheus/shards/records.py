"""A layout as bytes that are only ever appended to.

Rules:

- A record is its payload's length and CRC-32, as two unsigned 32-bit little-endian integers, and the payload: a
  MessagePack array that begins with the kind. So bytes that were cut off, overwritten or never records are told apart.
- Records are read in the order in which they were written. A definition comes before its series, and both are numbered
  by counting, from 0.
- What is read is checked whole before it changes anything. After the first record that is wrong nothing more is read,
  and what came before it stays usable.

| kind | what follows |
| --- | --- |
| "d" | name, type, description, labels, bounds, states, mode, place |
| "s" | number of the definition, label values, offset |
| "f" | number of the slot that is gone |
| "i" | number of the slot, its facts |
| "e" | number of the slot, index of the number, labels, value, timestamp or nil |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pytheus.definitions import Definition
from pytheus.samples import Exemplar
from pytheus.shards.layout import Layout

__all__ = [
    "RECORD_BYTES_AT_MOST",
    "LayoutReader",
    "encode_definition",
    "encode_exemplar",
    "encode_facts",
    "encode_forget",
    "encode_layout",
    "encode_series",
]

RECORD_BYTES_AT_MOST: Final = 1 << 20
"""How long a record may be. One that would be longer is refused when it is made, with `ShardFormatError`."""


def encode_definition(definition: Definition) -> bytes:
    """A record of a definition, whose number is how many were written before it."""
    raise NotImplementedError


def encode_series(definition: int, labels: tuple[str, ...], offset: int) -> bytes:
    """A record of a series, whose slot's number is how many were written before it; `definition` is a number too."""
    raise NotImplementedError


def encode_forget(slot: int) -> bytes:
    """A record that the slot of that number is gone."""
    raise NotImplementedError


def encode_facts(slot: int, facts: Mapping[str, str]) -> bytes:
    """A record of an info's facts."""
    raise NotImplementedError


def encode_exemplar(slot: int, index: int, exemplar: Exemplar) -> bytes:
    """A record of the latest exemplar of a slot's number `index`."""
    raise NotImplementedError


def encode_layout(layout: Layout) -> bytes:
    """All of `layout` anew, without what is gone, so that definitions and slots may get other numbers."""
    raise NotImplementedError


class LayoutReader:
    """Makes a layout of records, as they come.

    Bytes may be cut anywhere between two calls of `feed`; a record that is not whole yet waits for the rest.
    """

    def __init__(self) -> None:
        self.layout = Layout()
        self.consumed = 0
        """How many of the bytes fed were whole records that are in the layout."""

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their record."""
        raise NotImplementedError

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Read what `data` adds.

        Raises `ShardFormatError` for what is no record or makes no sense, and for everything that is fed after it; the
        layout then has all that came before.
        """
        raise NotImplementedError
