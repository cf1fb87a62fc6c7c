"""Several processes as one: what registry plugins for many processes and many machines are made of.

Every process owns a *shard*, its own cumulative numbers, written by nobody else. A scrape merges all shards with the
*archive*, which is what dead processes' shards left. A plugin writes a `ShardStore`, which says where shards are kept;
`ShardedRegistry` makes a registry of it. See docs/explanation/shards.md.
"""

from pytheus.exceptions import ShardFormatError, ShardStoreError
from pytheus.kinds import MergeRule
from pytheus.shards.archive import MAX_DEAD_VALUES, Archive, fold
from pytheus.shards.combining import includes_dead, merge_rule_of, series_size
from pytheus.shards.health import Failure, ShardHealth
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout, SeriesEntry
from pytheus.shards.memory_store import MemoryBackend, MemoryShardStore
from pytheus.shards.merged import MergedFamily
from pytheus.shards.merger import Merger
from pytheus.shards.records import (
    MAX_RECORD_BYTES,
    LayoutReader,
    encode_definition,
    encode_exemplar,
    encode_info,
    encode_layout,
    encode_removal,
    encode_series,
)
from pytheus.shards.registry import ShardedRegistry
from pytheus.shards.snapshot import Snapshot
from pytheus.shards.store import FlushOnRelease, ForkAware, HasCollectors, HasHealth, Reading, ShardStore

__all__ = [
    "MAX_DEAD_VALUES",
    "MAX_RECORD_BYTES",
    "Archive",
    "Failure",
    "FlushOnRelease",
    "ForkAware",
    "HasCollectors",
    "HasHealth",
    "Layout",
    "LayoutReader",
    "MemoryBackend",
    "MemoryShardStore",
    "MergeRule",
    "MergedFamily",
    "Merger",
    "Reading",
    "SeriesEntry",
    "ShardFormatError",
    "ShardHealth",
    "ShardIdentity",
    "ShardStore",
    "ShardStoreError",
    "ShardedRegistry",
    "Snapshot",
    "encode_definition",
    "encode_exemplar",
    "encode_info",
    "encode_layout",
    "encode_removal",
    "encode_series",
    "fold",
    "includes_dead",
    "merge_rule_of",
    "series_size",
]
