"""The registry that keeps nothing."""

from __future__ import annotations

from pytheus.registry.contract import Collector

__all__ = ["NullRegistry"]


class NullRegistry:
    """A registry that takes every collector and keeps none: metrics work, and nothing is exposed.

    Chosen by the name ``none``, to switch an application's metrics off by configuration.

        >>> from pytheus import Counter, generate_metrics
        >>> quiet = NullRegistry()
        >>> Counter("orders_total", "Orders placed.", registry=quiet).inc()
        >>> generate_metrics(quiet)
        ''
    """

    __slots__ = ("__weakref__",)

    @property
    def prefix(self) -> str | None:
        """Always None."""
        return None

    def register(self, collector: Collector, /) -> None:
        """Takes note of nothing."""

    def unregister(self, collector: Collector, /) -> None:
        """Does nothing, and refuses nothing: what is not kept need not be known."""

    def collect(self) -> tuple[Collector, ...]:
        """Always empty."""
        return ()

    def find(self, name: str, /) -> Collector | None:
        """Always None."""
        return None

    def __repr__(self) -> str:
        return "<NullRegistry>"
