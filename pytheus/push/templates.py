"""Messages of a fixed size in which only some numbers change, packed in one step.

Most of a series' message is its labels, which never change, and all that changes has eight bytes: a number, a count, a
time. So a block's messages are packed by one `struct.Struct`, which takes a tenth of the time of joining them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import add
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

__all__ = ["Output", "Packed", "Piece", "Template", "cumulative", "size_of"]


class Template:
    """Several messages, each of its own head and of the same fields after it.

    `form` has the formats of these fields, as `struct` writes them. `constants` has the bytes of those that are always
    the same, and None for the others. One thread at a time may use it.

        >>> template = Template([b"ab", b"c"], ["B", "1s"], [None, b"."])
        >>> template.pack({0: [1, 2]})
        b'ab\\x01.c\\x02.'
    """

    __slots__ = ("_flat", "_stride", "_struct")

    def __init__(self, heads: Sequence[bytes], form: Sequence[str], constants: Sequence[bytes | None]) -> None:
        together = "".join(form)
        self._struct: Final = Struct("<" + "".join([f"{len(head)}s{together}" for head in heads]))
        self._stride: Final = 1 + len(constants)
        flat: list[object] = list(chain.from_iterable([(head, *constants) for head in heads]))
        self._flat: Final = flat

    @property
    def size(self) -> int:
        """The number of bytes of all messages."""
        return self._struct.size

    def pack(self, columns: Mapping[int, Iterable[object]]) -> bytes:
        """Return the messages; `columns` has the values of each field that is not constant, by its place."""
        output = bytearray(self.size)
        self.pack_into(output, 0, columns)
        return bytes(output)

    def pack_into(self, output: bytearray, begin: int, columns: Mapping[int, Iterable[object]]) -> None:
        """Write the messages to `output`, from the byte `begin` on."""
        flat = self._flat
        for place, values in columns.items():
            flat[1 + place :: self._stride] = values
        self._struct.pack_into(output, begin, *flat)


class Packed(NamedTuple):
    """The messages of a template with the values of its fields."""

    template: Template
    columns: Mapping[int, Iterable[object]]


Piece: TypeAlias = bytes | Packed
"""A part of a message."""


def size_of(pieces: Iterable[Piece]) -> int:
    """Return the number of bytes of `pieces`."""
    return sum([piece.template.size if isinstance(piece, Packed) else len(piece) for piece in pieces])


class Output:
    """The memory of one message after the other.

    The system takes longer to provide a new megabyte than all other steps take.

        >>> output = Output()
        >>> bytes(output.join([b"a", Packed(Template([b"b"], ["B"], [None]), {0: [99]})]))
        b'abc'
    """

    __slots__ = ("_memory",)

    def __init__(self) -> None:
        self._memory = bytearray()

    def join(self, pieces: Sequence[Piece], leave_out: int = 0) -> memoryview:
        """Return `pieces` without the last `leave_out` bytes; valid until the next call."""
        size = size_of(pieces)
        if not size <= len(self._memory) <= 4 * size + 4096:
            self._memory = bytearray(size + size // 8)
        memory = self._memory
        end = 0
        for piece in pieces:
            if isinstance(piece, Packed):
                piece.template.pack_into(memory, end, piece.columns)
                end += piece.template.size
            else:
                memory[end : end + len(piece)] = piece
                end += len(piece)
        return memoryview(memory)[: size - leave_out]


def cumulative(numbers: array[float], width: int) -> tuple[array[float], list[float]]:
    """Return the `numbers` of histograms with cumulative buckets, and the count of all observations of each."""
    result = array("d", numbers)
    if not numbers:
        return result, []
    below: list[float] = numbers[1::width].tolist()
    for place in range(2, width):
        below = list(map(add, below, numbers[place::width]))
        result[place::width] = array("d", below)
    return result, below
