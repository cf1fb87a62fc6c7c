"""What layers before a single registry have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytheus.compose.layers import Composition, checked_layer, refuse_circle
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.lookup import find_collector

__all__ = ["Layer"]


class Layer(Composition):
    """The base of layers before one registry, which by itself changes nothing. May be used from any thread."""

    __slots__ = ("_registry",)

    def __init__(self, registry: Registry, source: str) -> None:
        self._registry: Final = checked_layer(registry, source)

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        """The one registry below."""
        return (self._registry,)

    @property
    def prefix(self) -> str | None:
        """The prefix of the registry below, read afresh each time."""
        refuse_circle(self)
        return self._registry.prefix

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below; see `Registry.register`."""
        self._registry.register(collector)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector`, as it was registered, from the registry below; see `Registry.unregister`."""
        self._registry.unregister(collector)

    def collect(self) -> Iterator[Collector]:
        """What the registry below holds, as it shows through this layer; see `Registry.collect`."""
        refuse_circle(self)
        return iter(list(self._registry.collect()))

    def find(self, name: str, /) -> Collector | None:
        """The collector that occupies `name` in the registry below, whether it shows or not; see `Lookup.find`."""
        return find_collector(self._registry, name)

    def close(self) -> None:
        """Close the registry below, where it has something to close."""
        below: object = self._registry
        if isinstance(below, Closable):
            below.close()
