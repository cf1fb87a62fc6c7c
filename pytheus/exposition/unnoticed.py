"""Threads that run beside a program without being noticed by it: by its signals, and by its forks."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Final

__all__ = ["start_deaf_to_signals", "wait_until_gone"]

_VANISH_SECONDS: Final = 0.5

# Those that the hardware or abort() raises belong to the thread that caused them, and faulthandler wants to see them.
_FAULTS: Final = frozenset(
    getattr(signal, name) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT") if hasattr(signal, name)
)


def start_deaf_to_signals(thread: threading.Thread) -> None:
    """Start `thread` with all signals blocked, in it and in the threads that it will start."""
    if not hasattr(signal, "pthread_sigmask"):
        thread.start()
        return
    # Blocked here and not in the thread itself, which would be a target until it got that far.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def wait_until_gone(native_id: int) -> None:
    """Let a thread that has run to its end vanish from the kernel's books too, where those can be read."""
    deadline = time.monotonic() + _VANISH_SECONDS
    while os.path.exists(f"/proc/self/task/{native_id}") and time.monotonic() < deadline:
        time.sleep(0)
