"""The base classes of the registries in this package, and the check that none of them wraps itself.

A layer is a registry that wraps others. Layers never change, so they alone cannot form a cycle. A registry that can
change afterwards, such as a proxy, can complete one: its new registry may be a layer around itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, cast

from pytheus.exceptions import InvalidNameError, NotARegistryError
from pytheus.names import shown, validate_metric_name
from pytheus.registry.capabilities import Closable
from pytheus.registry.contract import Collector, RefusesPeers, Registry, check_registry
from pytheus.registry.lookup import find_collector
from pytheus.registry.proxy import CollectorRegistryProxy
from pytheus.registry.traversal import leads_to, wrapped_registries

__all__ = ["Composition", "Layer", "checked_layer", "checked_names", "refuse_cycle"]


class Composition(RefusesPeers):
    """The base of all layers, which were checked when they were made."""

    __slots__ = ("__weakref__",)


def checked_layer(candidate: object, source: str) -> Registry:
    """Return `candidate` if it is a registry; in the error, `source` says which function got it."""
    if isinstance(candidate, CollectorRegistryProxy):
        return candidate  # the check would read its prefix, and so choose its registry here and now
    if isinstance(candidate, Composition):
        return cast(Registry, candidate)  # it may wrap such a proxy
    return check_registry(candidate, source)


def refuse_cycle(registry: Registry) -> None:
    """Raise `NotARegistryError` if `registry` is below itself."""
    if any(leads_to(below, registry, resolve=True) for below in wrapped_registries(registry, resolve=True)):
        raise NotARegistryError(
            f"{type(registry).__qualname__} is part of a cycle of wrapped registries; a registry that wraps another"
            " one, or a proxy for it, cannot become the registry behind that one"
        )


def checked_names(names: Iterable[str], source: str) -> frozenset[str]:
    """Return `names` if each is a legacy name; in the error, `source` says which function got them.

    A metric with another name has legacy names, too, by which it can be selected: the escaped ones.
    """
    if isinstance(names, (str, bytes)):
        raise InvalidNameError(f"{source} takes names as a sequence but got the plain {shown(names)}")
    return frozenset(validate_metric_name(name, f"{source}: a", "legacy") for name in names)


class Layer(Composition):
    """The base of layers around one registry, which by itself changes nothing. May be used from any thread.

        >>> from pytheus.registry import CollectorRegistry
        >>> class Sorted(Layer):
        ...     def collect(self):
        ...         return iter(sorted(super().collect(), key=lambda collector: collector.name))
        >>> Sorted(CollectorRegistry(), "Sorted(...)").prefix is None
        True

    `source` names the call in the error if `registry` is not a registry, which is a `NotARegistryError`.
    """

    __slots__ = ("_registry",)

    def __init__(self, registry: Registry, source: str) -> None:
        self._registry: Final = checked_layer(registry, source)

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        """The one registry below."""
        return (self._registry,)

    @property
    def prefix(self) -> str | None:
        """The prefix of the registry below, read each time."""
        refuse_cycle(self)
        return self._registry.prefix

    def register(self, collector: Collector, /) -> None:
        """Register `collector` in the registry below; see `Registry.register`."""
        self._registry.register(collector)

    def unregister(self, collector: Collector, /) -> None:
        """Unregister `collector`, as it was registered, from the registry below; see `Registry.unregister`."""
        self._registry.unregister(collector)

    def collect(self) -> Iterator[Collector]:
        """Return the collectors of the registry below, as they appear through this layer; see `Registry.collect`."""
        refuse_cycle(self)
        return iter(list(self._registry.collect()))

    def find(self, name: str, /) -> Collector | None:
        """Return the collector that occupies `name` in the registry below, also if it is hidden; see `Lookup.find`."""
        return find_collector(self._registry, name)

    def close(self) -> None:
        """Close the registry below if it is `Closable`."""
        below: object = self._registry
        if isinstance(below, Closable):
            below.close()
