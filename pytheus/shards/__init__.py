"""Several processes as one: the parts of registry plugins for many processes.

Every process owns a *shard*, its own cumulative numbers, which no other process writes. A scrape merges all shards with
the *archive*, which holds the numbers of processes that have ended. A plugin writes a `ShardStore`, which keeps the
shards; `ShardedRegistry` makes a registry of it. See docs/explanation/shards.md.

| module | content |
| --- | --- |
| `layout` | `Layout`: where in a shard's numbers each series is |
| `label_blocks` | `LabelBlocks`: labels of many series, kept once for all layouts that have them |
| `start_times` | when each series of a layout began |
| `bucket_series` | the native buckets of histograms as series |
| `layout_codec` | a layout as records |
| `layout_reader` | `LayoutReader`: a layout from its records |
| `snapshot` | `Snapshot`: the numbers of a shard at one moment, and its `ShardIdentity` |
| `archive` | `Archive` and `fold`: the numbers of processes that have ended |
| `store` | `ShardStore` and its optional capabilities, `Reading` |
| `ended_rows` | `EndedRows`: the rows of series that have ended, until they count elsewhere |
| `memory_store` | `MemoryShardStore`: a store for tests, and an example |
| `merge_rules` | how the numbers of several processes become one |
| `reduce` | the merge rules over whole vectors, exact sums |
| `merge` | `Merger`: merges shards, scrape after scrape |
| `shard_indexes` | where each series of each shard is in the merge |
| `merge_cache` | the cache that a merger keeps from scrape to scrape |
| `merged_start_times` | the earliest start time of each merged series |
| `merged_family` | `MergedFamily`: a collector of one merged family |
| `native_family` | `MergedNativeFamily`: the same of histograms with native buckets |
| `tracked_storage` | the storage between a metric and its store, with the time of the last set |
| `native_storage` | the storage of a histogram with native buckets |
| `published` | the record of the collectors that a scrape shows |
| `health` | `ShardHealth`: failures, counted, logged and exposed |
| `c_forks` | notices forks that C code makes without telling Python |
| `processes` | the processes of one reading |
| `registry` | `ShardedRegistry` |
"""

from pytheus.exceptions import ShardFormatError, ShardStoreError
from pytheus.kinds import MergeRule
from pytheus.shards.archive import MAX_DEAD_VALUES, Archive, age_time, fold
from pytheus.shards.c_forks import notice_c_fork, run_after_fork_in_child, watch_c_forks
from pytheus.shards.ended_rows import EndedRow, EndedRows, FixedRows, combined_rows
from pytheus.shards.health import Failure, ShardHealth
from pytheus.shards.label_blocks import LabelBlocks
from pytheus.shards.layout import Layout, SeriesEntry
from pytheus.shards.layout_codec import (
    MAX_RECORD_BYTES,
    encode_definition,
    encode_exemplar,
    encode_filler,
    encode_info,
    encode_layout,
    encode_removal,
    encode_series,
    encode_series_run,
    encode_several_series,
    encode_start_time,
)
from pytheus.shards.layout_reader import LayoutReader
from pytheus.shards.memory_store import MemoryBackend, MemoryShardStore
from pytheus.shards.merge import Merger
from pytheus.shards.merge_rules import includes_dead, merge_rule_of, series_size
from pytheus.shards.merged_family import MergedFamily
from pytheus.shards.registry import ShardedRegistry
from pytheus.shards.snapshot import ShardIdentity, Snapshot
from pytheus.shards.store import (
    Batching,
    FlushOnRelease,
    ForkAware,
    HasClock,
    HasCollectors,
    HasHealth,
    Reading,
    RetiresRows,
    ShardStore,
)

__all__ = [
    "MAX_DEAD_VALUES",
    "MAX_RECORD_BYTES",
    "Archive",
    "Batching",
    "EndedRow",
    "EndedRows",
    "Failure",
    "FixedRows",
    "FlushOnRelease",
    "ForkAware",
    "HasClock",
    "HasCollectors",
    "HasHealth",
    "LabelBlocks",
    "Layout",
    "LayoutReader",
    "MemoryBackend",
    "MemoryShardStore",
    "MergeRule",
    "MergedFamily",
    "Merger",
    "Reading",
    "RetiresRows",
    "SeriesEntry",
    "ShardFormatError",
    "ShardHealth",
    "ShardIdentity",
    "ShardStore",
    "ShardStoreError",
    "ShardedRegistry",
    "Snapshot",
    "age_time",
    "combined_rows",
    "encode_definition",
    "encode_exemplar",
    "encode_filler",
    "encode_info",
    "encode_layout",
    "encode_removal",
    "encode_series",
    "encode_series_run",
    "encode_several_series",
    "encode_start_time",
    "fold",
    "includes_dead",
    "merge_rule_of",
    "notice_c_fork",
    "run_after_fork_in_child",
    "series_size",
    "watch_c_forks",
]
