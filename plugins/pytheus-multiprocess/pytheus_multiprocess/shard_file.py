"""The file of this process, for writing: numbers, and records of their series.

Rules:

- The format, and how a change is committed, are in `file_format.py`.
- Each chunk is mapped once and separately, so that views of it never move.
- An index that is mostly outdated is rewritten into other chunks.
- This process keeps in its own memory where everything is, and never reads that back from the file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from os import O_CREAT, O_EXCL, O_RDWR
from secrets import token_hex
from typing import Final

from pytheus.exceptions import PytheusError
from pytheus.shards import ShardIdentity, encode_filler
from pytheus_multiprocess.file_format import (
    CELL_HEAD,
    CELL_SIZE,
    CELLS,
    CHUNK,
    CHUNKS,
    GENERATION,
    HEADER_SIZE,
    INDEX,
    INDEX_HEAD,
    MAX_CELL_BYTES,
    MAX_CHUNKS,
    MAX_WORD_VALUE,
    NEXT,
    NUMBERS,
    PAGE,
    ROOT,
    STATE_AT,
    TABLE_AT,
    TAIL,
    TAIL_AT,
    TAIL_PERIOD,
    TAIL_SIZE,
    UNSHARED,
    USED,
    Chunk,
    cell_checksum,
    checked_word,
    encode_header,
    tail_value,
    whole_pages,
)
from pytheus_multiprocess.origin import ProcessOrigin
from pytheus_multiprocess.system import Inode, System, inode_of

__all__ = ["NoSpaceError", "ShardFile"]

MAX_STEP: Final = 1 << 26
MAX_CELLS: Final = 4096
_FILLER: Final = encode_filler()


class NoSpaceError(PytheusError):
    """The disk is full, or the shard has reached its size limit."""


class _MappedChunk:
    """A chunk in this process's memory."""

    __slots__ = ("bytes", "chunk", "doubles", "first", "words")

    def __init__(self, chunk: Chunk, memory: memoryview, first: int) -> None:
        self.chunk = chunk
        self.bytes = memory
        self.words = memory.cast("Q")
        self.doubles = memory.cast("d")
        self.first = first
        """Of a number chunk: the flat index of its first double."""


class ShardFile:
    """The file of this process, for writing. One thread at a time may use it.

    It is created as `name` in `directory` (a descriptor), and has another name until it is complete. Raises
    FileNotFoundError if another process took it for abandoned meanwhile, and can then be tried again. A method raises
    `NoSpaceError`, and changes nothing, if the disk is full or the file would be larger than `max_size_bytes`.
    """

    def __init__(
        self,
        system: System,
        directory: int,
        name: str,
        identity: ShardIdentity,
        *,
        index_step_bytes: int,
        numbers_step_bytes: int,
        max_size_bytes: int,
    ) -> None:
        self._system = system
        self._name = name
        self._steps = {INDEX: whole_pages(index_step_bytes), NUMBERS: whole_pages(numbers_step_bytes), CELLS: PAGE * 4}
        self._max_size = max_size_bytes
        self._size = 0
        self._chunks: list[_MappedChunk] = []
        # The index's stream: the numbers of its chunks, and how many bytes are used. Idle chunks had an earlier index.
        self._stream: list[int] = []
        self._used = 0
        self._capacity = 0
        # How long the index was when the tail began, and how long the tail is.
        self._tail_began = 0
        self._tail_bytes = 0
        self._idle_chunks: list[int] = []
        self.generation: int = 0
        """How often the index was rewritten."""
        # The doubles: the next unused ones of the latest chunk, and the freed ones, by their count.
        self._next = 0
        self._end = 0
        self._double_count = 0
        self._free: dict[int, list[int]] = {}
        # By the series' number in the layout, and the slot in its row.
        self._cell_of: dict[tuple[int, int], tuple[_MappedChunk, int]] = {}
        self._idle_cells: list[tuple[_MappedChunk, int]] = []
        self._cell_version = 0
        # Two open file descriptions: mmap() keeps one, in copies of the descriptor that a forked child inherits. The
        # other only carries the lock, so that the child can close its copy.
        self.lock_descriptor: int = -1
        self._descriptor = -1
        self._inode: Inode | None = None
        self._begin(directory, name, encode_header(identity, ProcessOrigin.of_this_process()))

    def _begin(self, directory: int, name: str, header: bytes) -> None:
        system = self._system
        # A name of its own: a process that has taken the file of a former attempt for abandoned may remove it only now.
        unfinished = f"new-{token_hex(8)}.shard"
        self.lock_descriptor = system.open(unfinished, O_RDWR | O_CREAT | O_EXCL, 0o600, directory=directory)
        self._inode = inode_of(self.lock_descriptor)
        try:
            # A process that removes abandoned files takes the lock first.
            if not system.lock(self.lock_descriptor):
                raise FileNotFoundError(f"shard {name} was taken for abandoned while it was created")
            self._descriptor = system.open(unfinished, O_RDWR, directory=directory)
            first = whole_pages(HEADER_SIZE)
            sizes = [(INDEX, self._steps[INDEX]), (NUMBERS, self._steps[NUMBERS])]
            total = first + sum(size for _, size in sizes)
            self._reserve(0, total)
            memory = memoryview(system.map(self._descriptor, 0, total))
            self._header = memory[:HEADER_SIZE]
            self._state = self._header[STATE_AT:HEADER_SIZE].cast("Q")
            system.fill(self._header, 0, header)
            for field in (ROOT, CHUNKS, UNSHARED, TAIL):
                self._set_state(field, 0)
            self._size = first
            for kind, size in sizes:
                self._append_chunk(kind, size, memory[self._size : self._size + size])
            self._stream = [0]
            self._capacity = self._steps[INDEX] - INDEX_HEAD
            for field in (USED, GENERATION, NEXT):
                self._set_head(0, field, 0)
            system.rename(unfinished, name, directory=directory)
        except BaseException:
            with suppress(OSError):
                system.unlink(unfinished, directory=directory)
            self.close()
            raise

    # Chunks ----------------------------------------------------------------------------------------------------------

    def _reserve(self, offset: int, size: int) -> None:
        if offset + size > self._max_size:
            raise NoSpaceError(f"shard {self._name} would grow beyond max_size_bytes = {self._max_size}")
        # Otherwise another file with the same descriptor number would grow.
        if inode_of(self._descriptor) != self._inode:
            raise NoSpaceError(f"shard {self._name} cannot grow because the program has closed its descriptor")
        try:
            self._system.reserve(self._descriptor, offset, size)
        except OSError as error:
            with suppress(OSError):
                self._system.truncate(self._descriptor, offset)  # a part may have been reserved
            raise NoSpaceError(f"shard {self._name} cannot grow by {size} bytes: {error.strerror}") from error

    def _add(self, kind: int, min_size: int) -> int:
        """Add a chunk that is as large as all of its kind together; returns its number."""
        if len(self._chunks) >= MAX_CHUNKS:
            raise NoSpaceError(f"shard {self._name} has {MAX_CHUNKS} chunks already")
        before = sum(mapped.chunk.size for mapped in self._chunks if mapped.chunk.kind == kind)
        size = whole_pages(max(min_size, self._steps[kind], min(before, MAX_STEP)))
        offset = self._size
        self._reserve(offset, size)
        try:
            memory = memoryview(self._system.map(self._descriptor, offset, size))
        except OSError as error:
            with suppress(OSError):
                self._system.truncate(self._descriptor, offset)
            raise NoSpaceError(f"shard {self._name} cannot map {size} bytes more: {error.strerror}") from error
        return self._append_chunk(kind, size, memory)

    def _append_chunk(self, kind: int, size: int, memory: memoryview) -> int:
        number = len(self._chunks)
        chunk = Chunk(kind, self._size, size)
        self._system.fill(self._header, TABLE_AT + number * CHUNK.size, chunk.encode(number))
        self._set_state(CHUNKS, number + 1)
        self._chunks.append(_MappedChunk(chunk, memory, self._double_count))
        self._size += size
        if kind == NUMBERS:
            self._next = self._double_count
            self._double_count += size // 8
            self._end = self._double_count
        return number

    def _set_state(self, field: int, value: int) -> None:
        self._system.store(self._state, field, checked_word(STATE_AT + 8 * field, value))

    def _set_head(self, number: int, field: int, value: int) -> None:
        mapped = self._chunks[number]
        self._system.store(mapped.words, field, checked_word(mapped.chunk.offset + 8 * field, value))

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, whatever has become of its name or mode."""
        if inode_of(self._descriptor) == self._inode:
            return os.pread(self._descriptor, size, offset)  # unlike a mapping, also of a file that was truncated
        # The program has closed all descriptors.
        if offset < HEADER_SIZE:
            part = bytes(self._header[offset : offset + size])
            offset, size = HEADER_SIZE, size - len(part)
        else:
            part = b""
        for mapped in self._chunks if size else ():
            chunk = mapped.chunk
            if chunk.offset <= offset < chunk.offset + chunk.size:
                return part + bytes(mapped.bytes[offset - chunk.offset : offset - chunk.offset + size])
        return part

    # Doubles ----------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        """The flat index of `size` consecutive doubles that are zero and unused."""
        if size == 0:
            return 0
        free = self._free.get(size)
        if free:
            offset = free.pop()
        else:
            if self._next + size > self._end:
                self._add(NUMBERS, size * 8)
            offset = self._next
            self._next += size
        # New ones as well, because the file may have been damaged meanwhile.
        view = self.doubles(offset, size)
        for slot in range(size):
            view[slot] = 0.0
        return offset

    def free(self, offset: int, size: int) -> None:
        """Let these doubles be allocated again, after the removal's record was committed."""
        if size:
            self._free.setdefault(size, []).append(offset)

    def doubles(self, offset: int, size: int) -> memoryview[float]:
        """A view of these doubles."""
        for mapped in reversed(self._chunks):
            if mapped.chunk.kind == NUMBERS and mapped.first <= offset:
                start = offset - mapped.first
                return mapped.doubles[start : start + size]
        raise AssertionError(f"there is no double {offset}")

    # Records ---------------------------------------------------------------------------------------------------------

    @property
    def index_bytes(self) -> int:
        """The size of the valid records."""
        return self._used

    def append(self, records: bytes, *, headroom_bytes: int = 0, commit: bool = True) -> None:
        """Add `records`, all or none, and reserve `headroom_bytes` for later ones.

        Without `commit`, no reader sees them until the next commit.
        """
        self._extend(self._stream, self._used + len(records) + headroom_bytes)
        self._write(self._stream, self._used, records)
        self._used += len(records)
        if commit:
            self.commit()

    def reserve(self, size: int) -> None:
        """Reserve `size` bytes for records that are appended later."""
        self._extend(self._stream, self._used + size)

    def commit(self) -> None:
        """Let readers see all records, and none of the tail, whose series must be among them."""
        if self._used == self._tail_began:
            return
        if self._used % TAIL_PERIOD == self._tail_began % TAIL_PERIOD:
            self._write(self._stream, self._used, _FILLER)
            self._used += len(_FILLER)
        self._set_head(self._stream[0], USED, self._used)
        self._begin_tail()

    def append_to_tail(self, record: bytes) -> bool:
        """Add the record of a series, for which the index has space reserved; False if the tail has no space."""
        size = self._tail_bytes + len(record)
        if size > TAIL_SIZE or self._used != self._tail_began:
            return False
        self._system.fill(self._header, TAIL_AT + self._tail_bytes, record)
        self._set_state(TAIL, tail_value(self._used, size))
        self._tail_bytes = size
        return True

    def _begin_tail(self) -> None:
        self._set_state(TAIL, tail_value(self._used, 0))
        self._tail_began = self._used
        self._tail_bytes = 0

    def rewrite(self, records: bytes, *, headroom_bytes: int = 0) -> None:
        """Replace all records by `records`, all or none; otherwise as `append`."""
        before = self._stream
        if len(records) % TAIL_PERIOD == self._tail_began % TAIL_PERIOD:
            records += _FILLER
        stream = [self._chunk_for_index(len(records) + max(len(records), headroom_bytes))]
        self._set_head(stream[0], NEXT, 0)
        self._write(stream, 0, records)
        self._set_head(stream[0], USED, len(records))
        self._set_head(stream[0], GENERATION, self.generation + 1)
        self._set_state(ROOT, stream[0])
        self.generation += 1
        self._stream = stream
        self._used = len(records)
        self._capacity = self._chunks[stream[0]].chunk.size - INDEX_HEAD
        self._idle_chunks += before
        self._begin_tail()

    def _extend(self, stream: list[int], size: int) -> None:
        """Let the stream have at least `size` bytes."""
        size += len(_FILLER)  # which a commit may need
        if size > MAX_WORD_VALUE:
            raise NoSpaceError(f"shard {self._name} has an index of {self._used} bytes already")
        missing = size - self._capacity
        if missing <= 0:
            return
        number = self._chunk_for_index(missing)
        self._set_head(number, NEXT, 0)
        self._set_head(stream[-1], NEXT, number + 1)
        stream.append(number)
        self._capacity += self._chunks[number].chunk.size - INDEX_HEAD

    def _chunk_for_index(self, min_size: int) -> int:
        """The number of a chunk for the index, an idle one if it is large enough."""
        for number in self._idle_chunks:
            if self._chunks[number].chunk.size >= min_size + INDEX_HEAD:
                self._idle_chunks.remove(number)
                return number
        return self._add(INDEX, min_size + INDEX_HEAD)

    def _write(self, stream: list[int], position: int, records: bytes) -> None:
        """Copy `records` to a position of a stream that is large enough. Commits nothing."""
        start = 0
        for number in stream:
            mapped = self._chunks[number]
            size = mapped.chunk.size - INDEX_HEAD
            if position < size and start < len(records):
                part = records[start : start + size - position]
                self._system.fill(mapped.bytes, INDEX_HEAD + position, part)
                start += len(part)
                position = 0
            else:
                position -= size
        assert start == len(records)

    # Exemplars -------------------------------------------------------------------------------------------------------

    def put_cell(self, key: tuple[int, int], record: bytes) -> None:
        """Store the record of `key`, unless it is too long; the oldest may lose its cell."""
        if len(record) > MAX_CELL_BYTES:
            return
        cell = self._cell_of.get(key)
        if cell is None:
            cell = self._cell_of[key] = self._take_cell()
        mapped, number = cell
        self._cell_version = (self._cell_version + 1) & (MAX_WORD_VALUE >> 1)
        at = mapped.chunk.offset + 8 * number
        # An odd word says that the cell is being written, also if the process is killed in the middle of it.
        self._system.store(mapped.words, number, checked_word(at, 2 * self._cell_version + 1))
        start = 8 * (mapped.chunk.size // CELL_SIZE) + number * (CELL_SIZE - 8)
        self._system.fill(mapped.bytes, start, CELL_HEAD.pack(len(record), cell_checksum(self._cell_version, record)))
        self._system.fill(mapped.bytes, start + CELL_HEAD.size, record)
        self._system.store(mapped.words, number, checked_word(at, 2 * self._cell_version))

    def _take_cell(self) -> tuple[_MappedChunk, int]:
        if self._idle_cells:
            return self._idle_cells.pop()
        if len(self._cell_of) >= MAX_CELLS:
            return self._cell_of.pop(next(iter(self._cell_of)))
        mapped = self._chunks[self._add(CELLS, CELL_SIZE)]
        self._idle_cells = [(mapped, number) for number in range(mapped.chunk.size // CELL_SIZE - 1, -1, -1)]
        return self._idle_cells.pop()

    def drop_cell(self, key: tuple[int, int]) -> None:
        """Let the cell of `key`, if it has one, be used again."""
        cell = self._cell_of.pop(key, None)
        if cell is not None:
            self._idle_cells.append(cell)

    # The file --------------------------------------------------------------------------------------------------------

    def set_unshared(self, count: int) -> None:
        """Store how many series the process keeps in its own memory."""
        self._set_state(UNSHARED, min(count, MAX_WORD_VALUE))

    def abandon(self) -> None:
        """In a child after a fork: `close`, and make writing to the file impossible."""
        for mapped in self._chunks:
            for memory in (mapped.bytes, mapped.words, mapped.doubles):
                memory.release()
        self._state.release()
        self._header.release()
        self.close()

    def close(self) -> None:
        """Release the lock, so that the shard counts as dead. Views stay valid."""
        descriptors = (self.lock_descriptor, self._descriptor)
        self.lock_descriptor = self._descriptor = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                self._system.close(descriptor, self._inode)
