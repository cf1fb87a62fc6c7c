"""The file of any process, for reading while its owner writes.

Rules:

- The parsed index is kept from one reading to the next; only its new part is parsed. The file may be closed in between.
- The index is read, then the numbers, then the index again. Series that are in both have numbers of their own. Those
  that were added meanwhile may have the numbers of a removed one, so the numbers are read again; in a process that
  adds series all the time, the last ones are taken for zero. If the index was rewritten, everything is read again.
- Series of the tail that have come into the index are compared with those of the index. The tail's word is read before
  the length of the index, and again after the tail, because the owner may have begun another tail meanwhile.
- Nothing in the file is trusted: each size and offset is checked before it is used, and everything but the numbers has
  a checksum. The file is read and not mapped, because a read beyond the end of a truncated file raises no SIGBUS. The
  kernel copies aligned doubles whole.
- This process reads its own shard through its own descriptor or mapping, whatever has become of the file's name or
  mode.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Callable
from typing import Final

import msgspec

from pytheus.exceptions import ShardFormatError
from pytheus.kinds import MergeRule
from pytheus.samples import Exemplar
from pytheus.shards import LabelBlocks, LayoutReader, ShardIdentity, Snapshot, age_time, merge_rule_of
from pytheus_multiprocess.file_format import (
    CELL_HEAD,
    CELL_SIZE,
    CELLS,
    CHUNK,
    CHUNKS,
    HEADER_SIZE,
    IDENTITY_SIZE,
    INDEX,
    INDEX_HEAD,
    MAX_CHUNKS,
    NEXT,
    NUMBERS,
    ROOT,
    STATE_AT,
    STATE_SIZE,
    TABLE_AT,
    TAIL,
    TAIL_AT,
    TAIL_SIZE,
    UNSHARED,
    Chunk,
    cell_checksum,
    decode_header,
    tail_bytes,
    word_value,
)
from pytheus_multiprocess.origin import ProcessOrigin, boot_id
from pytheus_multiprocess.retirement import Retired
from pytheus_multiprocess.shard_file import ShardFile
from pytheus_multiprocess.system import Inode, System

__all__ = ["ExemplarCell", "ShardReader"]

_MAX_ROUNDS: Final = 20
_MAX_GROWTHS: Final = 4
_MAX_TRIES: Final = 3
_STATE: Final = struct.Struct("=7Q")
_HEAD: Final = struct.Struct("=3Q")
_WORD_AT: Final = tuple(range(STATE_AT, STATE_AT + STATE_SIZE, 8))


class ExemplarCell(msgspec.Struct, array_like=True):
    """The content of a cell, which is valid for one generation of the index."""

    generation: int
    series: int
    slot: int
    labels: dict[str, str]
    value: float
    timestamp: float | None


_exemplar_decoder = msgspec.msgpack.Decoder(ExemplarCell)


class ShardReader:
    """One shard's file, opened.

    Raises `ShardFormatError` if it is not a shard, and OSError if it cannot be read. With `own`, it is the shard of
    this process, which needs no descriptor. One thread at a time may use it.
    """

    def __init__(
        self,
        system: System,
        directory: int,
        name: str,
        own: ShardFile | None = None,
        blocks: LabelBlocks | None = None,
    ) -> None:
        self.name = name
        self._blocks = blocks
        self.own: Final = own
        self._system = system
        self._directory = directory
        self._descriptor = -1
        self._inode: Inode | None = None
        self.known_dead: bool = False
        """Whether `is_dead` has returned True."""
        self._size = 0
        self._read: Callable[[int, int], bytes] = self._pread if own is None else own.read
        self.damage: str | None = None
        """Why a part could not be read although the rest could, or None."""
        self.identity: ShardIdentity
        self.origin: ProcessOrigin
        try:
            if own is None:
                self.open()
            self.identity, self.origin = self._read_identity()
        except BaseException:
            self.close()
            raise
        namespace = self.origin.pid_namespace
        if namespace != ProcessOrigin.of_this_process().pid_namespace:
            # Where processes have equal pids, and perhaps the same host name, this tells them apart.
            self.identity = self.identity._replace(host=f"{self.identity.host}, PID namespace {namespace}")
        self._chunks: list[Chunk] = []
        self._numbers: list[Chunk] = []
        self._cells: list[int] = []
        # As they were when the index was last read, so that mostly nothing has to be decoded.
        self._state = b""
        self._root = 0
        self._head = b""
        self.unshared: int = 0
        """How many series its owner keeps in its own memory."""
        self._generation = -1
        self._reset()

    def _reset(self) -> None:
        self._records = LayoutReader(self._blocks)
        self._read_bytes = 0
        # Of the present tail: how many bytes were read, and how many series they were.
        self._tail_bytes = 0
        self._tail_series = 0
        self._cell_words: dict[int, bytes] = {}

    # The file --------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the file if it is not open. Raises FileNotFoundError if it is another one than before."""
        if self._descriptor >= 0 or self.own is not None:
            return
        descriptor = self._system.open(self.name, os.O_RDONLY, directory=self._directory)
        status = os.fstat(descriptor)
        inode = (status.st_dev, status.st_ino)
        if self._inode not in (None, inode):
            os.close(descriptor)
            raise FileNotFoundError(f"{self.name} was replaced")
        self._descriptor = descriptor
        self._inode = inode
        if status.st_uid != os.geteuid():
            self.close()
            raise ShardFormatError(f"it belongs to user {status.st_uid}, not to {os.geteuid()}")

    def close(self) -> None:
        """Close the file; `open` opens it again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor, self._inode)

    @property
    def is_open(self) -> bool:
        """Whether it has a descriptor."""
        return self._descriptor >= 0

    def _pread(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def _bytes(self, offset: int, size: int) -> bytes:
        data = self._read(offset, size)
        if len(data) != size:
            raise ShardFormatError(f"it was cut off: byte {offset + len(data)} is missing")
        return data

    def _read_identity(self) -> tuple[ShardIdentity, ProcessOrigin]:
        identity, origin = decode_header(self._read(0, IDENTITY_SIZE))
        if not self.name.startswith(f"{identity.token}."):
            raise ShardFormatError(f"it is the copy of another shard, {identity.token}")
        return identity, origin

    def is_dead(self) -> bool:
        """Whether its process has ended, and has released the lock therefore."""
        if not self.known_dead and self.own is None and self._system.lock(self._descriptor, shared=True):
            # No process needs the lock again, because no owner opens a shard a second time.
            self.known_dead = True
        return self.known_dead

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self) -> Snapshot:
        """The present shard. Raises `ShardFormatError` if it is invalid, or was truncated."""
        live = not self.is_dead()
        for rounds in range(1, _MAX_ROUNDS + 1):
            self._catch_up()
            layout = self._records.layout
            known = len(layout)
            numbers = self._read_numbers(layout.size)
            self._catch_up()
            if self._records.layout is layout and (len(layout) == known or rounds >= _MAX_GROWTHS):
                break
        else:
            raise ShardFormatError(f"it was rewritten while it was read, {_MAX_ROUNDS} times")
        if len(layout) > known:
            self._check_size(layout.size)
            numbers += [0.0] * (layout.size - len(numbers))
            for number in range(known, len(layout)):
                series = layout.entry(number)
                if series is not None:
                    numbers[series.offset : series.offset + series.size] = [0.0] * series.size
        if self._cells:
            self._read_cells()
        if not live and self.origin.boot != boot_id():
            self._age(numbers)
        return Snapshot(self.identity, live, layout, numbers)

    def retire(self, snapshot: Snapshot, retired: Retired | None) -> bool:
        """Remove the series of `snapshot` that count in the archive; False if it is older than their removal."""
        if retired is None or (retired.generation < self._generation and snapshot.layout is self._records.layout):
            return True
        if retired.generation > self._generation or snapshot.layout is not self._records.layout:
            return False
        for number in retired.series:
            if number < len(snapshot.layout):
                snapshot.layout.remove_series(number)
        return True

    def _catch_up(self) -> None:
        """Read the new part of the index, or all of it if it was rewritten."""
        for tries in range(1, _MAX_TRIES + 1):
            state = self._bytes(STATE_AT, STATE_SIZE + INDEX_HEAD)
            head = self._bytes(self._chunks[self._root].offset, INDEX_HEAD) if self._head else b""
            if state == self._state and head == self._head:
                return
            try:
                self._follow(state)
                return
            except ShardFormatError:
                # Once more, because its owner may have been in the middle of a store.
                self._state = b""
                if tries == _MAX_TRIES or self._records.has_failed:
                    raise

    def _follow(self, state: bytes) -> None:
        words = _STATE.unpack(state)
        root, count, self.unshared, tail = (
            word_value(_WORD_AT[field], words[field]) for field in (ROOT, CHUNKS, UNSHARED, TAIL)
        )
        if count != len(self._chunks):
            self._read_table(count)
        chunk = self._index_chunk(root)
        head = b""
        if root:
            head = self._bytes(chunk.offset, INDEX_HEAD)
            used, generation, _ = _words(chunk.offset, head)
        else:  # which begins at the end of the header
            used, generation, _ = _words(chunk.offset, state[STATE_SIZE:])
        if generation != self._generation:
            self._reset()
            self._generation = generation
        if used != self._read_bytes:
            if self._tail_series:
                self._records.repeat(self._tail_series)
            self._tail_bytes = self._tail_series = 0
            self._read_index(root, used)
        if self._records.pending_bytes or self._records.missing_series:
            raise ShardFormatError("its index ends within a record or a tail")
        self._read_tail(used, tail)
        self._root = root
        self._state = state
        self._head = head

    def _read_table(self, count: int) -> None:
        """Read the new entries of the table of chunks."""
        if not len(self._chunks) < count <= MAX_CHUNKS:
            raise ShardFormatError(f"it claims to have {count} chunks")
        size = os.fstat(self._descriptor).st_size if self.own is None else self.own.size_bytes
        first = len(self._chunks)
        table = self._bytes(TABLE_AT + first * CHUNK.size, (count - first) * CHUNK.size)
        chunks = self._chunks[:]
        end = chunks[-1].offset + chunks[-1].size if chunks else HEADER_SIZE
        for number in range(first, count):
            start = (number - first) * CHUNK.size
            chunk = Chunk.decode(number, table[start : start + CHUNK.size])
            if chunk.offset != end or chunk.size % 8 or chunk.size < CELL_SIZE:
                raise ShardFormatError(f"its chunk {number} is invalid: {chunk}")
            end += chunk.size
            if end > size:
                raise ShardFormatError(f"it was cut off: its chunk {number} ends at {end}, but it has {size} bytes")
            chunks.append(chunk)
        self._chunks = chunks
        self._numbers = [chunk for chunk in chunks if chunk.kind == NUMBERS]
        self._cells = [number for number, chunk in enumerate(chunks) if chunk.kind == CELLS]

    def _index_chunk(self, number: int) -> Chunk:
        if number >= len(self._chunks) or self._chunks[number].kind != INDEX:
            raise ShardFormatError(f"its index is at chunk {number}, which is not an index chunk")
        return self._chunks[number]

    def _read_index(self, root: int, used: int) -> None:
        """Parse the index up to `used`, which must be the end of a record."""
        if used < self._read_bytes:
            raise ShardFormatError(f"its index has {used} bytes, but had {self._read_bytes}")
        number = root
        start = 0
        seen: set[int] = set()
        while start < used:
            seen.add(number)
            chunk = self._index_chunk(number)
            size = chunk.size - INDEX_HEAD
            first, last = max(self._read_bytes - start, 0), min(used - start, size)
            if first < last:
                data = self._bytes(chunk.offset + INDEX_HEAD + first, last - first)
                self._read_bytes = start + last
                self._records.feed(data)
            start += size
            if start < used:
                _, _, following = _words(chunk.offset, self._bytes(chunk.offset, INDEX_HEAD), only=NEXT)
                number = following - 1
                if number in seen or number < 0:
                    raise ShardFormatError("its index ends before it has all its records")

    def _read_tail(self, used: int, value: int) -> None:
        """Parse the new part of the tail, unless the index has its series by now."""
        size = tail_bytes(used, value)
        if size == self._tail_bytes:
            return
        at = _WORD_AT[TAIL]
        if size is None:
            data = b""
        elif self._tail_bytes < size <= TAIL_SIZE:
            data = self._bytes(TAIL_AT + self._tail_bytes, size - self._tail_bytes)
        else:
            raise ShardFormatError(f"its tail has {size} bytes, but had {self._tail_bytes}")
        present = word_value(at, int.from_bytes(self._bytes(at, 8), sys.byteorder))
        if present != value and (size is None or tail_bytes(used, present) is None):
            raise ShardFormatError("its owner began another tail while this one was read")
        if size is not None:
            known = len(self._records.layout)
            self._records.feed(data)
            self._tail_bytes = size
            self._tail_series += len(self._records.layout) - known
            if self._records.pending_bytes:
                raise ShardFormatError("its tail ends within a record")

    def _check_size(self, count: int) -> None:
        missing = count - sum(chunk.size // 8 for chunk in self._numbers)
        if missing > 0:
            raise ShardFormatError(f"it has {missing} numbers less than its index")

    def _read_numbers(self, count: int) -> list[float]:
        """The first `count` numbers."""
        self._check_size(count)
        numbers = array("d", bytes(8 * count))  # of which `tolist` takes half the time that a view's takes
        view = memoryview(numbers).cast("B")
        for chunk in self._numbers:
            if not view:
                break
            part = view[: chunk.size]
            if self.own is not None:
                part[:] = self._bytes(chunk.offset, len(part))
            elif (size := os.preadv(self._descriptor, [part], chunk.offset)) != len(part):
                raise ShardFormatError(f"it was cut off: byte {chunk.offset + size} is missing")
            view = view[chunk.size :]
        return numbers.tolist()

    def _age(self, numbers: list[float]) -> None:
        """Let gauges that were set last before the machine started be older than those that were set since."""
        for _, series in self._records.layout.entries():
            if merge_rule_of(series.definition) is MergeRule.LAST:
                numbers[series.offset + 1] = age_time(numbers[series.offset + 1])

    # Exemplars -------------------------------------------------------------------------------------------------------

    def _read_cells(self) -> None:
        self.damage = None
        for number in self._cells:
            chunk = self._chunks[number]
            count = chunk.size // CELL_SIZE
            words = self._bytes(chunk.offset, 8 * count)
            known = self._cell_words.get(number)
            if words == known:
                continue
            is_whole = True
            for cell in range(count):
                word = words[8 * cell : 8 * cell + 8]
                if (known is None or word != known[8 * cell : 8 * cell + 8]) and any(word):
                    try:
                        self._read_cell(chunk, cell, count, word)
                    except ShardFormatError as error:
                        is_whole = False
                        if self._bytes(chunk.offset + 8 * cell, 8) == word:  # otherwise it is being written
                            self.damage = f"an exemplar cannot be read: {error}"
            if is_whole:
                self._cell_words[number] = words

    def _read_cell(self, chunk: Chunk, cell: int, count: int, word: bytes) -> None:
        version = word_value(chunk.offset + 8 * cell, int.from_bytes(word, sys.byteorder))
        if version % 2:
            return  # it is being written, or its owner was killed in the middle of that
        content = self._bytes(chunk.offset + 8 * count + cell * (CELL_SIZE - 8), CELL_SIZE - 8)
        length, checksum = CELL_HEAD.unpack_from(content)
        record = content[CELL_HEAD.size : CELL_HEAD.size + length]
        if len(record) != length or cell_checksum(version // 2, record) != checksum:
            raise ShardFormatError(f"cell {cell} does not match its checksum")
        try:
            found = _exemplar_decoder.decode(record)
        except msgspec.MsgspecError as error:
            raise ShardFormatError(f"cell {cell} has another content: {error}") from error
        layout = self._records.layout
        if found.generation == self._generation and 0 <= found.series < len(layout):
            series = layout.entry(found.series)
            if series is not None and 0 <= found.slot < series.size:
                layout.set_exemplar(found.series, found.slot, Exemplar(found.labels, found.value, found.timestamp))


def _words(at: int, head: bytes, *, only: int | None = None) -> tuple[int, int, int]:
    """The values of an index chunk's words used, generation and next; of `only` one, where others are not valid."""
    used, generation, following = (
        word_value(at + 8 * field, word) if only is None or only == field else 0
        for field, word in enumerate(_HEAD.unpack(head))
    )
    return used, generation, following
