"""When an addition is atomic without a lock, and the locks where it is not.

On CPython with the GIL no lock is needed, and none is taken. Since 3.10 the interpreter releases the GIL, and runs
signal handlers, only at function entry, at calls and at backward jumps. A stretch of bytecode without any of them, like
``self._value += amount`` with exact floats on both sides, is executed as a whole: another thread, a signal handler or a
finalizer sees the state before it or after it. The same is true for code compiled by mypyc, because native code keeps
the GIL throughout. tests/test_atomic.py disassembles every such stretch on the running interpreter.

Without locks, an increment in a signal handler, in a ``__del__`` or after a fork cannot deadlock.

On other interpreters (PyPy, free-threaded builds) the same stretches run under a lock. This is decided once, at import.

Rules for a stretch that relies on this: it begins with ``# atomic:`` and ends with the indentation; it contains no call
and no loop; it uses only exact floats, ints, and arrays or views of doubles (C code that runs no Python).
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
    gil_enabled = getattr(sys, "_is_gil_enabled", None)  # new in 3.13
    return gil_enabled is not None and not gil_enabled()


LOCKED: Final[bool] = _adds_need_a_lock()

# A fixed set of locks, chosen by the object's id. A process that forks acquires all of them first, so the child
# inherits neither a half-done write nor a lock whose owner does not exist there. Re-entrant because of signal handlers.
_STRIPES: Final = tuple(threading.RLock() for _ in range(64))


def lock_for(subject: object) -> threading.RLock:
    """Return the lock for the numbers of `subject`."""
    return _STRIPES[(id(subject) >> 4) % 64]


def _acquire_all() -> None:
    for lock in _STRIPES:
        lock.acquire()


def _release_all() -> None:
    for lock in _STRIPES:
        lock.release()


if LOCKED and hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_acquire_all, after_in_parent=_release_all, after_in_child=_release_all)
