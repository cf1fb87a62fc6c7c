"""A store of shards in this process's memory: for tests, and as the example of how one is written."""

from __future__ import annotations

from pytheus.shards.archive import Archive
from pytheus.shards.identity import ShardIdentity
from pytheus.shards.snapshot import Snapshot

__all__ = ["MemoryShardStore", "Shelf"]


class Shelf:
    """What several stores share: shards and an archive, as a directory or a server would hold them."""

    def __init__(self) -> None:
        self.shards: dict[str, Snapshot] = {}
        self.archive = Archive()


class MemoryShardStore:
    """One process's access to a shelf, though all are in one process here."""

    def __init__(self, shelf: Shelf | None = None, identity: ShardIdentity | None = None) -> None:
        self.shelf = Shelf() if shelf is None else shelf
        self.identity = ShardIdentity.of_this_process() if identity is None else identity
