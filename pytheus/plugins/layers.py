"""Layers that the configuration file puts before the registry, as `pytheus.compose` makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from pytheus.compose import ReadOnlyRegistry, expiring, filtered, labelled, limited, prefixed
from pytheus.compose.base import Layer
from pytheus.registry.contract import Registry

__all__ = ["WrapLayer", "wrapped"]


class WrapLayer(NamedTuple):
    """A layer of the configuration: the name of a function of `pytheus.compose`, and its arguments by name.

    >>> str(WrapLayer("limited", {"max_series": 1000}))
    'limited(max_series=1000)'
    """

    name: str
    arguments: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})"


def wrapped(registry: Registry, layers: Iterable[WrapLayer]) -> Registry:
    """`registry` behind `layers`, the first of which is directly before it."""
    for layer in layers:
        registry = _LAYERS[layer.name](registry, **layer.arguments)
    return registry


class _OwnReadOnlyRegistry(ReadOnlyRegistry):
    """A view that owns the registry behind it, so that closing the view closes the registry."""

    __slots__ = ()

    def close(self) -> None:
        Layer.close(self)


# `Callable[...]`, because type checkers do not know the arguments, which were checked when the file was read.
_LAYERS: Final[Mapping[str, Callable[..., Registry]]] = {
    "expiring": expiring,
    "filtered": filtered,
    "labelled": labelled,
    "limited": limited,
    "prefixed": prefixed,
    "read_only": _OwnReadOnlyRegistry,
}
