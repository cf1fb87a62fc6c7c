"""The file of one process: where its numbers lie, and the records that tell which is which.

Rules:

- The file begins with a header of one page: who owns it, and a table of chunks. Chunks follow, each reserved on
  the disk before it is mapped, and mapped once, by itself: what was handed out of it never moves.
- There are three kinds. Number chunks hold doubles; in the order of the table they are one flat array. Index chunks
  hold records, as one stream that may go on in the next chunk. Cell chunks hold exemplars, in cells that are
  overwritten.
- What is committed is committed by storing one 64-bit number, after all that it commits. So a kill between any two
  instructions leaves the state before or the state after, and nothing has to be mended.
- An index that has grown mostly of what is outdated is written afresh into other chunks; the header's `root` says
  which chunk is the first of the valid one.
- Numbers are in the machine's own byte order and size, for it is the only machine that reads them.

    header   magic, byte order mark, version, crc32 and size of the identity, identity
      512    root, chunks, homeless               (64-bit each: what is valid now)
     1024    chunk table: kind, offset, size      (64-bit each)
    index    used (of the whole stream), generation (both valid in the root), next (a chunk's number, or 0), bytes
    cell     version, size, crc32, bytes
"""

from __future__ import annotations

import mmap
import struct
import zlib
from contextlib import suppress
from os import O_CREAT, O_EXCL, O_RDWR
from typing import Final, NamedTuple

from pytheus.exceptions import PytheusError
from pytheus.shards import ShardIdentity
from pytheus_multiprocess.system import Inode, System, inode_of

__all__ = ["NoRoomError", "ShardFile"]

MAGIC: Final = b"\x89pyshard"
VERSION: Final = 1
PAGE: Final = mmap.ALLOCATIONGRANULARITY
"""What offsets of mappings are multiples of."""
ORDER_MARK: Final = 0x01020304
HEAD: Final = struct.Struct("=8sIIII")
STATE_AT: Final = 512
TABLE_AT: Final = 1024
HEADER_SIZE: Final = 4096
CHUNK: Final = struct.Struct("=QQQ")
MOST_CHUNKS: Final = (HEADER_SIZE - TABLE_AT) // CHUNK.size
INDEX_HEAD: Final = 24
USED, GENERATION, NEXT = range(3)
CELL_SIZE: Final = 1024
CELL_HEAD: Final = struct.Struct("=QII")
ROOT, CHUNKS, HOMELESS = range(3)
INDEX, NUMBERS, CELLS = 1, 2, 3
LARGEST_STEP: Final = 1 << 26
MOST_CELLS: Final = 4096


class NoRoomError(PytheusError):
    """The disk is full, or the shard's size limit is reached."""


def encode_header(identity: ShardIdentity) -> bytes:
    """The part of a shard's file that never changes."""
    # Names of machines have at most 253 characters: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
    content = "\n".join([identity.token, str(identity.pid), str(identity.started_ns), identity.host[:255]]).encode()
    content = content[: STATE_AT - HEAD.size]
    return HEAD.pack(MAGIC, ORDER_MARK, VERSION, zlib.crc32(content), len(content)) + content


class Chunk(NamedTuple):
    """A stretch of the file."""

    kind: int
    offset: int
    size: int


def whole_pages(size: int) -> int:
    """`size` rounded up to what can be mapped."""
    return -(-size // PAGE) * PAGE


class _Mapped:
    """A chunk in this process's memory."""

    __slots__ = ("bytes", "cells", "chunk", "doubles", "first")

    def __init__(self, chunk: Chunk, memory: memoryview, first: int) -> None:
        self.chunk = chunk
        self.bytes = memory
        self.cells = memory.cast("Q")
        self.doubles = memory.cast("d")
        self.first = first
        """The flat index of the first double, for number chunks."""


class ShardFile:
    """The file of this process, for writing. Its methods must be called by one thread at a time.

    `name` is made in `directory` (a descriptor), under another name until it is whole. What does not fit, on the disk
    or below `max_size_bytes`, raises `NoRoomError`, and then nothing has changed.
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
        self._chunks: list[_Mapped] = []
        # The index's stream: the chunks that it goes through, by number; how much of it is used.
        self._stream: list[int] = []
        self._used = 0
        self._idle: list[int] = []
        self.generation: int = 0
        """How often the index was written afresh."""
        # The doubles: where the next ones are taken from, and those that were given back, by how many they are.
        self._next = 0
        self._end = 0
        self._double_count = 0
        self._given_back: dict[int, list[int]] = {}
        # By slot and index of the number.
        self._cell_of: dict[tuple[int, int], tuple[_Mapped, int]] = {}
        self._idle_cells: list[tuple[_Mapped, int]] = []
        self._cell_version = 0
        # Two open file descriptions: mmap() keeps one, in copies of the descriptor that a forked child inherits. The
        # other carries the lock, and nothing but it, so that the child can let go of it.
        self.lock_descriptor: int = -1
        self._descriptor = -1
        self._inode: Inode | None = None
        self._begin(directory, name, encode_header(identity))

    def _begin(self, directory: int, name: str, header: bytes) -> None:
        system = self._system
        unfinished = f"new-{name}"
        self.lock_descriptor = system.open(unfinished, O_RDWR | O_CREAT | O_EXCL, 0o600, directory=directory)
        self._inode = inode_of(self.lock_descriptor)
        try:
            # Somebody who clears up takes the lock first, and then takes the file for abandoned.
            if not system.lock(self.lock_descriptor):
                raise FileNotFoundError(f"shard {name} was taken for abandoned while it was made")
            self._descriptor = system.open(unfinished, O_RDWR, directory=directory)
            first = whole_pages(HEADER_SIZE)
            sizes = [(INDEX, self._steps[INDEX]), (NUMBERS, self._steps[NUMBERS])]
            total = first + sum(size for _, size in sizes)
            self._reserve(0, total)
            memory = memoryview(system.map(self._descriptor, 0, total))
            self._header = memory[:HEADER_SIZE]
            self._state = self._header[STATE_AT:TABLE_AT].cast("Q")
            system.fill(self._header, 0, header)
            self._size = first
            for kind, size in sizes:
                self._take_in(kind, size, memory[self._size : self._size + size])
            self._stream = [0]
            system.rename(unfinished, name, directory=directory)
        except BaseException:
            with suppress(OSError):
                system.unlink(unfinished, directory=directory)
            self.close()
            raise

    # Chunks ----------------------------------------------------------------------------------------------------------

    def _reserve(self, offset: int, size: int) -> None:
        if offset + size > self._max_size:
            raise NoRoomError(f"shard {self._name} would grow beyond max_size_bytes = {self._max_size}")
        # Or it would be somebody else's file that grows, and is written to.
        if inode_of(self._descriptor) != self._inode:
            raise NoRoomError(f"shard {self._name} cannot grow, for the program has closed its descriptor")
        try:
            self._system.reserve(self._descriptor, offset, size)
        except OSError as error:
            with suppress(OSError):
                self._system.truncate(self._descriptor, offset)  # part of it may have been had
            raise NoRoomError(f"shard {self._name} finds no room for {size} bytes: {error.strerror}") from error

    def _add(self, kind: int, at_least: int) -> int:
        """A new chunk, as large as all of its kind before it together, by its number."""
        if len(self._chunks) >= MOST_CHUNKS:
            raise NoRoomError(f"shard {self._name} consists of {MOST_CHUNKS} chunks already")
        before = sum(mapped.chunk.size for mapped in self._chunks if mapped.chunk.kind == kind)
        size = whole_pages(max(at_least, self._steps[kind], min(before, LARGEST_STEP)))
        offset = self._size
        self._reserve(offset, size)
        try:
            memory = memoryview(self._system.map(self._descriptor, offset, size))
        except OSError as error:
            with suppress(OSError):
                self._system.truncate(self._descriptor, offset)
            raise NoRoomError(f"shard {self._name} cannot map {size} bytes more: {error.strerror}") from error
        return self._take_in(kind, size, memory)

    def _take_in(self, kind: int, size: int, memory: memoryview) -> int:
        number = len(self._chunks)
        self._system.fill(self._header, TABLE_AT + number * CHUNK.size, CHUNK.pack(kind, self._size, size))
        self._system.store(self._state, CHUNKS, number + 1)
        self._chunks.append(_Mapped(Chunk(kind, self._size, size), memory, self._double_count))
        self._size += size
        if kind == NUMBERS:
            self._next = self._double_count
            self._double_count += size // 8
            self._end = self._double_count
        return number

    @property
    def size_bytes(self) -> int:
        """How large the file is."""
        return self._size

    # Doubles ----------------------------------------------------------------------------------------------------

    def take(self, size: int) -> int:
        """The flat index of `size` doubles in a row, all of them zero, that nobody else has."""
        if size == 0:
            return 0
        given_back = self._given_back.get(size)
        if given_back:
            offset = given_back.pop()
            view = self.doubles(offset, size)
            for place in range(size):
                view[place] = 0.0
            return offset
        if self._next + size > self._end:
            self._add(NUMBERS, size * 8)
        offset = self._next
        self._next += size
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """These doubles may be taken again. To be called after a record that says so was committed."""
        if size:
            self._given_back.setdefault(size, []).append(offset)

    def doubles(self, offset: int, size: int) -> memoryview[float]:
        """A view on these doubles."""
        for mapped in reversed(self._chunks):
            if mapped.chunk.kind == NUMBERS and mapped.first <= offset:
                start = offset - mapped.first
                return mapped.doubles[start : start + size]
        raise AssertionError(f"there is no double {offset}")

    # Records ---------------------------------------------------------------------------------------------------------

    @property
    def index_bytes(self) -> int:
        """How many bytes of records are valid."""
        return self._used

    def append(self, records: bytes, *, headroom_bytes: int = 0) -> None:
        """Commit `records`, all or none, so that `headroom_bytes` more find room for sure."""
        self._extend(self._stream, self._used + len(records) + headroom_bytes)
        self._write(self._stream, self._used, records)
        self._used += len(records)
        self._system.store(self._chunks[self._stream[0]].cells, USED, self._used)

    def rewrite(self, records: bytes, *, headroom_bytes: int = 0) -> None:
        """Let `records` stand in the place of all records so far, all or none; otherwise as `append`."""
        former = self._stream
        stream = [self._chunk_for_index(len(records) + max(len(records), headroom_bytes))]
        first = self._chunks[stream[0]]
        self._system.store(first.cells, NEXT, 0)
        self._write(stream, 0, records)
        self._system.store(first.cells, USED, len(records))
        self._system.store(first.cells, GENERATION, self.generation + 1)
        self._system.store(self._state, ROOT, stream[0])
        self.generation += 1
        self._stream = stream
        self._used = len(records)
        self._idle += former

    def _extend(self, stream: list[int], size: int) -> None:
        """Let the stream have room for `size` bytes altogether."""
        missing = size - sum(self._chunks[number].chunk.size - INDEX_HEAD for number in stream)
        if missing <= 0:
            return
        number = self._chunk_for_index(missing)
        self._system.store(self._chunks[number].cells, NEXT, 0)
        self._system.store(self._chunks[stream[-1]].cells, NEXT, number)
        stream.append(number)

    def _chunk_for_index(self, at_least: int) -> int:
        """A chunk that the index goes on in, or begins anew in."""
        for number in self._idle:
            if self._chunks[number].chunk.size >= at_least + INDEX_HEAD:
                self._idle.remove(number)
                return number
        return self._add(INDEX, at_least + INDEX_HEAD)

    def _write(self, stream: list[int], position: int, records: bytes) -> None:
        """Copy `records` to that position of a stream that has room for them. Commits nothing."""
        start = 0
        for number in stream:
            mapped = self._chunks[number]
            room = mapped.chunk.size - INDEX_HEAD
            if position < room and start < len(records):
                part = records[start : start + room - position]
                self._system.fill(mapped.bytes, INDEX_HEAD + position, part)
                start += len(part)
                position = 0
            else:
                position -= room
        assert start == len(records)

    # Exemplars -------------------------------------------------------------------------------------------------------

    def put(self, key: tuple[int, int], record: bytes) -> None:
        """Let `record` be the latest of `key`; one that is too long is left out, and the oldest key may make room."""
        if len(record) > CELL_SIZE - CELL_HEAD.size:
            return
        cell = self._cell_of.get(key)
        if cell is None:
            cell = self._cell_of[key] = self._cell()
        mapped, start = cell
        self._cell_version += 1
        # Whoever reads meanwhile finds a checksum that is wrong, and leaves the cell out.
        head = CELL_HEAD.pack(self._cell_version, len(record), zlib.crc32(record))
        self._system.fill(mapped.bytes, start, head + record)

    def _cell(self) -> tuple[_Mapped, int]:
        if self._idle_cells:
            return self._idle_cells.pop()
        if len(self._cell_of) >= MOST_CELLS:
            return self._cell_of.pop(next(iter(self._cell_of)))
        mapped = self._chunks[self._add(CELLS, CELL_SIZE)]
        self._idle_cells = [(mapped, start) for start in range(mapped.chunk.size - CELL_SIZE, -1, -CELL_SIZE)]
        return self._idle_cells.pop()

    def drop(self, key: tuple[int, int]) -> None:
        """The cell of `key`, if it has one, may be used for another."""
        cell = self._cell_of.pop(key, None)
        if cell is not None:
            self._idle_cells.append(cell)

    # The whole -------------------------------------------------------------------------------------------------------

    def count_homeless(self, count: int) -> None:
        """Say how many series the process keeps in its own memory, for want of room here."""
        self._system.store(self._state, HOMELESS, count)

    def let_go_of_lock(self) -> None:
        """Close this process's copy of the lock's descriptor: as the owner's end, or in a child that inherited it."""
        descriptor, self.lock_descriptor = self.lock_descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor, self._inode)

    def abandon(self) -> None:
        """In a child after a fork: `close`, and nothing can be written to the parent's file from here any more."""
        for mapped in self._chunks:
            for memory in (mapped.bytes, mapped.cells, mapped.doubles):
                memory.release()
        self._state.release()
        self._header.release()
        self.close()

    def close(self) -> None:
        """Let go of the lock: whoever comes next takes the shard for dead. Views stay valid."""
        self.let_go_of_lock()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor, self._inode)
