"""Brings the numbers of all shards together."""

from __future__ import annotations

from collections.abc import Sequence

from pytheus.definitions import Definition
from pytheus.shards.archive import Archive
from pytheus.shards.merged import MergedFamily
from pytheus.shards.snapshot import Snapshot

__all__ = ["Merger"]


class Merger:
    """Merges shards, scrape after scrape, and keeps what it found out about their layouts.

    `hosts` says that the shards are of several machines: gauges of the mode "each" then have a label `host` besides
    `pid`. Not to be used by two threads at once.
    """

    def __init__(self, *, hosts: bool = False) -> None:
        self._hosts = hosts

    def merge(
        self, snapshots: Sequence[Snapshot], archive: Archive, *, local: Sequence[Definition] = ()
    ) -> list[MergedFamily]:
        """The families of all `snapshots` and `archive`, none of which exposes a name of another.

        Those of `local` come first, in that order, also without series; the others follow by name. Where two processes
        have defined a name differently, `local` decides, then the newest shard; `conflicts` tells what was left out.
        """
        raise NotImplementedError

    @property
    def conflicts(self) -> Sequence[tuple[Definition, Definition]]:
        """What the last merge left out: the definition exposed, and the one that was not."""
        raise NotImplementedError
