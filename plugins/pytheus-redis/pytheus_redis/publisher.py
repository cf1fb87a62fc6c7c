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
from typing import Final, NamedTuple
from zlib import crc32

from pytheus.registry import HasRows
from pytheus.shards import ShardIdentity, Snapshot
from pytheus_redis.client import Answer, Call, Client, text_of, unexpected
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.keys import Keys, ShardKeys
from pytheus_redis.options import RedisOptions
from pytheus_redis.previous_shards import LIVE, PreviousShard, Publication, base_for
from pytheus_redis.script_parts import Script
from pytheus_redis.scripts import COMMIT, DROP, INSPECT, PREPARE, PUBLISH, STAGE
from pytheus_redis.shard_mirror import Delta, ShardMirror, packed

__all__ = ["Check", "Publisher"]

_STAGED_MS: Final = 600_000
_MAX_TRIES: Final = 8
_MAX_FOLDED_KEPT: Final = 4


class Check(NamedTuple):
    """The lengths of a shard's parts in bytes, and their checksums; the text is in the key "about"."""

    index_bytes: int
    numbers_bytes: int
    base_bytes: int
    numbers_crc: int
    base_crc: int
    identity_crc: int

    def text(self) -> str:
        """The text in Redis, whose beginning the scripts read."""
        sizes = f"{self.index_bytes} {self.numbers_bytes} {self.base_bytes}"
        return f"{sizes} {self.numbers_crc:08x} {self.base_crc:08x} {self.identity_crc:08x}"

    @classmethod
    def parse(cls, text: str) -> Check:
        """The check of such a text; raises `ValueError`."""
        sizes, checksums = text.split(" ")[:3], text.split(" ")[3:]
        if len(checksums) != 3:
            raise ValueError(f"its check is damaged: {text!r}")
        return cls(*map(int, sizes), *(int(each, 16) for each in checksums))


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

    def _new_identity(self) -> ShardIdentity:
        self._begun += 1
        return ShardIdentity.of_this_process()._replace(token=f"{self._token_prefix}{self._begun:x}")

    @property
    def own(self) -> list[ShardKeys]:
        """The shards of this process that Redis may have."""
        return [previous.keys for previous in self._all_shards()]

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
        if shard is not None and (shard.mirror.is_wasteful or shard.keys.token == self._damaged):
            self._retire(shard)
            shard = None
        if shard is None or not self._send(shard):
            self._begin(collectors, last=last)
            return
        deltas = shard.mirror.update(collectors)
        if deltas:
            shard.count += 1
            shard.pending = Publication(str(shard.count), deltas)
            published = self._send(shard, last=last)
        else:  # a heartbeat alone
            published = self._run(shard, shard.acknowledged, shard.check, [""], last=last)
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
        """Send the pending publication; False if Redis does not have the shard any more."""
        publication = shard.pending
        if publication is None:
            return True
        deltas = publication.deltas
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
        if not self._run(shard, publication.attempt, check, arguments, last=last):
            return False
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
        self, shard: _CurrentShard, attempt: str, check: Check, arguments: Sequence[str | bytes | int], *, last: bool
    ) -> bool:
        """Make a publication visible; False if Redis does not have the shard any more."""
        sent_at = time.monotonic()
        expiry_ms = int(self._options.expiry_seconds * 1000)
        further = [check.text(), shard.prepared, "1" if last else "0", expiry_ms, *arguments]
        try:
            now_ms = self._ask(shard, PUBLISH, attempt, further)
        except RedisStoreError as error:
            shard.maybe_applied = shard.maybe_applied or error.maybe_applied
            raise
        if now_ms is None:
            return False
        shard.heartbeat_ms = now_ms
        self.heard_at = sent_at
        return True

    def _ask(
        self, shard: _CurrentShard, script: Script, attempt: str, further: Sequence[str | bytes | int]
    ) -> int | None:
        """Redis's time; None if it does not have the shard any more, which is retired then."""
        keys, own = self._keys, shard.keys
        names = (keys.state, keys.shards, keys.archive, keys.folded, *own.all)
        known = (shard.epoch, own.token, shard.acknowledged, attempt, shard.check.text(), *shard.lengths())
        verdict, now_ms, _ = _verdict(script, self._client.run(Call(script, names, (*known, *further))))
        if verdict != "ok":
            self._retire(shard)
            return None
        return now_ms

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
            check = Check(
                *(index_bytes, 8 * len(mirror.numbers), len(packed_base)),
                *(crc32(packed(mirror.numbers)), crc32(packed_base), crc32(about)),
            )
            shard = self._commit(own, mirror, parts, (about, packed_base, check), epoch, now_ms, statuses, last=last)
            if shard is not None:
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
        """Replace previous shards by the staged one; None if they changed meanwhile."""
        keys, options = self._keys, self._options
        about, base, check = content
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes, *own.all]
        new_epoch = epoch or os.urandom(8).hex()
        arguments: list[str | bytes | int] = [epoch, new_epoch, own.token, "0", parts, about, base]
        arguments += ["1" if last else "0", int(options.remember_seconds * 1000), int(options.expiry_seconds * 1000)]
        arguments.append(check.text())
        for previous, status in zip(self._previous, statuses, strict=True):
            names += previous.keys.all
            arguments += [previous.keys.token, status]
        sent_at = time.monotonic()
        try:
            verdict, now_ms, replaced = _verdict(COMMIT, self._client.run(Call(COMMIT, names, arguments)))
        except RedisStoreError as error:
            if error.maybe_applied:
                # It may exist now, or arrive later; the next shard replaces it in either case.
                self._previous.append(PreviousShard(own, mirror, new_epoch, inspected_ms, acknowledged="0"))
            raise
        if verdict == "unstaged":
            raise _unstaged()
        if verdict != "ok":
            return None
        self.heard_at = sent_at
        self.replaced += replaced
        return _CurrentShard(own, mirror, new_epoch, now_ms, check)

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
