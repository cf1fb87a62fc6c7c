"""Notices forks that C code makes without telling Python, such as those of uWSGI.

Rules:

- `os.fork` runs the functions of `os.register_at_fork`, but a call of C's fork() does not. Its child would write to the
  shard of its parent, at the same time as the parent and its other children.
- C runs handlers before each fork. Such a handler, in the parent, adds a *pending call* to the interpreter. Both
  processes inherit it, and the child makes it before it runs any more Python code in its main thread. So a write costs
  nothing more, and a child that only starts another program runs no Python code.
- In the child of a thread other than the main one no pending call is made. `notice_c_fork` notices it at a scrape.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import Final

__all__ = ["notice_c_fork", "run_after_fork_in_child", "watch_c_forks"]

_functions: Final[list[Callable[[], None]]] = []
_pid = os.getpid()
# The threads that are in the middle of a fork by Python.
_forking: Final[set[int]] = set()

# Referenced as long as C may call them: until the process ends.
_callbacks: Final[list[object]] = []


def run_after_fork_in_child(function: Callable[[], None]) -> None:
    """Call `function` once in each child, after `os.fork` and as soon as a fork by C code is noticed.

    Once, also where C code tells Python of its fork when it was noticed already, as uWSGI does.
    """
    pid = os.getpid()

    def call_once() -> None:
        nonlocal pid
        if pid != os.getpid():
            pid = os.getpid()
            function()

    _functions.append(call_once)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call_once)


def notice_c_fork() -> bool:
    """Whether C code has forked this process, unnoticed until now.

    If so, it has called the functions of `run_after_fork_in_child`. Call it where no lock is held that these take.
    Where it returns True, counts of this process may have been lost before, or mixed with those of its parent.
    """
    global _pid
    if os.getpid() == _pid:
        return False
    _pid = os.getpid()
    for function in _functions:
        function()
    return True


def watch_c_forks() -> bool:
    """Let children of C's fork() be noticed before they count anything; False if this system does not allow it.

    Idempotent. It takes about two milliseconds, and lasts until the process ends.
    """
    if _callbacks:
        return True
    if sys.implementation.name != "cpython":
        return False
    try:
        import ctypes

        c_library = ctypes.CDLL(None)
        add_pending_call = ctypes.pythonapi.Py_AddPendingCall
        handler_type = ctypes.CFUNCTYPE(None)
        call_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
        add_pending_call.argtypes = [call_type, ctypes.c_void_p]

        def look(_: object) -> int:
            # Python's own forks are followed by the functions of `os.register_at_fork`, perhaps not called yet.
            if get_ident() not in _forking:
                notice_c_fork()
            return 0

        pending = call_type(look)

        # Not a function of Python, which would make the pending call in the parent, when it returns.
        handler = handler_type(partial(add_pending_call, pending, None))
        _callbacks.extend((pending, handler))
        if hasattr(c_library, "pthread_atfork"):
            c_library.pthread_atfork(handler, None, None)
        else:  # the name under which glibc exports it
            c_library.__register_atfork(handler, None, None, None)
    except (ImportError, AttributeError, OSError, MemoryError):
        _callbacks.clear()
        return False
    return True


def _before() -> None:
    _forking.add(get_ident())


def _after_in_parent() -> None:
    _forking.discard(get_ident())


def _after_in_child() -> None:
    global _pid
    _pid = os.getpid()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
