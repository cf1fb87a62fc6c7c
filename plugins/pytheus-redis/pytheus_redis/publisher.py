"""Publishes this process's numbers to Redis: changes, or everything if necessary.

Rules:

- Numbers are absolute, so that sending them twice changes nothing; and each publication has a name, so that one that
  arrives late changes nothing either.
- A publication is sent until it is acknowledged, and the metrics are not read meanwhile. So the fate of at most one
  publication is unknown.
- If Redis has lost something (it was emptied, or a replica that lagged behind has taken over), or has folded the shard,
  a new shard begins with everything. Its parts are staged, where no reader sees them, and then replace the previous
  shard in one step.

One thread uses a publisher. It does not retry by itself: the next call does.
"""

from __future__ import annotations

import dataclasses
import json
import os
from array import array
from collections.abc import Sequence
from typing import Final

from pytheus.registry import HasRows
from pytheus.shards import ShardIdentity, Snapshot
from pytheus_redis.client import Answer, Call, Client, text_of, unexpected
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.keys import Keys, ShardKeys
from pytheus_redis.options import RedisOptions
from pytheus_redis.previous_shards import LIVE, PreviousShard, Publication, base_for
from pytheus_redis.scripts import COMMIT, DROP, INSPECT, PUBLISH, STAGE, Script
from pytheus_redis.shard_mirror import ShardMirror, packed

__all__ = ["Publisher"]

_STAGED_MS: Final = 600_000
_MAX_TRIES: Final = 8
_MAX_FOLDED_KEPT: Final = 4


@dataclasses.dataclass(slots=True, eq=False)
class _CurrentShard:
    """The shard in Redis, as far as this process knows."""

    keys: ShardKeys
    mirror: ShardMirror
    epoch: str
    heartbeat_ms: int
    acknowledged: str = "0"
    filled: frozenset[str] = frozenset()
    """Those of "index", "numbers" and "base" that exist; a server may evict one of them."""
    count: int = 0
    queue: list[Publication] = dataclasses.field(default_factory=list)
    maybe_applied: bool = False
    """Whether the first of the queue was sent, and it is unknown whether it arrived."""

    def as_previous(self) -> PreviousShard:
        state = (self.keys, self.mirror, self.epoch, self.heartbeat_ms)
        return PreviousShard(*state, self.acknowledged, tuple(self.queue), self.maybe_applied)


class Publisher:
    """Writes this process's shard."""

    def __init__(self, client: Client, keys: Keys, options: RedisOptions) -> None:
        self._client: Final = client
        self._keys: Final = keys
        self._options: Final = options
        # The tokens of all shards of this process have one prefix, so that it recognizes shards that it has forgotten.
        self._token_prefix: Final = ShardIdentity.of_this_process().token + "-"
        self._begun = 0
        self.identity: ShardIdentity = self._new_identity()
        self._shard: _CurrentShard | None = None
        self._previous: list[PreviousShard] = []
        """The oldest first."""

    def _new_identity(self) -> ShardIdentity:
        self._begun += 1
        return ShardIdentity.of_this_process()._replace(token=f"{self._token_prefix}{self._begun:x}")

    @property
    def own(self) -> list[ShardKeys]:
        """The shards of this process that Redis may have."""
        return [previous.keys for previous in self._all_shards()]

    def publish(self, collectors: Sequence[HasRows], *, last: bool = False) -> None:
        """Send the numbers of `collectors` to Redis; `last` says that the process ends.

        One round trip if less than half a megabyte has changed. Raises `RedisStoreError`.
        """
        shard = self._shard
        if shard is not None and shard.mirror.is_wasteful:
            self._retire(shard)
            shard = None
        if shard is None or not self._send(shard):
            self._begin(collectors, last=last)
            return
        for delta in shard.mirror.update(collectors):
            shard.count += 1
            shard.queue.append(Publication(str(shard.count), delta))
        if shard.queue:
            published = self._send(shard, last=last)
        else:  # a heartbeat alone
            published = self._run(shard, shard.acknowledged, [""], last=last)
        if not published:
            self._begin(collectors, last=last)

    def snapshot(self, collectors: Sequence[HasRows], statuses: Sequence[str], epoch: str, now_ms: int) -> Snapshot:
        """This process's present numbers, to be shown instead of the ones in Redis.

        `statuses` are those of the shards in `own`, as `INSPECT` and `LIST` tell them.
        """
        mirror = ShardMirror()
        mirror.update(collectors)
        base = self._base(mirror, self._all_shards(), statuses, epoch, now_ms)
        return Snapshot(self.identity, True, mirror.layout, mirror.numbers, base)

    # Changes ----------------------------------------------------------------------------------------------------------

    def _send(self, shard: _CurrentShard, *, last: bool = False) -> bool:
        """Send the queue; False if Redis does not have the shard any more."""
        queue = shard.queue
        while queue:
            attempt, delta = queue[0]
            if not self._run(shard, attempt, delta.arguments(), last=last and len(queue) == 1):
                return False
            shard.acknowledged = attempt
            shard.maybe_applied = False
            shard.filled |= delta.fills
            del queue[0]
        return True

    def _run(self, shard: _CurrentShard, attempt: str, arguments: Sequence[str | bytes | int], *, last: bool) -> bool:
        keys, own = self._keys, shard.keys
        call = Call(
            PUBLISH,
            (keys.state, keys.shards, keys.archive, keys.folded, own.about, own.index, own.numbers, own.base),
            (
                *(shard.epoch, own.token, shard.acknowledged, attempt, "1" if last else "0"),
                *(int(self._options.expiry_seconds * 1000), len(shard.filled)),
                *arguments,
            ),
        )
        try:
            verdict, now_ms = _verdict(PUBLISH, self._client.run(call))
        except RedisStoreError as error:
            shard.maybe_applied = shard.maybe_applied or error.maybe_applied
            raise
        if verdict != "ok":
            self._retire(shard)
            return False
        shard.heartbeat_ms = now_ms
        return True

    # Everything -------------------------------------------------------------------------------------------------------

    def _retire(self, shard: _CurrentShard) -> None:
        self._previous.append(shard.as_previous())
        self._shard = None

    def _all_shards(self) -> list[PreviousShard]:
        shard = self._shard
        return self._previous if shard is None else [*self._previous, shard.as_previous()]

    def _begin(self, collectors: Sequence[HasRows], *, last: bool) -> None:
        """Begin a new shard with everything, in place of all previous ones."""
        epoch, now_ms, statuses = self._inspect()
        identity = self._new_identity()
        own = self._keys.shard(identity.token)
        mirror = ShardMirror()
        try:
            parts, filled = self._stage(own, mirror, collectors)
        except RedisStoreError as error:
            if error.reason == "full":
                # Otherwise the staged parts of each attempt would take memory from all others until they expire.
                self._client.run(Call(DROP, (own.about, own.index, own.numbers), ()))
            raise
        for _ in range(_MAX_TRIES):
            base = self._base(mirror, self._previous, statuses, epoch, now_ms)
            mirror.reuses_offsets = base is None
            shard = self._commit(own, identity, mirror, parts, base, epoch, now_ms, statuses, last=last)
            if shard is not None:
                shard.filled = filled if base is None else filled | {"base"}
                self.identity = identity
                self._shard = shard
                self._previous = [
                    previous
                    for previous, status in zip(self._previous, statuses, strict=True)
                    if previous.was_folded(status, epoch, now_ms, self._options.remember_seconds)
                ][-_MAX_FOLDED_KEPT:]
                return
            epoch, now_ms, statuses = self._inspect()
        raise RedisStoreError(
            "data", f"this process's previous shards changed {_MAX_TRIES} times while a new one was to replace them"
        )

    def _inspect(self) -> tuple[str, int, list[str]]:
        """The epoch, Redis's time, and the statuses; adds forgotten shards to `_previous`."""
        keys, previous = self._keys, self._previous
        answer = self._client.run(
            Call(
                INSPECT,
                (keys.state, keys.shards, keys.archive, keys.folded),
                [self._token_prefix, *(each.keys.token for each in previous)],
            )
        )
        if isinstance(answer, list) and len(answer) == 3 + len(previous):
            epoch, now_ms, forgotten, *statuses = answer
            if isinstance(now_ms, int) and isinstance(forgotten, list):
                self._previous[:0] = [
                    PreviousShard(keys.shard(text_of(token)), ShardMirror(), text_of(epoch), now_ms)
                    for token in forgotten
                ]
                return text_of(epoch), now_ms, [LIVE] * len(forgotten) + [text_of(status) for status in statuses]
        raise unexpected(INSPECT, answer)

    def _stage(self, own: ShardKeys, mirror: ShardMirror, collectors: Sequence[HasRows]) -> tuple[int, frozenset[str]]:
        """Store everything in invisible parts; returns their count, and the keys made."""
        index_bytes = parts = 0
        filled: frozenset[str] = frozenset()
        for delta in mirror.update(collectors):
            parts += 1
            arguments = [parts, _STAGED_MS, index_bytes, *delta.arguments()]
            if text_of(self._client.run(Call(STAGE, (own.about, own.index, own.numbers), arguments))) != "ok":
                raise _unstaged()
            index_bytes += sum(len(record) for record in delta.records)
            filled |= delta.fills
        return parts, filled

    def _commit(
        self,
        own: ShardKeys,
        identity: ShardIdentity,
        mirror: ShardMirror,
        parts: int,
        base: array[float] | None,
        epoch: str,
        inspected_ms: int,
        statuses: Sequence[str],
        *,
        last: bool,
    ) -> _CurrentShard | None:
        """Replace previous shards by the staged one; None if they changed meanwhile."""
        keys, options = self._keys, self._options
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes]
        names += [own.about, own.index, own.numbers, own.base]
        new_epoch = epoch or os.urandom(8).hex()
        about = json.dumps([identity.host, identity.pid, identity.started_ns])
        arguments: list[str | bytes | int] = [epoch, new_epoch, identity.token, "0", parts, about]
        arguments += [b"" if base is None else packed(base), "1" if last else "0"]
        arguments += [int(options.remember_seconds * 1000), int(options.expiry_seconds * 1000)]
        for previous, status in zip(self._previous, statuses, strict=True):
            replaced = previous.keys
            names += [replaced.about, replaced.index, replaced.numbers, replaced.base]
            arguments += [replaced.token, status]
        try:
            verdict, now_ms = _verdict(COMMIT, self._client.run(Call(COMMIT, names, arguments)))
        except RedisStoreError as error:
            if error.maybe_applied:
                # It may exist now, or arrive later; the next shard replaces it in either case.
                self._previous.append(PreviousShard(own, mirror, new_epoch, inspected_ms, acknowledged="0"))
            raise
        if verdict == "unstaged":
            raise _unstaged()
        return _CurrentShard(own, mirror, new_epoch, now_ms) if verdict == "ok" else None

    def _base(
        self,
        mirror: ShardMirror,
        shards: Sequence[PreviousShard],
        statuses: Sequence[str],
        epoch: str,
        now_ms: int,
    ) -> array[float] | None:
        for previous, status in zip(reversed(shards), reversed(statuses), strict=True):
            if previous.was_folded(status, epoch, now_ms, self._options.remember_seconds):
                return base_for(mirror, previous)
        return None


def _verdict(script: Script, answer: Answer) -> tuple[str, int]:
    """The word and the time that a script answered."""
    if isinstance(answer, list) and len(answer) >= 2 and isinstance(answer[1], int):
        return text_of(answer[0]), answer[1]
    raise unexpected(script, answer)


def _unstaged() -> RedisStoreError:
    return RedisStoreError("data", "parts of a shard that was to be published were deleted")
