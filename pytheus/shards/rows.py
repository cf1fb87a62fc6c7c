"""A shard made of metrics' rows, for numbers that are kept in the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytheus.registry.capabilities import StorageAware
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout
from pytheus.shards.snapshot import Snapshot

__all__ = ["snapshot_of"]


def snapshot_of(
    identity: ShardIdentity, collectors: Iterable[StorageAware], *, base: Sequence[float] | None = None
) -> Snapshot:
    """The numbers of `collectors` as they stand now, as a live shard with a layout of its own.

    >>> from pytheus import Counter
    >>> hits = Counter("hits_total", "Hits.", registry=None)
    >>> hits.inc(3)
    >>> snapshot_of(ShardIdentity("web-1", 71, 1, "89abcdef01234567"), [hits]).numbers
    [3.0]
    """
    layout = Layout()
    numbers: list[float] = []
    for collector in collectors:
        definition = layout.add_definition(collector.definition)
        for row in collector.rows():
            slot = layout.add_series(definition, row.labels, len(numbers))
            numbers += row.numbers
            if row.info is not None:
                layout.set_info(slot, row.info)
            for index, exemplar in (row.exemplars or {}).items():
                layout.set_exemplar(slot, index, exemplar)
    return Snapshot(identity, True, layout, numbers, base)
