"""Threads beside a program that do not interfere with its signals and its forks.

Rules:

- A signal reaches the program's own threads, because the background threads block all signals. Otherwise the kernel
  might deliver a signal to one of them, and a program that waits with sigwait() would be killed.
- A thread that must not exist during a fork is waited for until the kernel has removed it.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from types import BuiltinFunctionType
from typing import Final

__all__ = ["start_without_signals", "wait_until_removed"]

_REMOVAL_SECONDS: Final = 0.5

# Signals that the hardware or abort() raises go to the thread that caused them, and faulthandler handles them.
_FAULTS: Final = frozenset(
    getattr(signal, name) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT") if hasattr(signal, name)
)


def start_without_signals(thread: threading.Thread) -> None:
    """Start `thread` with all signals blocked in it and in threads that it starts."""
    if not hasattr(signal, "pthread_sigmask") or _threads_are_greenlets():
        thread.start()
        return
    # Blocked before the start, because the thread would receive signals until it blocks them itself.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _threads_are_greenlets() -> bool:
    """Return whether gevent or eventlet replaced threads: all then share one mask of signals."""
    return not isinstance(_thread.start_new_thread, BuiltinFunctionType)


def wait_until_removed(native_id: int) -> None:
    """Wait at most half a second until the kernel has removed an ended thread."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while os.path.exists(f"/proc/self/task/{native_id}") and time.monotonic() < deadline:
        time.sleep(0)
