"""Forked children of the program of ``pytheus run`` that use a registry in the memory of one process.

Rules:

- A child that was forked has the registry and the metrics of its parent. It uses them when it defines a metric or
  changes a number; a child that does neither, such as one that executes another program, is none of our concern.
- A change of a number is noticed by the memory that a registry may provide for it (`pytheus.registry.NumberStorage`):
  the first change of a series stores the number, and from then on the series' memory is an ordinary array. So the
  parent pays nothing, and a child hardly anything.
- A program may have very many series, and fork often: at most `_WATCHED_SERIES` are watched.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from pytheus.compose.base import Composition, Layer
from pytheus.plugins.resolve import sharing_remedy
from pytheus.registry import REGISTRY, Collector, CollectorRegistry, FloatBuffer, Registry, StorageAware
from pytheus.registry.capabilities import SeriesLimitable
from pytheus.registry.traversal import Proxy, wrapped_registries
from pytheus.samples import Exemplar
from pytheus.unserved import warn_if_unserved

__all__ = ["watch_forked_children"]

_WATCHED_SERIES: Final = 1000


def watch_forked_children() -> None:
    """From now on, warn if a forked child of this process uses a registry in memory."""
    os.register_at_fork(after_in_child=_Watch.begin)


class _Watch:
    """The state of this process: whether it watches for use, and whether numbers are only being moved."""

    has_begun = False
    is_carrying = False

    @classmethod
    def begin(cls) -> None:
        if cls.has_begun:
            return  # this process was forked by a child that watches
        cls.has_begun = True
        memories = list(_memories(REGISTRY))
        if not memories:
            return
        REGISTRY.set_registry(_WatchedRegistry(REGISTRY.registry, "a forked child"))
        cls.is_carrying = True
        try:
            left = _WATCHED_SERIES
            for collector in [collector for memory in memories for collector in memory.collect()]:
                if isinstance(collector, StorageAware):
                    left -= collector.series_count if isinstance(collector, SeriesLimitable) else 1
                    if left < 0:
                        break
                    collector.attach_storage(_WatchedStorage())
        finally:
            cls.is_carrying = False

    @classmethod
    def report(cls) -> None:
        if not cls.is_carrying:
            warn_if_unserved(
                lambda server: (
                    f"process {os.getpid()}, a forked child of the program, counts in its own memory, which {server}"
                    f" does not show; {sharing_remedy()}"
                )
            )


def _memories(registry: Registry) -> Iterator[CollectorRegistry]:
    """The registries in memory behind `registry`, and behind layers, which it may consist of."""
    if isinstance(registry, CollectorRegistry):
        yield registry
    elif isinstance(registry, Proxy | Composition):
        for below in wrapped_registries(registry, resolve=False):
            yield from _memories(below)


class _WatchedRegistry(Layer):
    """A layer that reports a registration."""

    __slots__ = ()

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below."""
        super().register(collector)
        _Watch.report()


class _Plain(array):  # type: ignore[type-arg]  # an array of doubles
    """The numbers of a series after their first change; a class of its own, because `array` itself is not one."""

    __slots__ = ()


class _Watched(array):  # type: ignore[type-arg]  # an array of doubles
    """The numbers of a series until their first change."""

    __slots__ = ()

    def __setitem__(self, index: Any, value: Any, /) -> None:
        super().__setitem__(index, value)
        if not _Watch.is_carrying:
            self.__class__ = _Plain  # type: ignore[assignment]  # of the same layout
            _Watch.report()


class _WatchedStorage:
    """Storage in this process's memory, which reports the first change of each series."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, ...], FloatBuffer] = {}

    def buffer(self, labels: tuple[str, ...], numbers: array[float], created: float = 0.0, /) -> FloatBuffer:
        """Return the buffer of a series."""
        found = self._buffers.get(labels)
        if found is None:
            found = self._buffers.setdefault(labels, cast(FloatBuffer, _Watched("d", numbers)))
            _Watch.report()
        return found

    def release(self, labels: tuple[str, ...], /) -> None:
        """Drop a series."""
        self._buffers.pop(labels, None)

    def set_info(self, labels: tuple[str, ...], info: Mapping[str, str], /) -> None:
        """Report a change; the metric itself keeps the labels."""
        _Watch.report()

    def set_exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """Do nothing, because a number changes as well."""
