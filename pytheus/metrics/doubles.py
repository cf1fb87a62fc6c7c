"""Where the numbers of a series live."""

from __future__ import annotations

from array import array
from typing import Final, Protocol, cast, overload

__all__ = ["UNBOUND", "Doubles"]


class Doubles(Protocol):
    """Where a series' numbers live: an array of doubles, or a view of memory that a registry hands out."""

    def __getitem__(self, index: int, /) -> float: ...
    @overload
    def __setitem__(self, index: int, value: float, /) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: array[float], /) -> None: ...
    def __len__(self) -> int: ...
    def tolist(self) -> list[float]: ...


UNBOUND: Final = cast(Doubles, array("d"))
"""Stands where the numbers would be in a handle that has none of its own: some of its labels are missing."""
