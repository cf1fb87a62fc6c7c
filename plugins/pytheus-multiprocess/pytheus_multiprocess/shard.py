"""This process's shard: its file, the layout of what is in it, and the series that found no room there.

Rules:

- A file is begun when the first series asks for room, so that a process without metrics leaves no trace.
- A series is placed whole or not at all: room is taken, its record committed, and only then the layout here changed.
  Where that was broken off halfway (an exception in a signal handler), the index is written afresh first of all.
- One change of the file is made at a time, also by one thread. What it comes with in the middle of another (a
  finalizer, a signal handler) waits until that is made; only a new series cannot wait.
- What finds no room (a full disk, the size limit), and a series that comes in the middle of a change, is kept in the
  process's own memory: homeless. It is exposed by this process alone.
- No foreign code runs, and nothing is logged, while the lock is held: a fork waits for it.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Mapping
from typing import cast

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import PytheusError
from pytheus.registry import FloatBuffer
from pytheus.samples import Exemplar
from pytheus.shards import (
    Layout,
    ShardIdentity,
    Snapshot,
    encode_definition,
    encode_info,
    encode_removal,
    encode_series,
)
from pytheus_multiprocess.shard_file import NoRoomError, ShardFile
from pytheus_multiprocess.shard_reader import ExemplarCell

__all__ = ["Shard", "ShardMemory"]

_WORTH_REWRITING_BYTES = 1 << 16
_FORGET_BYTES = 16
"""What a record that a slot is gone takes at most. For each slot so much is kept free, so that it can always go."""


class _Series:
    """A series of this process, and where it is kept."""

    __slots__ = ("definition", "exemplars", "facts", "facts_bytes", "labels", "offset", "size", "slot", "view")

    def __init__(self, definition: Definition, labels: tuple[str, ...], size: int) -> None:
        self.definition: Definition = definition
        self.labels: tuple[str, ...] = labels
        self.size: int = size
        self.slot: int = -1
        """Its number in the layout, or -1 for one that is homeless."""
        self.offset: int = 0
        self.view: FloatBuffer
        self.facts: Mapping[str, str] | None = None
        self.facts_bytes: int = 0
        self.exemplars: dict[int, Exemplar] = {}


class Shard:
    """Where one process keeps its numbers, from its first series until it ends.

    `open_file` makes the file; it may raise `NoRoomError` and OSError, and is called again for the next series then.
    """

    def __init__(self, identity: ShardIdentity, open_file: Callable[[ShardIdentity], ShardFile]) -> None:
        self.identity = identity
        # Told apart by their token: what is homeless is shown as a shard of its own, by this process.
        self._homeless_identity = identity._replace(token=identity.token[::-1])
        self._open_file = open_file
        self.file: ShardFile | None = None
        self.lock: threading.RLock = threading.RLock()
        self._busy = False
        self._postponed: list[Callable[[], None]] = []
        self._broken_off = False
        self._layout = Layout()
        self._placed: dict[int, _Series] = {}
        self._homeless: dict[int, _Series] = {}
        self._outdated_bytes = 0
        self._ended = False
        self._told_homeless = False
        self.why_homeless: str = ""
        """Why the last series that found no room found none."""

    def abandon(self) -> None:
        """In a child after a fork: this is the parent's shard. Nothing of it is written from now on."""
        self.lock = threading.RLock()
        self._ended = True
        self._busy = False
        self._postponed = []
        file, self.file = self.file, None
        if file is not None:
            file.abandon()

    def close(self) -> None:
        """Let go of the file, so that what is in it is folded. Series that are placed from now on are homeless."""
        with self.lock:
            self._ended = True
            file, self.file = self.file, None
            if file is not None:
                file.close()

    @property
    def homeless_count(self) -> int:
        """How many series are kept in this process's own memory for want of room."""
        return len(self._homeless)

    # Series ----------------------------------------------------------------------------------------------------------

    def place(self, definition: Definition, labels: tuple[str, ...], size: int) -> _Series:
        """A new series, in the file if there is room, and in this process's memory if not. Call it with the lock."""
        series = _Series(definition, labels, size)
        if not self._ended and not self._busy:
            self._change(lambda: self._try_to_place(series))
            if series.slot >= 0 and not self._ended:
                return series
        elif self._busy:
            self.why_homeless = "it was made while this very thread was placing another one"
        series.view = array("d", bytes(8 * size))
        if not self._ended:
            self._homeless[id(series)] = series
            if self.file is not None:
                self.file.count_homeless(len(self._homeless))
        return series

    def _change(self, change: Callable[[], None]) -> None:
        """Make a change of the file, or leave it to who is making one just now, further down this thread's stack."""
        if self._busy:
            self._postponed.append(change)
            return
        self._busy = True
        try:
            # Before it as well, for what an exception in a signal handler may have left.
            self._make_postponed()
            change()
            self._make_postponed()
        except ValueError:
            # A signal handler has forked in the middle of it, and this is the child, to which the memory is closed.
            if not self._ended:
                raise
        finally:
            self._busy = False

    def _make_postponed(self) -> None:
        while self._postponed:
            self._postponed.pop(0)()

    def _try_to_place(self, series: _Series) -> None:
        try:
            self._place(series)
        except (PytheusError, OSError) as error:
            self.why_homeless = str(error)

    def _place(self, series: _Series) -> None:
        file = self.file
        if file is None:
            file = self.file = self._open_file(self.identity)
        self._heal(file)
        layout = self._layout
        number = layout.find_definition(series.definition)
        records = b""
        if number is None:
            number = len(layout.definitions)
            records = encode_definition(series.definition)
        offset = file.take(series.size)
        series.offset = offset
        try:
            records += encode_series(number, series.labels, offset)
            # A view of doubles takes an array of doubles, and gives a list of them, whatever typeshed says of it.
            series.view = cast("FloatBuffer", file.doubles(offset, series.size))
            self._broken_off = True
            file.append(records, headroom_bytes=_FORGET_BYTES * (len(self._placed) + 1))
        except (PytheusError, OSError):
            self._broken_off = False
            file.give_back(offset, series.size)
            raise
        series.slot = layout.add_series(layout.add_definition(series.definition), series.labels, offset)
        self._placed[series.slot] = series
        self._broken_off = False

    def displace(self, series: _Series) -> None:
        """The series is no more. Call it with the lock."""
        if self._homeless.pop(id(series), None) is not None:
            if self.file is not None:
                self.file.count_homeless(len(self._homeless))
            return
        self._change(lambda: self._displace(series))

    def _displace(self, series: _Series) -> None:
        file = self.file
        if self._ended or file is None or series.slot < 0:
            return
        try:
            self._heal(file)
        except NoRoomError:
            return  # it stays as it is
        slot = series.slot
        record = encode_removal(slot)
        self._broken_off = True
        series.slot = -1
        del self._placed[slot]
        self._layout.remove_series(slot)
        file.append(record)
        self._broken_off = False
        for index in series.exemplars:
            file.drop((slot, index))
        file.give_back(series.offset, series.size)
        self._outdated(file, 2 * len(record) + sum(map(len, series.labels)) + 16 + series.facts_bytes)

    def set_facts(self, series: _Series, facts: Mapping[str, str]) -> None:
        """The facts of an info's series are these. Call it with the lock."""
        series.facts = dict(facts)
        self._change(lambda: self._write_facts(series, facts))

    def _write_facts(self, series: _Series, facts: Mapping[str, str]) -> None:
        file = self.file
        if self._ended or file is None or series.slot < 0:
            return
        try:
            record = encode_info(series.slot, facts)
            self._heal(file)
            file.append(record, headroom_bytes=_FORGET_BYTES * len(self._placed))
        except (PytheusError, OSError) as error:
            self.why_homeless = str(error)
            return
        self._layout.set_info(series.slot, facts)
        outdated, series.facts_bytes = series.facts_bytes, len(record)
        self._outdated(file, outdated)

    def set_exemplar(self, series: _Series, index: int, exemplar: Exemplar) -> None:
        """The latest exemplar of the series' number `index` is this one. Call it with the lock."""
        series.exemplars[index] = exemplar
        self._change(lambda: self._write_exemplar(series, index, exemplar))

    def _write_exemplar(self, series: _Series, index: int, exemplar: Exemplar) -> None:
        file = self.file
        if self._ended or file is None or series.slot < 0:
            return
        cell = ExemplarCell(file.generation, series.slot, index, dict(exemplar.labels), exemplar[1], exemplar[2])
        try:
            file.put((series.slot, index), msgspec.msgpack.encode(cell))
        except (PytheusError, OSError):
            pass  # exemplars are samples: one less is no loss that anybody counts on

    # The index -------------------------------------------------------------------------------------------------------

    def _outdated(self, file: ShardFile, size: int) -> None:
        self._outdated_bytes += size
        if self._outdated_bytes > _WORTH_REWRITING_BYTES and self._outdated_bytes * 2 > file.index_bytes:
            try:
                self._rewrite(file)
            except (PytheusError, OSError):
                self._outdated_bytes = 0  # to be tried again when as much has come together once more

    def _heal(self, file: ShardFile) -> None:
        if self._broken_off:
            self._rewrite(file)
            self._broken_off = False

    def _rewrite(self, file: ShardFile) -> None:
        """Write the index afresh, of what there is now."""
        layout = Layout()
        records: list[bytes] = []
        kept = list(self._placed.values())
        for series in kept:
            if layout.find_definition(series.definition) is None:
                records.append(encode_definition(series.definition))
            definition = layout.add_definition(series.definition)
            slot = layout.add_series(definition, series.labels, series.offset)
            records.append(encode_series(definition, series.labels, series.offset))
            if series.facts is not None:
                layout.set_info(slot, series.facts)
                record = encode_info(slot, series.facts)
                series.facts_bytes = len(record)
                records.append(record)
        file.rewrite(b"".join(records), headroom_bytes=_FORGET_BYTES * len(kept))
        self._layout = layout
        for series in kept:
            for index in series.exemplars:
                file.drop((series.slot, index))
        self._placed = dict(enumerate(kept))
        for slot, series in enumerate(kept):
            series.slot = slot
        self._outdated_bytes = 0
        for series in kept:
            for index, exemplar in series.exemplars.copy().items():
                self._write_exemplar(series, index, exemplar)

    def tell_homeless(self) -> None:
        """Log that there was no room, once. Call it without the lock: handlers may do anything, even fork."""
        if self._homeless and not self._told_homeless:
            self._told_homeless = True
            import logging  # loaded late: it is only needed where something is wrong

            logging.getLogger("pytheus_multiprocess").warning(
                "series of %s are kept by this process alone and show in its own scrapes only: %s",
                self.identity,
                self.why_homeless,
            )

    # Its own scrape --------------------------------------------------------------------------------------------------

    def homeless(self) -> Snapshot | None:
        """What is kept in this process's own memory for want of room, or None."""
        if not self._homeless:
            return None
        with self.lock:
            layout = Layout()
            numbers: list[float] = []
            for series in list(self._homeless.values()):
                slot = layout.add_series(layout.add_definition(series.definition), series.labels, len(numbers))
                numbers += series.view.tolist()
                if series.facts is not None:
                    layout.set_info(slot, series.facts)
                for index, exemplar in series.exemplars.copy().items():
                    layout.set_exemplar(slot, index, exemplar)
            return Snapshot(self._homeless_identity, True, layout, numbers)


class ShardMemory:
    """Where one metric keeps its numbers: a `pytheus.registry.NumberStorage` over a process's shard."""

    __slots__ = ("_definition", "_series", "_shard")

    def __init__(self, shard: Shard, definition: Definition) -> None:
        self._shard = shard
        self._definition = definition
        self._series: dict[tuple[str, ...], _Series] = {}

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        """A view into the shard's file, or an array where there is no room in it."""
        series = self._series.get(labels)
        if series is None:
            with self._shard.lock:
                series = self._series.get(labels)
                if series is None:
                    placed = self._shard.place(self._definition, labels, size)
                    series = self._series.setdefault(labels, placed)
                    if series is not placed:  # a finalizer or a signal handler was quicker
                        self._shard.displace(placed)
            self._shard.tell_homeless()
        return series.view

    def release(self, labels: tuple[str, ...], /) -> None:
        """Give the room back, for another series to have."""
        with self._shard.lock:
            series = self._series.pop(labels, None)
            if series is not None:
                self._shard.displace(series)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        """Write down an info's facts."""
        self.buffer(labels, 0)
        with self._shard.lock:
            series = self._series.get(labels)
            if series is not None:
                self._shard.set_facts(series, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Write down an exemplar, over the one before."""
        with self._shard.lock:
            series = self._series.get(labels)
            if series is not None:
                self._shard.set_exemplar(series, slot, exemplar)
