"""The handle on a series: the labels set so far, and where its numbers are.

Rules:

- A handle has a series set and one value, or None, per label. With every label bound it is itself the series and keeps
  the numbers; otherwise its numbers are `UNBOUND`.
- The numbers of a series are in its own attributes (`_view` is None), or in a buffer of the registry's storage.
- A move between the two loses no write: each type copies its numbers in a stretch that nothing interrupts, or adds the
  difference afterwards (see `pytheus.atomic`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, Self, TypeVar, cast

from pytheus.compilation import mypyc_attr
from pytheus.metrics.exemplars import CONTEXTS
from pytheus.metrics.label_types import LabelValues
from pytheus.metrics.series import NO_LABELS, UNBOUND, Asleep, SeriesSet, matches
from pytheus.registry.capabilities import SeriesLimit, SeriesRetirement
from pytheus.registry.contract import Collector
from pytheus.registry.storage import FloatBuffer, NumberStorage
from pytheus.samples import Exemplar, Row, new_exemplar
from pytheus.yielding import Yielder

__all__ = ["Handle"]

P = ParamSpec("P")
R = TypeVar("R")


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)
class Handle:
    """The base of `Metric`: creates and removes series, and moves their numbers."""

    __slots__ = ("_labels", "_series", "_view")

    _labels: tuple[str | None, ...]
    _series: SeriesSet
    _view: FloatBuffer | None

    # Hooks, which each type implements --------------------------------------------------------------------------------

    def _init_handle(self) -> None:
        """Set the attributes that every handle has, even with labels missing."""

    def _init_series(self) -> None:
        """Set the attributes of a new series, which keeps its numbers itself; they are zero."""
        self._init_handle()
        self._reset()

    def _reset(self) -> None:
        """Set the numbers of this series to zero; they may not exist yet."""
        raise NotImplementedError

    def _size(self) -> int:
        """Return how many numbers a series has, in the order of `Row`."""
        raise NotImplementedError

    def _start_time(self) -> float:
        """Return when this series began at zero, in seconds since the Unix epoch; 0.0 if its type does not tell."""
        return 0.0

    def _row(self, exemplars: Mapping[int, Exemplar] | None) -> Row:
        """Return this series' current numbers."""
        raise NotImplementedError

    def _add(self, index: int, number: float) -> None:
        """Add `number` to the one at `index` of a row, whatever it is."""
        raise NotImplementedError

    def _put(self, index: int, number: float) -> None:
        """Set the number at `index` of a row, whatever it is. Other writes meanwhile add to it."""
        self._add(index, number - self._number_at(index))

    def _number_at(self, index: int) -> float:
        """Return the number at `index` of a row; 0.0 for a gauge that was never set."""
        raise NotImplementedError

    def _begin(self, created: float) -> None:
        """Take `created` for the start time, where the type has one."""

    def _keep_exemplar_of_context(self, index: int, number: float) -> None:
        """Keep an exemplar of the context, if the type has some, because `number` is added to the one at `index`."""

    def _move_to(self, storage: NumberStorage, carry: bool) -> None:
        """Keep this series' numbers in `storage` from now on.

        With `carry` the current numbers move there; otherwise those found there are used.
        """
        raise NotImplementedError

    def _move_back(self) -> bool:
        """Keep this series' numbers in itself; return whether they were in a storage."""
        raise NotImplementedError

    def _sleep(self) -> bool:
        """Let the next write wake this series; return whether it does, and not a function of its own."""
        self._view = None
        self._reset()
        self._view = UNBOUND
        return True

    def _wake(self) -> None:
        """Let this series be written directly again; its numbers are zero, and in itself."""
        self._view = None

    def _mark(self) -> object:
        """Return a mark of the writes to this series until now, or None if it never ends."""
        raise NotImplementedError

    def _is_idle(self, mark: object) -> bool:
        """Return whether this series was not written since `mark`."""
        raise NotImplementedError

    def _leave(self, mark: object) -> bool:
        """Let later writes look for a new series, unless this one was written since `mark`.

        Returns whether they do. The numbers remain readable.
        """
        raise NotImplementedError

    # Not every type can decorate a function, but the first base class must have this method: mypyc puts a field for it
    # before all others, so that objects of classes with and without it differ in their layout.
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Measure each call of `function`, as a decorator."""
        raise NotImplementedError

    # Series -----------------------------------------------------------------------------------------------------------

    def _handle(self, bound: tuple[str | None, ...]) -> Self:
        cls = type(self)
        handle = cls.__new__(cls)
        handle._series = self._series
        handle._labels = bound
        handle._view = UNBOUND
        handle._init_handle()
        return handle

    def _child(self, key: tuple[str, ...]) -> Self:
        """Return the series of `key`; create it if it does not exist."""
        children = self._series.children
        child = children.get(key)
        if child is not None and child._view is UNBOUND and not child._is_kept():
            self._forget(key, child)
            child = None
        return self._create(key) if child is None else cast(Self, child)

    def _create(self, key: tuple[str, ...]) -> Self:
        """Return the series of `key`, which did not exist a moment ago."""
        series = self._series
        children = series.children
        if series.asleep:
            woken = self._woken(key)
            if woken is not None:
                return woken
        if series.limits:
            for limit in list(series.limits):
                key = limit(key)
            child = children.get(key)
            if child is not None:
                return cast(Self, child)
        storage = series.storage[0] if series.storage else None
        cls = type(self)
        made = cls.__new__(cls)
        made._series = series
        made._labels = key
        made._view = None
        made._init_series()
        if storage is not None:
            made._move_to(storage, False)
        present: Any = children.setdefault(key, made)  # not a cast, which is a call in plain Python
        created: Self = present
        if storage is not (series.storage[0] if series.storage else None):
            created._follow_storage(key, storage)
        return created

    def _follow_storage(self, key: tuple[str, ...], storage: NumberStorage | None) -> None:
        """Move to the metric's storage if it is not `storage` any more, where this series was created."""
        series = self._series
        while (present := series.storage[0] if series.storage else None) is not storage:
            # `attach_storage` or `detach_storage` ran in between, and may have missed this series.
            if present is None:
                self._move_back()
            else:
                self._move_to(present, True)
            if storage is not None:
                storage.release(key)
            storage = present

    def _woken(self, key: tuple[str, ...]) -> Self | None:
        """Return the series of `key` if it is there or was asleep."""
        series = self._series
        asleep = series.asleep[0]
        found = asleep.series.get(key)
        if found is None:
            return cast("Self | None", series.children.get(key))
        sleeper = cast(Self, found)
        storage = series.storage[0] if series.storage else None
        size = sleeper._size()
        if storage is not None and size:
            # Before the lock is taken, because a storage has locks of its own.
            storage.buffer(key, array("d", [series.neutral] * size), sleeper._start_time())
        with asleep.lock:
            if asleep.series.get(key) is sleeper:
                if storage is None:
                    sleeper._wake()
                else:
                    sleeper._move_to(storage, False)
                series.children[key] = sleeper
                asleep.series.pop(key, None)
        sleeper._follow_storage(key, storage)
        return cast("Self | None", series.children.get(key))

    def _put_to_sleep(self) -> None:
        """Let the series be created when they are used, as in a new process, except for those that are always there."""
        series = self._series
        if series.label_count == 0:
            return
        sleeping = dict(series.asleep[0].series) if series.asleep else {}
        staying = frozenset(series.prepared)
        for key, child in series.children.copy().items():
            if key not in staying and cast(Handle, child)._sleep():
                sleeping[key] = child
                series.children.pop(key, None)
        if sleeping:
            series.asleep[:] = [Asleep(sleeping, series.children)]

    def _drop_sleeper(self, key: tuple[str, ...]) -> bool:
        series = self._series
        if not series.asleep:
            return False
        asleep = series.asleep[0]
        with asleep.lock:
            sleeper = cast("Handle | None", asleep.series.pop(key, None))
            if sleeper is not None:
                sleeper._wake()
        return sleeper is not None

    def _bound(self) -> Self:
        """Return the series that this handle writes to.

        Raises `LabelError` if a label is missing.
        """
        if self._view is UNBOUND:
            return self._child(self._series.key(self._labels))
        if self._series.label_count == 0:
            return cast(Self, self._series.children[NO_LABELS])
        return self

    def _successor(self) -> Handle:
        """Return the series to write to in place of this one, which is not written directly."""
        return self._bound()

    def _is_complete(self) -> bool:
        """Return whether every label is set or has a default value; one with a source has none yet."""
        return self._view is not UNBOUND or self._series.complete(self._labels) is not None

    def _drop(self, key: tuple[str, ...]) -> bool:
        series = self._series
        child = cast("Handle | None", series.children.get(key))
        if child is None:
            return self._drop_sleeper(key)
        series.note_end(key)
        if series.exemplars:
            for slot in range(child._size() + 1):
                series.exemplars.pop((key, slot), None)
        # Of several threads, only the one that moved the numbers back releases the buffer, and does so before the
        # series can be created again.
        if series.storage and child._move_back():
            series.storage[0].release(key)
        return series.children.pop(key, None) is not None

    def _drop_matching(self, bound: tuple[str | None, ...]) -> bool:
        """Remove every series with the labels of `bound`; return whether there was one."""
        if None not in bound:
            return self._drop(cast("tuple[str, ...]", bound))
        dropped = False
        series = self._series
        for key in [*series.children.keys(), *(series.asleep[0].series.copy() if series.asleep else ())]:
            if matches(bound, key) and self._drop(key):
                dropped = True
        return dropped

    def _is_kept(self) -> bool:
        """Return whether this series, which is not written directly, is still one."""
        return False

    def _forget(self, key: tuple[str, ...], child: Handle) -> None:
        """Drop `child`, which has left, unless a new series is in its place."""
        children = self._series.children
        self._series.note_end(key)
        try:
            # atomic: only the series that has left
            if children[key] is child:
                del children[key]
        except KeyError:
            pass  # another thread did it

    def _members(self) -> list[Self]:
        """Return the series that match the labels bound so far."""
        series = self._series
        children = cast("list[Self]", list(series.children.values()))
        if self._labels is series.unbound:
            return children
        return [child for child in children if matches(self._labels, cast("tuple[str, ...]", child._labels))]

    def _keep_exemplar(self, labels: LabelValues | None, value: float, slot: int) -> Exemplar | None:
        """Keep an exemplar with `labels`, or with those of the context if they are None, and return it.

        Returns None if the context has none, or if the series has been removed.
        """
        if labels is None:
            exemplar = CONTEXTS.exemplar(value)
        else:
            exemplar = new_exemplar(labels, value, self._series.definition.name, self._series.text_of)
        key = cast("tuple[str, ...]", self._labels)
        # The exemplar of a series that has been removed would never be dropped.
        if exemplar is None or self._series.children.get(key) is not self:
            return None
        self._series.exemplars[(key, slot)] = exemplar
        if self._series.storage:
            self._series.storage[0].set_exemplar(key, slot, exemplar)
        return exemplar

    @property
    def series_count(self) -> int:
        """The number of series."""
        return len(self._series.children)

    def limit_series(self, limit: SeriesLimit, /) -> None:
        """Ask `limit` before a series is created; see `pytheus.registry.SeriesLimitable`."""
        if limit not in self._series.limits:
            self._series.limits.append(limit)

    def unlimit_series(self, limit: SeriesLimit, /) -> None:
        """Stop asking `limit`; see `pytheus.registry.SeriesLimitable`."""
        if limit in self._series.limits:
            self._series.limits.remove(limit)

    def retire_series_with(self, retirement: SeriesRetirement, /) -> None:
        """Let `retirement` end series; see `pytheus.registry.SeriesExpirable`."""
        self._series.retirement[:] = [retirement]

    def stop_retiring_with(self, retirement: SeriesRetirement, /) -> None:
        """End series without `retirement`; see `pytheus.registry.SeriesExpirable`."""
        if retirement in self._series.retirement:
            self._series.retirement.clear()

    def expire_series(self, idle_seconds: float, now: float, /) -> int:
        """End the series that were not written for `idle_seconds`; see `pytheus.registry.SeriesExpirable`."""
        series = self._series
        if series.label_count == 0:
            return 0
        idle = series.idle
        staying = frozenset(series.prepared)
        ending: list[tuple[str, ...]] = []
        yielder = Yielder()
        for key, child in series.children.copy().items():
            since, mark = idle.get(key, (now, None))
            if mark is None or not cast(Handle, child)._is_idle(mark):
                mark = None if key in staying else cast(Handle, child)._mark()
                if mark is not None:
                    idle[key] = (now, mark)
            elif now - since >= idle_seconds:
                ending.append(key)
            yielder.offer()
        for key in idle.keys() - series.children.keys():
            idle.pop(key, None)
        if not ending:
            return 0
        before = len(series.children)
        if series.retirement:
            series.retirement[0](ending, self._end, idle_seconds)
        else:
            for key in ending:
                self._end(key)
        return before - len(series.children)

    def _end(self, key: tuple[str, ...]) -> bool:
        series = self._series
        child = cast("Handle | None", series.children.get(key))
        _, mark = series.idle.get(key, (0.0, None))
        if child is None or mark is None or not child._leave(mark):
            return False
        self._forget(key, child)
        series.idle.pop(key, None)
        for place in [place for place in list(series.exemplars) if place[0] == key]:
            series.exemplars.pop(place, None)
        return True

    def _leave_out(self, child: Handle, error: BaseException) -> None:
        """Leave `child` out of the scrape of this thread because of `error`; raise it if there is no scrape."""
        from pytheus.interruption import is_interruption
        from pytheus.registry.traversal import report_failed_series

        labels = cast("tuple[str, ...]", child._labels)
        if is_interruption(error) or not report_failed_series(cast(Collector, self), labels, error):
            raise error

    # Numbers ----------------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Return the current numbers of every series, in `pytheus.samples.Row`'s order.

        Each row is as of one moment. From a handle with some labels bound: of the series that match them.
        """
        exemplars: dict[tuple[str, ...], dict[int, Exemplar]] = {}
        for (key, slot), exemplar in self._series.exemplars.copy().items():
            exemplars.setdefault(key, {})[slot] = exemplar
        return [child._row(exemplars.get(cast("tuple[str, ...]", child._labels))) for child in self._members()]

    def refresh(self) -> None:
        """Call the functions that provide numbers; see `pytheus.registry.HasRows`."""

    def restart(self) -> None:
        """Reset every series to zero; see `pytheus.registry.StorageAware`."""
        self._series.exemplars.clear()
        self._put_to_sleep()
        for child in list(self._series.children.values()):
            cast(Handle, child)._reset()

    def attach_storage(self, storage: NumberStorage, /, *, carry: bool = True) -> None:
        """Keep the numbers of every series in `storage`; see `pytheus.registry.StorageAware`."""
        series = self._series
        if series.storage and series.storage[0] is storage:
            return
        # A series that is created from here on uses `storage` by itself.
        series.storage[:] = [storage]
        if not carry:
            self._put_to_sleep()
        for child in list(series.children.values()):
            cast(Handle, child)._move_to(storage, carry)
        if carry:
            for (key, slot), exemplar in series.exemplars.copy().items():
                storage.set_exemplar(key, slot, exemplar)
        else:
            series.exemplars.clear()

    def detach_storage(self, storage: NumberStorage, /) -> None:
        """Take the numbers back from `storage`; see `pytheus.registry.StorageAware`."""
        series = self._series
        if not series.storage or series.storage[0] is not storage:
            return
        series.storage.clear()
        for key, child in series.children.copy().items():
            cast(Handle, child)._move_back()
            storage.release(key)
