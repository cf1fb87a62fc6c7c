"""Which registries a scrape of a registry reaches."""

from __future__ import annotations

from collections.abc import Iterator

from pytheus.registry.capabilities import wrapped_registries
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import CollectorRegistryProxy

__all__ = ["below", "standing"]


def below(registry: Registry) -> tuple[Registry, ...]:
    """The registries directly below `registry`. A proxy is resolved for it."""
    if isinstance(registry, CollectorRegistryProxy):
        return (registry.registry,)
    return wrapped_registries(registry)


def standing(registry: Registry) -> Iterator[Registry]:
    """`registry`, and all that stands below it behind layers and proxies, each once."""
    pending = [registry]
    # Kept until the end, so that an id means one object.
    visited: dict[int, Registry] = {}
    while pending:
        current = pending.pop(0)
        if id(current) not in visited:
            visited[id(current)] = current
            yield current
            pending += below(current)
