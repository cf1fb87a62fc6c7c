"""The storage of one metric's series in this process's shard."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from pytheus.definitions import Definition
from pytheus.registry import FloatBuffer
from pytheus.samples import Exemplar
from pytheus_multiprocess.shard import Shard, ShardSeries

__all__ = ["ShardStorage"]

RetireInto: TypeAlias = Callable[["ShardStorage", Callable[[], Sequence[ShardSeries]], float], None]
"""Moves the series that the function takes into the archive, not written for so many seconds."""


class ShardStorage:
    """The `pytheus.registry.NumberStorage` of one metric, in a process's shard."""

    __slots__ = ("_definition", "_retire", "_series", "_waiting", "shard")

    def __init__(self, shard: Shard, definition: Definition, retire: RetireInto) -> None:
        self.shard: Shard = shard
        self._definition = definition
        self._retire = retire
        self._series: dict[tuple[str, ...], ShardSeries] = {}
        # The series that the metric has left, and that could not be moved into the archive yet.
        self._waiting: set[tuple[str, ...]] = set()

    def batch(self) -> AbstractContextManager[None]:
        """See `pytheus.shards.Batching`."""
        return self.shard.batch()

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        """A view of the shard's file, or an array if the series does not fit into it."""
        series = self._series.get(labels)
        if self._waiting:
            self._waiting.discard(labels)
        if series is None:
            with self.shard.lock:
                series = self._series.get(labels)
                if series is None:
                    made = ShardSeries(self._definition, labels, len(numbers), created)
                    added = self.shard.add(made, numbers)
                    series = self._series.setdefault(labels, added)
                    if series is not added:  # a finalizer or a signal handler was first
                        self.shard.remove(added)
            self.shard.log_unshared()
        return series.buffer

    def release(self, labels: tuple[str, ...], /) -> None:
        """Remove the series, so that another one can use its numbers."""
        with self.shard.lock:
            series = self._series.pop(labels, None)
            if series is not None:
                self.shard.remove(series)

    def retire(
        self, series: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool], idle_seconds: float, /
    ) -> None:
        """Move series into the archive; see `pytheus.registry.RetiresSeries`."""
        self._retire(self, lambda: self._taken(series, leave), idle_seconds)

    def _taken(
        self, wanted: Sequence[tuple[str, ...]], leave: Callable[[tuple[str, ...]], bool]
    ) -> Sequence[ShardSeries]:
        taken: list[ShardSeries] = []
        for labels in {*wanted, *self._waiting}:
            series = self._series.pop(labels, None)
            if series is None:
                continue
            # After it was taken out, because a new series may follow at once.
            if labels in self._waiting or leave(labels):
                taken.append(series)
            else:
                self._series.setdefault(labels, series)
        self._waiting.clear()
        return taken

    def give_back(self, taken: Iterable[ShardSeries]) -> None:
        """Keep series that have left until they can be moved, or are written again."""
        for series in taken:
            # Otherwise there is a new one, and the former one counts until the process ends.
            if self._series.setdefault(series.labels, series) is series:
                self._waiting.add(series.labels)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        """Write the labels of an info."""
        self.buffer(labels, array("d"))
        with self.shard.lock:
            series = self._series.get(labels)
            if series is not None:
                self.shard.set_info(series, info)

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Write an exemplar, over the previous one."""
        with self.shard.lock:
            series = self._series.get(labels)
            if series is not None:
                self.shard.set_exemplar(series, slot, exemplar)
