"""The names of the keys in Redis, and the content of each.

All keys of a namespace share one hash tag, so that they are in one cluster slot and one script may use all of them.
The 1 is the format's version: another format has other keys, and neither version sees those of the other.

    pytheus1:{shop}:state            hash: epoch, archive (its version), moves (the shard that numbers last moved to),
                                     since (the first heartbeat after a silence of all, ms)
    pytheus1:{shop}:shards           sorted set: a shard's token, and its last heartbeat (ms, Redis's clock)
    pytheus1:{shop}:archive          the sums of dead shards, as `pytheus.shards` encodes them
    pytheus1:{shop}:folded           hash: by the token of a folded shard, the last attempt that it contained
    pytheus1:{shop}:notes            sorted set: those tokens, and until when they are kept (ms)
    pytheus1:{shop}:about:TOKEN      hash: identity, attempt (the last publication that was applied), check (see
                                     `check.Check`), staged (the last part of a publication that is not complete)
    pytheus1:{shop}:index:TOKEN      the shard's layout, as records
    pytheus1:{shop}:numbers:TOKEN    its numbers, as little-endian doubles
    pytheus1:{shop}:base:TOKEN       the part of its numbers that the archive contains already; most shards have none
    pytheus1:{shop}:next:TOKEN       its numbers with the parts of a large publication that is not complete yet
"""

from __future__ import annotations

from typing import Final

__all__ = ["ENDED", "MAX_NAMESPACE_CHARACTERS", "Keys", "ShardKeys"]

MAX_NAMESPACE_CHARACTERS: Final = 100

ENDED: Final = "-ended"
"""The end of the token of a shard of series that have ended, while their process lives; see `ended_shard`."""


class ShardKeys:
    """The keys of one shard."""

    __slots__ = ("about", "base", "index", "next", "numbers", "token")

    def __init__(self, head: str, token: str) -> None:
        self.token: str = token
        self.about: str = f"{head}about:{token}"
        self.index: str = f"{head}index:{token}"
        self.numbers: str = f"{head}numbers:{token}"
        self.base: str = f"{head}base:{token}"
        self.next: str = f"{head}next:{token}"

    @property
    def all(self) -> tuple[str, ...]:
        """All keys, in the order in which the scripts take them."""
        return self.about, self.index, self.numbers, self.base, self.next


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
