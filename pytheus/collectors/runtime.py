"""Registration of the collectors for the process, its gc and its Python."""

from __future__ import annotations

from pytheus.collectors.gc import GCCollector
from pytheus.collectors.platform import PlatformCollector
from pytheus.collectors.process import ProcessCollector
from pytheus.exceptions import ConflictError
from pytheus.registry import REGISTRY, Collector, Registry
from pytheus.registry.lookup import find_collector

__all__ = ["register_runtime_collectors"]


def register_runtime_collectors(registry: Registry = REGISTRY) -> tuple[Collector, ...]:
    """Register the process, gc and platform collectors, and return those.

    Leaves out a collector of which `registry` has one already, or a family with the same name, so a second call changes
    nothing. May be called from any thread.

        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> [collector.name for collector in register_runtime_collectors(registry)]
        ['process', 'python_gc', 'python_info']
        >>> register_runtime_collectors(registry)
        ()
    """
    present = {type(collector) for collector in registry.collect()}
    registered: list[Collector] = []
    for collector in (ProcessCollector(), GCCollector(), PlatformCollector()):
        if type(collector) in present or _is_taken(registry, collector):
            continue
        try:
            registry.register(collector)
        except ConflictError:
            continue
        registered.append(collector)
    return tuple(registered)


def _is_taken(registry: Registry, collector: ProcessCollector | GCCollector | PlatformCollector) -> bool:
    return any(
        find_collector(registry, name) is not None for family in collector.collect() for name in family.occupied_names
    )
