"""The file of any process, for reading while its owner writes.

Rules:

- The mapping and the parsed index are kept from one reading to the next; only the new part of the index is parsed.
- The index is read, then the numbers, then the index again. Series that are in both have numbers of their own. Those
  that were added meanwhile may have the numbers of a removed one, and are taken for zero. If the index was rewritten
  meanwhile, everything is read again.
- Nothing in the file is trusted: every offset is checked against the file's size, every record against its checksum.
  The mapping is not larger than the file was when it was made, and the size is checked before each reading, because
  memory beyond the end of a truncated file cannot be accessed.
"""

from __future__ import annotations

import mmap
import os
import stat
import zlib
from itertools import chain
from typing import cast

import msgspec

from pytheus.exceptions import ShardFormatError
from pytheus.samples import Exemplar
from pytheus.shards import LayoutReader, ShardIdentity, Snapshot
from pytheus_multiprocess.shard_file import (
    CELL_HEAD,
    CELL_SIZE,
    CELLS,
    CHUNK,
    CHUNKS,
    GENERATION,
    HEAD,
    HEADER_SIZE,
    INDEX,
    INDEX_HEAD,
    MAGIC,
    MAX_CHUNKS,
    NEXT,
    NUMBERS,
    ORDER_MARK,
    ROOT,
    STATE_AT,
    TABLE_AT,
    UNSHARED,
    USED,
    VERSION,
    Chunk,
)
from pytheus_multiprocess.system import System, inode_of, mapped

__all__ = ["ExemplarCell", "ShardReader"]

_MAX_ROUNDS = 20


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

    Raises `ShardFormatError` if it is not a shard, and OSError if it cannot be read. One thread at a time may use it.
    """

    def __init__(self, system: System, directory: int, name: str) -> None:
        self.name = name
        self._system = system
        self._descriptor = system.open(name, os.O_RDONLY | os.O_NONBLOCK, directory=directory)
        self._inode = inode_of(self._descriptor)
        try:
            self._known_dead = False
            self._map()
            self.identity: ShardIdentity = self._read_identity()
        except BaseException:
            self.close()
            raise
        self._generation = -1
        self._reset()

    def _reset(self) -> None:
        self._records = LayoutReader()
        self._read_bytes = 0
        self._cell_versions: dict[int, int] = {}

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor, self._inode)

    # The file --------------------------------------------------------------------------------------------------------

    def _map(self) -> None:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ShardFormatError(f"{self.name} is not a file")
        if status.st_uid != os.geteuid():
            raise ShardFormatError(f"{self.name} belongs to user {status.st_uid}, not to {os.geteuid()}")
        if status.st_size < HEADER_SIZE:
            raise ShardFormatError(f"{self.name} has {status.st_size} bytes, which is less than a shard's header")
        self._memory = memoryview(mapped(self._descriptor, 0, status.st_size, mmap.PROT_READ))
        self._size = status.st_size
        self._state = self._memory[STATE_AT:TABLE_AT].cast("Q")
        self._chunks: list[Chunk] = []
        self._numbers: list[memoryview[float]] = []

    def _read_identity(self) -> ShardIdentity:
        magic, order, version, checksum, length = HEAD.unpack_from(self._memory)
        if magic != MAGIC:
            raise ShardFormatError(f"{self.name} is not a shard: it begins with {magic!r}")
        if order != ORDER_MARK:
            raise ShardFormatError(f"{self.name} was written by a machine of another byte order")
        if version != VERSION:
            raise ShardFormatError(f"{self.name} has the format version {version}, but this version reads {VERSION}")
        content = bytes(self._memory[HEAD.size : min(HEAD.size + length, STATE_AT)])
        if zlib.crc32(content) != checksum:
            raise ShardFormatError(f"{self.name} has a header that does not match its checksum")
        try:
            token, pid, started, host = content.decode("utf-8", "replace").split("\n", 3)
            identity = ShardIdentity(host, int(pid), int(started), token)
        except ValueError as error:
            raise ShardFormatError(f"{self.name} has an identity that cannot be read: {content!r:.80}") from error
        if not self.name.startswith(f"{token}."):
            raise ShardFormatError(f"{self.name} is the copy of another shard, {token}")
        return identity

    def _map_new_chunks(self) -> None:
        """Map the file again if the header has more chunks."""
        count = self._state[CHUNKS]
        if count == len(self._chunks):
            return
        if count > MAX_CHUNKS or count < len(self._chunks):
            raise ShardFormatError(f"{self.name} claims to have {count} chunks")
        chunks = [Chunk(*CHUNK.unpack_from(self._memory, TABLE_AT + number * CHUNK.size)) for number in range(count)]
        end = max(chunk.offset + chunk.size for chunk in chunks)
        if end > self._size:
            self._map()
        for number, chunk in enumerate(chunks):
            if chunk.kind not in (INDEX, NUMBERS, CELLS) or chunk.offset % 8 or chunk.size % 8 or end > self._size:
                raise ShardFormatError(f"{self.name} has an invalid chunk {number}: {chunk}, or was cut off")
        self._chunks = chunks
        self._numbers = [
            self._memory[chunk.offset : chunk.offset + chunk.size].cast("d")
            for chunk in chunks
            if chunk.kind == NUMBERS
        ]

    def is_dead(self) -> bool:
        """Whether its process has ended, and has released the lock therefore."""
        if not self._known_dead and self._system.lock(self._descriptor, shared=True):
            # No process needs the lock again, because no owner opens a shard a second time. So it is kept.
            self._known_dead = True
        return self._known_dead

    @property
    def unshared(self) -> int:
        """How many series its owner keeps in its own memory."""
        return int(self._state[UNSHARED])

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self, *, live: bool) -> Snapshot:
        """The present shard. Raises `ShardFormatError` if it is invalid, or truncated."""
        if os.fstat(self._descriptor).st_size < self._size:
            raise ShardFormatError(f"{self.name} was truncated")
        for _ in range(_MAX_ROUNDS):
            self._catch_up()
            layout = self._records.layout
            known = len(layout)
            numbers = self._read_numbers()
            self._catch_up()
            if self._records.layout is layout:
                break
        else:
            raise ShardFormatError(f"{self.name} was rewritten while it was read, {_MAX_ROUNDS} times")
        numbers += [0.0] * (layout.size - len(numbers))
        for number in range(known, len(layout)):
            series = layout.entry(number)
            if series is not None:
                numbers[series.offset : series.offset + series.size] = [0.0] * series.size
        self._read_cells()
        return Snapshot(self.identity, live, layout, numbers)

    def _catch_up(self) -> None:
        """Read the new part of the index, or all of it if it was rewritten."""
        self._map_new_chunks()
        root = self._index_chunk(self._state[ROOT])
        generation, used = root[GENERATION], root[USED]
        if generation != self._generation:
            self._reset()
            self._generation = generation
        if used != self._read_bytes:
            self._read_index(used)

    def _index_chunk(self, number: int) -> memoryview[int]:
        if number >= len(self._chunks) or self._chunks[number].kind != INDEX:
            raise ShardFormatError(f"{self.name} has its index at {number}, which is not an index chunk")
        chunk = self._chunks[number]
        return self._memory[chunk.offset : chunk.offset + chunk.size].cast("Q")

    def _read_index(self, used: int) -> None:
        """Parse the index up to `used`, which must be the end of a record."""
        number = self._state[ROOT]
        start = 0
        steps = 0
        while start < used:
            head = self._index_chunk(number)
            chunk = self._chunks[number]
            size = chunk.size - INDEX_HEAD
            first, last = max(self._read_bytes - start, 0), min(used - start, size)
            if first < last:
                begin = chunk.offset + INDEX_HEAD
                self._records.feed(bytes(self._memory[begin + first : begin + last]))
                self._read_bytes = start + last
            start += size
            number = head[NEXT]
            steps += 1
            if steps > MAX_CHUNKS:
                raise ShardFormatError(f"{self.name} has an index whose chunks form a cycle")
        if self._records.pending_bytes:
            raise ShardFormatError(f"{self.name} has an index that ends within a record")

    def _read_numbers(self) -> list[float]:
        """All numbers of the layout."""
        missing = self._records.layout.size
        parts: list[list[float]] = []
        for view in self._numbers:
            if missing <= 0:
                break
            # typeshed takes every view for one of bytes.
            parts.append(cast("list[float]", view[:missing].tolist()))
            missing -= len(view)
        if missing > 0:
            raise ShardFormatError(f"{self.name} has {missing} numbers less than its index")
        return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))

    def _read_cells(self) -> None:
        layout = self._records.layout
        for chunk in self._chunks:
            if chunk.kind != CELLS:
                continue
            versions = self._memory[chunk.offset : chunk.offset + chunk.size].cast("Q")[:: CELL_SIZE // 8].tolist()
            for number, version in enumerate(versions):
                start = chunk.offset + number * CELL_SIZE
                if version == 0 or self._cell_versions.get(start) == version:
                    continue
                content = bytes(self._memory[start : start + CELL_SIZE])
                _, length, checksum = CELL_HEAD.unpack_from(content)
                record = content[CELL_HEAD.size : CELL_HEAD.size + length]
                if zlib.crc32(record) != checksum:
                    continue  # it is being written, or damaged
                self._cell_versions[start] = version
                try:
                    cell = _exemplar_decoder.decode(record)
                except msgspec.MsgspecError:
                    continue
                if cell.generation == self._generation and cell.series < len(layout):
                    series = layout.entry(cell.series)
                    if series is not None and cell.slot < series.size:
                        layout.set_exemplar(cell.series, cell.slot, Exemplar(cell.labels, cell.value, cell.timestamp))
