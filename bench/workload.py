"""The protocol of a measured library; each has a module with these names in bench/workloads/.

Rules, so that every library does the same work:

- Metrics are registered in a registry of their own. Labels are method and code, or method and path.
- Histograms have the 11 buckets of `BOUNDS`, and +Inf.
- A call is written as the library's documentation would write it, where there is a choice in the fastest way.
- A feature that a library lacks is left out, and gets a dash in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple, Protocol, cast, runtime_checkable

__all__ = ["InParts", "BOUNDS", "OBSERVED", "Series", "SharedCounter", "Statement", "Workload", "load", "nothing"]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OBSERVED = (*BOUNDS, 20.0)
"""One value for each bucket: after these, a histogram has no bucket left that is still in its first state."""


class Statement(NamedTuple):
    """A line or two of Python to be timed, with the objects behind its names."""

    source: str
    names: dict[str, object]


class SharedCounter(NamedTuple):
    """A counter for several threads: how to add 1 to it, and how to read it."""

    increment: Statement
    read: Callable[[], float]


class Series(Protocol):
    """Many series of one metric, ``{method="GET",path="/x/N"}``, alone in a registry; empty at first."""

    def write(self, count: int) -> None:
        """Write once to each of the series 0 to `count` - 1, so that every one of them changes."""
        ...

    def render(self) -> bytes | None:
        """The registry in the text format, encoded as a scrape would be answered; None if the library has none."""
        ...


@runtime_checkable
class InParts(Protocol):
    """A series whose library's endpoint answers in parts, so that the body is never in one piece."""

    def answer(self) -> object:
        """The parts of the answer to a scrape."""
        ...


class Workload(Protocol):
    """A module of bench/workloads/."""

    def statements(self) -> dict[str, Statement]:
        """The calls to time, under the names of bench/rows.py."""
        ...

    def first_write(self) -> Statement:
        """Adds 1 to the series of a path that a new counter has not seen; `path` is put in by the timing."""
        ...

    def shared_counter(self) -> SharedCounter:
        """A counter without labels, at zero."""
        ...

    def counters(self, amount: float) -> Series:
        """A new ``http_requests_total``; each write adds `amount` to each series."""
        ...

    def histograms(self) -> Series:
        """A new ``http_request_seconds``; each write observes every value of `OBSERVED` in each series."""
        ...


def load(name: str) -> Workload:
    """The module of that name. Imports the library that it measures, which only its own environment has."""
    return cast(Workload, import_module(f"bench.workloads.{name}"))


def nothing() -> None:
    """The function that is decorated."""
