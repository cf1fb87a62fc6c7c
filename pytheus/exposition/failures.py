"""What failed in the scrapes of a registry, counted for as long as the registry lives."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

from pytheus.metrics.counter import Counter
from pytheus.registry.protocols import Registry

if TYPE_CHECKING:
    import logging

__all__ = ["Failures", "failures_of"]


class Failures:
    """The failures of one registry's collectors; exposed from the first failure on."""

    __slots__ = ("_errors", "_failed")

    def __init__(self) -> None:
        self._errors = Counter(
            "pytheus_collector_errors_total",
            "Scrapes that had to leave this collector out because it failed.",
            ["collector"],
            registry=None,
        )
        self._failed = False

    @property
    def occupied_names(self) -> tuple[str, ...]:
        """The names that no collector can have."""
        return self._errors.definition.occupied_names

    def record(self, collector: str, error: Exception) -> None:
        """Count a failure; log it if it is this collector's first."""
        name = collector.encode("utf-8", "replace").decode()
        series = self._errors.labels(name)
        if series.value == 0.0:
            _log().error(
                "collector %r failed and is left out of the scrape; further failures are only counted,"
                " in pytheus_collector_errors_total",
                name,
                exc_info=error,
            )
        series.inc()
        self._failed = True

    def text(self, prefix: str) -> str:
        """The family in the text format, or "" where nothing has failed yet."""
        return self._errors.text(prefix) if self._failed else ""


# By identity: a registry need be neither hashable nor comparable. An entry goes when its registry does; one that cannot
# be referred to weakly is kept alive by its entry, for which it must have failed before.
_by_registry: Final[dict[int, tuple[object, Failures]]] = {}


def failures_of(registry: Registry) -> Failures:
    """The failures of `registry`, none yet at first."""
    key = id(registry)
    entry = _by_registry.get(key)
    if entry is not None:
        return entry[1]
    failures = Failures()
    try:
        holder: object = weakref.ref(registry, lambda _: _by_registry.pop(key, None))
    except TypeError:
        holder = registry
    return _by_registry.setdefault(key, (holder, failures))[1]


def _log() -> logging.Logger:
    import logging  # loaded late: it costs more to import than the rest of the package

    return logging.getLogger("pytheus.exposition")
