"""Reads all shards and the archive, as of one moment, and folds the shards of processes that are gone.

Rules:

- A reading takes two round trips, whatever the number of processes: which shards there are, and then all of them at
  once. What stands between is checked at the end of the second; if shards went or moved meanwhile, all over again.
- Indexes only grow, so only what is new in them is read, and numbers only of shards that published since.
- Who reads, folds. The new archive is computed here and takes the place of the one it was made of by one script, which
  checks that nothing of what went into it has changed. If it has, nothing happens, and a later scrape tries again.

Fetching, which waits for the network, changes nothing here, so that one thread may fetch while another takes in what
was fetched before.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from pytheus.shards import Archive, Failure, LayoutReader, ShardFormatError, ShardIdentity, Snapshot, fold
from pytheus_redis.image import doubles
from pytheus_redis.keys import Keys, ShardKeys
from pytheus_redis.link import Answer, Call, Link
from pytheus_redis.options import RedisOptions
from pytheus_redis.publisher import text_of
from pytheus_redis.scripts import FOLD, LIST, READ, STATE
from pytheus_redis.trouble import Trouble

__all__ = ["FOLDED_AT_ONCE", "Fetched", "Folding", "Reader", "View"]

FOLDED_AT_ONCE: Final = 500
"""How many shards one scrape folds at most, so that none takes long; the others still count."""

_TRIES: Final = 10


class View(NamedTuple):
    """What there is in Redis at one moment."""

    epoch: str
    now_ms: int
    own: list[str]
    """What became of this process's shards, in the order asked."""
    snapshots: list[Snapshot]
    archive: Archive
    problems: list[Failure]
    waiting: frozenset[str]
    """The tokens of shards that may look dead, but are not to be folded before there was time to hear of them."""
    gone: list[str]
    """The tokens of shards that are dead and of which nothing is left: their keys were evicted, or never were."""


class _State(NamedTuple):
    epoch: str
    archive: str
    moves: str


class Fetched(NamedTuple):
    """What Redis answered, to be taken in by `Reader.take`."""

    state: _State
    now_ms: int
    archive: Answer
    own: list[str]
    """What became of this process's shards, in the order asked."""
    heard: dict[str, float]
    """By token: when the shard was heard of last; 0 where it said that it ends."""
    since_ms: float
    """When the first one was heard of after a silence."""
    shards: dict[str, Answer]


class Folding(NamedTuple):
    """A step that puts a new archive in the place of one, and takes shards away."""

    call: Call
    archive: Archive
    version: str
    shards: int


class _Known:
    """A shard as it was read last."""

    __slots__ = ("attempt", "base", "identity", "length", "numbers", "problem", "reader")

    def __init__(self) -> None:
        self.attempt = b""
        self.identity: ShardIdentity | None = None
        self.reader = LayoutReader()
        self.length = 0
        self.numbers: array[float] = array("d")
        self.base: array[float] | None = None
        self.problem = ""


class Reader:
    """All processes' shards, as a scrape needs them."""

    def __init__(self, link: Link, keys: Keys, options: RedisOptions) -> None:
        self._link: Final = link
        self._keys: Final = keys
        self._expiry_ms: Final = int(options.expiry_seconds * 1000)
        self._remember_ms: Final = int(options.remember_seconds * 1000)
        self._series_expiry: Final = options.series_expiry_seconds
        self._expired_at = 0.0
        self._known: dict[str, _Known] = {}
        self._archive = Archive()
        self._version = ""
        self._epoch = ""

    def fetch(self, own: Sequence[ShardKeys]) -> Fetched:
        """What there is now and was not read yet, with what became of the shards in `own`. Raises `Trouble`."""
        for _ in range(_TRIES):
            fetched = self._fetch_once(own)
            if fetched is not None:
                return fetched
        raise Trouble("data", f"shards came and went {_TRIES} times while they were read")

    def _fetch_once(self, own: Sequence[ShardKeys]) -> Fetched | None:
        keys = self._keys
        names = [keys.state, keys.shards, keys.archive, keys.folded]
        answer = self._link.run(Call(LIST, names, [self._version, *(each.token for each in own)]))
        if not (isinstance(answer, list) and len(answer) == 6):
            raise Trouble("data", f"the script list answered {answer!r:.100}")
        state, now_ms, archive, members, states, since = _state(answer[0]), *answer[1:]
        if not (isinstance(now_ms, int) and isinstance(members, list) and isinstance(states, list)):
            raise Trouble("data", f"the script list answered {answer!r:.100}")
        heard = {text_of(members[at]): _milliseconds(members[at + 1]) for at in range(0, len(members), 2)}
        fetched = Fetched(state, now_ms, archive, [text_of(each) for each in states], heard, _milliseconds(since), {})
        calls = []
        for token in heard:
            shard = keys.shard(token)
            known = self._known.get(token) if state.epoch == self._epoch else None  # as `take` will have it
            names = [shard.about, shard.index, shard.numbers, shard.base]
            calls.append(Call(READ, names, [b"", 0] if known is None else [known.attempt, known.length]))
        if calls:
            *answers, after = self._link.run_all([*calls, Call(STATE, [keys.state], [])])
            if _state(after) != state:
                return None
            fetched.shards.update(zip(heard, answers, strict=True))
        return fetched

    def take(self, fetched: Fetched) -> View:
        """What there is, given what was fetched, each time in that order. Raises `Trouble`."""
        state = fetched.state
        if state.epoch != self._epoch:
            self._known.clear()
        self._take_archive(state, fetched.archive)
        for token in self._known.keys() - fetched.heard.keys():
            del self._known[token]
        waits = fetched.now_ms - fetched.since_ms < self._expiry_ms
        waiting = frozenset(token for token, last_heard in fetched.heard.items() if waits and last_heard > 0)
        snapshots: list[Snapshot] = []
        problems: list[Failure] = []
        gone: list[str] = []
        for token, last_heard in fetched.heard.items():
            self._take(token, fetched.shards[token])
            known = self._known[token]
            live = last_heard > fetched.now_ms - self._expiry_ms
            # Another one's key could not be named, for what Redis had was no text.
            if fetched.shards[token] is None and not live and token not in waiting and token.isascii():
                gone.append(token)
            if known.identity is None or known.problem:
                problems.append(Failure(f"shard {token}", known.problem or "it has no identity"))
                continue
            snapshots.append(Snapshot(known.identity, live, known.reader.layout, known.numbers, known.base))
        return View(state.epoch, fetched.now_ms, fetched.own, snapshots, self._archive, problems, waiting, gone)

    def _take_archive(self, state: _State, data: Answer) -> None:
        if isinstance(data, bytes):
            try:
                self._archive = Archive.decode(data)
            except ShardFormatError as error:
                raise Trouble("data", f"the archive cannot be read: {error}") from error
        elif state.archive != self._version or (state.epoch != self._epoch and not state.archive):
            self._archive = Archive()
        self._version, self._epoch = state.archive, state.epoch

    def _take(self, token: str, answer: Answer) -> None:
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = _Known()
        if answer is None:
            self._known[token] = known = _Known()
            known.problem = "its keys are gone, though it is listed"
            return
        if not isinstance(answer, list) or not isinstance(answer[0], bytes):
            raise Trouble("data", f"the script read answered {answer!r:.100}")
        if len(answer) == 1:
            return
        attempt, identity, index, numbers, base = answer
        if not (isinstance(index, bytes) and isinstance(numbers, bytes) and isinstance(base, bytes)):
            raise Trouble("data", f"the script read answered {answer!r:.100}")
        try:
            host, pid, started = json.loads(text_of(identity))
            known.identity = ShardIdentity(str(host), int(pid), int(started), token)
            known.reader.feed(index)
            if known.reader.pending_bytes:
                raise ShardFormatError("its index ends within a record")
        except (ValueError, TypeError, OverflowError, RecursionError, ShardFormatError) as error:
            self._known[token] = known = _Known()
            known.problem = f"it cannot be read: {error}"
            return
        known.attempt = attempt if isinstance(attempt, bytes) else b""
        known.length += len(index)
        size = known.reader.layout.size
        known.numbers = _at_least(doubles(numbers), size)
        known.base = _at_least(doubles(base), len(known.numbers)) if base else None
        known.problem = ""

    # Folding ----------------------------------------------------------------------------------------------------------

    def folding(self, view: View) -> Folding | None:
        """How to fold what is dead in `view`, which must be the latest; None where nothing is."""
        dead = [
            snapshot for snapshot in view.snapshots if not snapshot.live and snapshot.identity.token not in view.waiting
        ][:FOLDED_AT_ONCE]
        archive = view.archive
        now = view.now_ms / 1000
        if dead:
            tokens = [snapshot.identity.token for snapshot in dead]
            # Their keys go in the same step, so that nothing can be folded twice.
            archive = fold(archive, dead, now=now).forget_tokens(tokens)
        archive = self._without_expired(archive, view, now)
        gone = view.gone[:FOLDED_AT_ONCE]
        if archive is view.archive and not gone:
            return None
        version = os.urandom(8).hex()
        keys = self._keys
        names = [keys.state, keys.shards, keys.archive, keys.folded, keys.notes]
        arguments: list[str | bytes | int] = [view.epoch, self._version, version, self._expiry_ms, self._remember_ms]
        arguments.append(archive.encode())
        for token in [*(snapshot.identity.token for snapshot in dead), *gone]:
            shard = keys.shard(token)
            names += [shard.about, shard.index, shard.numbers, shard.base]
            arguments += [token, self._known[token].attempt]
        return Folding(Call(FOLD, names, arguments), archive, version, len(dead))

    def folded(self, folding: Folding, answer: Answer) -> bool:
        """Whether `answer`, Redis's to the folding, says that it happened; the archive is known then."""
        if text_of(answer) != "ok":
            return False
        self._archive, self._version = folding.archive, folding.version
        return True

    def _without_expired(self, archive: Archive, view: View, now: float) -> Archive:
        expiry = self._series_expiry
        if expiry is None or now - self._expired_at < min(expiry / 4, 60.0):
            return archive
        self._expired_at = now
        # Redis's clock, which is also what `fold` was told. A shard that cannot be read may have any series.
        return archive if view.problems else archive.expire(now - expiry, view.snapshots)


def _state(answer: Answer) -> _State:
    if not (isinstance(answer, list) and len(answer) == 3):
        raise Trouble("data", f"the script state answered {answer!r:.100}")
    return _State(text_of(answer[0]), text_of(answer[1]), text_of(answer[2]))


def _milliseconds(score: Answer) -> float:
    return float(score) if isinstance(score, bytes | int | float) and score != b"" else 0.0


def _at_least(numbers: array[float], size: int) -> array[float]:
    if len(numbers) < size:
        numbers.extend(array("d", bytes(8 * (size - len(numbers)))))
    return numbers
