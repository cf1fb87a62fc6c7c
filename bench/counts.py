"""Counts that do not depend on the machine: blocks that a call leaves allocated, and bytes per series.

They depend on the interpreter's version alone, so a test can check them. Sizes are those of tracemalloc: bytes
requested from Python's allocators, without the allocators' overhead and without the allocations of C libraries.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.workload import Series

__all__ = ["Footprint", "blocks_left", "bytes_per_series", "peak_bytes"]

_TRIALS = 5


def blocks_left(call: Callable[[], object], calls: int = 1000) -> int:
    """How many blocks of memory `calls` calls leave allocated; 0 for a call that keeps nothing.

    The least of several trials, because the interpreter allocates for itself now and then. Never negative: a call that
    frees blocks of others counts as 0.
    """
    least = sys.maxsize
    repeats = range(calls)
    for _ in range(_TRIALS):
        gc.collect()
        call()  # a collection empties the interpreter's stock of free objects, which the first call fills again
        before = sys.getallocatedblocks()
        for _repeat in repeats:
            call()
        least = min(least, sys.getallocatedblocks() - before)
    return max(least, 0)


def peak_bytes(call: Callable[[], object]) -> int:
    """The most bytes that one call has allocated at a time, including those that it frees before its end.

    Objects that the interpreter keeps ready for reuse (floats, frames) cost nothing, here as in truth.
    """
    least = sys.maxsize
    call()
    tracemalloc.start()
    try:
        for _ in range(_TRIALS):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            call()
            least = min(least, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return least


class Footprint(NamedTuple):
    """Bytes per series: `fresh` once it has been written, `scraped` after the first scrape (None without a scrape)."""

    fresh: float
    scraped: float | None


def bytes_per_series(make: Callable[[], Series], count: int) -> Footprint:
    """The size of each of `count` series, including its label values and 1 / `count` of the metric itself."""
    # Once in small, so that what is set up once, by the library or the interpreter, is there already.
    small = make()
    small.write(10)
    small.render()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        series = make()
        series.write(count)
        gc.collect()
        fresh = tracemalloc.get_traced_memory()[0] - before
        if series.render() is None:
            return Footprint(fresh / count, None)
        gc.collect()
        return Footprint(fresh / count, (tracemalloc.get_traced_memory()[0] - before) / count)
    finally:
        tracemalloc.stop()
