"""This process's shard: its file, the file's layout, and the series outside of it.

Rules:

- The file is created for the first series, so that a process without metrics leaves no trace.
- A series is added completely or not at all: its numbers are allocated, its record is committed, and only then the
  layout in memory changes. If that was interrupted (an exception in a signal handler), the index is rewritten before
  anything else.
- The record of a new series is in the tail at first. The series of a full tail, or of a batch, are written into the
  index together, before anything else that is written there.
- The records of a batch are committed at its end, in one step. The numbers of the series that it removes are not used
  again before.
- One change of the file is made at a time, even within one thread. A change in the middle of another one (a finalizer,
  a signal handler) waits until that is complete; only a new series cannot wait.
- A series that does not fit (a full disk, the size limit), or that comes in the middle of a change, is *unshared*: it
  is kept in the process's own memory, and exposed by this process alone.
- No foreign code runs, and nothing is logged, while the lock is held, because a fork waits for the lock.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    encode_several_series,
)
from pytheus_multiprocess.retirement import Absorb, Retirable
from pytheus_multiprocess.shard_file import NoSpaceError, ShardFile
from pytheus_multiprocess.shard_reader import ExemplarCell

__all__ = ["Shard", "ShardSeries"]

_MIN_REWRITE_BYTES = 1 << 16
_MAX_RECORD_HEAD_BYTES = 32
_MAX_REMOVAL_BYTES = 16
"""The largest record of a removal. This much is kept free per series, so that each can always be removed."""


@dataclass(slots=True, eq=False)
class ShardSeries:
    """A series of this process, and the buffer of its numbers."""

    definition: Definition
    labels: tuple[str, ...]
    size: int
    created: float  # 0.0 if it is unknown when the series began
    number: int = -1
    """Its number in the layout, or -1 if it is unshared."""
    offset: int = 0
    buffer: FloatBuffer = field(init=False)
    info: Mapping[str, str] | None = None
    info_bytes: int = 0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


class Shard:
    """The numbers of one process, from its first series until its end.

    `open_file` creates the file. If it raises `NoSpaceError` or OSError, it is called again for the next series.
    """

    def __init__(self, identity: ShardIdentity, open_file: Callable[[ShardIdentity], ShardFile]) -> None:
        self.identity = identity
        # This process exposes the unshared series as a shard of its own, which needs a token of its own.
        self._unshared_identity = identity._replace(token=identity.token[::-1])
        self._open_file = open_file
        self.file: ShardFile | None = None
        self.lock: threading.RLock = threading.RLock()
        self._pid = os.getpid()
        self._changing = False
        self._postponed: list[Callable[[], None]] = []
        self._interrupted = False
        # How many batches are under way, and the numbers to be freed at the end of the outermost.
        self._batches = 0
        self._left: list[tuple[int, int]] = []
        self._layout = Layout()
        self._shared: dict[int, ShardSeries] = {}
        self._unshared: dict[int, ShardSeries] = {}
        # How many series are in the index, how many in the tail, and how long the index gets by the others at most.
        self._indexed = 0
        self._in_tail = 0
        self._waiting_bytes = 0
        self._outdated_bytes = 0
        self._ended = False
        self._logged = False
        self.unshared_reason: str = ""
        """Why the latest unshared series is one."""

    def abandon(self) -> None:
        """In a child after a fork: write nothing more to this shard of the parent."""
        self.lock = threading.RLock()
        self._ended = True
        self._changing = False
        self._postponed = []
        self._batches = 0
        file, self.file = self.file, None
        if file is not None:
            file.abandon()

    def close(self) -> None:
        """Close the file, so that it is folded. Series that are added later are unshared."""
        with self.lock:
            self._ended = True
            file, self.file = self.file, None
            if file is not None:
                file.close()

    @property
    def unshared_count(self) -> int:
        """How many series only this process exposes."""
        return len(self._unshared)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Let readers see the changes within the context together, at its end."""
        with self.lock:
            self._batches += 1
            try:
                yield
            finally:
                self._batches -= 1
                if self._batches == 0:
                    self._change(self._commit)
        self.log_unshared()

    def _commit(self) -> None:
        file = self.file
        if self._ended or file is None:
            return
        interrupted, self._interrupted = self._interrupted, True
        if len(self._layout) > self._indexed + self._in_tail:
            self._write(file)
        else:
            file.commit()
        self._interrupted = interrupted
        while self._left:
            file.free(*self._left.pop())
        self._add_outdated(file, 0)

    # Series ----------------------------------------------------------------------------------------------------------

    def add(self, series: ShardSeries, numbers: array[float]) -> ShardSeries:
        """Add a new series with its first numbers, in the file if it fits, and return it. Needs the lock."""
        if not self._ended and not self._changing:
            self._change(lambda: self._try_to_share(series, numbers))
            if series.number >= 0 and not self._ended:
                return series
        elif self._changing:
            self.unshared_reason = "it was created while the same thread was adding another one"
        series.buffer = numbers[:]
        if not self._ended:
            self._unshared[id(series)] = series
            self._store_unshared_count()
        return series

    def _store_unshared_count(self) -> None:
        if self.file is not None:
            self.file.set_unshared(len(self._unshared))

    def _change(self, change: Callable[[], None]) -> None:
        """Change the file, or let the change that this thread is in the middle of do it."""
        if os.getpid() != self._pid:
            self.abandon()  # in the child of a fork by C code, which nothing has told of it
            return
        if self._changing:
            self._postponed.append(change)
            return
        self._changing = True
        try:
            # Before it as well, because an exception in a signal handler may have left some.
            self._make_postponed()
            change()
            self._make_postponed()
        except ValueError:
            if not self._ended:  # otherwise it is a child that a signal handler forked, where the memory is released
                raise
        finally:
            self._changing = False

    def _make_postponed(self) -> None:
        while self._postponed:
            self._postponed.pop(0)()

    def _try_to_share(self, series: ShardSeries, numbers: array[float]) -> None:
        try:
            self._share(series, numbers)
        except (PytheusError, OSError) as error:
            self.unshared_reason = str(error)

    def _share(self, series: ShardSeries, numbers: array[float]) -> None:
        file = self.file
        if file is None:
            file = self.file = self._open_file(self.identity)
        self._repair(file)
        layout = self._layout
        number = layout.find_definition(series.definition)
        if number is None:
            number = self._define(file, series.definition)
        offset = file.allocate(series.size)
        series.offset = offset
        try:
            record = encode_series(number, series.labels, offset, series.created)
            # typeshed does not know that a view of doubles takes an array of doubles and returns a list of them.
            series.buffer = cast("FloatBuffer", file.doubles(offset, series.size))
            series.buffer[:] = numbers  # before its record, so that no reader sees other numbers
            file.reserve(self._headroom_bytes(1) + len(record))
        except (PytheusError, OSError):
            file.free(offset, series.size)
            raise
        self._interrupted = True
        is_in_tail = not self._batches and file.append_to_tail(record)
        self._waiting_bytes += len(record)
        series.number = layout.add_series(number, series.labels, offset, series.created)
        self._shared[series.number] = series
        if is_in_tail:
            self._in_tail += 1
        elif not self._batches:
            self._write(file)
        self._interrupted = False

    def _define(self, file: ShardFile, definition: Definition) -> int:
        """Write a definition that the index does not have; gives its number."""
        record = encode_definition(definition)
        self._interrupted = True
        try:
            self._write(file, record, headroom_bytes=self._headroom_bytes())
        except (PytheusError, OSError):
            self._interrupted = False
            raise
        number = self._layout.add_definition(definition)
        self._interrupted = False
        return number

    def _headroom_bytes(self, added: int = 0) -> int:
        """How much the index may get longer by the waiting series, and by the removal of all."""
        return self._waiting_bytes + _MAX_RECORD_HEAD_BYTES + _MAX_REMOVAL_BYTES * (len(self._shared) + added)

    def _write(self, file: ShardFile, record: bytes = b"", *, headroom_bytes: int = 0) -> None:
        """Append `record` to the index, behind the series that are not there yet; all or nothing."""
        layout = self._layout
        waiting = encode_several_series(layout, range(self._indexed, len(layout)))
        file.append(b"".join([*waiting, record]), headroom_bytes=headroom_bytes, commit=not self._batches)
        self._indexed = len(layout)
        self._in_tail = self._waiting_bytes = 0

    def remove(self, series: ShardSeries) -> None:
        """Remove a series. Needs the lock."""
        if self._unshared.pop(id(series), None) is not None:
            self._store_unshared_count()
            return
        self._change(lambda: self._remove(series))

    def _remove(self, series: ShardSeries) -> None:
        file = self.file
        if self._ended or file is None or series.number < 0:
            return
        try:
            self._repair(file)
        except NoSpaceError:
            return  # the series stays
        number = series.number
        record = encode_removal(number)
        self._interrupted = True
        series.number = -1
        del self._shared[number]
        self._write(file, record)
        self._layout.remove_series(number)
        self._interrupted = False
        for slot in series.exemplars:
            file.drop_cell((number, slot))
        if self._batches:
            self._left.append((series.offset, series.size))
        else:
            file.free(series.offset, series.size)
        self._add_outdated(file, 2 * len(record) + sum(map(len, series.labels)) + 16 + series.info_bytes)

    def retire(self, take: Callable[[], Sequence[ShardSeries]], absorb: Absorb) -> Sequence[ShardSeries]:
        """Move the series that `take` returns into the archive by `absorb`, and return those that stay after all.

        Needs the lock. `absorb` calls its argument, which takes them, when nothing else can keep it from succeeding.
        """
        taken: list[ShardSeries] = []
        if not self._ended and not self._changing:
            self._change(lambda: self._retire(taken, take, absorb))
        return taken

    def _retire(self, taken: list[ShardSeries], take: Callable[[], Sequence[ShardSeries]], absorb: Absorb) -> None:
        file = self.file

        def content() -> Retirable:
            taken[:] = take()
            shared = [series.number for series in taken if series.number >= 0]
            return Retirable(self._snapshot(taken), 0 if file is None else file.generation, shared)

        try:
            if file is not None:
                # Now, because the numbers of the series must be the same until they are removed.
                self._repair(file)
            if not absorb(content):
                return
        except (PytheusError, OSError):
            return  # the series stay
        gone, taken[:] = taken[:], []
        for series in gone:
            self._unshared.pop(id(series), None)
        self._store_unshared_count()
        self._batches += 1
        try:
            for series in gone:
                self._remove(series)
        finally:
            self._batches -= 1
        if self._batches == 0:
            self._commit()

    def set_info(self, series: ShardSeries, info: Mapping[str, str]) -> None:
        """Set the labels of an info's series. Needs the lock."""
        series.info = dict(info)
        self._change(lambda: self._write_info(series, info))

    def _write_info(self, series: ShardSeries, info: Mapping[str, str]) -> None:
        file = self.file
        if self._ended or file is None or series.number < 0:
            return
        try:
            record = encode_info(series.number, info)
            self._repair(file)
            self._write(file, record, headroom_bytes=self._headroom_bytes())
        except (PytheusError, OSError) as error:
            self.unshared_reason = str(error)
            return
        self._layout.set_info(series.number, info)
        outdated, series.info_bytes = series.info_bytes, len(record)
        self._add_outdated(file, outdated)

    def set_exemplar(self, series: ShardSeries, slot: int, exemplar: Exemplar) -> None:
        """Set the latest exemplar of the number at `slot`. Needs the lock."""
        series.exemplars[slot] = exemplar
        self._change(lambda: self._write_exemplar(series, slot, exemplar))

    def _write_exemplar(self, series: ShardSeries, slot: int, exemplar: Exemplar) -> None:
        file = self.file
        if self._ended or file is None or series.number < 0:
            return
        cell = ExemplarCell(file.generation, series.number, slot, dict(exemplar.labels), exemplar[1], exemplar[2])
        try:
            file.put_cell((series.number, slot), msgspec.msgpack.encode(cell))
        except (PytheusError, OSError):
            pass  # exemplars are a sample of the observations, of which one may be missing

    # The index -------------------------------------------------------------------------------------------------------

    def _add_outdated(self, file: ShardFile, size: int) -> None:
        self._outdated_bytes += size
        if (
            not self._batches
            and self._outdated_bytes > _MIN_REWRITE_BYTES
            and self._outdated_bytes * 2 > file.index_bytes
        ):
            try:
                self._rewrite(file)
            except (PytheusError, OSError):
                self._outdated_bytes = 0  # to try again when as much is outdated once more

    def _repair(self, file: ShardFile) -> None:
        if self._interrupted:
            self._rewrite(file)
            self._interrupted = False

    def _rewrite(self, file: ShardFile) -> None:
        """Write a new index from the present series."""
        layout = Layout()
        records: list[bytes] = []
        kept = list(self._shared.values())
        for series in kept:
            if layout.find_definition(series.definition) is None:
                records.append(encode_definition(series.definition))
            layout.add_series(layout.add_definition(series.definition), series.labels, series.offset, series.created)
        records += encode_several_series(layout, range(len(layout)))
        for number, series in enumerate(kept):
            if series.info is not None:
                layout.set_info(number, series.info)
                records.append(encode_info(number, series.info))
                series.info_bytes = len(records[-1])
        file.rewrite(b"".join(records), headroom_bytes=_MAX_REMOVAL_BYTES * len(kept))
        self._layout = layout
        self._indexed = len(layout)
        self._in_tail = self._waiting_bytes = 0
        for series in kept:
            for slot in series.exemplars:
                file.drop_cell((series.number, slot))
        self._shared = dict(enumerate(kept))
        for number, series in enumerate(kept):
            series.number = number
        self._outdated_bytes = 0
        for series in kept:
            for slot, exemplar in series.exemplars.copy().items():
                self._write_exemplar(series, slot, exemplar)

    def log_unshared(self) -> None:
        """Log once that series are unshared. Without the lock: log handlers may even fork."""
        if self._unshared and not self._logged and not self._batches:
            self._logged = True
            import logging

            logging.getLogger("pytheus_multiprocess").warning(
                "series of %s are kept by this process alone and show in its own scrapes only: %s",
                self.identity,
                self.unshared_reason,
            )

    # Its own scrape --------------------------------------------------------------------------------------------------

    def unshared(self) -> Snapshot | None:
        """The unshared series, or None without any."""
        if not self._unshared:
            return None
        with self.lock:
            return self._snapshot(list(self._unshared.values()))

    def _snapshot(self, present: Iterable[ShardSeries]) -> Snapshot:
        layout = Layout()
        numbers: list[float] = []
        for each in present:
            number = layout.add_series(layout.add_definition(each.definition), each.labels, len(numbers), each.created)
            numbers += each.buffer.tolist()
            if each.info is not None:
                layout.set_info(number, each.info)
            for slot, exemplar in each.exemplars.copy().items():
                layout.set_exemplar(number, slot, exemplar)
        return Snapshot(self._unshared_identity, True, layout, numbers)
