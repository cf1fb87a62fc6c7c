"""Forks: the stores of a process hold their locks meanwhile, and leave the parent in the child."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol

from pytheus.shards import run_after_fork_in_child

__all__ = ["lock_at_forks"]


class ForkedStore(Protocol):
    """A store, as far as forks concern it."""

    def lock_shard(self) -> threading.RLock: ...
    def leave_parent(self) -> None: ...


# By id, because copying a dict's values is one step, unlike iterating over a WeakSet while threads change it.
_stores: Final[dict[int, weakref.ref[ForkedStore]]] = {}
_hooked = False


class _ForkLocks(threading.local):
    """The locks that a thread has acquired for each of its forks, the innermost last."""

    def __init__(self) -> None:
        self.of_forks: list[list[threading.RLock]] = []


_locked: Final = _ForkLocks()


def lock_at_forks(store: ForkedStore) -> None:
    """Hold the lock of the store's shard during each fork, and let the store leave its parent in the child."""
    global _hooked
    key = id(store)
    _stores[key] = weakref.ref(store, lambda _: _stores.pop(key, None))
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent)
        run_after_fork_in_child(_after_in_child)


def _living() -> list[ForkedStore]:
    return [store for reference in list(_stores.values()) if (store := reference()) is not None]


def _before_fork() -> None:
    # So that the child knows all descriptors that it has to close: one might be open, but not assigned yet.
    _locked.of_forks.append([store.lock_shard() for store in _living()])


def _after_in_parent() -> None:
    if _locked.of_forks:  # empty if the first store was created between the two hooks
        for lock in _locked.of_forks.pop():
            lock.release()


def _after_in_child() -> None:
    _locked.of_forks.clear()
    for store in _living():
        store.leave_parent()
