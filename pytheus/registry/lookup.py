"""Finding the collector that occupies a name, in any registry."""

from __future__ import annotations

from typing import TypeGuard

from pytheus.exceptions import NotARegistryError, SelectionError
from pytheus.registry.capabilities import Lookup
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.traversal import definition_of, wrapped_registries

__all__ = ["find_collector"]


def find_collector(registry: Registry, name: str) -> Collector | None:
    """The collector in `registry` that occupies `name`, or None.

    Asks the registry where it offers `Lookup`, and searches what it holds otherwise. A method that is called `find` and
    is meant for something else does no harm: where it raises, or gives what does not occupy the name, it is passed
    over. None is believed, for it is the answer to nearly every new name, and a search each time would cost all that
    the capability saves.
    """
    if isinstance(registry, CollectorRegistry):
        return registry.find(name)
    if isinstance(registry, Lookup):
        try:
            found: object = registry.find(name)
        except (SelectionError, NotARegistryError):
            raise  # no registry could be had, and to ask for one again takes as long as it did
        except Exception:
            pass  # a registry that is out of order says so again when it is searched
        else:
            if found is None:
                return None
            # A registry with layers was written for pytheus, and may give what has another name below them.
            if _occupies(found, name) or (wrapped_registries(registry, resolve=False) and isinstance(found, Collector)):
                return found
    for collector in registry.collect():
        if _occupies(collector, name):
            return collector
    return None


def _occupies(candidate: object, name: str) -> TypeGuard[Collector]:
    definition = definition_of(candidate)
    return definition is not None and name in definition.occupied_names and isinstance(candidate, Collector)
