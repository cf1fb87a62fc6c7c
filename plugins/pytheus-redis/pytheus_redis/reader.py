"""Reads all shards and the archive as of one moment, and folds dead shards.

Rules:

- A reading takes two round trips for any number of processes: the list of the shards, and then all shards at once. The
  end of the second tells whether shards were deleted or replaced in between; then everything is read again.
- Indexes only grow, so only their new part is read, and numbers only of shards that have published since.
- The process that reads also folds. It computes the new archive, and one script replaces the old one if nothing has
  changed that went into the new one. Otherwise nothing happens, and a later scrape tries again.

`fetch` waits for the network and changes nothing here, so that one thread may fetch while another takes in an earlier
answer.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.shards import Archive, Failure, LayoutReader, ShardFormatError, ShardIdentity, Snapshot, fold
from pytheus_redis.client import Answer, Call, Client, text_of, unexpected
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.keys import Keys, ShardKeys
from pytheus_redis.options import RedisOptions
from pytheus_redis.scripts import FOLD, LIST, READ, STATE
from pytheus_redis.shard_mirror import unpacked

__all__ = ["MAX_FOLDED_AT_ONCE", "Fetched", "Folding", "Reader", "View"]

MAX_FOLDED_AT_ONCE: Final = 500
"""How many shards one scrape folds at most, so that it does not take long; the others still count."""

_MAX_TRIES: Final = 10


class View(NamedTuple):
    """The content of Redis at one moment."""

    epoch: str
    now_ms: int
    snapshots: list[Snapshot]
    archive: Archive
    skipped: list[Failure]
    waiting: frozenset[str]
    """The tokens of shards that look dead, but get time to send a heartbeat before they are folded."""
    lost: list[str]
    """The tokens of dead shards without any data: their keys were evicted, or never existed."""


class _State(NamedTuple):
    epoch: str
    archive: str
    moves: str


class Fetched(NamedTuple):
    """The answers of Redis, to be taken in by `Reader.take`."""

    state: _State
    now_ms: int
    archive: Answer
    statuses: list[str]
    """The status of each of this process's shards, in the order asked."""
    heartbeats_ms: dict[str, float]
    """By token: the last heartbeat of the shard; 0 for a process that announced its end."""
    since_ms: float
    """The first heartbeat after a silence of all."""
    shards: dict[str, Answer]


class Folding(NamedTuple):
    """A step that replaces the archive and deletes shards."""

    call: Call
    archive: Archive
    version: str
    shards: int


class _KnownShard:
    """A shard as it was read last."""

    __slots__ = ("attempt", "base", "identity", "index_bytes", "numbers", "reader", "unreadable")

    def __init__(self, unreadable: str = "") -> None:
        self.attempt = b""
        self.identity: ShardIdentity | None = None
        self.reader = LayoutReader()
        self.index_bytes = 0
        self.numbers: array[float] = array("d")
        self.base: array[float] | None = None
        self.unreadable = unreadable
        """Why it could not be read, if it could not."""


class Reader:
    """Reads all processes' shards when a registry is scraped."""

    def __init__(self, client: Client, keys: Keys, options: RedisOptions) -> None:
        self._client: Final = client
        self._keys: Final = keys
        self._expiry_ms: Final = int(options.expiry_seconds * 1000)
        self._remember_ms: Final = int(options.remember_seconds * 1000)
        self._series_expiry: Final = options.series_expiry_seconds
        self._expired_at = 0.0
        self._known: dict[str, _KnownShard] = {}
        self._archive = Archive()
        self._version = ""
        self._epoch = ""

    def fetch(self, own: Sequence[ShardKeys]) -> Fetched:
        """The news in Redis, and the statuses of `own`. Raises `RedisStoreError`."""
        for _ in range(_MAX_TRIES):
            fetched = self._fetch_once(own)
            if fetched is not None:
                return fetched
        raise RedisStoreError("data", f"shards came and went {_MAX_TRIES} times while they were read")

    def _fetch_once(self, own: Sequence[ShardKeys]) -> Fetched | None:
        keys = self._keys
        names = [keys.state, keys.shards, keys.archive, keys.folded]
        answer = self._client.run(Call(LIST, names, [self._version, *(each.token for each in own)]))
        if not (isinstance(answer, list) and len(answer) == 6):
            raise unexpected(LIST, answer)
        state, now_ms, archive, members, statuses, since = _state(answer[0]), *answer[1:]
        if not (isinstance(now_ms, int) and isinstance(members, list) and isinstance(statuses, list)):
            raise unexpected(LIST, answer)
        heartbeats = {text_of(members[at]): _milliseconds(members[at + 1]) for at in range(0, len(members), 2)}
        calls = []
        for token in heartbeats:
            shard = keys.shard(token)
            known = self._known.get(token) if state.epoch == self._epoch else None  # as in `take`
            names = [shard.about, shard.index, shard.numbers, shard.base]
            calls.append(Call(READ, names, [b"", 0] if known is None else [known.attempt, known.index_bytes]))
        shards: dict[str, Answer] = {}
        if calls:
            *answers, after = self._client.run_all([*calls, Call(STATE, [keys.state], [])])
            if _state(after) != state:
                return None
            shards = dict(zip(heartbeats, answers, strict=True))
        words = [text_of(status) for status in statuses]
        return Fetched(state, now_ms, archive, words, heartbeats, _milliseconds(since), shards)

    def take(self, fetched: Fetched) -> View:
        """The content of Redis after `fetched`; in the order of fetching.

        Raises `RedisStoreError`.
        """
        state = fetched.state
        if state.epoch != self._epoch:
            self._known.clear()
        self._take_archive(state, fetched.archive)
        for token in self._known.keys() - fetched.heartbeats_ms.keys():
            del self._known[token]
        waits = fetched.now_ms - fetched.since_ms < self._expiry_ms
        waiting = frozenset(token for token, heartbeat in fetched.heartbeats_ms.items() if waits and heartbeat > 0)
        snapshots: list[Snapshot] = []
        skipped: list[Failure] = []
        lost: list[str] = []
        for token, heartbeat in fetched.heartbeats_ms.items():
            known = self._take_shard(token, fetched.shards[token])
            live = heartbeat > fetched.now_ms - self._expiry_ms
            # A token with other characters is of another program, and its keys cannot be named.
            if fetched.shards[token] is None and not live and token not in waiting and token.isascii():
                lost.append(token)
            if known.identity is None or known.unreadable:
                skipped.append(Failure(f"shard {token}", known.unreadable or "it has no identity"))
                continue
            snapshots.append(Snapshot(known.identity, live, known.reader.layout, known.numbers, known.base))
        return View(state.epoch, fetched.now_ms, snapshots, self._archive, skipped, waiting, lost)

    def _take_archive(self, state: _State, data: Answer) -> None:
        if isinstance(data, bytes):
            try:
                self._archive = Archive.decode(data)
            except ShardFormatError as error:
                raise RedisStoreError("data", f"the archive cannot be read: {error}") from error
        elif state.archive != self._version or (state.epoch != self._epoch and not state.archive):
            self._archive = Archive()
        self._version, self._epoch = state.archive, state.epoch

    def _take_shard(self, token: str, answer: Answer) -> _KnownShard:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = _KnownShard()
        if answer is None:
            known = self._known[token] = _KnownShard("its keys are gone, though it is listed")
            return known
        if not isinstance(answer, list) or not isinstance(answer[0], bytes):
            raise unexpected(READ, answer)
        if len(answer) == 1:
            return known  # it has not published since
        attempt, identity, index, numbers, base = answer
        if not (isinstance(index, bytes) and isinstance(numbers, bytes) and isinstance(base, bytes)):
            raise unexpected(READ, answer)
        try:
            host, pid, started_ns = json.loads(text_of(identity))
            known.identity = ShardIdentity(str(host), int(pid), int(started_ns), token)
            known.reader.feed(index)
            if known.reader.pending_bytes:
                raise ShardFormatError("its index ends within a record")
        except (ValueError, TypeError, OverflowError, RecursionError, ShardFormatError) as error:
            known = self._known[token] = _KnownShard(f"it cannot be read: {error}")
            return known
        known.attempt = attempt if isinstance(attempt, bytes) else b""
        known.index_bytes += len(index)
        known.numbers = _at_least(unpacked(numbers), known.reader.layout.size)
        known.base = _at_least(unpacked(base), len(known.numbers)) if base else None
        known.unreadable = ""
        return known

    # Folding ----------------------------------------------------------------------------------------------------------

    def folding(self, view: View) -> Folding | None:
        """The step that folds the dead shards of the latest view, or None without any."""
        dead = [
            snapshot for snapshot in view.snapshots if not snapshot.live and snapshot.identity.token not in view.waiting
        ][:MAX_FOLDED_AT_ONCE]
        archive = view.archive
        now = view.now_ms / 1000
        tokens = [snapshot.identity.token for snapshot in dead]
        if dead:
            # The archive need not remember the tokens, because the keys are deleted in the same step.
            archive = fold(archive, dead, now=now).forget_tokens(tokens)
        archive = self._without_expired(archive, view, now)
        lost = view.lost[:MAX_FOLDED_AT_ONCE]
        if archive is view.archive and not lost:
            return None
        version = os.urandom(8).hex()
        keys = self._keys
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes]
        arguments: list[str | bytes | int] = [view.epoch, self._version, version, self._expiry_ms, self._remember_ms]
        arguments.append(archive.encode())
        for token in [*tokens, *lost]:
            shard = keys.shard(token)
            names += [shard.about, shard.index, shard.numbers, shard.base]
            arguments += [token, self._known[token].attempt]
        return Folding(Call(FOLD, names, arguments), archive, version, len(dead))

    def folded(self, folding: Folding, answer: Answer) -> bool:
        """Whether the folding happened, according to Redis; then its archive is valid."""
        if text_of(answer) != "ok":
            return False
        self._archive, self._version = folding.archive, folding.version
        return True

    def _without_expired(self, archive: Archive, view: View, now: float) -> Archive:
        expiry = self._series_expiry
        if expiry is None or now - self._expired_at < min(expiry / 4, 60.0):
            return archive
        self._expired_at = now
        # `now` is Redis's time, as for `fold`. A shard that cannot be read may have any series.
        return archive if view.skipped else archive.expire(now - expiry, view.snapshots)


def _state(answer: Answer) -> _State:
    if not (isinstance(answer, list) and len(answer) == 3):
        raise unexpected(STATE, answer)
    return _State(text_of(answer[0]), text_of(answer[1]), text_of(answer[2]))


def _milliseconds(score: Answer) -> float:
    return float(score) if isinstance(score, bytes | int | float) and score != b"" else 0.0


def _at_least(numbers: array[float], size: int) -> array[float]:
    if len(numbers) < size:
        numbers.extend(array("d", bytes(8 * (size - len(numbers)))))
    return numbers
