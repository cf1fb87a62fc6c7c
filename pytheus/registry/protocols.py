"""The contract: what a registry is, what a collector is, and what either may offer beyond it.

The two protocols are all that any part of pytheus may rely on. The capabilities below them are optional, looked for
once, and each has a plain fallback where it is missing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias, overload, runtime_checkable

from pytheus.definitions import Definition
from pytheus.samples import Exemplar, Family, Row

__all__ = [
    "Closable",
    "Collector",
    "Described",
    "Doubles",
    "Layered",
    "Limitable",
    "Lookup",
    "Memory",
    "Portable",
    "Registry",
    "Rendered",
    "SeriesLimit",
]

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


class Doubles(Protocol):
    """Where a series' numbers lie: an array of doubles, or a view of memory that a registry hands out.

    A ``memoryview`` of format "d" is one, and so is an ``array("d")``. Storing one number must be one step for all
    other threads, as it is in both.
    """

    def __getitem__(self, index: int, /) -> float: ...
    @overload
    def __setitem__(self, index: int, value: float, /) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: array[float], /) -> None: ...
    def __len__(self) -> int: ...
    def tolist(self) -> list[float]:
        """All of them as they stand now."""
        ...


class Memory(Protocol):
    """Where one metric keeps the numbers of its series, instead of in itself: a registry's side of `Portable`.

    Called from any thread that writes; may block shortly (a file grows), and must not raise: what finds no room
    elsewhere is kept in this process. How a series' numbers are laid out tells `pytheus.samples.Row`.
    """

    def numbers(self, labels: tuple[str, ...], size: int, /) -> Doubles:
        """Where to write the `size` numbers of the series with these label values: zeros when it is new.

        The same view for the same labels until they are forgotten, also for two threads that ask at once. Every write
        of the metric goes straight into it, with no call to tell of it.
        """
        ...

    def forget(self, labels: tuple[str, ...], /) -> None:
        """The series is no more, and its view is not written any longer. One that is not known is ignored."""
        ...

    def facts(self, labels: tuple[str, ...], facts: Mapping[str, str], /) -> None:
        """The facts of an info's series are these from now on."""
        ...

    def exemplar(self, labels: tuple[str, ...], slot: int, exemplar: Exemplar, /) -> None:
        """The latest exemplar of a series' number `slot` is this one from now on."""
        ...


@runtime_checkable
class Portable(Protocol):
    """A collector whose numbers a registry may read as rows, or have kept elsewhere: every metric of pytheus is one.

    Fallback: a collector that is not portable is collected by its own process, and no other sees it.
    """

    @property
    def definition(self) -> Definition: ...

    def rows(self) -> list[Row]:
        """The numbers of every series as they stand now, each row as of one moment. Runs no code of the user's."""
        ...

    def refresh(self) -> None:
        """Call the functions that give numbers (`Gauge.set_function`), so that rows and memory hold what they gave.

        Raises what the first of them that failed raised, after all were called; its series keeps its former number.
        """
        ...

    def restart(self) -> None:
        """Let every series start again at zero, as a process begins after a fork. Functions that give numbers stay."""
        ...

    def keep_in(self, memory: Memory, /, *, carry: bool = True) -> None:
        """Keep the numbers in `memory` from now on, for every series that there is and that is to come.

        With `carry`, what was counted so far goes along and nothing is lost, whoever is writing meanwhile; without,
        every series starts at zero, as after a fork. What a memory that was used before holds is left as it is.
        """
        ...

    def leave(self, memory: Memory, /) -> None:
        """Take the numbers back, values kept, if they are in `memory`; otherwise nothing happens."""
        ...


@runtime_checkable
class Rendered(Protocol):
    """A collector of one family that writes its own lines of the text format, faster than samples are rendered.

    Fallback: the families of `collect()` are rendered. What it writes is not checked, so this is for collectors that
    know their names and labels to be valid.
    """

    @property
    def definition(self) -> Definition: ...

    def text_parts(self, prefix: str, /) -> list[str]:
        """The whole family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
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
