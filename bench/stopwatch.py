"""How long things take on a machine that does other things as well.

Rules:

- Noise only ever adds time, so the shortest of many windows is the best estimate of the work itself.
- Windows are a few milliseconds long: long beside the clock's resolution, and short beside the scheduler's time slices.
- The loop around a statement is timed along with it; `EMPTY` is that loop with nothing in it, to be subtracted.
- The garbage collector stays on, as in an application.
"""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable, Iterable
from itertools import repeat
from time import perf_counter, sleep
from typing import NamedTuple, cast

__all__ = [
    "EMPTY",
    "Statement",
    "longest_pause",
    "longest_pause_of_nothing",
    "looped",
    "shortest_call",
    "shortest_run",
]


class Statement(NamedTuple):
    """A line or two of Python to be timed, with the objects behind its names."""

    source: str
    names: dict[str, object]


EMPTY = Statement("pass", {})


def looped(statement: Statement, variable: str = "_") -> Callable[[Iterable[object]], float]:
    """A function that runs `statement` once for each item of its argument, and gives the seconds that this took.

    The statement's names are local variables there; `variable` is the name of the item.
    """
    parameters = ", ".join(["items", "clock", *statement.names])
    source = (
        f"def run({parameters}):\n"
        "    start = clock()\n"
        f"    for {variable} in items:\n"
        f"{textwrap.indent(statement.source, ' ' * 8)}\n"
        "    return clock() - start\n"
    )
    namespace: dict[str, object] = {}
    exec(compile(source, f"<{statement.source}>", "exec"), namespace)
    run = cast("Callable[..., float]", namespace["run"])
    arguments = tuple(statement.names.values())
    return lambda items: run(items, perf_counter, *arguments)


def shortest_call(statement: Statement, windows: int, window_seconds: float) -> float:
    """Nanoseconds that `statement` takes at best, its share of the loop included."""
    run = looped(statement)
    calls = 100
    while run(repeat(None, calls)) < window_seconds:
        calls *= 2
    return min(run(repeat(None, calls)) for _ in range(windows)) / calls * 1e9


def shortest_run(
    action: Callable[[], object], budget_seconds: float, before: Callable[[], object] | None = None
) -> float:
    """Seconds that `action` takes at best, in as many runs as begin within the budget, and in at least one.

    `before` runs before each, and is not timed, but counts in the budget.
    """
    best = float("inf")
    end = perf_counter() + budget_seconds
    while True:
        if before is not None:
            before()
        start = perf_counter()
        result = action()
        best = min(best, perf_counter() - start)
        del result  # so that the next one need not share the memory with it
        if perf_counter() > end:
            return best


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
