"""Collectors that users write, for numbers that are kept elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from pytheus.names import validate_text
from pytheus.registry.contract import Collector, RefusesPeers
from pytheus.samples import Family

__all__ = ["CustomCollector"]


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

    @property
    def name(self) -> str:
        """The name in messages and in `pytheus_collector_errors_total`.

        By default the name of the class. It can be set, on an object or by a class attribute.

            >>> class Queue(CustomCollector):
            ...     def collect(self):
            ...         return []
            >>> queue = Queue()
            >>> queue.name = "mail queue"
            >>> queue.name, Queue().name
            ('mail queue', 'Queue')
        """
        own: object = vars(self).get("_name")
        return own if isinstance(own, str) else type(self).__name__

    @name.setter
    def name(self, name: str) -> None:
        vars(self)["_name"] = validate_text(name, "the name of a collector")

    @abstractmethod
    def collect(self) -> Iterable[Family | Collector]:
        """Return the families with their current values. May block, and may raise."""
