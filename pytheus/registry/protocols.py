"""The contract: what a registry is, what a collector is, and what either may offer beyond it.

The two protocols are all that any part of pytheus may rely on. The capabilities below them are optional, looked for
once, and each has a plain fallback where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias, runtime_checkable

from pytheus.definitions import Definition
from pytheus.samples import Family

__all__ = ["Closable", "Collector", "Described", "Layered", "Limitable", "Lookup", "Registry", "SeriesLimit"]

SeriesLimit: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Takes the label values of a series that is to be made, and gives those of the series to write to instead.

Called from any thread that writes, without a lock, for each use of labels that have no series. Must not raise.
"""


@runtime_checkable
class Collector(Protocol):
    """Something that can tell its numbers: a metric, or an object that gathers them from elsewhere.

    An attribute `name`, where there is one, is what error messages and `pytheus_collector_errors_total` call it;
    otherwise its class's name is used.
    """

    def collect(self) -> Iterable[Family | Collector]:
        """The families as they stand now.

        May yield `Family` objects, metrics, or other collectors, which are collected in turn. Called from any thread,
        by several at once, once for each scrape; each call gives a new, independent iterable. May block (it delays the
        scrape, not the application). May raise: this collector's families are then missing from this one scrape, and
        nothing else is.
        """
        ...


@runtime_checkable
class Registry(Protocol):
    """The object that holds an application's collectors: where their values live and who can read them.

    Any object with these four members is a registry; no base class is needed. Every member may be called from any
    thread at any time.
    """

    @property
    def prefix(self) -> str | None:
        """What stands before ``_name`` in every exposed family's name; None or "" for nothing. Read at each scrape."""
        ...

    def register(self, collector: Collector, /) -> None:
        """Hold `collector` until it is unregistered.

        Registering an object that is held already changes nothing. A collector that would expose a name that another
        one occupies is refused with `pytheus.exceptions.ConflictError`, and then nothing has changed. Must not call
        the collector's `collect()` while holding a lock, for that may create metrics, which register themselves.
        """
        ...

    def unregister(self, collector: Collector, /) -> None:
        """Let go of `collector`, by identity, and keep no reference to it.

        One that is not held raises `pytheus.exceptions.NotRegisteredError`, and then nothing has changed; in
        particular one that was refused by `register` never removes the one that holds its name.
        """
        ...

    def collect(self) -> Iterable[Collector]:
        """The collectors held, in the order of their registration.

        A snapshot: registrations during the iteration neither break it nor show in it. Does not collect them.
        """
        ...


@runtime_checkable
class Described(Protocol):
    """A collector that knows its definition beforehand, so that conflicts show when it is registered.

    Fallback: a collector that is not described is only held to its names when it is scraped.
    """

    @property
    def definition(self) -> Definition: ...


@runtime_checkable
class Limitable(Protocol):
    """A collector that asks before it makes a series, so that what it holds in memory can be bounded.

    Fallback: a collector that cannot be limited is exposed with all that it has.
    """

    @property
    def definition(self) -> Definition: ...

    @property
    def series_count(self) -> int:
        """How many series there are."""
        ...

    def limit_series(self, limit: SeriesLimit, /) -> None:
        """Ask `limit` from now on, after those that are asked already; asking one twice changes nothing."""
        ...

    def unlimit_series(self, limit: SeriesLimit, /) -> None:
        """Ask `limit` no longer. One that is not asked is ignored."""
        ...


@runtime_checkable
class Lookup(Protocol):
    """A registry that finds the collector that occupies a name, so that a metric defined twice shares its values.

    Fallback: `collect()` is searched, also where a method of this name turns out to be meant for something else.
    """

    def find(self, name: str, /) -> Collector | None:
        """The collector that occupies `name` (its own, or one that it produces, without prefix), or None."""
        ...


@runtime_checkable
class Layered(Protocol):
    """A registry that holds no collectors itself and stands before others, such as those of `pytheus.compose`.

    Fallback: a registry without it is taken for one that holds its collectors itself.
    """

    @property
    def layers(self) -> tuple[Registry, ...]:
        """The registries directly below. May be called from any thread, and does not block."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A registry that holds something to give back: a file, a connection, a thread."""

    def close(self) -> None:
        """Give everything back. Idempotent; collectors stay registered and metrics go on counting in memory."""
        ...
