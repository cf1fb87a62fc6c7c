"""SIGTERM while jobs run, whose metrics are to be sent before the process ends.

Rules:

- Only where the signal would end the process at once: a handler of the program decides by itself. Handlers belong to
  the main thread, so a job in another one is not told.
- The signal becomes a `SystemExit`, which ends the jobs as any exception does. After the last of them the process ends
  by the signal, as it would have without jobs.
- While metrics are sent, a first signal waits until they are, and a second one ends the process at once.
- A forked child has the default action again, because it sends nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Final
from weakref import WeakSet

__all__ = ["Termination"]

_STATUS: Final = 128 + signal.SIGTERM
"""As shells report a process that the signal ended."""


class Termination:
    """Handles SIGTERM from `install` to `end`, as all others do. Each method may be called where it has no effect."""

    def __init__(self) -> None:
        self._is_deferred = False
        self._is_waited_for = False

    def install(self) -> None:
        """Handle the signal, if it would end the process or others handle it, and this is the main thread."""
        global _is_received
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGTERM)
        if handler is signal.SIG_DFL:
            _is_received = False
            signal.signal(signal.SIGTERM, _handle)
        elif handler is not _handle:
            return
        _installed.add(self)

    def defer(self) -> None:
        """Let a signal wait for `end` from now on."""
        self._is_deferred = True

    def end(self) -> None:
        """Handle the signal no more; the last one ends the process if the signal came.

        Raises `SystemExit` if a signal cannot end the process, and to end the others after a signal that waited.
        """
        if self not in _installed:
            return
        _installed.discard(self)
        others = list(_installed)
        if others:
            if self._is_waited_for and not any(other._is_deferred for other in others):
                raise SystemExit(_STATUS)
            return
        if _is_received:
            _end_process()
        _restore()

    def _wait_for(self) -> bool:
        """Return whether a signal that has come now waits for `end`."""
        self._is_waited_for = self._is_waited_for or self._is_deferred
        return self._is_deferred


# Those between `install` and `end`. One that was forgotten, with its block, has ended.
_installed: Final[WeakSet[Termination]] = WeakSet()
_is_received = False


def _handle(number: int, frame: FrameType | None) -> None:
    global _is_received
    waiting = [each for each in list(_installed) if each._wait_for()]
    if not _installed or (waiting and _is_received):
        _end_process()
    _is_received = True
    if not waiting:
        raise SystemExit(_STATUS)


def _restore() -> None:
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _handle:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_process() -> None:
    """End the process by the signal. Raises `SystemExit` if a signal cannot end it."""
    _restore()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # missing, closed, or without a reader
            pass
    signal.raise_signal(signal.SIGTERM)
    # The first process of a container has no default action.
    raise SystemExit(_STATUS)


def _after_fork_in_child() -> None:
    """Restore the default action, which a pool of processes expects of its children."""
    global _is_received
    _installed.clear()
    _is_received = False
    if signal.getsignal(signal.SIGTERM) is _handle:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
