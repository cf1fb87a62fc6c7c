"""Tells Redis that this process is alive, whatever its publications do.

Rules:

- A process is dead for the others when it is silent for ``expiry_seconds``. Each publication is a heartbeat; when none
  arrives for a sixth of that time (because there are very many series, or a gauge's function hangs), this sends one. So
  one of them may be lost, and the next still arrives within a third.
- It has a thread and a connection of its own, which it opens when it needs it first. Most processes never do.
- A failure is not reported here, because publications fail for the same reason.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Final

from pytheus.worker import Worker
from pytheus_redis.client import Call, Client
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.keys import Keys
from pytheus_redis.options import RedisOptions
from pytheus_redis.publisher import Publisher
from pytheus_redis.scripts import BEAT

__all__ = ["Heartbeat"]


class Heartbeat:
    """Sends heartbeats of the shards of a publisher while it does not publish."""

    def __init__(self, keys: Keys, options: RedisOptions, make_client: Callable[[RedisOptions], Client]) -> None:
        self._keys: Final = keys
        self._seconds: Final = options.expiry_seconds / 6
        self._expiry_ms: Final = int(options.expiry_seconds * 1000)
        timeout = min(options.timeout_seconds, self._seconds)
        self._options: Final = dataclasses.replace(options, timeout_seconds=timeout)
        self._make_client: Final = make_client
        self._client: Client | None = None
        self._publisher: Publisher | None = None
        self._beaten_at = 0.0
        self.worker: Final = Worker("pytheus-redis-heartbeat", self._tick)

    def start(self, publisher: Publisher) -> None:
        """Send heartbeats of the shards of `publisher` from now on."""
        self._publisher = publisher
        self.worker.start(self._seconds)

    def stop(self, seconds: float) -> None:
        """End the thread and the connection; waits `seconds` at most."""
        self._publisher = None
        if self.worker.stop(seconds) and self._client is not None:
            self._client.close()

    def after_fork_in_parent(self) -> None:
        """Let the thread continue."""
        self.worker.after_fork_in_parent(0.0)

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread and connection."""
        self.worker.after_fork_in_child()
        self._publisher = None
        if self._client is not None:
            self._client.abandon()
            self._client = None

    def _tick(self) -> float | None:
        publisher = self._publisher
        if publisher is None:
            return None
        due = max(publisher.heard_at, self._beaten_at) + self._seconds
        now = time.monotonic()
        if now < due:
            return due - now
        tokens = publisher.tokens()
        if tokens:
            if self._client is None:
                self._client = self._make_client(self._options)
            try:
                self._client.run(Call(BEAT, [self._keys.state, self._keys.shards], [self._expiry_ms, *tokens]))
            except RedisStoreError:
                return self._seconds / 2
        self._beaten_at = now
        return self._seconds
