"""Gauges of which the last one set counts: numbers that remember when they were set."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from pytheus.definitions import Definition
from pytheus.registry.capabilities import StorageAware
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.samples import Exemplar, Row

__all__ = ["OwnMemory", "StampedMemory", "StampedRows"]


class _Moving:
    """Whether what is written is what was set before: what a memory and its numbers share.

    Not the memory itself, which would make a circle: what is mapped would then go only when garbage is collected.
    """

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: bool = False


class StampedDoubles:
    """A gauge's number, kept as two in `view`: the number and when it was set, in seconds since the Unix epoch."""

    __slots__ = ("_moving", "view")

    def __init__(self, view: FloatBuffer, moving: _Moving) -> None:
        self.view: FloatBuffer = view
        self._moving = moving

    def __getitem__(self, index: int, /) -> float:
        return self.view[index]

    def __setitem__(self, index: int | slice, value: float | array[float], /) -> None:
        number = value[0] if isinstance(value, array) else value
        # A gauge that was never set says nothing, also when it is moved.
        if number == 0.0 and self._moving.now and self.view[1] == 0.0:
            return
        # Both in one step, as all that is stored in a `FloatBuffer`.
        self.view[0:2] = array("d", (number, time.time()))

    def __len__(self) -> int:
        return 1

    def tolist(self) -> list[float]:
        return [self.view[0]]


class StampedMemory:
    """Another memory as a gauge in a mode of "last" is given it.

    An increment is then not one step any more: of two threads that add at once, one may go unseen. Such a gauge is
    there to be set.
    """

    def __init__(self, storage: NumberStorage) -> None:
        self._storage = storage
        self._made: dict[tuple[str, ...], StampedDoubles] = {}
        self._moving = _Moving()

    @contextmanager
    def moving(self) -> Iterator[None]:
        """While numbers are moved here from elsewhere."""
        self._moving.now = True
        try:
            yield
        finally:
            self._moving.now = False

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        made = self._made.get(labels)
        if made is None:
            made = self._made.setdefault(labels, StampedDoubles(self._storage.buffer(labels, size + 1), self._moving))
        return cast(FloatBuffer, made)

    def release(self, labels: tuple[str, ...], /) -> None:
        self._made.pop(labels, None)
        self._storage.release(labels)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        self._storage.set_info(labels, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        self._storage.set_exemplar(labels, slot, exemplar)

    def pair(self, labels: tuple[str, ...]) -> list[float]:
        """The number of a series and when it was set."""
        made = self._made.get(labels)
        return [0.0, 0.0] if made is None else made.view.tolist()


class OwnMemory:
    """Memory of this process, where a store has none."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, ...], array[float]] = {}

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        found = self._arrays.get(labels)
        if found is None:
            found = self._arrays.setdefault(labels, array("d", bytes(8 * size)))
        return cast(FloatBuffer, found)

    def release(self, labels: tuple[str, ...], /) -> None:
        self._arrays.pop(labels, None)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        """Nothing is lost, for the metric has them too."""

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Nothing is lost, for the metric has it too."""


class StampedRows:
    """A gauge in a mode of "last" with rows of two numbers: the number and when it was set."""

    def __init__(self, gauge: StorageAware, storage: StampedMemory) -> None:
        self._gauge = gauge
        self._storage = storage

    @property
    def definition(self) -> Definition:
        return self._gauge.definition

    def rows(self) -> list[Row]:
        return [row._replace(numbers=self._storage.pair(row.labels)) for row in self._gauge.rows()]

    def refresh(self) -> None:
        self._gauge.refresh()

    def restart(self) -> None:
        self._gauge.restart()

    def attach_storage(self, storage: NumberStorage, /, *, carry: bool = True) -> None:
        self._gauge.attach_storage(storage, carry=carry)

    def detach_storage(self, storage: NumberStorage, /) -> None:
        self._gauge.detach_storage(storage)
