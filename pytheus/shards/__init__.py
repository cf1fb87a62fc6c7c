"""Several processes as one: what registry plugins for many processes and many machines are made of.

Every process owns a *shard*, its own cumulative numbers, written by nobody else. A scrape merges all shards with the
*archive*, which is what dead processes' shards left. A plugin writes a `ShardStore`, which says where shards are kept;
`ShardedRegistry` makes a registry of it. See docs/explanation/shards.md.
"""

from pytheus.exceptions import ShardFormatError
from pytheus.kinds import MergeRule
from pytheus.shards.archive import EACH_AT_MOST, Archive, fold
from pytheus.shards.combining import includes_dead, merge_rule_of, size_of
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.layout import Layout, Slot
from pytheus.shards.memory_store import MemoryShardStore, Shelf
from pytheus.shards.merged import MergedFamily
from pytheus.shards.merger import Merger
from pytheus.shards.records import (
    RECORD_BYTES_AT_MOST,
    LayoutReader,
    encode_definition,
    encode_exemplar,
    encode_facts,
    encode_forget,
    encode_layout,
    encode_series,
)
from pytheus.shards.registry import ShardedRegistry
from pytheus.shards.snapshot import Problem, Reading, Snapshot
from pytheus.shards.store import FlushOnRelease, ForkAware, HasCollectors, ShardStore

__all__ = [
    "EACH_AT_MOST",
    "RECORD_BYTES_AT_MOST",
    "Archive",
    "ForkAware",
    "Layout",
    "LayoutReader",
    "MemoryShardStore",
    "MergedFamily",
    "Merger",
    "Problem",
    "Reading",
    "FlushOnRelease",
    "ShardFormatError",
    "ShardIdentity",
    "ShardStore",
    "ShardedRegistry",
    "Shelf",
    "Slot",
    "Snapshot",
    "HasCollectors",
    "MergeRule",
    "includes_dead",
    "encode_definition",
    "encode_exemplar",
    "encode_facts",
    "encode_forget",
    "encode_layout",
    "encode_series",
    "fold",
    "size_of",
    "merge_rule_of",
]
