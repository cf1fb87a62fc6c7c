"""The longest time that another thread is blocked while an action runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter, sleep

__all__ = ["longest_pause", "longest_pause_of_nothing"]


class _Ticker(threading.Thread):
    """Reads the clock without end, and keeps the longest time between two readings."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest_seconds = 0.0
        self.readings = 0
        self.ticking = threading.Event()
        self.ended = False

    def run(self) -> None:
        last = perf_counter()
        self.ticking.set()
        while not self.ended:
            now = perf_counter()
            if now - last > self.longest_seconds:
                self.longest_seconds = now - last
            last = now
            self.readings += 1


def longest_pause(action: Callable[[], object]) -> float:
    """The longest pause in seconds, of a thread that would never pause by itself, while `action` runs."""
    ticker = _Ticker()
    ticker.start()
    ticker.ticking.wait()
    ticker.longest_seconds = 0.0
    try:
        result = action()
        # The pause that the action's end finds the ticker in is only known once that has read the clock again.
        seen = ticker.readings
        while ticker.readings == seen:
            sleep(0.0)
        longest = ticker.longest_seconds
    finally:
        ticker.ended = True
        ticker.join()
    del result  # freeing it does not belong to the action
    return longest


def longest_pause_of_nothing(seconds: float) -> float:
    """The longest pause of such a thread while this one sleeps for `seconds`: the noise of the machine."""
    return longest_pause(lambda: sleep(seconds))
