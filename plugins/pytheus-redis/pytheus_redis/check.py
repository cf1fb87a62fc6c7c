"""How long the parts of a shard are, and their checksums, which are stored with it.

A reader that finds something else tells it, and a script that finds other lengths changes nothing.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple
from zlib import crc32

from pytheus_redis.shard_mirror import packed

__all__ = ["Check"]


class Check(NamedTuple):
    """The lengths of a shard's parts in bytes, and their checksums; the text is in the key "about"."""

    index_bytes: int
    numbers_bytes: int
    base_bytes: int
    numbers_crc: int
    base_crc: int
    identity_crc: int

    def text(self) -> str:
        """The text in Redis, whose beginning the scripts read."""
        sizes = f"{self.index_bytes} {self.numbers_bytes} {self.base_bytes}"
        return f"{sizes} {self.numbers_crc:08x} {self.base_crc:08x} {self.identity_crc:08x}"

    @classmethod
    def of(cls, index_bytes: int, numbers: array[float], base: bytes, about: bytes) -> Check:
        """The check of a shard with these parts."""
        content = packed(numbers)
        return cls(index_bytes, len(content), len(base), crc32(content), crc32(base), crc32(about))

    @classmethod
    def parse(cls, text: str) -> Check:
        """The check of such a text; raises `ValueError`."""
        sizes, checksums = text.split(" ")[:3], text.split(" ")[3:]
        if len(checksums) != 3:
            raise ValueError(f"its check is damaged: {text!r}")
        return cls(*map(int, sizes), *(int(each, 16) for each in checksums))
