"""The names of the keys in Redis, and what each of them holds.

All keys of a namespace share one hash tag, so that they lie in one slot of a cluster and one script may touch them
all. The 1 is the format's version: one that stores something else calls its keys otherwise, and neither sees the other.

    pytheus1:{shop}:state            hash: epoch, archive (which version), moves (how often shards were replaced),
                                     since (when the first one was heard of after a silence, ms)
    pytheus1:{shop}:shards           sorted set: a shard's token, and when it was heard of last (ms, Redis's clock)
    pytheus1:{shop}:archive          what dead shards left, as `pytheus.shards` encodes it
    pytheus1:{shop}:folded           hash: by the token of a shard that was folded, the attempt that had been applied
    pytheus1:{shop}:notes            sorted set: those tokens, and until when they are kept (ms)
    pytheus1:{shop}:about:TOKEN      hash: identity, attempt (the last publication that was applied)
    pytheus1:{shop}:index:TOKEN      the shard's layout, as records
    pytheus1:{shop}:numbers:TOKEN    its numbers, as little-endian doubles
    pytheus1:{shop}:base:TOKEN       those of its numbers that are in the archive already; most shards have none
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_NAMESPACE_CHARACTERS", "Keys", "ShardKeys"]

MAX_NAMESPACE_CHARACTERS: Final = 100


class ShardKeys:
    """The keys of one shard."""

    __slots__ = ("about", "base", "index", "numbers", "token")

    def __init__(self, head: str, token: str) -> None:
        self.token: str = token
        self.about: str = f"{head}about:{token}"
        self.index: str = f"{head}index:{token}"
        self.numbers: str = f"{head}numbers:{token}"
        self.base: str = f"{head}base:{token}"


class Keys:
    """The keys of one namespace.

    >>> Keys("shop").state
    'pytheus1:{shop}:state'
    """

    __slots__ = ("_head", "archive", "folded", "notes", "shards", "state")

    def __init__(self, namespace: str) -> None:
        self._head = f"pytheus1:{{{namespace}}}:"
        self.state: str = f"{self._head}state"
        self.shards: str = f"{self._head}shards"
        self.archive: str = f"{self._head}archive"
        self.folded: str = f"{self._head}folded"
        self.notes: str = f"{self._head}notes"

    def shard(self, token: str) -> ShardKeys:
        """The keys of the shard `token`."""
        return ShardKeys(self._head, token)
