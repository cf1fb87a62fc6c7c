"""A registry that can be scraped and not changed."""

from __future__ import annotations

from pytheus.compose.base import Layer
from pytheus.exceptions import ReadOnlyError
from pytheus.registry.contract import Collector, Registry, collector_name

__all__ = ["ReadOnlyError", "ReadOnlyRegistry", "read_only"]


def read_only(registry: Registry) -> ReadOnlyRegistry:
    """Return a view of `registry` that can be scraped, and refuses to register, unregister and close.

        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> Counter("orders_total", "Orders placed.", registry=read_only(CollectorRegistry()))
        Traceback (most recent call last):
        ...
        pytheus.exceptions.ReadOnlyError: counter 'orders_total' cannot be registered ...

    Only the set of collectors is protected: a metric can still be written, and one that is defined through the view
    with the same definition as a metric of `registry` shares that metric's values.
    """
    return ReadOnlyRegistry(registry)


class ReadOnlyRegistry(Layer):
    """The result of `read_only`. May be used from any thread."""

    __slots__ = ()

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry, "read_only(...)")

    def register(self, collector: Collector, /) -> None:
        """Raise `ReadOnlyError`."""
        raise ReadOnlyError(_refusal(collector, "registered"))

    def unregister(self, collector: Collector, /) -> None:
        """Raise `ReadOnlyError`."""
        raise ReadOnlyError(_refusal(collector, "unregistered"))

    def close(self) -> None:
        """Do nothing, because the registry below has another owner."""

    def __repr__(self) -> str:
        return f"<read-only {self._registry!r}>"


def _refusal(collector: Collector, done: str) -> str:
    type_ = getattr(collector, "type_", "collector")
    subject = f"{type_} {collector_name(collector)!r}"
    return f"{subject} cannot be {done} through a read-only view; use the registry behind it"
