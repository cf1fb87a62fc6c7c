"""Letting other threads run during long work.

Compiled code keeps the GIL until it calls something that gives it up, where plain Python is interrupted by the
interpreter every few milliseconds. So long loops offer their turn once in a while.
"""

from __future__ import annotations

from time import perf_counter, sleep
from typing import Final

__all__ = ["Turns"]

# Half of what the interpreter itself allows a thread (sys.getswitchinterval()). A sleep of zero takes some 60 µs.
_TURN_SECONDS: Final = 0.0025


class Turns:
    """One stretch of work that takes turns with other threads. Not for sharing between threads."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: float = perf_counter() + _TURN_SECONDS

    def offer(self) -> None:
        """Give up the GIL for a moment, if this turn has lasted long enough; costs next to nothing otherwise."""
        if perf_counter() > self._until:
            sleep(0.0)
            self._until = perf_counter() + _TURN_SECONDS
