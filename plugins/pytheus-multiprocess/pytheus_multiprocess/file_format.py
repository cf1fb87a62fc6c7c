"""The format of a shard's file, which `ShardFile` writes and `ShardReader` reads.

Rules:

- The file begins with a header: the identity of the owner, a table of chunks, and the state. Chunks follow, one
  directly after the other. Each is reserved on the disk before it is mapped, and never moves.
- The latest series are in the tail, a part of the header, with a record each. When it is full, or anything else is
  added to the index, all of them go into the index, as few records. The tail's word says how long the index was when
  the tail began, so the commit of a longer index makes the tail invalid in the same step.
- There are three kinds of chunks. Number chunks hold doubles; in the order of the table they are one flat array. Index
  chunks hold records, as one stream that may continue in the next chunk. Cell chunks hold exemplars, in cells that are
  overwritten. A reader skips chunks of other kinds, which later versions may add.
- A change is committed by storing one 64-bit word, after everything else of it. So a kill between any two instructions
  leaves the state before or after the change, and nothing has to be repaired.
- Everything that a reader follows has a checksum: a word carries its own in its upper half, which also covers the
  word's position, so that a zeroed or moved word is recognised too. Only the doubles have none, because the owner
  writes them with plain stores.
- Numbers have the machine's own byte order and size, because only this machine reads them.

| at | content |
| --- | --- |
| 0 | magic, byte order mark, version, size of the identity, the identity as MessagePack; zeros; CRC-32 of all that |
| 512 | table: kind, CRC-32 of the entry and its number (32-bit each), offset, size (64-bit each) |
| `TAIL_AT` | the tail's records |
| `STATE_AT` | words: root (the number of the valid index's first chunk), number of chunks, of unshared series, tail |
| index chunk | words: used (of the stream), generation (both valid in the root), next chunk + 1 or 0; then bytes |
| cell chunk | a word for each cell: twice the version, plus 1 while it is written; the cells: size, CRC-32, bytes |
"""

from __future__ import annotations

import mmap
import struct
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from pytheus.exceptions import ShardFormatError
from pytheus.shards import ShardIdentity
from pytheus_multiprocess.origin import ProcessOrigin

__all__ = ["Chunk", "cell_checksum", "checked_word", "decode_header", "encode_header", "whole_pages", "word_value"]

MAGIC: Final = b"\x89pyshard"
VERSION: Final = 1
ORDER_MARK: Final = 0x01020304
PAGE: Final = mmap.ALLOCATIONGRANULARITY
"""Offsets of mappings are multiples of this."""

_HEAD: Final = struct.Struct("=8sIII")
_CHECKSUM: Final = struct.Struct("=I")
IDENTITY_SIZE: Final = 512
_MAX_CONTENT: Final = IDENTITY_SIZE - _HEAD.size - _CHECKSUM.size

TABLE_AT: Final = IDENTITY_SIZE
CHUNK: Final = struct.Struct("=IIQQ")
_CHUNK_CHECK: Final = struct.Struct("=IIQQ")
STATE_SIZE: Final = 32
MAX_CHUNKS: Final = (4096 - TABLE_AT) // CHUNK.size
HEADER_SIZE: Final = max(8192, PAGE)
TAIL_AT: Final = HEADER_SIZE - 4096
TAIL_SIZE: Final = 4096 - STATE_SIZE
STATE_AT: Final = HEADER_SIZE - STATE_SIZE
"""At the end of the header, so that one small read has the state and the head of the first index chunk."""
ROOT, CHUNKS, UNSHARED, TAIL = range(4)

TAIL_PERIOD: Final = 1 << 20
"""The tail's word has the length of the index modulo this; no commit makes the index longer by a multiple of it."""

INDEX, NUMBERS, CELLS = 1, 2, 3
INDEX_HEAD: Final = 24
USED, GENERATION, NEXT = range(3)

CELL_SIZE: Final = 1024
"""The size of a cell and its word."""
CELL_HEAD: Final = struct.Struct("=II")
MAX_CELL_BYTES: Final = CELL_SIZE - 8 - CELL_HEAD.size

_WORD: Final = struct.Struct("=QI")
_LOW: Final = 0xFFFFFFFF
MAX_WORD_VALUE: Final = _LOW


class Chunk(NamedTuple):
    """A part of the file."""

    kind: int
    offset: int
    size: int

    def encode(self, number: int) -> bytes:
        """The chunk's entry in the table."""
        return CHUNK.pack(self.kind, self._checksum(number), self.offset, self.size)

    def _checksum(self, number: int) -> int:
        return crc32(_CHUNK_CHECK.pack(number, self.kind, self.offset, self.size))

    @classmethod
    def decode(cls, number: int, entry: bytes) -> Chunk:
        """The chunk from its entry. Raises `ShardFormatError`."""
        kind, checksum, offset, size = CHUNK.unpack(entry)
        chunk = cls(kind, offset, size)
        if chunk._checksum(number) != checksum:
            raise ShardFormatError(f"the entry of chunk {number} does not match its checksum")
        return chunk


def checked_word(at: int, value: int) -> int:
    """The word at the file's offset `at` that has this 32-bit value."""
    return value | crc32(_WORD.pack(at, value)) << 32


def word_value(at: int, word: int) -> int:
    """The value of a word. Raises `ShardFormatError`."""
    value = word & _LOW
    if checked_word(at, value) != word:
        raise ShardFormatError(f"the word at byte {at} does not match its checksum")
    return value


def tail_value(index_bytes: int, size: int) -> int:
    """The value of the tail's word if the tail has `size` bytes and follows an index of `index_bytes`."""
    return size * TAIL_PERIOD + index_bytes % TAIL_PERIOD


def tail_bytes(index_bytes: int, value: int) -> int | None:
    """How long the tail is behind an index of `index_bytes`; None if the index has its series by now."""
    size, began = divmod(value, TAIL_PERIOD)
    return size if began == index_bytes % TAIL_PERIOD else None


class _Header(msgspec.Struct, array_like=True):
    token: str
    pid: int
    started_ns: int
    host: str
    origin: ProcessOrigin


_decoder: Final = msgspec.msgpack.Decoder(_Header)


def encode_header(identity: ShardIdentity, origin: ProcessOrigin) -> bytes:
    """The part of a header that never changes."""
    # Names of machines have at most 253 characters: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
    header = _Header(identity.token, identity.pid, identity.started_ns, identity.host[:255], origin)
    content = msgspec.msgpack.encode(header)
    if len(content) > _MAX_CONTENT:
        content = msgspec.msgpack.encode(msgspec.structs.replace(header, host=""))
    block = _HEAD.pack(MAGIC, ORDER_MARK, VERSION, len(content)) + content
    block += bytes(IDENTITY_SIZE - _CHECKSUM.size - len(block))
    return block + _CHECKSUM.pack(crc32(block))


def decode_header(block: bytes) -> tuple[ShardIdentity, ProcessOrigin]:
    """The identity and the origin of a shard's owner. Raises `ShardFormatError`."""
    if len(block) < IDENTITY_SIZE:
        raise ShardFormatError(f"it has {len(block)} bytes, which is less than a shard's header")
    magic, order, version, length = _HEAD.unpack_from(block)
    if magic != MAGIC:
        raise ShardFormatError(f"it is not a shard: it begins with {magic!r}")
    if order != ORDER_MARK:
        raise ShardFormatError("it was written by a machine of another byte order, or its byte order mark is damaged")
    if version != VERSION:
        raise ShardFormatError(f"it has the format version {version}, but this version reads {VERSION}")
    if _CHECKSUM.pack(crc32(block[: -_CHECKSUM.size])) != block[-_CHECKSUM.size :]:
        raise ShardFormatError("its header does not match its checksum")
    try:
        header = _decoder.decode(block[_HEAD.size : _HEAD.size + length])
    except msgspec.MsgspecError as error:
        raise ShardFormatError(f"its identity cannot be read: {error}") from error
    return ShardIdentity(header.host, header.pid, header.started_ns, header.token), header.origin


def cell_checksum(version: int, record: bytes) -> int:
    """The checksum of a cell."""
    return crc32(record, crc32(_WORD.pack(version, len(record))))


def whole_pages(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // PAGE) * PAGE
