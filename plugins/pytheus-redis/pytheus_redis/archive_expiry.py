"""Drops series of the archive that no process has, and that were not written for long.

Rules:

- One script tells whether the archive has changed, and only then is it read again: most calls cost one short message.
- The shards are read only if the archive has a series that is old enough, because a process may still have it.
- Nothing is kept in memory but the age of each metric's oldest series.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pytheus.definitions import Definition
from pytheus.shards import Archive
from pytheus_redis.client import Call, Client, text_of, unexpected
from pytheus_redis.keys import Keys
from pytheus_redis.options import RedisOptions
from pytheus_redis.reader import Expiry, Reader
from pytheus_redis.scripts import DUE, MAX_VALUE_BYTES

__all__ = ["MAX_WAITING", "ArchiveExpiry"]

MAX_WAITING: Final = 100
"""How many shards may wait to be folded by a scrape; if more do, there may be no scrapes, and this folds them."""

_TRIES: Final = 10
"""How often it looks within the time after which a series is dropped, if other processes had it the last time."""


class ArchiveExpiry:
    """One thread uses it."""

    def __init__(self, client: Client, keys: Keys, options: RedisOptions) -> None:
        self._client: Final = client
        self._keys: Final = keys
        self._options: Final = options
        self._version = ""
        self._oldest: list[tuple[Definition, float]] = []
        # When a try dropped nothing, by the names of the metrics whose series are old enough; in seconds of Redis.
        self._tried: dict[frozenset[str], float] = {}

    def expire(self, idle_seconds: float, selects: Callable[[Definition], bool]) -> int:
        """Drop the series that are due of metrics that `selects`; the number of shards that were folded meanwhile.

        Raises `RedisStoreError`.
        """
        now, waiting = self._look()
        before = now - idle_seconds
        old = frozenset(
            definition.name for definition, oldest in self._oldest if oldest < before and selects(definition)
        )
        is_due = bool(old) and not now - idle_seconds / _TRIES < self._tried.get(old, 0.0) <= now
        if not is_due and waiting <= MAX_WAITING:
            return 0
        self._tried = {names: at for names, at in self._tried.items() if now - idle_seconds < at <= now}
        self._tried[old] = now
        reader = Reader(self._client, self._keys, self._options)
        folding = reader.folding(reader.take(reader.fetch(())), Expiry(idle_seconds, selects))
        if folding is None or not reader.folded(folding, self._client.run(folding.call)):
            return 0
        return folding.shards

    def _look(self) -> tuple[float, int]:
        """Redis's time in seconds, and how many shards wait to be folded; reads the archive if it has changed."""
        keys = self._keys
        answer = self._client.run(Call(DUE, [keys.state, keys.shards, keys.archive], [self._version, MAX_VALUE_BYTES]))
        if not (isinstance(answer, list) and len(answer) == 4):
            raise unexpected(DUE, answer)
        version, now_ms, waiting, data = answer
        if not (isinstance(now_ms, int) and isinstance(waiting, int)):
            raise unexpected(DUE, answer)
        if text_of(version) != self._version:
            self._version = text_of(version)
            self._oldest = _oldest_of(data) if isinstance(data, bytes) else []
        return now_ms / 1000, waiting


def _oldest_of(data: bytes) -> list[tuple[Definition, float]]:
    """When something was last folded into the oldest series of each metric of an archive."""
    try:
        archive = Archive.decode(data)
    except Exception:  # written by another program; a scrape tells it and discards it
        return []
    layout = archive.layout
    oldest: dict[int, float] = {}
    for number, folded_at in zip(layout.definition_numbers, archive.folded_at, strict=True):
        oldest[number] = min(folded_at, oldest.get(number, folded_at))
    found = [(layout.definitions[number], folded_at) for number, folded_at in oldest.items()]
    return found + [(value.definition, value.identity.started_ns / 1e9) for value in archive.dead_values]
