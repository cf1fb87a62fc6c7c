"""Which registries stand below a registry, and that none stands below itself.

Layers are made once and never changed, so they alone cannot form a circle. A registry that can be changed afterwards,
such as a proxy, can close one: its new backing may be made of itself.
"""

from __future__ import annotations

from typing import cast

from pytheus.exceptions import NotARegistryError
from pytheus.registry.contract import Registry, check_registry
from pytheus.registry.proxy import CollectorRegistryProxy
from pytheus.registry.traversal import leads_to, wrapped_registries

__all__ = ["Composition", "checked_layer", "refuse_circle"]


class Composition:
    """The base of all layers of this package, which have been checked when they were made."""

    __slots__ = ("__weakref__",)


def checked_layer(candidate: object, source: str) -> Registry:
    """`candidate`, if it is a registry; `source` says in an error what it was handed to."""
    if isinstance(candidate, CollectorRegistryProxy):
        return candidate  # to check it would read its prefix, and so have the choice by name made here and now
    if isinstance(candidate, Composition):
        return cast(Registry, candidate)  # it may stand before such a proxy
    return check_registry(candidate, source)


def refuse_circle(registry: Registry) -> None:
    """Raise `NotARegistryError` where `registry` stands below itself."""
    if any(leads_to(below, registry, resolve=True) for below in wrapped_registries(registry, resolve=True)):
        raise NotARegistryError(
            f"{type(registry).__qualname__} stands below itself, so that its collectors would be looked for for ever;"
            " a registry that was made of another one, or of a proxy for it, cannot become that one's backing"
        )
