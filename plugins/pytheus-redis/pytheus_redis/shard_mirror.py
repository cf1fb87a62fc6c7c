"""A copy of this process's shard as Redis should have it, and the changes to send.

Rules:

- The numbers are in the metrics. A mirror holds them as they were read last; `update` reads them again and returns the
  differences, as absolute numbers.
- A delta is a piece of a publication, small enough for one message. Readers see all pieces of a publication at once, so
  that no family is part old and part new.
- A delta knows the numbers that it overwrote (`undo`), so that the earlier state can be restored as long as it is
  unknown whether the delta has arrived.
- An offset that a series left may be given to another series, but not while a base is subtracted from it.

One thread uses a mirror.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final

from pytheus.registry import HasRows
from pytheus.samples import Row
from pytheus.shards import (
    Layout,
    SeriesEntry,
    ShardFormatError,
    encode_definition,
    encode_exemplar,
    encode_info,
    encode_removal,
    encode_series,
    series_size,
)

__all__ = ["DELTA_BYTES", "Delta", "ShardMirror", "packed", "unpacked"]

DELTA_BYTES: Final = 512 * 1024
"""The approximate size of a delta; the series of one metric that came together are sent together."""

# Unchanged numbers between two changed ones are sent too where they are shorter than another offset.
_MAX_GAP: Final = 4

# The approximate count of numbers in one run.
_MAX_RUN: Final = DELTA_BYTES // 16


def packed(numbers: array[float]) -> bytes:
    """The numbers as little-endian doubles."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def unpacked(data: bytes) -> array[float]:
    """The numbers of `packed`; a double that was cut off is left out."""
    numbers = array("d")
    numbers.frombytes(data[: len(data) // 8 * 8])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class Delta:
    """Some changes: records, runs of numbers by offset, and the overwritten numbers."""

    __slots__ = ("_bytes", "records", "runs", "undo")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.runs: list[tuple[int, array[float]]] = []
        self.undo: list[tuple[int, array[float]]] = []
        self._bytes = 0

    def add_record(self, record: bytes) -> None:
        """Append to the index."""
        self.records.append(record)
        self._bytes += len(record)

    def add_run(self, offset: int, numbers: array[float], overwritten: array[float]) -> None:
        """Write `numbers` over `overwritten`."""
        self.runs.append((offset, numbers))
        self.undo.append((offset, overwritten))
        self._bytes += 8 * len(numbers) + 24

    @property
    def is_full(self) -> bool:
        """Whether the next change should be in another delta."""
        return self._bytes >= DELTA_BYTES

    def __bool__(self) -> bool:
        return bool(self.records or self.runs)

    @property
    def record_bytes(self) -> int:
        """By how much it makes the index longer."""
        return sum(map(len, self.records))

    @property
    def end_bytes(self) -> int:
        """How long the numbers are at least once it has arrived."""
        return max((8 * (offset + len(numbers)) for offset, numbers in self.runs if numbers), default=0)

    def arguments(self) -> list[str | bytes | int]:
        """The arguments of the scripts: records, then pairs of offset and bytes."""
        arguments: list[str | bytes | int] = [b"".join(self.records)]
        for offset, numbers in self.runs:
            arguments += (8 * offset, packed(numbers))
        return arguments


class _CollectorMirror:
    """The series of one collector, as they were read last."""

    __slots__ = ("definition", "labels", "numbers", "offsets", "series", "size")

    def __init__(self, definition: int, size: int) -> None:
        self.definition = definition
        self.size = size
        self.labels: list[tuple[str, ...]] = []
        self.numbers: array[float] = array("d")
        # Parallel to `labels`: the number of each series in the layout, and the offset of its numbers.
        self.series: list[int] = []
        self.offsets: list[int] = []


def _rows_of(collector: HasRows) -> list[Row]:
    return collector.rows()


class ShardMirror:
    """A shard that is updated from collectors; empty at first."""

    def __init__(self) -> None:
        self.layout: Final = Layout()
        self.numbers: array[float] = array("d")
        self.reuses_offsets = True
        """Whether the offsets of removed series may be used again."""
        self.index_bytes: int = 0
        """The length of the index with all its records."""
        self._useful_bytes = 0
        # The useful records, by definition and by series: how long all records of each are together.
        self._definition_bytes: dict[int, int] = {}
        self._series_bytes = array("l")
        self._collectors: dict[int, tuple[HasRows, _CollectorMirror]] = {}
        self._free_offsets: dict[int, list[int]] = {}

    @property
    def is_wasteful(self) -> bool:
        """Whether a new shard should replace this one, because its index is outdated."""
        return self.index_bytes > 2 * self._useful_bytes + 64 * 1024

    def update(self, collectors: Sequence[HasRows], rows_of: Callable[[HasRows], list[Row]] = _rows_of) -> list[Delta]:
        """Read `collectors` again with `rows_of`, and return the changes since the last time."""
        deltas = [Delta()]
        present = set()
        for collector in collectors:
            present.add(id(collector))
            self._update_one(collector, rows_of, deltas)
        for key in [key for key in self._collectors if key not in present]:
            _, known = self._collectors.pop(key)
            self._remove_collector(known, deltas)
        return [delta for delta in deltas if delta]

    def find(self, entry: SeriesEntry) -> int | None:
        """The number of the series with the definition and the labels of `entry`, or None."""
        definition = self.layout.find_definition(entry.definition)
        return None if definition is None else self.layout.find_series(definition, entry.labels)

    def numbers_before(self, deltas: Sequence[Delta]) -> array[float]:
        """The numbers before the latest `deltas`, which are in the order of their making."""
        numbers = self.numbers[:]
        for delta in reversed(deltas):
            for offset, overwritten in reversed(delta.undo):
                numbers[offset : offset + len(overwritten)] = overwritten
        return numbers

    def _update_one(self, collector: HasRows, rows_of: Callable[[HasRows], list[Row]], deltas: list[Delta]) -> None:
        try:
            rows = rows_of(collector)
        except Exception:  # not a metric of pytheus, because those do not raise; the earlier numbers stay
            return
        labels = [row.labels for row in rows]
        numbers = array("d", chain.from_iterable([row.numbers for row in rows]))
        entry = self._collectors.get(id(collector))
        if entry is not None and entry[0] is collector:
            known = entry[1]
        else:
            if entry is not None:
                self._remove_collector(entry[1], deltas)
            definition = collector.definition
            try:
                record = encode_definition(definition)
            except ShardFormatError:  # a description of a megabyte; only this process exposes the metric
                return
            is_new = self.layout.find_definition(definition) is None
            number = self.layout.add_definition(definition)
            if is_new:
                self._append(record, deltas)
            self._definition_bytes[number] = len(record)
            self._useful_bytes += len(record)
            known = _CollectorMirror(number, series_size(definition))
            self._collectors[id(collector)] = (collector, known)
        if len(numbers) != known.size * len(rows):
            return  # not a metric of pytheus: its rows do not match its definition
        if labels != known.labels:
            rows, numbers = self._arrange(known, rows, labels, numbers, deltas)
        self._store(known, numbers, deltas)
        for number, row in zip(known.series, rows, strict=True):
            if row.info is not None or row.exemplars:
                self._annotate(number, row, deltas)

    def _arrange(
        self,
        known: _CollectorMirror,
        rows: list[Row],
        labels: list[tuple[str, ...]],
        numbers: array[float],
        deltas: list[Delta],
    ) -> tuple[list[Row], array[float]]:
        """Arrange the series of `known` as `labels`; returns the rows and numbers kept."""
        size = known.size
        positions = {each: position for position, each in enumerate(known.labels)}
        removed = positions.keys() - set(labels)
        self._remove_series([known.series[positions[each]] for each in removed], size, deltas)
        series: list[int] = []
        offsets: list[int] = []
        arranged = array("d")
        kept: list[int] = []
        for at, each in enumerate(labels):
            position = positions.get(each)
            if position is not None:
                series.append(known.series[position])
                offsets.append(known.offsets[position])
                arranged += known.numbers[position * size : (position + 1) * size]
                kept.append(at)
                continue
            offset = self._take_offset(size)
            try:
                record = encode_series(known.definition, each, offset)
            except ShardFormatError:  # labels of a megabyte
                self._free_offsets.setdefault(size, []).append(offset)
                zeros = array("d", bytes(8 * size))  # Redis's numbers are as long as these
                self._store_run(offset, zeros, deltas)
                continue
            kept.append(at)
            series.append(self.layout.add_series(known.definition, each, offset))
            self._series_bytes.append(0)
            offsets.append(offset)
            values = numbers[at * size : (at + 1) * size]
            arranged += values
            self._append(record, deltas, series=series[-1])
            # Zeros are sent as well, because another series may have had the offset.
            deltas[-1].add_run(offset, values, array("d", bytes(8 * size)))
            self.numbers[offset : offset + size] = values
        known.series, known.offsets, known.numbers, known.labels = series, offsets, arranged, labels
        if len(kept) != len(labels):
            known.labels = [labels[at] for at in kept]
            rows = [rows[at] for at in kept]
            numbers = array("d", chain.from_iterable([row.numbers for row in rows]))
        return rows, numbers

    def _take_offset(self, size: int) -> int:
        free = self._free_offsets.get(size)
        if free and self.reuses_offsets:
            return free.pop()
        offset = len(self.numbers)
        self.numbers.extend(array("d", bytes(8 * size)))
        return offset

    def _remove_collector(self, known: _CollectorMirror, deltas: list[Delta]) -> None:
        self._remove_series(known.series, known.size, deltas)
        self._useful_bytes -= self._definition_bytes.pop(known.definition, 0)

    def _remove_series(self, series: Sequence[int], size: int, deltas: list[Delta]) -> None:
        for number in series:
            offset = self.layout.offsets[number]
            self.layout.remove_series(number)
            self._append(encode_removal(number), deltas)
            self._useful_bytes -= self._series_bytes[number]
            self._free_offsets.setdefault(size, []).append(offset)

    def _store(self, known: _CollectorMirror, numbers: array[float], deltas: list[Delta]) -> None:
        """Put numbers that changed into runs: neighbours in the shard are sent together."""
        # As bytes, because NaN is unequal to itself, and 0.0 equals -0.0.
        after, before = numbers.tobytes(), known.numbers.tobytes()
        if after == before:
            return
        known.numbers = numbers
        size = known.size
        width = numbers.itemsize * size
        start = end = -1
        run = array("d")
        for position, offset in enumerate(known.offsets):
            first = position * width
            if after[first : first + width] == before[first : first + width]:
                continue
            new = numbers[position * size : (position + 1) * size]
            if start >= 0 and 0 <= offset - end <= _MAX_GAP and len(run) < _MAX_RUN:
                run += self.numbers[end:offset]
                run += new
            else:
                if start >= 0:
                    self._store_run(start, run, deltas)
                start, run = offset, new
            end = offset + size
        if start >= 0:
            self._store_run(start, run, deltas)

    def _store_run(self, offset: int, numbers: array[float], deltas: list[Delta]) -> None:
        end = offset + len(numbers)
        self._open(deltas).add_run(offset, numbers, self.numbers[offset:end])
        self.numbers[offset:end] = numbers

    def _annotate(self, series: int, row: Row, deltas: list[Delta]) -> None:
        """Copy the labels of an info, and the exemplars."""
        layout = self.layout
        info = row.info
        if info is not None and layout.info.get(series) != info:
            replaces = series in layout.info
            info = dict(info)
            layout.set_info(series, info)
            with suppress(ShardFormatError):  # labels of a megabyte
                self._append(encode_info(series, info), deltas, series=None if replaces else series)
        for slot, exemplar in (row.exemplars or {}).items():
            before = layout.exemplars.get(series, {}).get(slot)
            if before is not exemplar and before != exemplar:
                layout.set_exemplar(series, slot, exemplar)
                record = encode_exemplar(series, slot, exemplar)
                self._append(record, deltas, series=series if before is None else None)

    def _append(self, record: bytes, deltas: list[Delta], *, series: int | None = None) -> None:
        """Append to the index; the record is counted as useful while `series` exists."""
        self._open(deltas).add_record(record)
        self.index_bytes += len(record)
        if series is not None:
            self._series_bytes[series] += len(record)
            self._useful_bytes += len(record)

    @staticmethod
    def _open(deltas: list[Delta]) -> Delta:
        if deltas[-1].is_full:
            deltas.append(Delta())
        return deltas[-1]
