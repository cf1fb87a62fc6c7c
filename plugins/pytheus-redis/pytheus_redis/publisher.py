"""Publishes this process's numbers to Redis: changes, or everything if necessary.

Rules:

- Numbers are absolute, so that sending them twice changes nothing; and each publication has a name, so that one that
  arrives late changes nothing either.
- A publication is sent until it is acknowledged, and the metrics are not read meanwhile. So the fate of at most one
  publication is unknown.
- A message has half a megabyte. A publication that needs several is prepared where no reader sees it, and the last
  message makes all of it visible in one step, so that no family is ever part old and part new.
- A check is stored with a shard: how long its parts are, and their checksums. A reader that finds something else tells
  it and shows the others; this process sends everything again when it finds other lengths.
- If Redis has lost something (it was emptied, or a replica that lagged behind has taken over), or has folded the shard,
  a new shard begins with everything. Its parts are staged, where no reader sees them, and then replace the previous
  shard in one step.

One thread uses a publisher. It does not retry by itself: the next call does.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from array import array
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from pytheus.registry import HasRows
from pytheus.shards import ShardIdentity, Snapshot
from pytheus_redis.check import Check
from pytheus_redis.client import Answer, Call, Client, text_of, unexpected
from pytheus_redis.ended_shard import EndedShard, LeavingRows
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.keys import Keys, ShardKeys
from pytheus_redis.options import RedisOptions
from pytheus_redis.previous_shards import ABSENT, LIVE, PreviousShard, Publication, base_for
from pytheus_redis.script_parts import Script
from pytheus_redis.scripts import COMMIT, DROP, INSPECT, PREPARE, PUBLISH, RETIRE, STAGE
from pytheus_redis.shard_mirror import Delta, ShardMirror, packed

__all__ = ["Publisher"]

_STAGED_MS: Final = 600_000
_MAX_TRIES: Final = 8
_MAX_FOLDED_KEPT: Final = 4
_ENDED_KEPT_MS: Final = 60_000


@dataclasses.dataclass(slots=True, eq=False)
class _CurrentShard:
    """The shard in Redis, as far as this process knows."""

    keys: ShardKeys
    mirror: ShardMirror
    epoch: str
    heartbeat_ms: int
    check: Check
    """As of the last publication that was acknowledged."""
    acknowledged: str = "0"
    count: int = 0
    pending: Publication | None = None
    prepared: int = 0
    """How many deltas of the pending publication are prepared."""
    prepared_index_bytes: int = 0
    next_bytes: int = 0
    base: array[float] | None = None
    maybe_applied: bool = False
    """Whether the pending publication was sent, and it is unknown whether it arrived."""

    def as_previous(self) -> PreviousShard:
        state = (self.keys, self.mirror, self.epoch, self.heartbeat_ms)
        return PreviousShard(*state, self.acknowledged, self.pending, self.maybe_applied)

    def lengths(self) -> tuple[int, int, int, int]:
        """How long index, numbers, base and next are in Redis."""
        check = self.check
        return (
            check.index_bytes + self.prepared_index_bytes,
            check.numbers_bytes,
            check.base_bytes,
            self.next_bytes,
        )


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
        self.heard_at: float = 0.0
        """When the last publication that arrived was sent, by `time.monotonic`."""
        self.replaced: list[str] = []
        """The keys that held something else and were replaced, since this was emptied."""
        self._damaged = ""
        self._shard: _CurrentShard | None = None
        self._previous: list[PreviousShard] = []
        """The oldest first."""
        self._ended: list[EndedShard] = []
        """Those that may have arrived, and the latest that have."""

    def _new_identity(self) -> ShardIdentity:
        self._begun += 1
        return ShardIdentity.of_this_process()._replace(token=f"{self._token_prefix}{self._begun:x}")

    @property
    def own(self) -> list[ShardKeys]:
        """The shards of this process that Redis may have."""
        return [previous.keys for previous in self._all_shards()]

    @property
    def in_doubt(self) -> list[ShardKeys]:
        """The shards of ended series of which it is not known whether Redis has them."""
        return [ended.keys for ended in self._in_doubt()]

    def _in_doubt(self) -> list[EndedShard]:
        return [ended for ended in self._ended if not ended.has_arrived]

    def tokens(self) -> list[str]:
        """The tokens of those shards; from any thread."""
        shard = self._shard
        tokens = [previous.keys.token for previous in list(self._previous)]
        return tokens if shard is None else [*tokens, shard.keys.token]

    def replace(self, token: str) -> None:
        """Begin a new shard instead of that one with the next publication; from any thread."""
        self._damaged = token

    def publish(self, collectors: Sequence[HasRows], *, last: bool = False) -> None:
        """Send the numbers of `collectors` to Redis; `last` says that the process ends.

        One round trip if less than half a megabyte has changed. Raises `RedisStoreError`.
        """
        shard = self._shard
        if shard is not None and not self._send(shard):
            shard = None
        if shard is not None and (shard.mirror.is_wasteful or shard.keys.token == self._damaged):
            self._retire(shard)
            shard = None
        if shard is None:
            self._begin(collectors, last=last)
            return
        now_ms = shard.heartbeat_ms
        self._ended = [
            each for each in self._ended if not each.has_arrived or now_ms - each.heartbeat_ms < _ENDED_KEPT_MS
        ]
        leaving = LeavingRows(shard.mirror)
        deltas = shard.mirror.update(collectors, leaving.living)
        if deltas or leaving.rows:
            shard.count += 1
            ended = EndedShard.of(leaving, self._keys, shard.base, shard.epoch, now_ms) if leaving.rows else None
            shard.pending = Publication(str(shard.count), deltas, ended)
            published = self._send(shard, last=last)
        else:  # a heartbeat alone
            published = self._run(shard, shard.acknowledged, shard.check, [""], last=last)
        if not published:
            self._begin(collectors, last=last)

    def snapshot(self, collectors: Sequence[HasRows], statuses: Sequence[str], epoch: str, now_ms: int) -> Snapshot:
        """This process's present numbers, to be shown instead of the ones in Redis.

        `statuses` are those of the shards in `own` and in `in_doubt`, as `INSPECT` and `LIST` tell them.
        """
        own = self._all_shards()
        for ended, status in zip(self._in_doubt(), statuses[len(own) :], strict=True):
            if status != ABSENT:
                self._arrived(ended)
        mirror = ShardMirror()
        mirror.update(collectors)
        base = self._base(mirror, own, statuses[: len(own)], epoch, now_ms)
        return Snapshot(self.identity, True, mirror.layout, mirror.numbers, base)

    # Changes ----------------------------------------------------------------------------------------------------------

    def _send(self, shard: _CurrentShard, *, last: bool = False) -> bool:
        """Send the pending publication; False if Redis does not have the shard any more."""
        publication = shard.pending
        if publication is None:
            return True
        deltas, ended = publication.deltas, publication.ended
        if ended is not None and not ended.is_staged:
            self._stage_ended(ended)
        arguments: list[str | bytes | int] = [""]
        if len(deltas) == 1:
            arguments = deltas[0].arguments()
        else:
            while shard.prepared < len(deltas):
                if not self._prepare(shard, publication.attempt, deltas[shard.prepared]):
                    return False
        mirror, before = shard.mirror, shard.check
        check = before._replace(
            index_bytes=before.index_bytes + sum(delta.record_bytes for delta in deltas),
            numbers_bytes=8 * len(mirror.numbers),
            numbers_crc=crc32(packed(mirror.numbers)),
        )
        if not self._run(shard, publication.attempt, check, arguments, last=last, ended=ended):
            return False
        if ended is not None:
            self._arrived(ended)
        shard.check = check
        shard.acknowledged = publication.attempt
        shard.maybe_applied = False
        shard.pending = None
        shard.prepared = shard.prepared_index_bytes = shard.next_bytes = 0
        return True

    def _prepare(self, shard: _CurrentShard, attempt: str, delta: Delta) -> bool:
        """Store a part of a publication that is not visible yet; False as for `_run`."""
        part = shard.prepared + 1
        if self._ask(shard, PREPARE, attempt, [part, _STAGED_MS, *delta.arguments()]) is None:
            return False
        shard.next_bytes = max(shard.next_bytes, delta.end_bytes, shard.check.numbers_bytes)
        shard.prepared_index_bytes += delta.record_bytes
        shard.prepared = part
        return True

    def _run(
        self,
        shard: _CurrentShard,
        attempt: str,
        check: Check,
        arguments: Sequence[str | bytes | int],
        *,
        last: bool,
        ended: EndedShard | None = None,
    ) -> bool:
        """Make a publication visible; False if Redis does not have the shard any more."""
        sent_at = time.monotonic()
        expiry_ms = int(self._options.expiry_seconds * 1000)
        further: list[str | bytes | int] = [check.text(), shard.prepared, "1" if last else "0", expiry_ms]
        try:
            if ended is None:
                now_ms = self._ask(shard, PUBLISH, attempt, [*further, *arguments])
            else:
                now_ms = self._ask(shard, RETIRE, attempt, [*further, *ended.content, *arguments], ended)
        except RedisStoreError as error:
            shard.maybe_applied = shard.maybe_applied or error.maybe_applied
            raise
        if now_ms is None:
            return False
        shard.heartbeat_ms = now_ms
        self.heard_at = sent_at
        return True

    def _ask(
        self,
        shard: _CurrentShard,
        script: Script,
        attempt: str,
        further: Sequence[str | bytes | int],
        ended: EndedShard | None = None,
    ) -> int | None:
        """Redis's time; None if it does not have the shard any more, which is retired then."""
        keys, own = self._keys, shard.keys
        names = [keys.state, keys.shards, keys.archive, keys.folded, *own.all]
        if ended is not None:
            names += ended.keys.all[:4]
        known = (shard.epoch, own.token, shard.acknowledged, attempt, shard.check.text(), *shard.lengths())
        verdict, now_ms, _ = _verdict(script, self._client.run(Call(script, names, (*known, *further))))
        if verdict == "unstaged" and ended is not None:
            ended.is_staged = False
            raise _unstaged()
        if verdict != "ok":
            self._retire(shard)
            return None
        return now_ms

    # Ended series -----------------------------------------------------------------------------------------------------

    def _stage_ended(self, ended: EndedShard) -> None:
        """Store the rows of ended series where no reader sees them."""
        own, mirror = ended.keys, ShardMirror()
        if ended.was_tried:
            self._client.run(Call(DROP, (own.about, own.index, own.numbers), ()))
        ended.was_tried = True
        parts, index_bytes = self._stage(own, mirror, ended.collectors())
        base, about = ended.base_in(mirror), ended.about()
        packed_base = b"" if base is None else packed(base)
        check = Check.of(index_bytes, mirror.numbers, packed_base, about)
        ended.content = [own.token, parts, about, packed_base, check.text()]
        ended.is_staged = True
        if ended not in self._ended:
            self._ended.append(ended)

    def _arrived(self, ended: EndedShard) -> None:
        ended.arrived()
        for previous in self._previous:
            previous.forget_base(ended)

    def _settle(self, statuses: Sequence[str], epoch: str, now_ms: int) -> None:
        """Take note of which shards of ended series Redis has, given their statuses."""
        remember_ms = self._options.remember_seconds * 1000
        for ended, status in zip(self._ended, statuses, strict=True):
            if status != ABSENT:
                if not ended.has_arrived:
                    self._arrived(ended)
            elif ended.has_arrived and epoch == ended.epoch and now_ms - ended.heartbeat_ms < remember_ms:
                # A server took over that did not have it yet.
                ended.restore()
        self._ended = [ended for ended, status in zip(self._ended, statuses, strict=True) if status != ABSENT]

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
            parts, index_bytes = self._stage(own, mirror, collectors)
        except RedisStoreError as error:
            if error.reason == "full":
                # Otherwise the staged parts of each attempt would take memory from all others until they expire.
                self._client.run(Call(DROP, (own.about, own.index, own.numbers), ()))
            raise
        for _ in range(_MAX_TRIES):
            base = self._base(mirror, self._previous, statuses, epoch, now_ms)
            mirror.reuses_offsets = base is None
            packed_base = b"" if base is None else packed(base)
            about = json.dumps([identity.host, identity.pid, identity.started_ns]).encode()
            check = Check.of(index_bytes, mirror.numbers, packed_base, about)
            shard = self._commit(own, mirror, parts, (about, packed_base, check), epoch, now_ms, statuses, last=last)
            if shard is not None:
                shard.base = base
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
        tokens = [each.keys.token for each in previous] + [each.keys.token for each in self._ended]
        names = (keys.state, keys.shards, keys.archive, keys.folded)
        answer = self._client.run(Call(INSPECT, names, [self._token_prefix, *tokens]))
        if isinstance(answer, list) and len(answer) == 3 + len(tokens):
            epoch, now_ms, forgotten, *answered = answer
            if isinstance(now_ms, int) and isinstance(forgotten, list):
                self._previous[:0] = [
                    PreviousShard(keys.shard(text_of(token)), ShardMirror(), text_of(epoch), now_ms)
                    for token in forgotten
                ]
                statuses = [LIVE] * len(forgotten) + [text_of(status) for status in answered]
                self._settle(statuses[len(previous) :], text_of(epoch), now_ms)
                return text_of(epoch), now_ms, statuses[: len(previous)]
        raise unexpected(INSPECT, answer)

    def _stage(self, own: ShardKeys, mirror: ShardMirror, collectors: Sequence[HasRows]) -> tuple[int, int]:
        """Store everything in invisible parts; returns their count, and the length of the index."""
        index_bytes = parts = 0
        for delta in mirror.update(collectors):
            parts += 1
            arguments = [parts, _STAGED_MS, index_bytes, *delta.arguments()]
            if text_of(self._client.run(Call(STAGE, (own.about, own.index, own.numbers), arguments))) != "ok":
                raise _unstaged()
            index_bytes += delta.record_bytes
        return parts, index_bytes

    def _commit(
        self,
        own: ShardKeys,
        mirror: ShardMirror,
        parts: int,
        content: tuple[bytes, bytes, Check],
        epoch: str,
        inspected_ms: int,
        statuses: Sequence[str],
        *,
        last: bool,
    ) -> _CurrentShard | None:
        """Replace previous shards by the staged one; None if they changed meanwhile, or if an epoch had to begin."""
        keys, options = self._keys, self._options
        about, base, check = content
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes, *own.all]
        arguments: list[str | bytes | int] = [epoch, os.urandom(8).hex(), own.token, "0", parts, about, base]
        arguments += ["1" if last else "0", int(options.remember_seconds * 1000), int(options.expiry_seconds * 1000)]
        arguments.append(check.text())
        for previous, status in zip(self._previous, statuses, strict=True):
            names += previous.keys.all
            arguments += [previous.keys.token, status]
        sent_at = time.monotonic()
        try:
            verdict, now_ms, replaced = _verdict(COMMIT, self._client.run(Call(COMMIT, names, arguments)))
        except RedisStoreError as error:
            if error.maybe_applied and epoch:
                # It may exist now, or arrive later; the next shard replaces it in either case.
                self._previous.append(PreviousShard(own, mirror, epoch, inspected_ms, acknowledged="0"))
            raise
        self.replaced += replaced
        if verdict == "unstaged":
            raise _unstaged()
        if verdict != "ok":
            return None
        self.heard_at = sent_at
        return _CurrentShard(own, mirror, epoch, now_ms, check)

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


def _verdict(script: Script, answer: Answer) -> tuple[str, int, list[str]]:
    """The word and the time that a script answered, and the keys that it replaced."""
    if isinstance(answer, list) and len(answer) >= 2 and isinstance(answer[1], int):
        replaced = answer[2] if len(answer) > 2 else []
        return text_of(answer[0]), answer[1], [text_of(key) for key in replaced] if isinstance(replaced, list) else []
    raise unexpected(script, answer)


def _unstaged() -> RedisStoreError:
    return RedisStoreError("data", "parts of a shard that was to be published were deleted")
