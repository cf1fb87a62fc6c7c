"""Collectors that users write themselves, for numbers that live elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from pytheus.registry.contract import Collector
from pytheus.samples import Family

__all__ = ["CustomCollector"]


class CustomCollector(ABC):
    """A collector that gathers its numbers when it is scraped. A convenient base; any `Collector` will do.

        >>> from pytheus import Gauge
        >>> class QueueCollector(CustomCollector):
        ...     def collect(self):
        ...         length = Gauge("queue_length", "Jobs waiting.", ["queue"], registry=None)
        ...         length.labels("mail").set(3)
        ...         yield length
        >>> from pytheus.registry import CollectorRegistry
        >>> CollectorRegistry().register(QueueCollector())

    `collect()` yields metrics made with ``registry=None``, or `pytheus.samples.Family` objects, whose names no other
    collector exposes. See `pytheus.registry.Collector` for threads and errors.
    """

    @property
    def name(self) -> str:
        """What messages and `pytheus_collector_errors_total` call it: the class's name, unless overridden."""
        return type(self).__name__

    @abstractmethod
    def collect(self) -> Iterable[Family | Collector]:
        """The families as they stand now."""
