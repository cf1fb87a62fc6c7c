"""Finding the collector that occupies a name, in any registry."""

from __future__ import annotations

from pytheus.definitions import Definition
from pytheus.registry.protocols import Collector, Lookup, Registry

__all__ = ["find_collector"]


def find_collector(registry: Registry, name: str) -> Collector | None:
    """The collector in `registry` that occupies `name`, or None.

    Asks the registry where it offers `Lookup`, and searches what it holds otherwise.
    """
    if isinstance(registry, Lookup):
        return registry.find(name)
    for collector in registry.collect():
        definition = getattr(collector, "definition", None)
        if isinstance(definition, Definition) and name in definition.occupied_names:
            return collector
    return None
