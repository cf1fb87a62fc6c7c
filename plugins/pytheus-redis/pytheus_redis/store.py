"""Shards in Redis: what `pytheus.shards.ShardedRegistry` needs to bring the processes of many machines together.

Rules:

- Metrics keep their numbers, so that an increment costs what it costs in one process. A thread of the store's own reads
  them once in a while and publishes what changed.
- That thread alone talks to Redis. Whatever the network does, no other thread waits for it, but for a scrape, and at
  the end of the process, and both for a limited time.
- A fork's child begins with a shard, a connection and a thread of its own.
"""

from __future__ import annotations

import atexit
import os
import random
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from pytheus.definitions import Definition
from pytheus.registry import Collector, HasRows, NumberStorage
from pytheus.shards import Archive, Reading, ShardIdentity, Snapshot
from pytheus_redis.formers import laid_out_as
from pytheus_redis.health import Health
from pytheus_redis.image import Image
from pytheus_redis.keys import Keys
from pytheus_redis.link import Link, RedisLink
from pytheus_redis.options import RedisOptions
from pytheus_redis.publisher import Publisher
from pytheus_redis.reader import Fetched, Reader
from pytheus_redis.trouble import Trouble
from pytheus_redis.worker import Worker

__all__ = ["RedisStore"]

T = TypeVar("T")

# After these there is no sense in asking the server for what others have published.
_NO_USE_READING: Final = frozenset({"unreachable", "timeout", "credentials", "loading", "tls", "cluster"})

# Of one processor, this much at most goes into publishing; a process with very many series publishes less often.
_SHARE: Final = 0.1

# A scrape that comes so soon after a failure does not try again.
_MOMENT_SECONDS: Final = 1.0


class RedisStore:
    """This process's shard in Redis, and everybody's.

        >>> from pytheus.shards import ShardedRegistry
        >>> store = RedisStore(RedisOptions(port=6390, namespace="shop"))
        >>> registry = ShardedRegistry(store, hosts=True)
        >>> store.begin(registry.shared_metrics)  # from now on, a thread publishes
        >>> registry.close()

    `source` gives the metrics whose numbers are published from time to time, or None when there is nobody left to
    publish for; `begin` sets it. `link` makes the way to Redis, for tests. Nothing is connected before it is needed,
    and a server that is not there is no error.
    """

    def __init__(self, options: RedisOptions, *, link: Callable[[RedisOptions], Link] = RedisLink) -> None:
        self._options: Final = options
        self._make_link: Final = link
        self._keys: Final = Keys(options.namespace)
        self._source: Callable[[], Sequence[HasRows] | None] = _nothing
        self._collectors: Sequence[HasRows] = ()
        self._remaining: Callable[[], Sequence[HasRows]] | None = None
        self._worker: Final = Worker("pytheus-redis", self._tick)
        self._failures = 0
        self._closed = False
        self._pid = os.getpid()
        self._begin_shard()

    def _begin_shard(self) -> None:
        self._health = Health(self._options.shown)
        self._identity: ShardIdentity | None = None
        self._last: Reading | None = None
        self.link: Link = self._make_link(self._options)
        self.publisher: Publisher = Publisher(self.link, self._keys, self._options)
        self.reader: Reader = Reader(self.link, self._keys, self._options)

    def begin(self, source: Callable[[], Sequence[HasRows] | None]) -> None:
        """Publish what `source` gives from now on."""
        self._source = source
        self._worker.start(self._options.interval_seconds)
        _stores.add(self)
        _watch_process()

    @property
    def options(self) -> RedisOptions:
        """What it was made from."""
        return self._options

    @property
    def identity(self) -> ShardIdentity:
        """Of the shard that this process had when it was read last, or has where nothing was read yet."""
        return self._identity or self.publisher.identity

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """None: numbers stay in the metrics."""
        return None

    def publish(self, collectors: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Remember what to publish; `read` does it, so that a scrape waits for Redis only once."""
        self._collectors = collectors

    def schedule_flush(self, remaining: Callable[[], Sequence[HasRows]], /) -> None:
        """Keep the registry alive until the thread has published that a metric has left it; see `FlushOnRelease`.

        Else it would be folded with the shard, and count twice where it was registered with this Redis again.
        """
        self._collectors = ()  # which may have what left
        if self._worker.running and not self._closed:
            self._remaining = remaining

    def read(self) -> Reading:
        """Publish this process's numbers, and read everybody's; takes ``scrape_seconds`` at most.

        Where Redis cannot be read, that is what was read last, with this process's numbers as they are now.
        """
        collectors, self._collectors = self._collectors, ()
        try:
            self._last = self.read_now(collectors)
        except Trouble:  # which was counted and logged
            return self._as_read_last(collectors)
        return self._last

    def _as_read_last(self, collectors: Sequence[HasRows]) -> Reading:
        image = Image()
        image.gather(collectors)
        mine = Snapshot(self.identity, True, image.layout, image.numbers)
        if self._last is None:
            return Reading([mine], Archive())
        others: list[Snapshot] = []
        for snapshot in self._last.snapshots:
            if snapshot.identity.token != mine.identity.token:
                others.append(snapshot)
            elif snapshot.base is not None:
                mine = mine._replace(base=laid_out_as(image, snapshot.layout, snapshot.base))
        return Reading([*others, mine], self._last.archive, self._last.skipped)

    def read_now(self, collectors: Sequence[HasRows]) -> Reading:
        """As `read`, but raises `Trouble` where Redis cannot be read."""
        if self._closed:
            raise Trouble("other", "the registry was closed")
        deadline = time.monotonic() + self._options.scrape_seconds
        fetched, mine = self._asked(lambda: self._publish_and_fetch(collectors), deadline)
        try:
            view = self.reader.take(fetched)
        except Trouble as trouble:
            self._health.failed(trouble, "read")
            raise
        self._health.was_read()
        live = sum(snapshot.live for snapshot in view.snapshots)
        self._health.met(live, len(view.snapshots) - live)
        snapshots = view.snapshots
        if mine is not None:
            own = {keys.token for keys in self.publisher.own}
            snapshots = [each for each in snapshots if each.identity.token not in own]
            snapshots.append(mine)
        self._identity = self.publisher.identity
        reading = Reading(snapshots, view.archive, view.problems)
        folding = self.reader.folding(view)
        if folding is not None:
            link = self.link
            call = folding.call
            try:
                answer = self._asked(lambda: link.run(call), deadline)
            except Trouble as trouble:
                self._health.noted(trouble)  # the next scrape sees what came of it
            else:
                if self.reader.folded(folding, answer):
                    self._health.folded.inc(folding.shards)
        return reading

    def collectors(self) -> Iterable[Collector]:
        """What it tells of its own dealings with Redis."""
        return self._health.collectors()

    def close(self) -> None:
        """Publish for the last time, and end the thread and the connection; takes ``exit_seconds`` at most."""
        if self._closed:
            return
        self._closed = True
        _stores.discard(self)
        self._finish()
        self._remaining = None

    # In the worker's thread -------------------------------------------------------------------------------------------

    def _to_publish(self) -> Sequence[HasRows] | None:
        collectors = self._source()
        # Those that were handed over for it, where the registry is closed; it has none any more.
        return collectors or self._collectors or collectors

    def _tick(self) -> float | None:
        if self._closed:
            return self._options.interval_seconds  # the last publication stands, or comes next; then the thread ends
        remaining = self._remaining
        collectors = self._to_publish()
        if collectors is None:
            self.link.close()
            return None
        began = time.thread_time()
        for collector in collectors:
            try:
                collector.refresh()
            except Exception:  # a scrape tells of it; the number stays what it was
                pass
            time.sleep(0)
        try:
            self._publish(collectors)
        except Trouble:
            return self._pause()
        if self._remaining is remaining:  # and nothing has left meanwhile
            self._remaining = None
        return max(self._options.interval_seconds, (time.thread_time() - began) / _SHARE)

    def _pause(self) -> float:
        """Longer after each failure, and never the same for two processes, so that they do not come back as one."""
        options = self._options
        longest: float = min(options.interval_seconds * 2 ** min(self._failures, 30), options.retry_seconds)
        return longest * random.uniform(0.5, 1.0)

    def _publish(self, collectors: Sequence[HasRows], *, last: bool = False) -> None:
        try:
            try:
                self.publisher.publish(collectors, last=last)
            except Trouble as first:
                # A connection that was idle may have been closed by the other side.
                if first.kind not in ("unreachable", "read_only", "cluster") or self._health.trouble is not None:
                    raise
                self.publisher.publish(collectors, last=last)
        except Exception as error:
            # Anything else is a mistake of ours, and must not end the thread.
            trouble = error if isinstance(error, Trouble) else Trouble("other", f"{type(error).__name__}: {error}")
            self._failures += 1
            self._health.failed(trouble, "publish")
            raise trouble from None
        self._failures = 0
        self._health.succeeded()

    def _publish_and_fetch(self, collectors: Sequence[HasRows]) -> tuple[Fetched, Snapshot | None]:
        trouble, health = None, self._health
        moment = min(self._options.interval_seconds, _MOMENT_SECONDS)
        if health.trouble is not None and time.monotonic() - health.failed_at < moment:
            trouble = health.trouble  # a moment ago
        else:
            try:
                self._publish(collectors)
            except Trouble as raised:
                trouble = raised
        if trouble is not None and trouble.kind in _NO_USE_READING:
            raise trouble
        try:
            if trouble is None:
                return self.reader.fetch(()), None
            fetched = self.reader.fetch(self.publisher.own)
            mine = self.publisher.snapshot(collectors, fetched.own, fetched.state.epoch, fetched.now_ms)
        except Trouble as raised:
            health.failed(raised, "read")
            raise
        return fetched, mine

    def _publish_last(self) -> None:
        collectors = self._to_publish()
        self._collectors = ()
        if collectors is not None:
            try:
                self._publish(collectors, last=True)
            except Trouble:
                pass
        self.link.close()

    # From other threads -----------------------------------------------------------------------------------------------

    def _asked(self, function: Callable[[], T], deadline: float) -> T:
        try:
            return self._worker.ask(function, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            seconds = self._options.scrape_seconds
            trouble = Trouble("timeout", f"it took longer than the {seconds:g} s that a scrape may wait for it")
            self._health.failed(trouble, "read")
            raise trouble from None

    def _finish(self) -> None:
        deadline = time.monotonic() + self._options.exit_seconds
        if self._worker.running:
            try:
                self._worker.ask(self._publish_last, self._options.exit_seconds)
            except TimeoutError:
                pass
        self._worker.stop(max(0.0, deadline - time.monotonic()))

    # Forks and ends ---------------------------------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Begin a shard, a connection and a thread of the child's own."""
        self._worker.after_fork_in_child()
        self._pid = os.getpid()
        self._collectors = ()
        self._remaining = None
        self._failures = 0
        if isinstance(self.link, RedisLink):
            self.link.abandon()
        self._begin_shard()

    def before_fork(self) -> None:
        """Let the thread come to rest, if it does so quickly."""
        self._worker.before_fork()

    def after_fork_in_parent(self) -> None:
        """Let it go on."""
        if not self._closed:
            self._worker.after_fork_in_parent(self._options.interval_seconds)

    def go_on_in_child(self) -> None:
        """Begin to publish for the child, whose numbers are zero by now."""
        if self._closed:
            return
        if self._pid != os.getpid():
            self.after_fork_in_child()
        self._worker.start(self._options.interval_seconds)


def _nothing() -> Sequence[HasRows] | None:
    return ()


# Those that are open, and whether this process is being watched for them.
_stores: Final[weakref.WeakSet[RedisStore]] = weakref.WeakSet()
_watching: Final[list[bool]] = []


def _watch_process() -> None:
    if _watching:
        return
    _watching.append(True)
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )


def _at_exit() -> None:
    for store in list(_stores):
        store.close()


def _before_fork() -> None:
    for store in list(_stores):
        store.before_fork()


def _after_fork_in_parent() -> None:
    for store in list(_stores):
        store.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store.go_on_in_child()
    # A process of multiprocessing's ends without the interpreter's own farewell, but says one of its own; it forgets
    # whatever was registered before this.
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:
        processes.register_after_fork(_stores, _watch_child)


def _watch_child(stores: object) -> None:
    from multiprocessing.util import Finalize  # loaded late: it is there, for this is its child

    Finalize(None, _at_exit, exitpriority=0)
