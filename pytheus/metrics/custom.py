"""Collectors that users write, for numbers that are kept elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

from pytheus.registry.contract import Collector, RefusesPeers
from pytheus.samples import Family

__all__ = ["CustomCollector"]


class _ClassName:
    """The name of the class; without `__set__`, so that an attribute of a class or of an object takes its place."""

    def __get__(self, collector: object, owner: type) -> str:
        return owner.__name__


class CustomCollector(RefusesPeers, ABC):
    """A collector that reads its numbers when it is scraped; an optional base.

        >>> from pytheus import Gauge
        >>> class QueueCollector(CustomCollector):
        ...     def collect(self):
        ...         length = Gauge("queue_length", "Jobs waiting.", ["queue"], registry=None)
        ...         length.labels("mail").set(3)
        ...         yield length
        >>> from pytheus.registry import CollectorRegistry
        >>> CollectorRegistry().register(QueueCollector())

    Any object with a method `collect` is a collector. `collect()` yields metrics made with ``registry=None``, or
    `pytheus.samples.Family` objects; no other collector of the registry may expose their names. It runs in the thread
    that scrapes, in several at once, and an error leaves only this collector out of that scrape; see
    `pytheus.registry.Collector`.
    """

    name: str = cast(str, _ClassName())
    """The name in messages and in `pytheus_collector_errors_total`: that of the class, unless it is set.

    It is set by an attribute of a class or of an object.

        >>> class Queue(CustomCollector):
        ...     def __init__(self, name):
        ...         self.name = name
        ...     def collect(self):
        ...         return []
        >>> Queue("mail queue").name
        'mail queue'
    """

    @abstractmethod
    def collect(self) -> Iterable[Family | Collector]:
        """Return the families with their current values. May block, and may raise."""
