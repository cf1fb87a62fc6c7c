"""A copy of this process's shard as Redis should have it, and the changes to send.

Rules:

- The numbers are in the metrics. A mirror holds them as they were read last; `update` reads them again and returns the
  differences, as absolute numbers.
- A delta is a piece of a publication, small enough for one message. Readers see all pieces of a publication at once, so
  that no family is part old and part new.
- A delta knows the numbers that it overwrote (`undo`), so that the earlier state can be restored as long as it is
  unknown whether the delta has arrived.
- An offset that a series left may be given to another series, but not while a base is subtracted from it.
- New series are written to the index in runs whose numbers follow each other; these are read and merged as a whole.

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
    encode_series_run,
    encode_start_time,
    series_size,
)

__all__ = ["DELTA_BYTES", "Delta", "ShardMirror", "packed", "unpacked"]

DELTA_BYTES: Final = 512 * 1024
"""The approximate size of a delta; the series of one metric that came together are sent together."""

# Unchanged numbers between two changed ones are sent too where they are shorter than another offset.
_MAX_GAP: Final = 4

# The approximate count of numbers in one run.
_MAX_RUN: Final = DELTA_BYTES // 16

# So many new series are added at once. Labels of more characters may not fit into a record.
_MAX_SERIES: Final = 1024
_MAX_CHARACTERS: Final = 1 << 16
_MAX_NUMBER: Final = 1 << 40


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

    __slots__ = ("created", "definition", "labels", "numbers", "offsets", "series", "size")

    def __init__(self, definition: int, size: int) -> None:
        self.definition = definition
        self.size = size
        self.labels: list[tuple[str, ...]] = []
        self.numbers: array[float] = array("d")
        # Parallel to `labels`: when each series began, its number in the layout, and the offset of its numbers.
        self.created: list[float | None] = []
        self.series: list[int] = []
        self.offsets: list[int] = []


def _fits(labels: tuple[str, ...]) -> bool:
    """Whether a record can have these labels; only this process exposes a series with labels of a megabyte."""
    if sum(map(len, labels)) <= _MAX_CHARACTERS:
        return True
    try:
        encode_series(_MAX_NUMBER, labels, _MAX_NUMBER, _MAX_NUMBER)
    except ShardFormatError:
        return False
    return True


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
        created = [row.created for row in rows]
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
            created = [row.created for row in rows]
        if created != known.created:
            self._store_start_times(known, created, deltas)
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
        if not all(each in positions or _fits(each) for each in labels):
            rows = [row for row in rows if row.labels in positions or _fits(row.labels)]
            labels = [row.labels for row in rows]
            numbers = array("d", chain.from_iterable([row.numbers for row in rows]))
        added = iter(self._add_rows(known, [row for row in rows if row.labels not in positions], deltas))
        series: list[int] = []
        offsets: list[int] = []
        arranged = array("d")
        for at, each in enumerate(labels):
            position = positions.get(each)
            if position is not None:
                series.append(known.series[position])
                offsets.append(known.offsets[position])
                arranged += known.numbers[position * size : (position + 1) * size]
            else:
                number = next(added)
                series.append(number)
                offsets.append(self.layout.offsets[number])
                arranged += numbers[at * size : (at + 1) * size]
        known.created = [
            known.created[positions[row.labels]] if row.labels in positions else row.created for row in rows
        ]
        known.series, known.offsets, known.numbers, known.labels = series, offsets, arranged, labels
        return rows, numbers

    def _add_rows(self, known: _CollectorMirror, rows: Sequence[Row], deltas: list[Delta]) -> range:
        """Add series with these rows; returns their numbers in the layout."""
        layout, size = self.layout, known.size
        first = len(layout)
        at_once = max(1, min(_MAX_SERIES, _MAX_RUN // size if size else _MAX_SERIES))
        start = 0
        while start < len(rows):
            offset, count = self._take_offsets(size, min(at_once, len(rows) - start))
            part = rows[start : start + count]
            start += count
            labels = [row.labels for row in part]
            created = [row.created or 0.0 for row in part]
            records = encode_series_run(known.definition, labels, offset, size, created)
            for record in records:
                self._append(record, deltas)
            useful = sum(map(len, records)) // count
            self._useful_bytes += useful * count
            self._series_bytes.extend([useful] * count)
            for number, each in enumerate(labels):
                layout.add_series(known.definition, each, offset + number * size, created[number])
            if size:
                # Zeros are sent as well, because another series may have had the offset.
                values = array("d", chain.from_iterable([row.numbers for row in part]))
                deltas[-1].add_run(offset, values, array("d", bytes(8 * len(values))))
                self.numbers[offset : offset + len(values)] = values
        return range(first, len(layout))

    def _take_offsets(self, size: int, count: int) -> tuple[int, int]:
        """The first of some consecutive offsets, `count` or as many as there are together, and how many they are."""
        free = self._free_offsets.get(size)
        if free and self.reuses_offsets:
            offset, taken = free.pop(), 1
            while free and taken < count and free[-1] == offset - size:
                offset = free.pop()
                taken += 1
            return offset, taken
        offset = len(self.numbers)
        self.numbers.extend(array("d", bytes(8 * size * count)))
        return offset, count

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

    def _store_start_times(self, known: _CollectorMirror, created: list[float | None], deltas: list[Delta]) -> None:
        """Note that series were created again since the last time."""
        for number, before, now in zip(known.series, known.created, created, strict=True):
            if before != now:
                self.layout.start_times.replace(number, now or 0.0)
                self._append(encode_start_time(number, now or 0.0), deltas)
        known.created = created

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
