"""Registration of the collectors for the process, its gc and its Python."""

from __future__ import annotations

from pytheus.collectors.gc import GCCollector
from pytheus.collectors.platform import PlatformCollector
from pytheus.collectors.process import ProcessCollector
from pytheus.exceptions import ConflictError
from pytheus.registry import REGISTRY, Collector, Registry
from pytheus.registry.traversal import originals

__all__ = ["register_runtime_collectors"]


def register_runtime_collectors(registry: Registry = REGISTRY) -> tuple[Collector, ...]:
    """Register the process, gc and platform collectors, and return those.

    Leaves out a collector of which `registry` has one already, so a second call changes nothing. In a scrape, each of
    their families gives way to another one of its name, whichever was registered first: one of the program's own, or
    those of a registry that describes each of its processes. May be called from any thread.

        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> [collector.name for collector in register_runtime_collectors(registry)]
        ['process', 'python_gc', 'python_info']
        >>> register_runtime_collectors(registry)
        ()
    """
    # Not `registry.collect()`, which may be a whole scrape of several processes.
    present = {type(collector) for collector in originals(registry)}
    registered: list[Collector] = []
    for collector in (ProcessCollector(), GCCollector(), PlatformCollector()):
        if type(collector) in present:
            continue
        try:
            registry.register(collector)
        except ConflictError:
            continue
        registered.append(collector)
    return tuple(registered)
