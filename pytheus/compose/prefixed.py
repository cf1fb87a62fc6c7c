"""A registry under one more prefix."""

from __future__ import annotations

from typing import Final

from pytheus.compose.base import Layer, refuse_cycle
from pytheus.exceptions import InvalidNameError
from pytheus.names import validate_prefix
from pytheus.registry.contract import Registry

__all__ = ["PrefixedRegistry", "prefixed"]


def prefixed(registry: Registry, prefix: str) -> PrefixedRegistry:
    """Return `registry` with ``prefix_`` before the name of every family, before its own prefix.

        >>> from pytheus.registry import CollectorRegistry
        >>> prefixed(CollectorRegistry(prefix="shop"), "eu").prefix
        'eu_shop'

    The collectors are the same objects, and only the exposition writes their names differently. `registry`'s own prefix
    may change; the next scrape shows it. Every family is renamed, also ``process_*`` and ``python_*``, which common
    dashboards expect without a prefix: keep these in a registry of their own, and serve the `union` of both.

    Raises `InvalidNameError` for a prefix that Prometheus does not allow, or an empty one.
    """
    return PrefixedRegistry(registry, prefix)


class PrefixedRegistry(Layer):
    """The result of `prefixed`. May be used from any thread."""

    __slots__ = ("_own",)

    def __init__(self, registry: Registry, prefix: str) -> None:
        super().__init__(registry, "prefixed(...)")
        own = validate_prefix(prefix)
        if own is None:
            raise InvalidNameError(f"prefixed(...) needs a prefix but got {prefix!r}; use the registry as it is")
        self._own: Final = own

    @property
    def prefix(self) -> str | None:
        """This layer's prefix, followed by that of the registry below."""
        refuse_cycle(self)
        below = validate_prefix(self._registry.prefix)
        return self._own if below is None else f"{self._own}_{below}"

    def __repr__(self) -> str:
        return f"<prefixed {self._own!r} {self._registry!r}>"
