"""The block format of snappy, in which remote write wants each request.

Rules:

- cramjam compresses where it is installed (`pip install pytheus[snappy]`). Without it, a block consists of literals
  only: it is valid, and as long as its content.
- https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from pytheus.protobufformat import varint

__all__ = ["literal_block", "snappy_block"]

_LITERAL_BYTES: Final = 65536
# A literal of 65,536 bytes: its length less one in the two bytes after the tag.
_WHOLE_HEAD: Final = b"\xf4\xff\xff"


def snappy_block(content: bytes | memoryview) -> bytes:
    """Return `content` as a block, compressed if there is a library that can.

    >>> literal_block(b"abc")
    b'\\x03\\x08abc'
    """
    return _library()(content)


def literal_block(content: bytes | memoryview) -> bytes:
    """Return `content` as a block of literals."""
    pieces: list[bytes | memoryview] = [varint(len(content))]
    whole = len(content) - len(content) % _LITERAL_BYTES
    for begin in range(0, whole, _LITERAL_BYTES):
        pieces.append(_WHOLE_HEAD)
        pieces.append(content[begin : begin + _LITERAL_BYTES])
    rest = content[whole:]
    if len(rest):
        length = len(rest) - 1
        if length < 60:
            pieces.append(bytes([length << 2]))
        elif length < 256:
            pieces.append(bytes([60 << 2, length]))
        else:
            pieces.append(bytes([61 << 2]) + length.to_bytes(2, "little"))
        pieces.append(rest)
    return b"".join(pieces)


@lru_cache(None)
def _library() -> Callable[[bytes | memoryview], bytes]:
    try:
        snappy: Any = import_module("cramjam").snappy  # Any, because it is optional
    except (ImportError, AttributeError):  # not installed, not for this interpreter, or another version
        return literal_block
    return lambda content: bytes(snappy.compress_raw(content))
