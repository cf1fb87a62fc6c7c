"""The storage that `ShardedRegistry` puts between a metric and its store.

It knows which series it provided, so that the shard drops them when the metric leaves, and keeps them when the registry
closes. For a gauge in a mode of "last" it keeps the time of the last set beside each number; the time 0 is that of a
gauge that was never set.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Final, cast
from weakref import WeakValueDictionary, ref

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.registry.capabilities import HasRows
from pytheus.registry.storage import UNSET, FloatBuffer, NumberStorage, RetiresSeries, is_unset
from pytheus.samples import Exemplar, Row
from pytheus.shards.merge_rules import merge_rule_of
from pytheus.shards.store import Batching, FlushOnRelease, ShardStore

__all__ = [
    "LastValueRows",
    "LastValueStorage",
    "Moves",
    "ProcessStorage",
    "TrackedStorage",
    "UnsetRows",
    "drop_storage",
    "keep_storage",
    "storage_of",
]


# By the id of the definition, which the registry that provided the storage keeps alive.
_storages: Final[WeakValueDictionary[int, TrackedStorage]] = WeakValueDictionary()


def storage_of(definition: Definition) -> TrackedStorage | None:
    """The storage that a metric's numbers are in or are moving to; None if it has them itself."""
    return _storages.get(id(definition))


class Moves:
    """The moves of metrics between storages, so that a reader of several shards knows of them.

    A context manager, which a move runs in.
    """

    begun: ClassVar[int] = 0
    under_way: ClassVar[int] = 0

    def __enter__(self) -> None:
        Moves.begun += 1
        Moves.under_way += 1

    def __exit__(self, type_: object, error: object, traceback: object) -> None:
        Moves.under_way -= 1


def keep_storage(definition: Definition, storage: TrackedStorage) -> None:
    """Report that a metric's numbers are in `storage`, or are about to move there."""
    _storages[id(definition)] = storage


def drop_storage(definition: Definition, storage: TrackedStorage) -> None:
    """Report that a metric's numbers have left `storage`; do nothing if they had left it before."""
    if _storages.get(id(definition)) is storage:
        del _storages[id(definition)]


class LastValueBuffer:
    """A buffer of one number; `view` has it and its time by `clock`."""

    __slots__ = ("_clock", "carried_time", "view")

    def __init__(self, view: FloatBuffer, clock: Callable[[], float]) -> None:
        self.view: FloatBuffer = view
        self._clock = clock
        self.carried_time: float = 0.0
        """The time of a number that is about to move here."""

    def __getitem__(self, index: int, /) -> float:
        number, set_at = self.view.tolist()
        return number if set_at else UNSET

    def __setitem__(self, index: int | slice, value: float | array[float], /) -> None:
        carried_time, self.carried_time = self.carried_time, 0.0
        # Both in one step, as every write to a `FloatBuffer`.
        number = value[0] if isinstance(value, array) else value
        self.view[0:2] = _with_time(number, carried_time or self._clock())

    def __len__(self) -> int:
        return 1

    def tolist(self) -> list[float]:
        return [self[0]]


def _with_time(number: float, time: float) -> array[float]:
    return array("d", (0.0, 0.0) if is_unset(number) else (number, time))


class TrackedStorage:
    """Wraps the storage that `store` provides for one metric."""

    def __init__(self, storage: NumberStorage, store: ShardStore, definition: Definition) -> None:
        self._storage = storage
        self.store: ShardStore = store
        self._may_be_unset = definition.type == "gauge" and merge_rule_of(definition) is not MergeRule.SUM
        self._labels: set[tuple[str, ...]] = set()
        self.releases: bool = True
        """Whether a release reaches the store: not while the metric takes its numbers back."""
        self.is_used: bool = False
        """Whether the metric is registered in the registry that provided the storage."""
        self.former: ref[TrackedStorage] | None = None
        """The storage of another registry that the metric's numbers have moved from."""

    @property
    def calls_functions(self) -> bool:
        """Whether the functions of gauges are called without a scrape, because the store publishes by itself."""
        return isinstance(self.store, FlushOnRelease)

    def add(self, row: Row, former: TrackedStorage | None) -> None:
        """Add the series of `row`; with its numbers, unless these are in the storage `former` until they move."""
        numbers = row.numbers
        if not row.is_set or (former is not None and self._may_be_unset):
            numbers = [UNSET]
        elif former is not None:
            numbers = [0.0] * len(numbers)
        self.buffer(row.labels, array("d", numbers), row.created or 0.0)

    def batch(self) -> AbstractContextManager[None]:
        """A context whose changes other processes see together, if the store can do that."""
        return self._batch_of(self._storage)

    @staticmethod
    def _batch_of(storage: NumberStorage) -> AbstractContextManager[None]:
        # Not by isinstance, which takes microseconds on Python 3.11.
        batch = getattr(storage, "batch", None)
        return nullcontext() if batch is None else cast(Batching, storage).batch()

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        self._labels.add(labels)
        return self._storage.buffer(labels, numbers, created)

    def release(self, labels: tuple[str, ...], /) -> None:
        if self.releases:
            self._labels.discard(labels)
            self._release(labels)

    def release_others(self, labels: set[tuple[str, ...]]) -> None:
        """Release every series except for those with these labels."""
        for other in self._labels - labels:
            self.release(other)

    def release_all(self) -> None:
        """Release every series that is still there."""
        while self._labels:
            self._release(self._labels.pop())

    def _release(self, labels: tuple[str, ...]) -> None:
        self._storage.release(labels)

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float, /
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

    def __init__(
        self,
        storage: NumberStorage,
        store: ShardStore,
        definition: Definition,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(storage, store, definition)
        self._clock = clock
        self._buffers: dict[tuple[str, ...], LastValueBuffer] = {}

    def add(self, row: Row, former: TrackedStorage | None) -> None:
        super().add(row, former)
        if isinstance(former, LastValueStorage):
            self._buffers[row.labels].carried_time = former.value_and_time(row.labels)[1]

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        buffer = self._buffers.get(labels)
        if buffer is None:
            view = super().buffer(labels, _with_time(numbers[0], self._clock()), created)
            buffer = self._buffers.setdefault(labels, LastValueBuffer(view, self._clock))
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


class UnsetRows:
    """The rows of a gauge, with `UNSET` as the number of every series that was never set."""

    def __init__(self, gauge: HasRows) -> None:
        self._gauge = gauge

    @property
    def definition(self) -> Definition:
        return self._gauge.definition

    def rows(self) -> list[Row]:
        return [row if row.is_set else row._replace(numbers=[UNSET]) for row in self._gauge.rows()]

    def refresh(self) -> None:
        self._gauge.refresh()


class LastValueRows:
    """The rows of a "last" gauge, with the value and the time of its last set."""

    def __init__(self, gauge: HasRows, clock: Callable[[], float]) -> None:
        self._gauge = gauge
        self._clock = clock

    @property
    def definition(self) -> Definition:
        return self._gauge.definition

    def rows(self) -> list[Row]:
        rows = self._gauge.rows()
        storage = storage_of(self.definition)
        if isinstance(storage, LastValueStorage):
            return [row._replace(numbers=storage.value_and_time(row.labels)) for row in rows]
        # The gauge has just left, and took its number with it.
        now = self._clock()
        return [row._replace(numbers=_with_time(row.numbers[0] if row.is_set else UNSET, now).tolist()) for row in rows]

    def refresh(self) -> None:
        self._gauge.refresh()


class ProcessStorage:
    """Storage in this process's own memory, for stores that provide none."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, ...], array[float]] = {}

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        found = self._arrays.get(labels)
        if found is None:
            found = self._arrays.setdefault(labels, numbers[:])
        return cast(FloatBuffer, found)

    def release(self, labels: tuple[str, ...], /) -> None:
        self._arrays.pop(labels, None)

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float, /
    ) -> None:
        """See `RetiresSeries`; the numbers are forgotten."""
        for labels in series:
            # Before it leaves, because a new series must not get this array.
            numbers = self._arrays.pop(labels, None)
            if not leave(labels) and numbers is not None:
                self._arrays.setdefault(labels, numbers)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        """Do nothing, because the metric keeps them too."""

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Do nothing, because the metric keeps it too."""
