"""Letting other threads run during long work.

Compiled code keeps the GIL until it calls something that releases it, while the interpreter interrupts plain Python
every few milliseconds. So long loops of compiled modules release the GIL at intervals.
"""

from __future__ import annotations

from time import perf_counter, sleep
from typing import Final

__all__ = ["Yielder"]

_INTERVAL_SECONDS: Final = 0.0025
"""Half of the interpreter's own switch interval, because a sleep of zero takes about 60 µs."""


class Yielder:
    """A timer that releases the GIL at intervals during one stretch of work.

    One thread creates and uses it.

        >>> yielder = Yielder()
        >>> for number in range(3):
        ...     yielder.offer()
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: float = perf_counter() + _INTERVAL_SECONDS

    def offer(self) -> None:
        """Release the GIL for a moment if the interval has passed."""
        if perf_counter() > self._until:
            sleep(0.0)
            self._until = perf_counter() + _INTERVAL_SECONDS
