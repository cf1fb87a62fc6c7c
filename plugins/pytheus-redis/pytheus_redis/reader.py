"""Reads all shards and the archive as of one moment, and folds dead shards.

Rules:

- A reading takes two round trips for any number of processes: the list of the shards, and then all shards at once. The
  end of the second tells whether shards were deleted or replaced in between; then everything is read again.
- Indexes only grow, so only their new part is read, and numbers only of shards that have published since.
- The process that reads also folds. It computes the new archive, and one script replaces the old one if nothing has
  changed that went into the new one. Otherwise nothing happens, and a later scrape tries again.

- Every key may hold anything. A shard that cannot be read is skipped and told, and stops no other from being read or
  folded. An archive that cannot be read is told and discarded, as if it had been lost.

`fetch` waits for the network and changes nothing here, so that one thread may fetch while another takes in an earlier
answer.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from typing import Annotated, Final, NamedTuple
from zlib import crc32

import msgspec

from pytheus.definitions import Definition
from pytheus.shards import Archive, Failure, LabelBlocks, LayoutReader, ShardFormatError, ShardIdentity, Snapshot, fold
from pytheus_redis.check import Check
from pytheus_redis.client import Answer, Call, Client, text_of, unexpected
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.keys import ENDED, Keys, ShardKeys
from pytheus_redis.options import RedisOptions
from pytheus_redis.scripts import DISCARD, FOLD, LIST, MAX_VALUE_BYTES, READ, STATE
from pytheus_redis.shard_mirror import unpacked

__all__ = ["MAX_FOLDED_AT_ONCE", "MAX_SHARDS", "Expiry", "Fetched", "Folding", "Reader", "View"]

MAX_FOLDED_AT_ONCE: Final = 500
"""How many shards one scrape folds at most, so that it does not take long; the others still count."""

MAX_SHARDS: Final = 100_000
"""How many shards a scrape reads at most: those that were heard of last."""

_MAX_TRIES: Final = 10

_Host = Annotated[str, msgspec.Meta(max_length=255)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_decode_identity: Final = msgspec.json.Decoder(tuple[_Host, _Number, _Number]).decode


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
    unreadable: list[str]
    """The tokens of shards that have data which cannot be read."""


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
    problems: list[str]
    """Which of the keys that are common to all shards hold something else."""


class Folding(NamedTuple):
    """A step that replaces the archive and deletes shards."""

    call: Call
    archive: Archive
    version: str
    shards: int


class Expiry(NamedTuple):
    """Which series of the archive are to be dropped, unless a shard has them."""

    idle_seconds: float
    selects: Callable[[Definition], bool]


class _KnownShard:
    """A shard as it was read last."""

    __slots__ = ("attempt", "base", "identity", "index_bytes", "numbers", "reader", "unreadable")

    def __init__(self, blocks: LabelBlocks | None = None, unreadable: str = "") -> None:
        self.attempt = b""
        self.identity: ShardIdentity | None = None
        self.reader = LayoutReader(blocks)
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
        self._blocks: Final = LabelBlocks()
        self._archive = Archive()
        self._unreadable_archive = ""
        self._unread_version = ""
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
        limits: list[str | bytes | int] = [self._version, MAX_VALUE_BYTES, MAX_SHARDS]
        answer = self._client.run(Call(LIST, names, [*limits, *(each.token for each in own)]))
        if not (isinstance(answer, list) and len(answer) == 7):
            raise unexpected(LIST, answer)
        state, now_ms, archive, members, statuses, since, problems = _state(answer[0]), *answer[1:]
        if not (isinstance(now_ms, int) and isinstance(members, list) and isinstance(statuses, list)):
            raise unexpected(LIST, answer)
        heartbeats = {text_of(members[at]): _milliseconds(members[at + 1]) for at in range(0, len(members), 2)}
        calls = []
        for token in heartbeats:
            shard = keys.shard(token)
            known = self._known.get(token) if state.epoch == self._epoch else None  # as in `take`
            names = [shard.about, shard.index, shard.numbers, shard.base]
            known_already = (b"", 0) if known is None else (known.attempt, known.index_bytes)
            calls.append(Call(READ, names, [*known_already, MAX_VALUE_BYTES]))
        shards: dict[str, Answer] = {}
        if calls:
            *answers, after = self._client.run_all([*calls, Call(STATE, [keys.state], [])])
            if _state(after) != state:
                return None
            shards = dict(zip(heartbeats, answers, strict=True))
        words = [text_of(status) for status in statuses]
        told = [text_of(problem) for problem in problems] if isinstance(problems, list) else []
        return Fetched(state, now_ms, archive, words, heartbeats, _milliseconds(since), shards, told)

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
        skipped = [Failure(problem, "another program wrote to it") for problem in fetched.problems]
        if self._unreadable_archive:
            skipped.append(Failure(self._keys.archive, self._unreadable_archive))
        lost: list[str] = []
        unreadable: list[str] = []
        for token, heartbeat in fetched.heartbeats_ms.items():
            known = self._take_shard(token, fetched.shards[token])
            live = heartbeat > fetched.now_ms - self._expiry_ms
            if fetched.shards[token] is None and not live and token not in waiting:
                lost.append(token)
            if known.identity is None or known.unreadable:
                skipped.append(Failure(f"shard {token!a:.100}", known.unreadable or "it has no identity"))
                if fetched.shards[token] is not None:
                    unreadable.append(token)
                continue
            snapshots.append(Snapshot(known.identity, live, known.reader.layout, known.numbers, known.base))
        return View(state.epoch, fetched.now_ms, snapshots, self._archive, skipped, waiting, lost, unreadable)

    def _take_archive(self, state: _State, data: Answer) -> None:
        if isinstance(data, bytes):
            try:
                self._archive = Archive.decode(data)
                self._unreadable_archive = ""
            except Exception as error:  # written by another program, so any error may come of it
                # In an epoch that this process knows, the archive that it has read last is the better one.
                if state.epoch != self._epoch:
                    self._archive = Archive()
                self._unreadable_archive = _reason(error)
                self._unread_version = state.archive
                self._epoch = state.epoch
                return  # and read it again, unless it was discarded
        elif state.archive != self._version or (state.epoch != self._epoch and not state.archive):
            self._archive = Archive()
            self._unreadable_archive = ""
        self._version, self._epoch = state.archive, state.epoch

    def _take_shard(self, token: str, answer: Answer) -> _KnownShard:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = _KnownShard(self._blocks)
        if answer is None:
            known = self._known[token] = _KnownShard(unreadable="its keys are gone, though it is listed")
            return known
        if isinstance(answer, bytes):
            known = self._known[token] = _KnownShard(unreadable=f"it cannot be read: {text_of(answer)}")
            return known
        if not isinstance(answer, list):
            raise unexpected(READ, answer)
        if len(answer) == 1:
            return known  # it has not published since
        try:
            self._read_shard(known, token, [each for each in answer if isinstance(each, bytes)])
        except Exception as error:  # written by another program, so any error may come of it
            known = self._known[token] = _KnownShard(unreadable=f"it cannot be read: {_reason(error)}")
        return known

    @staticmethod
    def _read_shard(known: _KnownShard, token: str, answer: list[bytes]) -> None:
        attempt, identity, checked, index, numbers, base = answer
        check = Check.parse(text_of(checked))
        for name, data, checksum in (
            ("identity", identity, check.identity_crc),
            ("numbers", numbers, check.numbers_crc),
            ("base", base, check.base_crc),
        ):
            if crc32(data) != checksum:
                raise ShardFormatError(f"its {name} do not fit their checksum")
        host, pid, started_ns = _decode_identity(identity)
        known.identity = ShardIdentity(host, pid, started_ns, token)
        known.reader.feed(index)
        if known.reader.pending_bytes:
            raise ShardFormatError("its index ends within a record")
        if known.reader.layout.size * 8 > len(numbers):
            raise ShardFormatError(
                f"its index needs {known.reader.layout.size} numbers, and it has {len(numbers) // 8}"
            )
        known.attempt = attempt
        known.index_bytes += len(index)
        known.numbers = unpacked(numbers)
        known.base = unpacked(base) if base else None
        known.unreadable = ""

    # Folding ----------------------------------------------------------------------------------------------------------

    def folding(self, view: View, expiry: Expiry | None = None) -> Folding | None:
        """The step that folds the dead shards of the latest view, or None without any.

        With `expiry`, it also drops series of the archive.
        """
        keys = self._keys
        if not view.epoch:
            return None  # the state is lost, and the next publication begins an epoch
        if self._unreadable_archive:
            return Folding(Call(DISCARD, [keys.state, keys.archive], [self._unread_version]), view.archive, "", 0)
        dead = [
            snapshot for snapshot in view.snapshots if not snapshot.live and snapshot.identity.token not in view.waiting
        ][:MAX_FOLDED_AT_ONCE]
        now = view.now_ms / 1000
        archive, dead = self._with_dead(view.archive, dead, now)
        tokens = [snapshot.identity.token for snapshot in dead]
        archive = self._without_expired(archive, view, now)
        if expiry is not None and not view.skipped:
            archive = archive.expire(now - expiry.idle_seconds, view.snapshots, expiry.selects)
        lost = view.lost[:MAX_FOLDED_AT_ONCE]
        if archive is view.archive and not lost:
            return None
        version = os.urandom(8).hex()
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes]
        arguments: list[str | bytes | int] = [view.epoch, self._version, version, self._expiry_ms, self._remember_ms]
        arguments.append(archive.encode())
        for token in [*tokens, *lost]:
            names += keys.shard(token).all
            arguments += [token, self._known[token].attempt]
        return Folding(Call(FOLD, names, arguments), archive, version, len(dead))

    @staticmethod
    def _with_dead(archive: Archive, dead: list[Snapshot], now: float) -> tuple[Archive, list[Snapshot]]:
        """The archive with `dead`, and those of them that are in it."""
        left = [snapshot for snapshot in dead if snapshot.identity.token.endswith(ENDED)]
        archive, folded = Reader._folded_archive(
            archive, [each for each in dead if not each.identity.token.endswith(ENDED)], now
        )
        # Series that ended while their process lived are as old as their last write, which is when such a shard began.
        written_at = max((snapshot.identity.started_ns for snapshot in left), default=0) / 1e9
        archive, added = Reader._folded_archive(archive, left, min(written_at, now))
        return archive, [*folded, *added]

    @staticmethod
    def _folded_archive(archive: Archive, dead: list[Snapshot], now: float) -> tuple[Archive, list[Snapshot]]:
        """The archive with `dead`, and those of them that are in it."""
        if not dead:
            return archive, dead
        # The archive need not remember the tokens, because the keys are deleted in the same step.
        tokens = [snapshot.identity.token for snapshot in dead]
        try:
            return fold(archive, dead, now=now).forget_tokens(tokens), dead
        except Exception:
            # One of them makes no sense. The others are folded all the same, one by one.
            if len(dead) == 1:
                return archive, []
        folded: list[Snapshot] = []
        for snapshot in dead:
            archive, added = Reader._folded_archive(archive, [snapshot], now)
            folded += added
        return archive, folded

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
    try:
        return float(score) if isinstance(score, bytes | int | float) else 0.0
    except ValueError:
        return 0.0


def _reason(error: Exception) -> str:
    return f"{error}" if isinstance(error, ShardFormatError) else f"{type(error).__name__}: {error}"
