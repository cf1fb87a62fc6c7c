"""Brings this process's numbers to Redis: only what changed, and everything where that is not sure to be enough.

Rules:

- Numbers are absolute, so that sending them twice changes nothing, and each publication has a name, so that one that
  arrives late changes nothing either.
- A publication is sent until it is acknowledged, and nothing else is read from the metrics meanwhile. So at most one is
  under way whose fate is not known.
- Where Redis does not have what it should (it was emptied, or a replica that lagged behind has taken over), and where
  the shard was folded, a new shard is begun with everything. It is laid down in parts that nobody sees, and then takes
  the place of the former one in one step.

One thread uses a publisher, and nothing here tries again by itself: the next call does.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Sequence
from typing import Final

from pytheus.registry import HasRows
from pytheus.shards import ShardIdentity, Snapshot
from pytheus_redis.formers import LIVE, Former, Publication, base_for
from pytheus_redis.image import Image, packed
from pytheus_redis.keys import Keys, ShardKeys
from pytheus_redis.link import Answer, Call, Link
from pytheus_redis.options import RedisOptions
from pytheus_redis.scripts import COMMIT, DROP, INSPECT, PUBLISH, STAGE
from pytheus_redis.trouble import Trouble

__all__ = ["Publisher", "text_of"]

_STAGED_MS: Final = 600_000
_TRIES: Final = 8
_FOLDED_KEPT: Final = 4


def text_of(answer: Answer) -> str:
    """A word that Redis answered."""
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else ""


class _Shard:
    """The shard that stands in Redis, as far as this process knows."""

    __slots__ = ("acknowledged", "count", "epoch", "filled", "heard_ms", "image", "keys", "queue", "unsure")

    def __init__(
        self, keys: ShardKeys, image: Image, attempt: str, epoch: str, heard_ms: int, filled: frozenset[str]
    ) -> None:
        self.keys = keys
        self.image = image
        self.acknowledged = attempt
        self.epoch = epoch
        self.heard_ms = heard_ms
        self.filled = filled
        """Those of "index", "numbers" and "base" that there are; a server may have dropped one by itself."""
        self.count = 0
        self.queue: list[Publication] = []
        # Whether the first of them was sent, and nothing is known of what became of it.
        self.unsure = False

    def retired(self) -> Former:
        return Former(
            self.keys, self.image, self.acknowledged, self.queue, self.epoch, self.heard_ms, unsure=self.unsure
        )


class Publisher:
    """This process's side of its shard."""

    def __init__(self, link: Link, keys: Keys, options: RedisOptions) -> None:
        self._link: Final = link
        self._keys: Final = keys
        self._options: Final = options
        # All tokens of this process's shards begin alike, so that it finds those again that it forgot.
        self._lineage: Final = ShardIdentity.of_this_process().token + "-"
        self._begun = 0
        self.identity: ShardIdentity = self._new_identity()
        self._shard: _Shard | None = None
        self._formers: list[Former] = []
        """The oldest first."""

    def _new_identity(self) -> ShardIdentity:
        self._begun += 1
        return ShardIdentity.of_this_process()._replace(token=f"{self._lineage}{self._begun:x}")

    @property
    def own(self) -> list[ShardKeys]:
        """The shards that this process has or had, and that Redis may know."""
        return [former.keys for former in self._all_formers()]

    def publish(self, collectors: Sequence[HasRows], *, last: bool = False) -> None:
        """Let Redis have the numbers of `collectors` as they are now; `last` says that the process ends.

        One round trip where less than half a megabyte has changed. Raises `Trouble`.
        """
        shard = self._shard
        if shard is not None and shard.image.wasteful:
            self._retire(shard)
            shard = None
        if shard is None or not self._send(shard, last=False, beat=False):
            self._begin(collectors, last=last)
            return
        for piece in shard.image.gather(collectors):
            shard.count += 1
            shard.queue.append(Publication(str(shard.count), piece))
        if not self._send(shard, last=last, beat=True):
            self._begin(collectors, last=last)

    def snapshot(self, collectors: Sequence[HasRows], states: Sequence[str], epoch: str, now_ms: int) -> Snapshot:
        """This process's numbers as they are now, to be shown instead of what Redis has of them.

        `states` says what became of the shards in `own`, as `INSPECT` and `LIST` tell it.
        """
        image = Image()
        image.gather(collectors)
        base = self._base(image, self._all_formers(), states, epoch, now_ms)
        return Snapshot(self.identity, True, image.layout, image.numbers, base)

    # Changes ----------------------------------------------------------------------------------------------------------

    def _send(self, shard: _Shard, *, last: bool, beat: bool) -> bool:
        """Send what waits, or a heartbeat alone; False if the shard is none any more."""
        queue, beaten = shard.queue, False
        while queue:
            attempt, piece = queue[0]
            ends = last and len(queue) == 1
            if not self._run(shard, shard.acknowledged, attempt, ends, piece.arguments()):
                return False
            shard.acknowledged = attempt
            shard.unsure = False
            shard.filled |= piece.fills
            del queue[0]
            beaten = True
        if beat and not beaten:
            return self._run(shard, shard.acknowledged, shard.acknowledged, last, [""])
        return True

    def _run(
        self, shard: _Shard, before: str, attempt: str, last: bool, arguments: Sequence[str | bytes | int]
    ) -> bool:
        keys, own = self._keys, shard.keys
        call = Call(
            PUBLISH,
            (keys.state, keys.shards, keys.archive, keys.folded, own.about, own.index, own.numbers, own.base),
            (
                *(shard.epoch, own.token, before, attempt, "1" if last else "0"),
                *(int(self._options.expiry_seconds * 1000), len(shard.filled)),
                *arguments,
            ),
        )
        try:
            answer = self._link.run(call)
        except Trouble as trouble:
            shard.unsure = shard.unsure or trouble.unsure
            raise
        verdict, now_ms = _worded(answer)
        if verdict != "ok":
            self._retire(shard)
            return False
        shard.heard_ms = now_ms
        return True

    # Everything -------------------------------------------------------------------------------------------------------

    def _retire(self, shard: _Shard) -> None:
        self._formers.append(shard.retired())
        self._shard = None

    def _all_formers(self) -> list[Former]:
        shard = self._shard
        return self._formers if shard is None else [*self._formers, shard.retired()]

    def _begin(self, collectors: Sequence[HasRows], *, last: bool) -> None:
        epoch, now_ms, states = self._inspect()
        identity = self._new_identity()
        own = self._keys.shard(identity.token)
        image = Image()
        try:
            parts, filled = self._stage(own, image, collectors)
        except Trouble as trouble:
            if trouble.kind == "full":
                # Else each attempt would leave less room to everybody, until what it laid down expires.
                self._link.run(Call(DROP, (own.about, own.index, own.numbers), ()))
            raise
        for _ in range(_TRIES):
            base = self._base(image, self._formers, states, epoch, now_ms)
            image.reuses = base is None
            made = self._commit(own, identity, image, parts, base, epoch, now_ms, states, last=last)
            if made is not None:
                made.filled = filled if base is None else filled | {"base"}
                self.identity = identity
                self._shard = made
                self._formers = [
                    former
                    for former, state in zip(self._formers, states, strict=True)
                    if former.was_folded(state, epoch, now_ms, self._options.remember_seconds)
                ][-_FOLDED_KEPT:]
                return
            epoch, now_ms, states = self._inspect()
        raise Trouble(
            "data", f"this process's former shards changed {_TRIES} times while a new one was to replace them"
        )

    def _inspect(self) -> tuple[str, int, list[str]]:
        keys, formers = self._keys, self._formers
        answer = self._link.run(
            Call(
                INSPECT,
                (keys.state, keys.shards, keys.archive, keys.folded),
                [self._lineage, *(former.keys.token for former in formers)],
            )
        )
        if not (isinstance(answer, list) and len(answer) == 3 + len(formers)):
            raise Trouble("data", f"the script inspect answered {answer!r:.100}")
        epoch, now_ms, strays, *states = answer
        if not (isinstance(now_ms, int) and isinstance(strays, list)):
            raise Trouble("data", f"the script inspect answered {answer!r:.100}")
        self._formers[:0] = [
            Former(keys.shard(text_of(token)), Image(), "", (), text_of(epoch), now_ms, unsure=False)
            for token in strays
        ]
        return text_of(epoch), now_ms, [LIVE] * len(strays) + [text_of(state) for state in states]

    def _stage(self, own: ShardKeys, image: Image, collectors: Sequence[HasRows]) -> tuple[int, frozenset[str]]:
        length = parts = 0
        filled: frozenset[str] = frozenset()
        for piece in image.gather(collectors):
            parts += 1
            arguments = piece.arguments()
            answer = self._link.run(
                Call(STAGE, (own.about, own.index, own.numbers), (parts, _STAGED_MS, length, *arguments))
            )
            if text_of(answer) != "ok":
                raise Trouble("data", "parts of a shard that was to be published were gone again")
            length += sum(len(record) for record in piece.records)
            filled |= piece.fills
        return parts, filled

    def _commit(
        self,
        own: ShardKeys,
        identity: ShardIdentity,
        image: Image,
        parts: int,
        base: array[float] | None,
        epoch: str,
        inspected_ms: int,
        states: Sequence[str],
        *,
        last: bool,
    ) -> _Shard | None:
        keys = self._keys
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes]
        names += [own.about, own.index, own.numbers, own.base]
        about = json.dumps([identity.host, identity.pid, identity.started_ns])
        new_epoch = epoch or os.urandom(8).hex()
        ends = "1" if last else "0"
        remember_ms = int(self._options.remember_seconds * 1000)
        arguments: list[str | bytes | int] = [epoch, new_epoch, identity.token, "0", parts, about]
        arguments += [b"" if base is None else packed(base), ends, remember_ms]
        arguments.append(int(self._options.expiry_seconds * 1000))
        for former, state in zip(self._formers, states, strict=True):
            theirs = former.keys
            names += [theirs.about, theirs.index, theirs.numbers, theirs.base]
            arguments += [theirs.token, state]
        try:
            verdict, now_ms = _worded(self._link.run(Call(COMMIT, names, arguments)))
        except Trouble as trouble:
            if trouble.unsure:
                # It may stand now, or still come to stand; the next one will replace it either way.
                self._formers.append(Former(own, image, "0", (), new_epoch, inspected_ms, unsure=False))
            raise
        if verdict == "unstaged":
            raise Trouble("data", "parts of a shard that was to be published were gone again")
        return _Shard(own, image, "0", new_epoch, now_ms, frozenset()) if verdict == "ok" else None

    def _base(
        self, image: Image, formers: Sequence[Former], states: Sequence[str], epoch: str, now_ms: int
    ) -> array[float] | None:
        for former, state in zip(reversed(formers), reversed(states), strict=True):
            if former.was_folded(state, epoch, now_ms, self._options.remember_seconds):
                return base_for(image, former)
        return None


def _worded(answer: Answer) -> tuple[str, int]:
    if isinstance(answer, list) and len(answer) >= 2 and isinstance(answer[1], int):
        return text_of(answer[0]), answer[1]
    raise Trouble("data", f"a script answered {answer!r:.100}")
