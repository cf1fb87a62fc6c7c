"""The processes of one reading of a store, as those who look at a registry see them."""

from __future__ import annotations

from pytheus.registry.processes import ProcessInfo
from pytheus.shards.bucket_series import BucketDefinition
from pytheus.shards.layout import Layout
from pytheus.shards.snapshot import Snapshot
from pytheus.shards.store import Reading

__all__ = ["processes_of"]

_SHOWN_OF_TOKEN = 8


def processes_of(reading: Reading) -> list[ProcessInfo]:
    """The processes of `reading`, the oldest first, then the archive if it has series.

    >>> from pytheus.shards import MemoryShardStore
    >>> [process.state for process in processes_of(MemoryShardStore().read())]
    ['alive']
    """
    found = sorted(map(_process, reading.snapshots), key=lambda process: process.started or 0.0)
    archived = _series_count(reading.archive.layout)
    if archived:
        found.append(ProcessInfo("archive", None, None, "archive", None, archived))
    return found


def _process(snapshot: Snapshot) -> ProcessInfo:
    identity = snapshot.identity
    return ProcessInfo(
        identity.token[:_SHOWN_OF_TOKEN],
        identity.pid,
        identity.host,
        "alive" if snapshot.live else "dead",
        identity.started_ns / 1e9,
        _series_count(snapshot.layout),
    )


def _series_count(layout: Layout) -> int:
    """The number of series, without the native buckets, which the layout has as series of their own."""
    buckets = {number for number, each in enumerate(layout.definitions) if isinstance(each, BucketDefinition)}
    numbers = layout.definition_numbers
    count = len(numbers) - len(layout.removed)
    if buckets:
        count -= sum(map(numbers.count, buckets))
        count += sum(numbers[removed] in buckets for removed in layout.removed)
    return max(count, 0)
