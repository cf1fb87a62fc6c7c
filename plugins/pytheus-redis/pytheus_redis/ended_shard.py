"""The rows of this process's ended series, as a shard of their own that has ended too.

Rules:

- One script removes the rows from this process's shard and makes this one visible, both at once. So they count once at
  each moment, and a later scrape folds them into the archive, as the shard of any process that has ended.
- Its rows stay with their metric until Redis has acknowledged that. If the process has to begin a new shard before, it
  asks Redis whether this one exists or was folded.
- A part of the numbers may be in the archive already (see `previous_shards`). The part of a row moves with it, unless
  the metric has a row of the same labels again.
"""

from __future__ import annotations

import dataclasses
import json
import time
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.registry import HasRows
from pytheus.samples import Row
from pytheus.shards import EndedRow, EndedRows, FixedRows, SeriesEntry, ShardIdentity, combined_rows
from pytheus_redis.keys import ENDED, Keys, ShardKeys
from pytheus_redis.shard_mirror import ShardMirror

__all__ = ["EndedShard", "LeavingRows", "LeftSeries"]


class LeftSeries(NamedTuple):
    """A series that has left this process's shard: where it was there, and its numbers at last."""

    entry: SeriesEntry
    numbers: array[float]

    def is_in(self, mirror: ShardMirror) -> bool:
        """Whether `mirror` has a series of the same labels."""
        return mirror.find(self.entry) is not None


class LeavingRows:
    """The rows of ended series, found while `mirror` reads its collectors again."""

    def __init__(self, mirror: ShardMirror) -> None:
        self._mirror: Final = mirror
        self.rows: list[tuple[EndedRows, list[EndedRow]]] = []
        self._series: list[LeftSeries] = []

    def living(self, collector: HasRows) -> list[Row]:
        """The rows of `collector` without those of ended series, which are noted."""
        if not isinstance(collector, EndedRows):
            return collector.rows()
        living, ended = collector.split()
        if ended:
            self.rows.append((collector, ended))
            layout, definition = self._mirror.layout, collector.definition
            number = layout.find_definition(definition)
            for labels in {each.row.labels for each in ended}:
                series = None if number is None else layout.find_series(number, labels)
                entry = None if series is None else layout.entry(series)
                if entry is not None:
                    numbers = self._mirror.numbers[entry.offset : entry.offset + entry.size]
                    self._series.append(LeftSeries(entry, numbers))
        return living

    def left(self) -> list[LeftSeries]:
        """Those that the mirror does not have any more, after it was updated."""
        return [each for each in self._series if not each.is_in(self._mirror)]


@dataclasses.dataclass(slots=True, eq=False)
class EndedShard:
    """Rows of ended series on their way, or that have arrived a short time ago."""

    keys: ShardKeys
    identity: ShardIdentity
    rows: list[tuple[EndedRows, list[EndedRow]]]
    left: list[LeftSeries]
    """The series of which this process's shard has none any more."""
    base: array[float] | None
    """The base of this process's shard."""
    epoch: str
    heartbeat_ms: int
    """Redis's time at its last answer."""
    is_staged: bool = False
    was_tried: bool = False
    """Whether parts of it may be staged."""
    content: Sequence[str | bytes | int] = ()
    """The arguments of the script that makes it visible."""
    has_arrived: bool = False

    @classmethod
    def of(cls, leaving: LeavingRows, keys: Keys, base: array[float] | None, epoch: str, now_ms: int) -> EndedShard:
        """The shard of `leaving`, when the mirror was updated; `now_ms` is Redis's time."""
        written_at = max(each.written_at for _, ended in leaving.rows for each in ended)
        # By Redis's clock, as every time in the archive.
        written_ms = max(1, now_ms - int((time.time() - written_at) * 1000))
        identity = ShardIdentity.of_this_process()
        identity = identity._replace(started_ns=written_ms * 1_000_000, token=f"{identity.token}{ENDED}")
        return cls(keys.shard(identity.token), identity, leaving.rows, leaving.left(), base, epoch, now_ms)

    def collectors(self) -> list[HasRows]:
        """Its rows."""
        return [FixedRows(metric.definition, combined_rows(metric.definition, ended)) for metric, ended in self.rows]

    def about(self) -> bytes:
        """The identity as Redis keeps it."""
        return json.dumps([self.identity.host, self.identity.pid, self.identity.started_ns]).encode()

    def base_in(self, mirror: ShardMirror) -> array[float] | None:
        """The part of its numbers, which are in `mirror`, that the archive contains already; or None."""
        base = self.base
        if base is None:
            return None
        moved = array("d", bytes(8 * len(mirror.numbers)))
        for entry, _ in self.left:
            series = mirror.find(entry)
            part = base[entry.offset : entry.offset + entry.size]
            if series is not None:
                offset = mirror.layout.offsets[series]
                moved[offset : offset + len(part)] = part
        return moved if any(moved) else None

    def arrived(self) -> None:
        """Let the metrics forget the rows, because Redis has them."""
        self.has_arrived = True
        for metric, ended in self.rows:
            metric.moved(ended)

    def restore(self) -> None:
        """Let the metrics have the rows again, because Redis has lost them.

        Not with a base, which this process does not know any more; too little is better than counting twice.
        """
        if self.base is not None:
            return
        for metric, ended in self.rows:
            metric.restore(ended)
