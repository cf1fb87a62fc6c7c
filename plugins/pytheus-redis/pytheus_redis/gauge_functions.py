"""Calls the functions of gauges before each publication, in a thread of its own.

Rules:

- A publication waits for the functions for a bounded time. A number that takes longer is in a later one, so that a
  function that hangs keeps no other number from the other processes, and no scrape from this one's connection.
- No function is called again while one has not returned. A scrape reports such a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from time import sleep
from typing import Final

from pytheus.registry import HasRows
from pytheus.worker import Worker

__all__ = ["GaugeFunctions"]

_WAIT_SECONDS: Final = 0.5

_IDLE_SECONDS: Final = 3600.0


class GaugeFunctions:
    """The thread that calls the functions; without it, `refresh` calls them itself."""

    def __init__(self) -> None:
        self.worker: Final = Worker("pytheus-redis-functions", lambda: _IDLE_SECONDS)

    def start(self) -> None:
        """Start the thread, unless it runs."""
        self.worker.start(_IDLE_SECONDS)

    def refresh(self, metrics: Sequence[HasRows]) -> None:
        """Refresh the metrics; waits for half a second at most."""
        with suppress(TimeoutError):
            self.worker.submit(lambda: _refresh(metrics), _WAIT_SECONDS)


def _refresh(metrics: Sequence[HasRows]) -> None:
    for metric in metrics:
        # A scrape shows the failure. No signal is raised in this thread, so SystemExit is one, too.
        with suppress(BaseException):
            metric.refresh()
        sleep(0)
