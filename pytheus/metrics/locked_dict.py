"""The dict of a metric's series on interpreters without the GIL.

On free-threaded CPython every dict has a lock of its own. If a process forks while a thread waits for it, the child may
find the lock taken, and wait without end. A dict of this class is used by one thread at a time, under a lock of
`pytheus.atomic`. A fork acquires those first, so that no thread waits for the dict's own lock.
"""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView
from typing import TypeVar

from pytheus.atomic import lock_for

__all__ = ["LockedDict"]

K = TypeVar("K")
V = TypeVar("V")


class LockedDict(dict[K, V]):
    """A dict whose methods hold the lock of the dict; its views are of a copy.

    >>> numbers: LockedDict[str, int] = LockedDict()
    >>> numbers.setdefault("one", 1), numbers.get("two"), list(numbers.values())
    (1, None, [1])
    """

    __slots__ = ()

    def __getitem__(self, key: K) -> V:
        with lock_for(self):
            return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        with lock_for(self):
            super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        with lock_for(self):
            super().__delitem__(key)

    def __contains__(self, key: object) -> bool:
        with lock_for(self):
            return super().__contains__(key)

    def get(self, key: K, default: V | None = None) -> V | None:  # type: ignore[override]  # always with a default
        with lock_for(self):
            return super().get(key, default)

    def setdefault(self, key: K, default: V) -> V:  # pyright: ignore[reportIncompatibleMethodOverride]  # never without it
        with lock_for(self):
            return super().setdefault(key, default)

    def pop(self, key: K, default: V | None = None) -> V | None:  # type: ignore[override]  # always with a default
        with lock_for(self):
            return super().pop(key, default)

    def clear(self) -> None:
        with lock_for(self):
            super().clear()

    def copy(self) -> dict[K, V]:
        with lock_for(self):
            return super().copy()

    def keys(self) -> KeysView[K]:  # type: ignore[override]  # the view's class is not public
        return self.copy().keys()

    def values(self) -> ValuesView[V]:  # type: ignore[override]  # as above
        return self.copy().values()

    def items(self) -> ItemsView[K, V]:  # type: ignore[override]  # as above
        return self.copy().items()
