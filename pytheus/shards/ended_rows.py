"""The rows of series that have ended, in stores that publish rows.

Rules:

- A counter of several processes must not go back, so the rows of a series that ends count on. They leave this process
  in the publication that moves them into the archive, or into a shard that has ended.
- Until then each reading of the metric has them, either as its row of the same labels or added to it.
- A metric is read while no series ends, so that a row is read once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pytheus.definitions import Definition
from pytheus.kinds import MergeRule
from pytheus.registry.capabilities import HasRows
from pytheus.registry.storage import RetiresSeries
from pytheus.samples import Row
from pytheus.shards.merge_rules import merge_rule_of
from pytheus.shards.reduce import is_better
from pytheus.shards.snapshot import ShardIdentity, Snapshot, snapshot_of

__all__ = ["EndedRow", "EndedRows", "FixedRows", "combined_rows", "note_reading", "unread_snapshot"]

_MOVED_KEPT_SECONDS: Final = 300.0
"""After this time without a scrape, the numbers of the previous one will not be shown again."""


class EndedRow(NamedTuple):
    """The last row of a series that has ended."""

    row: Row
    written_at: float
    """When the series was written last, at the latest; in seconds since the Unix epoch."""


class FixedRows:
    """Rows of a metric that do not change.

    >>> FixedRows(Definition("hits_total", "counter", "Hits."), [Row((), [3.0])]).rows()[0].numbers
    [3.0]
    """

    def __init__(self, definition: Definition, rows: list[Row]) -> None:
        self._definition = definition
        self._rows = rows

    @property
    def definition(self) -> Definition:
        """The metric's definition."""
        return self._definition

    def rows(self) -> list[Row]:
        """The rows."""
        return self._rows

    def refresh(self) -> None:
        """Do nothing, because no function provides them."""


class EndedRows:
    """A metric's rows, and those of its series that have ended and were not moved elsewhere yet.

    >>> from pytheus import Counter
    >>> hits = Counter("hits_total", "Hits.", ["page"], registry=None)
    >>> hits.labels("home").inc(2)
    >>> shared = EndedRows(hits)
    >>> shared.end([("home",)], lambda labels: hits.remove(*labels), 60.0)
    >>> hits.rows(), shared.rows()[0].numbers
    ([], [2.0])
    >>> living, ended = shared.split()
    >>> shared.moved(ended)
    >>> shared.rows()
    []

    Rows that end together with those of another metric, their `parent`, are not read while its series end. May be used
    from any thread.
    """

    def __init__(self, rows: HasRows, parent: EndedRows | None = None) -> None:
        self._rows = rows
        self._ended: list[EndedRow] = []
        # When each was moved, by `time.monotonic`; None if the registry is never scraped.
        self._moved: list[tuple[float, EndedRow]] | None = None
        # Reentrant, because a finalizer or signal handler may read while its thread does.
        self._lock: threading.RLock = threading.RLock() if parent is None else parent._lock

    @property
    def definition(self) -> Definition:
        """The metric's definition."""
        return self._rows.definition

    def rows(self) -> list[Row]:
        """All rows, those of ended series included."""
        living, ended = self.split()
        return combined_rows(self.definition, ended, living) if ended else living

    def refresh(self) -> None:
        """Call the functions that provide numbers."""
        self._rows.refresh()

    def split(self) -> tuple[list[Row], list[EndedRow]]:
        """The metric's rows, and those of ended series."""
        with self._lock:
            return self._rows.rows(), self._ended.copy()

    def moved(self, ended: Sequence[EndedRow]) -> None:
        """Forget these, because they count elsewhere."""
        gone = set(map(id, ended))
        now = time.monotonic()
        with self._lock:
            if self._moved is not None:
                recent = [(at, each) for at, each in self._moved if now - at < _MOVED_KEPT_SECONDS]
                self._moved = recent + [(now, each) for each in self._ended if id(each) in gone]
            self._ended = [each for each in self._ended if id(each) not in gone]

    def was_read(self, since: float) -> None:
        """Forget the rows moved before that time, because a reading of the store has it."""
        with self._lock:
            self._moved = [(at, each) for at, each in self._moved or () if at > since]

    def unread(self) -> FixedRows:
        """The rows that were moved after the latest reading."""
        with self._lock:
            moved = [each for _, each in self._moved or ()]
        return FixedRows(self.definition, combined_rows(self.definition, moved))

    def restore(self, ended: Sequence[EndedRow]) -> None:
        """Have these again, because they were lost elsewhere."""
        with self._lock:
            self._ended = [*ended, *self._ended]

    def end(
        self,
        series: Sequence[tuple[str, ...]],
        leave: Callable[[tuple[str, ...]], bool],
        idle_seconds: float,
        storage: RetiresSeries | None = None,
    ) -> None:
        """Keep the rows of those of `series` that ``leave`` lets go, through `storage` if they are in one.

        See `SeriesRetirement`.
        """
        written_at = time.time() - idle_seconds
        with self._lock:
            # Read before they leave, which they only do if they were not written meanwhile.
            rows = {row.labels: row for row in self._rows.rows()}

            def leave_with_row(labels: tuple[str, ...]) -> bool:
                row = rows.get(labels)
                if row is None or not leave(labels):
                    return False
                self._ended.append(EndedRow(row._replace(exemplars=None, native_exemplars=()), written_at))
                return True

            if storage is not None:
                storage.retire(series, leave_with_row, idle_seconds)
                return
            for labels in series:
                leave_with_row(labels)


def note_reading(metrics: Sequence[HasRows], since: float) -> None:
    """Take note of a reading of the store that began at that time, by `time.monotonic`."""
    for metric in metrics:
        if isinstance(metric, EndedRows):
            metric.was_read(since)


def unread_snapshot(identity: ShardIdentity, metrics: Sequence[HasRows]) -> Snapshot:
    """The rows of ended series that the latest reading of the store does not have."""
    unread = [metric.unread() for metric in metrics if isinstance(metric, EndedRows)]
    return snapshot_of(identity._replace(token=f"{identity.token} ended"), unread)._replace(live=False)


def combined_rows(definition: Definition, ended: Sequence[EndedRow], living: Sequence[Row] = ()) -> list[Row]:
    """One row for each labels: sums are added, and of other numbers the later or better one counts.

    Native buckets have rows of their own (see `bucket_series.py`).
    """
    rule = merge_rule_of(definition)
    rows: dict[tuple[str, ...], Row] = {}
    for row in [*(each.row for each in ended), *living]:
        before = rows.get(row.labels)
        if before is None:
            rows[row.labels] = row
        elif rule is MergeRule.SUM:
            numbers = [mine + theirs for mine, theirs in zip(row.numbers, before.numbers, strict=True)]
            started = [each.created for each in (row, before) if each.created]
            rows[row.labels] = row._replace(numbers=numbers, created=min(started, default=None))
        elif rule not in (MergeRule.MIN, MergeRule.MAX) or is_better(rule, row.numbers[0], before.numbers[0]):
            rows[row.labels] = row
    return list(rows.values())
