"""The labels of many series, and definitions, kept once for all layouts that have them.

Processes of one program often create the same series in the same order, so the records of their series have the same
bytes, and those of their definitions, too. Who reads several shards keeps a `LabelBlocks`, which decodes equal bytes
once. The layouts then share the objects, which saves memory, and a merge recognizes the block without looking at its
labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from pytheus.definitions import Definition
from pytheus.exceptions import ShardFormatError

__all__ = ["LabelBlock", "LabelBlocks"]

_decode: Final = msgspec.msgpack.Decoder(list[str]).decode

_MIN_KEPT_BYTES: Final = 256
"""A shorter block is decoded each time, because keeping it would cost more."""

_MAX_DEFINITIONS: Final = 10_000


class LabelBlock:
    """The label values of several series, in the order of the series. Never changes."""

    __slots__ = ("__weakref__", "labels")

    def __init__(self, labels: list[tuple[str, ...]]) -> None:
        self.labels: Final = labels


class LabelBlocks:
    """The blocks that were decoded and that any layout still has, and definitions, by their bytes.

    >>> blocks = LabelBlocks()
    >>> data = msgspec.msgpack.encode(["GET", "200", "GET", "404"])
    >>> blocks.decode(data, ("method", "code")).labels
    [('GET', '200'), ('GET', '404')]
    """

    __slots__ = ("_blocks", "_definitions")

    def __init__(self) -> None:
        self._definitions: dict[bytes, Definition] = {}
        self._blocks: WeakValueDictionary[tuple[int, bytes], LabelBlock] = WeakValueDictionary()

    def decode(self, data: bytes, names: Sequence[str]) -> LabelBlock:
        """The block with these bytes, of series with label `names`.

        Raises `ShardFormatError` or an error of msgspec for other bytes.
        """
        key = (len(names), data)
        block = self._blocks.get(key)
        if block is None:
            block = LabelBlock(split_labels(_decode(data), names))
            if len(data) >= _MIN_KEPT_BYTES:
                self._blocks[key] = block
        return block

    def definition(self, record: bytes) -> Definition | None:
        """The definition that was decoded from this record, or None if that is not known."""
        return self._definitions.get(record)

    def keep_definition(self, record: bytes, definition: Definition) -> None:
        """Remember the definition that a record has."""
        if len(self._definitions) >= _MAX_DEFINITIONS:
            self._definitions.clear()  # most of them are of programs that have changed since
        self._definitions.setdefault(record, definition)


def split_labels(values: Sequence[str], names: Sequence[str]) -> list[tuple[str, ...]]:
    """The labels of each series, from the label values of all; a series without labels is one alone."""
    if len(values) == len(names):
        return [tuple(values)]
    if not names or not values or len(values) % len(names):
        raise ShardFormatError(f"it has the values {values!r:.80} for the labels {tuple(names)!r}")
    each = iter(values)
    return list(zip(*[each] * len(names), strict=True))
