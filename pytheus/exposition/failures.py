"""What failed in the scrapes of a registry, counted for as long as the registry lives."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from pytheus.metrics.counter import Counter
from pytheus.names import FAILURES_NAME
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.traversal import walk

if TYPE_CHECKING:
    import logging

__all__ = ["Failures", "HearsFailures", "failures_of", "record_failure"]


@runtime_checkable
class HearsFailures(Protocol):
    """A registry, or a layer, that is told of each collector which failed in a scrape that reached it.

    Fallback: failures are counted and logged, and that is all.
    """

    def collect_failed(self, collector: Collector, error: Exception, /) -> None:
        """Take note that `collector`, as the registry that was scraped gives it, raised `error`.

        Called after it was counted, from the thread that scrapes, without a lock. What it raises is logged.
        """
        ...


class Failures:
    """The failures of one registry's collectors; there is one from the first failure on."""

    __slots__ = ("_errors", "_logged")

    def __init__(self) -> None:
        self._errors = Counter(
            FAILURES_NAME,
            "Scrapes that had to leave this collector out because it failed.",
            ["collector"],
            registry=None,
        )
        self._logged: dict[str, object] = {}

    def record(self, collector: str, error: Exception) -> None:
        """Count a failure; log it if it is this collector's first."""
        name = collector.encode("utf-8", "replace").decode()
        series = self._errors.labels(name)
        mark = object()
        if self._logged.setdefault(name, mark) is mark:  # one step, so that of several scrapes at once one logs it
            _log().error(
                "collector %r failed and is left out of the scrape; further failures are only counted,"
                " in pytheus_collector_errors_total",
                name,
                exc_info=error,
            )
        series.inc()

    def text(self, prefix: str) -> str:
        """The family in the text format."""
        return "".join(self._errors.text_parts(prefix))


# By identity: a registry need be neither hashable nor comparable. An entry goes when its registry does; one that cannot
# be referred to weakly is kept alive by its entry, for which it must have failed before.
_by_registry: Final[dict[int, tuple[object, Failures]]] = {}


def failures_of(registry: Registry) -> Failures | None:
    """The failures of `registry`, or None where nothing has failed yet."""
    entry = _by_registry.get(id(registry))
    return None if entry is None else entry[1]


def record_failure(registry: Registry, collector: Collector, error: Exception) -> None:
    """Count that `collector` failed in a scrape of `registry`, and tell those whom the scrape reaches."""
    failures = failures_of(registry)
    if failures is None:
        failures = _begin(registry)
    failures.record(collector_name(collector), error)
    try:
        for current in walk(registry, resolve=True):
            if isinstance(current, HearsFailures):
                current.collect_failed(collector, error)
    except Exception:
        _log().exception("a registry that was to be told of the failure has failed itself")


def _begin(registry: Registry) -> Failures:
    key = id(registry)
    failures = Failures()
    try:
        holder: object = weakref.ref(registry, lambda _: _by_registry.pop(key, None))
    except TypeError:
        holder = registry
    return _by_registry.setdefault(key, (holder, failures))[1]


def _log() -> logging.Logger:
    import logging  # loaded late: it costs more to import than the rest of the package

    return logging.getLogger("pytheus.exposition")
