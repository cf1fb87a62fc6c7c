"""Reads blocks of snappy: https://github.com/google/snappy/blob/main/format_description.txt"""

from __future__ import annotations

__all__ = ["decoded"]


def decoded(block: bytes) -> bytes:
    """The content of a block."""
    length, at, shift = 0, 0, 0
    while True:
        length |= (block[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if block[at - 1] < 128:
            break
    content = bytearray()
    while at < len(block):
        tag, at = block[at], at + 1
        kind, size = tag & 3, tag >> 2
        if kind == 0:
            if size >= 60:
                more = size - 59
                size, at = int.from_bytes(block[at : at + more], "little"), at + more
            content += block[at : at + size + 1]
            at += size + 1
            continue
        if kind == 1:
            size, offset, at = (size & 7) + 4, tag >> 5 << 8 | block[at], at + 1
        else:
            width = 2 if kind == 2 else 4
            size, offset, at = size + 1, int.from_bytes(block[at : at + width], "little"), at + width
        for _ in range(size):
            content.append(content[-offset])
    assert len(content) == length
    return bytes(content)
