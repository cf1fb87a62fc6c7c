"""When a plain add to a number loses nothing, and what to do where it would.

On CPython with the GIL no lock is needed, and none is taken. Since 3.10 the interpreter hands over the GIL, and runs
signal handlers, only at function entry, at calls and at backward jumps. A stretch of bytecode with none of them, like
``self._value += amount`` with both sides exactly floats, is executed whole: another thread, a signal handler or a
finalizer sees the state before it or after it. Compiled by mypyc the same holds, since native code keeps the GIL
throughout. tests/test_atomic.py disassembles every such stretch on the running interpreter.

Being lock-free also means that an increment in a signal handler, in a ``__del__`` or after a fork cannot deadlock.

Elsewhere (PyPy, free-threaded builds) the same stretches run under a lock. Which it is, is decided once, at import.

Rules for a stretch that relies on this: it begins with ``# atomic:`` and ends with the indentation; it calls nothing,
loops over nothing, and touches only exact floats, ints, and arrays or views of doubles (C code that runs no Python).
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

__all__ = ["LOCKED", "lock_for"]


def _adds_need_a_lock() -> bool:
    if sys.implementation.name != "cpython":
        return True
    gil_enabled = getattr(sys, "_is_gil_enabled", None)  # from 3.13 on
    return gil_enabled is not None and not gil_enabled()


LOCKED: Final[bool] = _adds_need_a_lock()

# A fixed set of locks, shared out by identity: a process that forks can take all of them, so that its child inherits
# no half-made write and no lock whose holder did not survive the fork. Re-entrant, for signal handlers and finalizers.
_STRIPES: Final = tuple(threading.RLock() for _ in range(64))


def lock_for(subject: object) -> threading.RLock:
    """The lock that guards `subject`'s numbers where plain adds are not enough."""
    return _STRIPES[(id(subject) >> 4) % 64]


def _acquire_all() -> None:
    for lock in _STRIPES:
        lock.acquire()


def _release_all() -> None:
    for lock in _STRIPES:
        lock.release()


if LOCKED and hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_acquire_all, after_in_parent=_release_all, after_in_child=_release_all)
