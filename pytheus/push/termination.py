"""SIGTERM while a job runs, whose metrics are to be sent before the process ends.

Rules:

- Only where the signal would end the process at once: a handler of the program decides by itself. Handlers belong to
  the main thread, so a job in another one is not told.
- The signal becomes a `SystemExit`, which ends the job as any exception does. Afterwards the process ends by the
  signal, as it would have without the job.
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

__all__ = ["Termination"]

_STATUS: Final = 128 + signal.SIGTERM
"""As shells report a process that the signal ended."""


class Termination:
    """Handles SIGTERM from `install` to `end`. Each method may be called where it has no effect."""

    def __init__(self) -> None:
        self._is_installed = False
        self._is_received = False
        self._is_deferred = False

    def install(self) -> None:
        """Handle the signal, if it would end the process and this is the main thread."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            self._is_installed = True

    def defer(self) -> None:
        """Let a signal wait for `end` from now on."""
        self._is_deferred = True

    def end(self) -> None:
        """Handle the signal no more, and end the process if it came. Raises `SystemExit` if a signal cannot end it."""
        if not self._is_installed:
            return
        self._is_installed = False
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self._is_received:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (AttributeError, OSError, ValueError):  # missing, closed, or without a reader
                    pass
            signal.raise_signal(signal.SIGTERM)
            # The first process of a container has no default action.
            raise SystemExit(_STATUS)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_received and self._is_deferred:
            self.end()
        self._is_received = True
        if not self._is_deferred:
            raise SystemExit(_STATUS)


def _after_fork_in_child() -> None:
    """Restore the default action, which a pool of processes expects of its children."""
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(getattr(handler, "__self__", None), Termination):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
