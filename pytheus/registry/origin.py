"""Where a registry comes from: the choice that made it, as others may show it.

The layer that turns a name into a registry notes it; a registry that a program made itself has no origin. The origin
stays as it was at that choice, whatever the environment and the configuration file say later.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Final, Protocol

from pytheus.registry.contract import Registry
from pytheus.registry.traversal import walk

__all__ = ["Origin", "note_origin", "origin_of"]


class Origin(Protocol):
    """The choice of a registry. May be used from any thread."""

    def document(self) -> Mapping[str, object]:
        """Return it as ``pytheus config --json`` prints it, without credentials. Reads no file."""
        ...

    def scrub(self, text: str) -> str:
        """Return `text` with ``***`` in place of the credentials among the registry's options."""
        ...


# By id, because a registry need not be hashable. An entry is removed with its registry.
_origins: Final[dict[int, tuple[weakref.ref[Registry], Origin]]] = {}


def note_origin(registry: Registry, origin: Origin) -> None:
    """Remember the `origin` of `registry` while it exists; nothing if it cannot be weakly referenced."""
    key = id(registry)
    try:
        _origins[key] = (weakref.ref(registry, lambda _: _origins.pop(key, None)), origin)
    except TypeError:
        pass


def origin_of(registry: Registry) -> Origin | None:
    """Return the origin of `registry`, or of the first registry below it that has one; resolves proxies."""
    for current in walk(registry, resolve=True):
        entry = _origins.get(id(current))
        if entry is not None and entry[0]() is current:
            return entry[1]
    return None
