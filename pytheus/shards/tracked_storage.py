"""The storage that `ShardedRegistry` puts between a metric and its store.

It knows which series it provided, so that the shard drops them when the metric leaves, and keeps them when the registry
closes. For a gauge in a mode of "last" it keeps the time of the last set beside each number.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from pytheus.definitions import Definition
from pytheus.registry.capabilities import HasRows
from pytheus.registry.storage import FloatBuffer, NumberStorage, RetiresSeries
from pytheus.samples import Exemplar, Row

__all__ = ["LastValueRows", "LastValueStorage", "ProcessStorage", "TrackedStorage"]


class _Carrying:
    """A flag that a storage and its buffers share: writes carry existing values over.

    The buffers do not refer to the storage itself: a cycle would keep mapped memory until the garbage collector runs.
    """

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: bool = False


class LastValueBuffer:
    """A buffer of one number; `view` has it and its time by `clock`."""

    __slots__ = ("_carrying", "_clock", "view")

    def __init__(self, view: FloatBuffer, carrying: _Carrying, clock: Callable[[], float]) -> None:
        self.view: FloatBuffer = view
        self._clock = clock
        self._carrying = carrying

    def __getitem__(self, index: int, /) -> float:
        return self.view[index]

    def __setitem__(self, index: int | slice, value: float | array[float], /) -> None:
        number = value[0] if isinstance(value, array) else value
        # A gauge that was never set keeps the time 0, also when it is carried over.
        if number == 0.0 and self._carrying.now and self.view[1] == 0.0:
            return
        # Both in one step, as every write to a `FloatBuffer`.
        self.view[0:2] = array("d", (number, self._clock()))

    def __len__(self) -> int:
        return 1

    def tolist(self) -> list[float]:
        return [self.view[0]]


class TrackedStorage:
    """Wraps the storage that a store provides for one metric."""

    def __init__(self, storage: NumberStorage) -> None:
        self._storage = storage
        self._labels: set[tuple[str, ...]] = set()
        self.releases: bool = True
        """Whether a release reaches the store: not when the registry closes, because the shard keeps its numbers."""

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        self._labels.add(labels)
        return self._storage.buffer(labels, size)

    def release(self, labels: tuple[str, ...], /) -> None:
        if self.releases:
            self._labels.discard(labels)
            self._release(labels)

    def release_all(self) -> None:
        """Release every series that is still there."""
        while self._labels:
            self._release(self._labels.pop())

    def _release(self, labels: tuple[str, ...]) -> None:
        self._storage.release(labels)

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float
    ) -> None:
        """As `RetiresSeries.retire`, if the store's storage can do that."""
        storage: object = self._storage
        if isinstance(storage, RetiresSeries):
            storage.retire(series, lambda labels: self._let_go(labels, leave), idle_seconds)

    def _let_go(self, labels: tuple[str, ...], leave: Callable[[tuple[str, ...]], bool]) -> bool:
        left = leave(labels)
        if left:
            self._labels.discard(labels)
        return left

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        self._labels.add(labels)
        self._storage.set_info(labels, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        self._storage.set_exemplar(labels, slot, exemplar)


class LastValueStorage(TrackedStorage):
    """Storage of a gauge in a mode of "last".

    An increment takes more than one step there: if two threads add at once, one increment may be lost. Such a gauge
    is meant to be set.
    """

    def __init__(self, storage: NumberStorage, clock: Callable[[], float] = time.time) -> None:
        super().__init__(storage)
        self._clock = clock
        self._buffers: dict[tuple[str, ...], LastValueBuffer] = {}
        self._carrying = _Carrying()

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """A context in which existing values are carried over from another storage."""
        self._carrying.now = True
        try:
            yield
        finally:
            self._carrying.now = False

    def buffer(self, labels: tuple[str, ...], size: int, /) -> FloatBuffer:
        buffer = self._buffers.get(labels)
        if buffer is None:
            view = super().buffer(labels, size + 1)
            buffer = self._buffers.setdefault(labels, LastValueBuffer(view, self._carrying, self._clock))
        return cast(FloatBuffer, buffer)

    def _let_go(self, labels: tuple[str, ...], leave: Callable[[tuple[str, ...]], bool]) -> bool:
        # Before it leaves, because a new series must not get this buffer.
        buffer = self._buffers.pop(labels, None)
        left = super()._let_go(labels, leave)
        if not left and buffer is not None:
            self._buffers.setdefault(labels, buffer)
        return left

    def _release(self, labels: tuple[str, ...]) -> None:
        self._buffers.pop(labels, None)
        super()._release(labels)

    def value_and_time(self, labels: tuple[str, ...]) -> list[float]:
        """The number of a series and the time of its last set."""
        buffer = self._buffers.get(labels)
        return [0.0, 0.0] if buffer is None else buffer.view.tolist()


class LastValueRows:
    """The rows of a "last" gauge, with the value and the time of its last set."""

    def __init__(self, gauge: HasRows, storage: LastValueStorage) -> None:
        self._gauge = gauge
        self._storage = storage

    @property
    def definition(self) -> Definition:
        return self._gauge.definition

    def rows(self) -> list[Row]:
        return [row._replace(numbers=self._storage.value_and_time(row.labels)) for row in self._gauge.rows()]

    def refresh(self) -> None:
        self._gauge.refresh()


class ProcessStorage:
    """Storage in this process's own memory, for stores that provide none."""

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
        """Do nothing, because the metric keeps them too."""

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Do nothing, because the metric keeps it too."""
