"""Counts that do not depend on the machine: what a call leaves behind, and what a series takes.

They depend on the interpreter's version alone, so that a test can hold them. Sizes are those of tracemalloc: what was
asked of Python's allocators, without their own overhead, and without what a C library allocates by itself.
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

    The least of several trials, for the interpreter allocates for itself now and then. Not for a negative result: a
    call that frees what others left counts as 0.
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
    """How many bytes one call needs at most at a time, beside what it found; what it frees before its end counts.

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
    """Bytes per series: `fresh` once it has been written, `scraped` after the first scrape (None if there is none)."""

    fresh: float
    scraped: float | None


def bytes_per_series(make: Callable[[], Series], count: int) -> Footprint:
    """What each of `count` series takes, its label values included, with the metric's own share of 1 / `count`."""
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
