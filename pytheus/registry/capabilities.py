"""Optional capabilities of registries and collectors.

Each is a small protocol that pytheus looks for once and can do without: the docstring names the fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from pytheus.definitions import Definition
from pytheus.interruption import is_interruption
from pytheus.registry.contract import Collector, Registry
from pytheus.registry.storage import NumberStorage
from pytheus.samples import Row

__all__ = [
    "Closable",
    "EndedSeriesExpirable",
    "HasDefinition",
    "HasPlainText",
    "HasPrecedence",
    "HasRows",
    "HasSeriesLabels",
    "HoldsCollectors",
    "Lookup",
    "SeriesExpirable",
    "SeriesLimit",
    "SeriesLimitable",
    "SeriesRetirement",
    "StorageAware",
    "TextRenderer",
    "Wrapper",
    "has_plain_text",
    "precedence_of",
]

SeriesLimit: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Maps the label values of a series about to be created to those of the series to write to instead.

Called from any thread that writes, without a lock, each time labels are used that have no series. Must not raise.
"""

SeriesRetirement: TypeAlias = Callable[[Sequence[tuple[str, ...]], Callable[[tuple[str, ...]], bool], float], None]
"""Ends series, given the label values of each, a function `leave`, and for how many seconds they were not written.

``leave(labels)`` makes later writes begin a new series. It returns False if the series was written meanwhile; then it
stays. Called from any thread. Must not raise.
"""


@runtime_checkable
class HasDefinition(Protocol):
    """A collector whose definition is known before a scrape, so that conflicts show when it is registered.

    Fallback: the names of a collector without a definition are checked only when it is scraped.
    """

    @property
    def definition(self) -> Definition: ...


@runtime_checkable
class HasPrecedence(Protocol):
    """A collector that gives way: a scrape leaves out each of its families whose name another collector exposes.

    So two collectors may describe the same thing, such as the process, and the better one is shown. A collector without
    a precedence comes before all that have one; among these, a greater `precedence` comes before a smaller one, and the
    first registered before the second. It has no effect on a collector with a definition, which claims its names when
    it is registered.

    Fallback: for a collector without a precedence, a name that is exposed already is an error, and a scrape leaves the
    whole collector out.

        >>> from pytheus.collectors import ProcessCollector
        >>> isinstance(ProcessCollector(), HasPrecedence)
        True
    """

    @property
    def precedence(self) -> int:
        """A number that never changes; the collectors of `pytheus.collectors` have 0."""
        ...


@runtime_checkable
class SeriesLimitable(HasDefinition, Protocol):
    """A collector that asks before it creates a series, so that its memory can be bounded.

    Fallback: a collector without a limit is exposed with all its series.
    """

    @property
    def series_count(self) -> int:
        """The number of series."""
        ...

    def limit_series(self, limit: SeriesLimit, /) -> None:
        """Ask `limit` from now on, after the limits set before; setting one twice changes nothing."""
        ...

    def unlimit_series(self, limit: SeriesLimit, /) -> None:
        """Stop asking `limit`. A limit that was not set is ignored."""
        ...


@runtime_checkable
class SeriesExpirable(HasDefinition, Protocol):
    """A collector that can end the series that are not written any more; every metric of pytheus is one.

    Fallback: a collector without this capability keeps all its series.
    """

    def expire_series(self, idle_seconds: float, now: float, /) -> int:
        """End the series that were not written for `idle_seconds`, and return their number.

        `now` is in seconds on a clock that never goes back, the same in each call. The first call that sees a series,
        or a write to it since the call before, counts as the time of the write. A later write begins a new series at
        zero, also through a handle on the old one. A series that exists without a write (of a metric without labels,
        or whose labels are known from its definition) stays, and so does a gauge that a function provides.
        """
        ...

    def retire_series_with(self, retirement: SeriesRetirement, /) -> None:
        """Let `retirement` end series from now on, in place of another one."""
        ...

    def stop_retiring_with(self, retirement: SeriesRetirement, /) -> None:
        """End series without it from now on. One that another has replaced is ignored."""
        ...


@runtime_checkable
class EndedSeriesExpirable(Protocol):
    """A registry, or a store of shards, that keeps series of processes that have ended.

    Fallback: it has no such series.
    """

    def expire_ended_series(self, idle_seconds: float, selects: Callable[[Definition], bool], /) -> None:
        """Drop the series of metrics that `selects`, unless a process changed them within `idle_seconds` or has them.

        Called at intervals, from a thread that may block.
        """
        ...


@runtime_checkable
class HasRows(HasDefinition, Protocol):
    """A collector that returns the numbers of every series, independent of any exposition format.

    Every exposition and every shard store reads rows where it can. Fallback: `collect()`, in this process alone.
    """

    def rows(self) -> list[Row]:
        """Return the current numbers of every series, each row as of one moment. Runs no user code."""
        ...

    def refresh(self) -> None:
        """Call the functions that provide values (`Gauge.set_function`) and store their results in the rows.

        Calls all functions. A series whose function fails is missing from the rows until its function succeeds. In a
        scrape it is reported (`pytheus.registry.report_failed_series`); elsewhere, the error of the first that failed
        is raised.
        """
        ...


@runtime_checkable
class HasSeriesLabels(HasRows, Protocol):
    """A collector that returns the labels of its series without their numbers, which takes a fraction of the time.

    Fallback: the labels of the rows.
    """

    def series_labels(self) -> list[tuple[str, ...]]:
        """Return the label values of every series, in the order of definition. Runs no user code."""
        ...


@runtime_checkable
class StorageAware(HasRows, Protocol):
    """A collector whose numbers a registry can keep in its own memory; every metric of pytheus is one.

    Fallback: a registry of several processes collects the collector in its own process, and no other process sees it.
    """

    def restart(self) -> None:
        """Reset every series to zero, as in a new process after a fork. Functions that provide values remain.

        A series with labels is not exposed until it is used again, unless it is always exposed or has a function.
        """
        ...

    def attach_storage(self, storage: NumberStorage, /, *, carry: bool = True) -> None:
        """Keep the numbers of all current and future series in `storage` from now on.

        With `carry`, current values move along and no write is lost, even if other threads write meanwhile. Without,
        the series begin again as in `restart`. Values that a used storage already holds stay unchanged.
        """
        ...

    def detach_storage(self, storage: NumberStorage, /) -> None:
        """Take the numbers back from `storage`, with their values; do nothing if they are kept elsewhere."""
        ...


@runtime_checkable
class TextRenderer(HasDefinition, Protocol):
    """A collector of one family that writes its own lines of the text format, faster than from samples.

    Fallback: the families of `collect()` are rendered. The lines are not checked, so names and labels must be valid.
    They are used only for legacy names; the families are rendered for others.
    """

    def text_parts(self, prefix: str, /) -> list[str]:
        """Return the family in the text format, in a few pieces; `prefix` is "" or ends with "_"."""
        ...


@runtime_checkable
class HasPlainText(TextRenderer, Protocol):
    """A `TextRenderer` whose lines OpenMetrics has, too, under a header of its own.

    The first piece of its text is the header, and nothing else. Fallback: the families of `collect()` are rendered.
    """

    def has_plain_text(self) -> bool:
        """Return whether OpenMetrics tells nothing else of the present numbers.

        Not for exemplars, for names that are not legacy names, and for a histogram or summary whose sum is negative or
        not a number, which OpenMetrics does not allow. Called before each scrape in that format; runs no user code.
        """
        ...


@runtime_checkable
class Lookup(Protocol):
    """A registry that finds the collector that occupies a name, so that a metric defined twice shares its values.

    Fallback: the collectors of `collect()` are searched, also where an unrelated method has this name.
    """

    def find(self, name: str, /) -> Collector | None:
        """Return the collector that occupies `name` (its own or one it produces, without prefix), or None."""
        ...


@runtime_checkable
class HoldsCollectors(Protocol):
    """A registry whose `collect()` does not return the registered collectors.

    It pushes their numbers and exposes nothing, or it returns objects that it derives from them. A registry that
    exposes nothing needs this capability, because without it its collectors cannot move to another registry, and a
    metric that is defined twice is not found. Fallback: those of `collect()` are the registered ones.
    """

    def registered_collectors(self) -> Iterable[Collector]:
        """Return the collectors as they were registered, in that order: a snapshot. Collects none; must not block."""
        ...


@runtime_checkable
class Wrapper(Protocol):
    """A registry that holds no collectors itself but wraps other registries, such as those of `pytheus.compose`.

    Fallback: a registry without this capability is assumed to hold its collectors itself.
    """

    @property
    def wrapped(self) -> tuple[Registry, ...]:
        """The registries directly below. May be called from any thread; does not block."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A registry that holds a resource: a file, a connection, a thread.

    Fallback: there is nothing to release.
    """

    def close(self) -> None:
        """Release all resources. Idempotent; collectors stay registered and metrics keep counting in memory.

        All other members work afterwards too, and so does `close` in the child of a fork, which leaves the parent's
        resources as they are. Numbers that others read stay there: a registry of several processes keeps its counts.
        """
        ...


def has_plain_text(collector: object) -> bool:
    """Return whether `collector` has the capability `HasPlainText`, and its lines are as OpenMetrics has them."""
    # Without isinstance(..., HasPlainText), which takes 10 microseconds.
    ask = getattr(collector, "has_plain_text", None)
    return callable(ask) and ask() is True


def precedence_of(collector: object) -> int | None:
    """Return the precedence of `collector`, or None if it has none or raises an error instead."""
    try:
        # Without isinstance(..., HasPrecedence); `traversal.definition_of` has the reasons.
        precedence = getattr(collector, "precedence", None)
    except BaseException as error:
        if is_interruption(error):
            raise
        return None
    # An unrelated attribute may have this name.
    return precedence if type(precedence) is int else None
