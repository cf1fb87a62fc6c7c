"""The failures of collectors in scrapes, counted for each registry."""

from __future__ import annotations

import time
import weakref
from typing import Final, Protocol, runtime_checkable

from pytheus.exceptions import CollectorError
from pytheus.interruption import is_interruption
from pytheus.lazy import logger
from pytheus.metrics.counter import Counter
from pytheus.names import FAILURES_NAME
from pytheus.registry.contract import Collector, Registry, collector_name
from pytheus.registry.traversal import walk

__all__ = ["OTHERS", "Failures", "HearsFailures", "described", "failures_of", "record_failure"]


@runtime_checkable
class HearsFailures(Protocol):
    """A registry or wrapper that is notified of each collector that fails.

    Fallback: failures are only counted and logged.

        >>> class Audited:
        ...     def collect_failed(self, collector, error):
        ...         print(f"{type(collector).__name__} raised {error!r}")
        >>> isinstance(Audited(), HearsFailures)
        True
    """

    def collect_failed(self, collector: Collector, error: Exception, /) -> None:
        """Handle the `error` that `collector`, or a function that provides a number of it, raised.

        An error that is not an `Exception` is the cause of a `CollectorError`. `collector` is the object that the
        scraped registry returned. Called after the failure was counted, in the thread that
        scrapes, without a lock. An error raised here is logged.
        """
        ...


# A collector may call itself something else at each scrape.
_NAMES_AT_MOST: Final = 256
_CHARACTERS_AT_MOST: Final = 256
_ERROR_CHARACTERS_AT_MOST: Final = 1024

OTHERS: Final = "(others)"
"""The name under which collectors are counted after the first 256 names."""


class Failures:
    """The failures of one registry's collectors.

    Created at the first failure; `counter` counts them by collector, and `latest` has the text of the latest error of
    each, and its time in seconds since the Unix epoch. The text may contain a credential.
    """

    __slots__ = ("_logged", "counter", "latest")

    def __init__(self) -> None:
        self.counter: Final = Counter(
            FAILURES_NAME,
            "Scrapes that had to leave this collector, or a series of it, out because it failed.",
            ["collector"],
            registry=None,
        )
        self.latest: Final[dict[str, tuple[str, float]]] = {}
        self._logged: dict[str, object] = {}

    def record(self, collector: str, error: BaseException, subject: str) -> None:
        """Count a failure, and log it if it is the first one of this collector.

        `subject` is "collector" or "a series of collector".
        """
        name = collector[:_CHARACTERS_AT_MOST].encode("utf-8", "replace").decode()
        if name not in self._logged and len(self._logged) >= _NAMES_AT_MOST:
            name = OTHERS
        series = self.counter.labels(name)
        mark = object()
        if self._logged.setdefault(name, mark) is mark:  # one step: only one of several scrapes logs it
            logger("pytheus.exposition").error(
                f"{subject} %r failed and is left out of the scrape; further failures are only counted,"
                " in pytheus_collector_errors_total",
                name,
                exc_info=error,
            )
        text = f"{type(error).__qualname__}: {described(error)}"
        self.latest[name] = (text[:_ERROR_CHARACTERS_AT_MOST], time.time())
        series.inc()


# By id, because a registry need not be hashable or comparable. An entry is removed with its registry. A registry that
# cannot be weakly referenced is kept alive by its entry, but only if one of its collectors has failed.
_by_registry: Final[dict[int, tuple[object, Failures]]] = {}


def failures_of(registry: Registry) -> Failures | None:
    """Return the failures of `registry`, or None if no collector has failed yet."""
    entry = _by_registry.get(id(registry))
    return None if entry is None else entry[1]


def record_failure(registry: Registry, collector: Collector, error: BaseException, subject: str = "collector") -> None:
    """Count a failure of `collector`, or of a series of it, in a scrape of `registry`.

    Notifies the registries below it.
    """
    failures = failures_of(registry)
    if failures is None:
        failures = _begin(registry)
    name = collector_name(collector)
    failures.record(name, error, subject)
    if not isinstance(error, Exception):
        cause, error = error, CollectorError(f"collector {name!r} raised {described(error)}", collector=name)
        error.__cause__ = cause
    try:
        for current in walk(registry, resolve=True):
            if isinstance(current, HearsFailures):
                current.collect_failed(collector, error)
    except BaseException as failure:
        if is_interruption(failure):
            raise
        logger("pytheus.exposition").exception("a registry raised an error when it was notified of a failed collector")


def described(error: BaseException) -> str:
    """Return the text of `error`; its repr if it is not an `Exception` or has no text. Never raises."""
    try:
        return (str(error) if isinstance(error, Exception) else "") or repr(error)
    except BaseException as failure:
        if is_interruption(failure):
            raise
        return type(error).__qualname__


def _begin(registry: Registry) -> Failures:
    key = id(registry)
    failures = Failures()
    try:
        holder: object = weakref.ref(registry, lambda _: _by_registry.pop(key, None))
    except TypeError:
        holder = registry
    return _by_registry.setdefault(key, (holder, failures))[1]
