"""A registry that can be read and not changed."""

from __future__ import annotations

from pytheus.compose.layer import Layer
from pytheus.exceptions import ReadOnlyError
from pytheus.registry.contract import Collector, Registry, collector_name

__all__ = ["ReadOnlyError", "ReadOnlyRegistry", "read_only"]


def read_only(registry: Registry) -> ReadOnlyRegistry:
    """`registry` for somebody who may scrape it, and not register in it, unregister from it or close it.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> Counter("orders_total", "Orders placed.", registry=read_only(CollectorRegistry()))
        Traceback (most recent call last):
        ...
        pytheus.exceptions.ReadOnlyError: counter 'orders_total' cannot be registered ...

    It is about what is registered: whoever has a metric can still write to it, and a metric that is defined through the
    view just like one that `registry` holds shares that one's values.
    """
    return ReadOnlyRegistry(registry)


class ReadOnlyRegistry(Layer):
    """What `read_only` gives. May be used from any thread."""

    __slots__ = ()

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry, "read_only(...)")

    def register(self, collector: Collector, /) -> None:
        """Raises `ReadOnlyError`."""
        raise ReadOnlyError(_refusal(collector, "registered"))

    def unregister(self, collector: Collector, /) -> None:
        """Raises `ReadOnlyError`."""
        raise ReadOnlyError(_refusal(collector, "unregistered"))

    def close(self) -> None:
        """Does nothing: the registry below belongs to somebody else."""

    def __repr__(self) -> str:
        return f"<read-only {self._registry!r}>"


def _refusal(collector: Collector, done: str) -> str:
    type_ = getattr(collector, "type_", "collector")
    subject = f"{type_} {collector_name(collector)!r}"
    return f"{subject} cannot be {done} through a read-only view; use the registry behind it"
