"""Statistics of CPython's garbage collector.

https://docs.python.org/3/library/gc.html#gc.get_stats
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Final

from pytheus.registry.contract import RefusesPeers
from pytheus.samples import Family, Sample

__all__ = ["GCCollector"]

_FAMILIES: Final = (
    ("python_gc_objects_collected_total", "collected", "Objects collected during gc"),
    ("python_gc_objects_uncollectable_total", "uncollectable", "Uncollectable objects found during GC"),
    ("python_gc_collections_total", "collections", "Number of times this generation was collected"),
)


class GCCollector(RefusesPeers):
    """Garbage collections and collected objects since the start of the process.

    The label ``generation`` distinguishes them.

        >>> [family.name for family in GCCollector().collect()][-1]
        'python_gc_collections_total'

    Yields nothing on interpreters without these statistics. May be called from any thread; never starts a collection.
    """

    __slots__ = ()

    name: Final = "python_gc"
    precedence: Final = 0

    def collect(self) -> Iterator[Family]:
        """Yield the three families with their current values."""
        get_stats = getattr(gc, "get_stats", None)  # on PyPy it returns other statistics
        statistics = get_stats() if get_stats is not None else None
        if not isinstance(statistics, list):
            return
        for name, key, description in _FAMILIES:
            yield Family(
                name,
                "counter",
                description,
                [
                    Sample("", {"generation": str(generation)}, float(counts[key]))
                    for generation, counts in enumerate(statistics)
                ],
            )
