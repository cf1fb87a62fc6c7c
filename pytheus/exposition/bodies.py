"""The bodies of responses that clients have not taken yet, in the whole process.

Rules:

- A body counts as long as it exists. Clients that share a collection share its body, which so counts once.
- When all of them together are large, no other scrape begins: clients that take nothing would otherwise fill the memory
  with a copy of the metrics each, whatever server they use.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final, overload

__all__ = ["Body", "held_bytes", "is_too_much_held"]

_HELD_BYTES_AT_MOST: Final = 256 * 1024 * 1024

_numbers: Final = count()
_bodies: Final[dict[int, weakref.ref[Body]]] = {}


class Body(Sequence[bytes]):
    """The parts of a body, each at most some hundred kilobytes; `size` is that of all."""

    __slots__ = ("__weakref__", "_parts", "size")

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts: Final = tuple(parts)
        self.size: Final[int] = sum(map(len, self._parts))
        number = next(_numbers)
        # Not a WeakSet, which another thread may not change while it is read.
        _bodies[number] = weakref.ref(self, lambda _: _bodies.pop(number, None))

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[bytes, ...]: ...

    def __getitem__(self, index: int | slice) -> bytes | tuple[bytes, ...]:
        return self._parts[index]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[bytes]:
        # A generator, because it keeps the body: an application server may have nothing else of it.
        yield from self._parts


def held_bytes() -> int:
    """Return the size of all bodies that exist."""
    bodies = [reference() for reference in list(_bodies.values())]
    return sum(body.size for body in bodies if body is not None)


def is_too_much_held() -> bool:
    """Return whether the bodies are so large together that no scrape may begin."""
    if held_bytes() < _HELD_BYTES_AT_MOST:
        return False
    if sys.implementation.name != "cpython":
        # Those that are garbage already may exist for a while without reference counts.
        import gc

        gc.collect()
    return held_bytes() >= _HELD_BYTES_AT_MOST


if hasattr(os, "register_at_fork"):
    # The threads that send them do not exist in the child, so nothing would end them there.
    os.register_at_fork(after_in_child=_bodies.clear)
