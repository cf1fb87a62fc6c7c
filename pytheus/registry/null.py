"""The registry that keeps no collectors."""

from __future__ import annotations

from pytheus.registry.contract import Collector

__all__ = ["NullRegistry"]


class NullRegistry:
    """A registry that accepts every collector and keeps none: metrics work, and no metric is exposed.

    The name ``none`` selects it, so that configuration can switch an application's metrics off.

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
        """Do nothing."""

    def unregister(self, collector: Collector, /) -> None:
        """Do nothing; every collector is accepted, because none is known."""

    def collect(self) -> tuple[Collector, ...]:
        """Return no collectors."""
        return ()

    def find(self, name: str, /) -> Collector | None:
        """Return None."""
        return None

    def __repr__(self) -> str:
        return "<NullRegistry>"
