"""This process's shard as it should stand in Redis: its layout, its numbers, and what has to be sent to get there.

Rules:

- The numbers stay in the metrics. An image is what was read of them last, and `gather` reads them again and tells what
  is different, as absolute numbers.
- A piece of the changes holds everything that a series needs: its records and its numbers. So pieces may be sent one
  after the other, and whoever reads between two of them reads a state that was true of each series.
- Each piece says what it overwrote (`undo`), so that the state before it can be told for as long as nobody knows
  whether it arrived.
- A part of the numbers that a series left may be given to another one, but not while a base is subtracted from it.

One thread uses an image.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Final

from pytheus.registry import HasRows
from pytheus.samples import Row
from pytheus.shards import (
    Layout,
    ShardFormatError,
    encode_definition,
    encode_exemplar,
    encode_info,
    encode_removal,
    encode_series,
    series_size,
)

__all__ = ["PIECE_BYTES", "Image", "Piece", "doubles", "packed"]

PIECE_BYTES: Final = 512 * 1024
"""How large a piece becomes, about; one metric's series that came together stay apart from the next one's."""

# Numbers between two that changed are sent again where that is shorter than to say where the next one begins.
_GAP: Final = 4

# How many numbers are sent as one run, about.
_RUN: Final = PIECE_BYTES // 16


def packed(numbers: array[float]) -> bytes:
    """The numbers as little-endian doubles."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def doubles(data: bytes) -> array[float]:
    """What `packed` made bytes of; a double that was cut off is left out."""
    numbers = array("d")
    numbers.frombytes(data[: len(data) // 8 * 8])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class Piece:
    """Some of the changes: records for the index, runs of numbers by offset, and what those overwrote."""

    __slots__ = ("_bytes", "records", "runs", "undo")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.runs: list[tuple[int, array[float]]] = []
        self.undo: list[tuple[int, array[float]]] = []
        self._bytes = 0

    def record(self, record: bytes) -> None:
        """Append to the index."""
        self.records.append(record)
        self._bytes += len(record)

    def store(self, offset: int, numbers: array[float], former: array[float]) -> None:
        """Write `numbers` where `former` stood."""
        self.runs.append((offset, numbers))
        self.undo.append((offset, former))
        self._bytes += 8 * len(numbers) + 24

    @property
    def full(self) -> bool:
        """Whether the next change should begin another piece."""
        return self._bytes >= PIECE_BYTES

    def __bool__(self) -> bool:
        return bool(self.records or self.runs)

    @property
    def fills(self) -> frozenset[str]:
        """Which of "index" and "numbers" there are once it has arrived."""
        filled = {"index"} if self.records else set()
        if any(len(numbers) for _, numbers in self.runs):
            filled.add("numbers")
        return frozenset(filled)

    def arguments(self) -> list[str | bytes | int]:
        """As the scripts take it: records, then pairs of offset and bytes."""
        arguments: list[str | bytes | int] = [b"".join(self.records)]
        for offset, numbers in self.runs:
            arguments += (8 * offset, packed(numbers))
        return arguments


class _Part:
    """One collector's share of the image, as it was read last."""

    __slots__ = ("definition", "flat", "labels", "offsets", "size", "slots")

    def __init__(self, definition: int, size: int) -> None:
        self.definition = definition
        self.size = size
        self.labels: list[tuple[str, ...]] = []
        self.flat: array[float] = array("d")
        # By position in `labels`.
        self.slots: list[int] = []
        self.offsets: list[int] = []


class Image:
    """A shard in the making, empty at first."""

    def __init__(self) -> None:
        self.layout: Final = Layout()
        self.numbers: array[float] = array("d")
        self.reuses = True
        """Whether parts of the numbers that were left may be used again."""
        self.index_bytes: int = 0
        """How long the index is with all its records."""
        self._useful_bytes = 0
        # Of what is useful: by definition's number, and by slot's, whatever records there are of it.
        self._definition_bytes: dict[int, int] = {}
        self._slot_bytes = array("l")
        self._parts: dict[int, tuple[HasRows, _Part]] = {}
        self._free: dict[int, list[int]] = {}

    @property
    def wasteful(self) -> bool:
        """Whether so much of the index is outdated that it should be written anew."""
        return self.index_bytes > 2 * self._useful_bytes + 64 * 1024

    def gather(self, collectors: Sequence[HasRows]) -> list[Piece]:
        """What has changed since the last time, in pieces; the image has changed accordingly."""
        pieces = [Piece()]
        present = set()
        for collector in collectors:
            present.add(id(collector))
            self._gather_one(collector, pieces)
        for key in [key for key in self._parts if key not in present]:
            _, part = self._parts.pop(key)
            self._leave(part, pieces)
        return [piece for piece in pieces if piece]

    def numbers_before(self, pieces: Sequence[Piece]) -> array[float]:
        """The numbers as they stood before the latest `pieces`, given in the order in which they were made."""
        numbers = self.numbers[:]
        for piece in reversed(pieces):
            for offset, former in reversed(piece.undo):
                numbers[offset : offset + len(former)] = former
        return numbers

    def _gather_one(self, collector: HasRows, pieces: list[Piece]) -> None:
        try:
            rows = collector.rows()
        except Exception:  # somebody else's collector, for a metric's do not raise; what was read last stands
            return
        labels = [row.labels for row in rows]
        flat = array("d", chain.from_iterable([row.numbers for row in rows]))
        known = self._parts.get(id(collector))
        if known is not None and known[0] is collector:
            part = known[1]
        else:
            if known is not None:
                self._leave(known[1], pieces)
            definition = collector.definition
            try:
                record = encode_definition(definition)
            except ShardFormatError:  # a description of a megabyte; this process exposes it, and no other
                return
            number = len(self.layout.definitions)
            if self.layout.add_definition(definition) == number:
                self._append(record, pieces)
            else:
                number = self.layout.add_definition(definition)
            self._definition_bytes[number] = len(record)
            self._useful_bytes += len(record)
            part = _Part(number, series_size(definition))
            self._parts[id(collector)] = (collector, part)
        if len(flat) != part.size * len(rows):
            return  # a collector whose rows do not fit its definition is none of this process's metrics
        if labels != part.labels:
            rows, flat = self._arrange(part, rows, labels, flat, pieces)
        if bytes(memoryview(flat)) != bytes(memoryview(part.flat)):
            self._store(part, flat, pieces)
        for at, row in enumerate(rows):
            if row.info is not None or row.exemplars:
                self._annotate(part.slots[at], row, pieces)

    def _arrange(
        self,
        part: _Part,
        rows: list[Row],
        labels: list[tuple[str, ...]],
        flat: array[float],
        pieces: list[Piece],
    ) -> tuple[list[Row], array[float]]:
        """Bring the part's series into the order of `labels`, with those that are new and without those that went."""
        size = part.size
        positions = {each: at for at, each in enumerate(part.labels)}
        went = positions.keys() - set(labels)
        if went:
            self._forget([part.slots[positions[each]] for each in went], size, pieces)
        slots: list[int] = []
        offsets: list[int] = []
        former = array("d")
        kept: list[int] = []
        for at, each in enumerate(labels):
            position = positions.get(each)
            if position is not None:
                slots.append(part.slots[position])
                offsets.append(part.offsets[position])
                former += part.flat[position * size : (position + 1) * size]
                kept.append(at)
                continue
            offset = self._room(size)
            try:
                record = encode_series(part.definition, each, offset)
            except ShardFormatError:  # labels of a megabyte
                self._free.setdefault(size, []).append(offset)
                continue
            kept.append(at)
            slots.append(self.layout.add_series(part.definition, each, offset))
            self._slot_bytes.append(0)
            offsets.append(offset)
            values = flat[at * size : (at + 1) * size]
            former += values
            self._append(record, pieces, slot=slots[-1])
            zeros = array("d", bytes(8 * size))
            # Also where they are zeros, for another series' numbers may stand there.
            pieces[-1].store(offset, values, zeros)
            self.numbers[offset : offset + size] = values
        part.slots, part.offsets, part.flat = slots, offsets, former
        if len(kept) != len(labels):
            part.labels = [labels[at] for at in kept]
            rows = [rows[at] for at in kept]
            flat = array("d", chain.from_iterable([row.numbers for row in rows]))
        else:
            part.labels = labels
        return rows, flat

    def _room(self, size: int) -> int:
        free = self._free.get(size)
        if free and self.reuses:
            return free.pop()
        offset = len(self.numbers)
        self.numbers.extend(array("d", bytes(8 * size)))
        return offset

    def _leave(self, part: _Part, pieces: list[Piece]) -> None:
        self._forget(part.slots, part.size, pieces)
        self._useful_bytes -= self._definition_bytes.pop(part.definition, 0)

    def _forget(self, slots: Sequence[int], size: int, pieces: list[Piece]) -> None:
        for slot in slots:
            offset = self.layout.offsets[slot]
            self.layout.remove_series(slot)
            self._append(encode_removal(slot), pieces)
            self._useful_bytes -= self._slot_bytes[slot]
            self._free.setdefault(size, []).append(offset)

    def _store(self, part: _Part, flat: array[float], pieces: list[Piece]) -> None:
        size, former = part.size, part.flat
        part.flat = flat
        first = last = -1  # a run in the image's numbers that is being put together
        run = array("d")
        for at, offset in enumerate(part.offsets):
            here = at * size
            new, old = flat[here : here + size], former[here : here + size]
            if bytes(memoryview(new)) == bytes(memoryview(old)):
                continue
            if first >= 0 and 0 <= offset - last <= _GAP and len(run) < _RUN:
                run += self.numbers[last:offset]
                run += new
            else:
                if first >= 0:
                    self._put(first, run, pieces)
                first, run = offset, new
            last = offset + size
        if first >= 0:
            self._put(first, run, pieces)

    def _put(self, offset: int, numbers: array[float], pieces: list[Piece]) -> None:
        if pieces[-1].full:
            pieces.append(Piece())
        end = offset + len(numbers)
        pieces[-1].store(offset, numbers, self.numbers[offset:end])
        self.numbers[offset:end] = numbers

    def _annotate(self, slot: int, row: Row, pieces: list[Piece]) -> None:
        layout = self.layout
        facts = row.info
        if facts is not None and layout.info.get(slot) != facts:
            replaces = slot in layout.info
            facts = dict(facts)
            layout.set_info(slot, facts)
            try:
                self._append(encode_info(slot, facts), pieces, slot=None if replaces else slot)
            except ShardFormatError:  # as above
                pass
        for index, exemplar in (row.exemplars or {}).items():
            former = layout.exemplars.get(slot, {}).get(index)
            if former is not exemplar and former != exemplar:
                layout.set_exemplar(slot, index, exemplar)
                self._append(encode_exemplar(slot, index, exemplar), pieces, slot=slot if former is None else None)

    def _append(self, record: bytes, pieces: list[Piece], *, slot: int | None = None) -> None:
        """Append to the index what is useful for as long as `slot` is there; None if it is not, or told otherwise."""
        if pieces[-1].full:
            pieces.append(Piece())
        pieces[-1].record(record)
        self.index_bytes += len(record)
        if slot is not None:
            self._slot_bytes[slot] += len(record)
            self._useful_bytes += len(record)
