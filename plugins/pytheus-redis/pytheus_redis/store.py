"""The shards in Redis: the `pytheus.shards.ShardStore` of many machines.

Rules:

- Metrics keep their numbers, so that an increment costs as much as in one process. The store's own thread reads them
  periodically and publishes the changes.
- Only that thread talks to Redis, and the one of the heartbeat. No other thread waits for the network, except for a
  scrape and at the end of the process, and for a limited time.
- Publications do not overlap, and none follows the last one.
- The child of a fork begins with a shard, a connection and a thread of its own.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from pytheus.definitions import Definition
from pytheus.registry import Collector, HasRows, NumberStorage
from pytheus.shards import Reading, ShardHealth, ShardIdentity, Snapshot
from pytheus.worker import Worker
from pytheus_redis import process_hooks
from pytheus_redis.archive_expiry import ArchiveExpiry
from pytheus_redis.client import Client, RedisClient
from pytheus_redis.errors import RedisStoreError
from pytheus_redis.gauge_functions import GaugeFunctions
from pytheus_redis.heartbeat import Heartbeat
from pytheus_redis.keys import Keys
from pytheus_redis.metrics import RedisMetrics
from pytheus_redis.options import RedisOptions
from pytheus_redis.publisher import Publisher
from pytheus_redis.reader import Fetched, Reader, View

__all__ = ["RedisStore"]

T = TypeVar("T")
Source = Callable[[], Sequence[HasRows] | None]

# After one of these the server will not answer a read either.
_UNREADABLE: Final = frozenset({"unreachable", "timeout", "credentials", "loading", "tls", "cluster"})

# After one of these a new connection may help, because the other side may have closed an idle one.
_RECONNECTABLE: Final = frozenset({"unreachable", "read_only", "cluster"})

# Publishing takes at most this part of one processor; a process with very many series publishes less often, but at
# least once in a third of the time after which a silent process counts as dead.
_MAX_PROCESSOR_SHARE: Final = 0.1

# The thread of the heartbeat may be waiting for an answer; it is a daemon and needs nothing at its end.
_HEARTBEAT_WAIT_SECONDS: Final = 0.1

# A scrape within this time after a failure does not try to publish again.
_MAX_RETRY_DELAY_SECONDS: Final = 1.0


class RedisStore:
    """This process's shard in Redis, and access to those of all processes.

        >>> from pytheus.shards import ShardedRegistry
        >>> store = RedisStore(RedisOptions(port=6390, namespace="shop"))
        >>> registry = ShardedRegistry(store, hosts=True)
        >>> store.start(registry.shared_metrics)  # from now on, a thread publishes
        >>> registry.close()

    `client` makes the connection; tests replace it. The store connects when it first publishes, and a server that is
    not available is not an error.
    """

    def __init__(self, options: RedisOptions, *, client: Callable[[RedisOptions], Client] = RedisClient) -> None:
        self._options: Final = options
        self._make_client: Final = client
        self._keys: Final = Keys(options.namespace)
        self._source: Source = lambda: ()
        # The metrics that remain after another has left; a reference that keeps the registry alive.
        self._remaining: Callable[[], Sequence[HasRows]] | None = None
        self._worker: Final = Worker("pytheus-redis", self._tick)
        self._heartbeat: Final = Heartbeat(self._keys, options, client)
        self._functions: Final = GaugeFunctions()
        self._closed = False
        self._pid = os.getpid()
        self._begin_shard()

    def _begin_shard(self) -> None:
        self._health = ShardHealth(repr(self))
        self._metrics = RedisMetrics()
        self._identity: ShardIdentity | None = None
        # How often in a row publishing has failed, when it did last, and how.
        self._failures = 0
        self._failed_at = 0.0
        self._failure: RedisStoreError | None = None
        # The `read` after a `publish` uses its deadline and, if it failed, its metrics and its error.
        self._deadline: float | None = None
        self._unpublished: tuple[Sequence[HasRows], RedisStoreError] | None = None
        self.client: Client = self._make_client(self._options)
        self.publisher: Publisher = Publisher(self.client, self._keys, self._options)
        self.reader: Reader = Reader(self.client, self._keys, self._options)
        self._expiry = ArchiveExpiry(self.client, self._keys, self._options)

    def start(self, source: Source) -> None:
        """Publish the metrics of `source` from now on, until it returns None."""
        self._source = source
        self._start_threads()
        process_hooks.watch(self)

    def _start_threads(self) -> None:
        self._functions.start()
        self._worker.start(self._options.interval_seconds)
        self._heartbeat.start(self.publisher)

    @property
    def options(self) -> RedisOptions:
        """The options that it was made with."""
        return self._options

    @property
    def health(self) -> ShardHealth:
        """The failures of this process; see `pytheus.shards.HasHealth`."""
        return self._health

    @property
    def identity(self) -> ShardIdentity:
        """This process's shard at the last reading, or its first one."""
        return self._identity or self.publisher.identity

    def collectors(self) -> Iterable[Collector]:
        """The store's own metrics."""
        return self._metrics.collectors(has_failed=self._health.has_failed)

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """None: numbers stay in the metrics."""
        return None

    @property
    def retires_rows(self) -> bool:
        """True: the next publication moves the rows of ended series; see `pytheus.shards.RetiresRows`."""
        return True

    # From any thread --------------------------------------------------------------------------------------------------

    def publish(self, metrics: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Publish the numbers of `metrics`. Raises `RedisStoreError`.

        Takes ``scrape_seconds`` at most, together with the `read` after it; with `last`, ``exit_seconds``.
        """
        self._unpublished = None
        self._check_process()
        if last:
            self._finish(metrics)
            return
        options = self._options
        deadline = self._deadline = time.monotonic() + options.scrape_seconds
        failure = self._failure
        delay = min(options.interval_seconds, _MAX_RETRY_DELAY_SECONDS)
        try:
            if failure is not None and time.monotonic() - self._failed_at < delay:
                raise failure.copy()
            self._run_in_worker(lambda: self._publish_for_scrape(metrics), deadline)
        except RedisStoreError as error:
            self._unpublished = metrics, error
            raise

    def read(self) -> Reading:
        """All shards and the archive; folds dead shards. Raises `RedisStoreError`.

        If the `publish` before it has failed, the numbers of this process are those that it failed to publish.
        """
        deadline = self._deadline or time.monotonic() + self._options.scrape_seconds
        metrics, failure = self._unpublished or (None, None)
        self._deadline = self._unpublished = None
        if self._closed:
            raise _closed()
        self._check_process()
        if failure is not None and failure.reason in _UNREADABLE:
            raise failure
        fetched, mine, own = self._run_in_worker(lambda: self._fetch(metrics), deadline)
        view = self.reader.take(fetched)
        live = sum(snapshot.live for snapshot in view.snapshots)
        self._metrics.read(live, len(view.snapshots) - live)
        for token in set(view.unreadable).intersection(self.publisher.tokens()):
            self.publisher.replace(token)
        snapshots = view.snapshots
        if mine is not None:
            snapshots = [*(snapshot for snapshot in snapshots if snapshot.identity.token not in own), mine]
        self._identity = self.publisher.identity
        self._fold(view, deadline)
        return Reading(snapshots, view.archive, view.skipped)

    def _fold(self, view: View, deadline: float) -> None:
        folding = self.reader.folding(view)
        if folding is not None:
            client, call = self.client, folding.call
            try:
                answer = self._run_in_worker(lambda: client.run(call), deadline)
            except RedisStoreError as error:
                self._health.failed("fold", error)  # the next scrape reads whether it has happened
                return
            if self.reader.folded(folding, answer):
                self._metrics.folded.inc(folding.shards)
        self._health.succeeded("fold")

    def expire_ended_series(self, idle_seconds: float, selects: Callable[[Definition], bool], /) -> None:
        """Drop series of the archive; see `EndedSeriesExpirable`. Raises `RedisStoreError`."""
        # Not while publishing fails, because a scrape may wait for this.
        if self._closed or self._failure is not None or self._pid != os.getpid() or not self._worker.is_running:
            return
        deadline = time.monotonic() + self._options.scrape_seconds
        folded = self._run_in_worker(lambda: self._expiry.expire(idle_seconds, selects), deadline)
        self._metrics.folded.inc(folded)

    def schedule_flush(self, remaining: Callable[[], Sequence[HasRows]], /) -> None:
        """Keep the registry alive until it has published that a metric has left it.

        Otherwise the metric would be folded with the shard, and count twice if it was registered with this Redis again.
        """
        if self._worker.is_running and not self._closed:
            self._remaining = remaining

    def close(self) -> None:
        """Publish for the last time, and end the thread; takes ``exit_seconds`` at most."""
        process_hooks.unwatch(self)
        try:
            self._check_process()
        except RedisStoreError as error:
            self._health.failed("fork", error)
            return
        if not self._closed:
            try:
                self._finish(self._source())
            except RedisStoreError as error:
                self._health.failed("publish", error)
        remaining = max(0.0, (self._deadline or 0.0) - time.monotonic())
        self._heartbeat.stop(min(remaining, _HEARTBEAT_WAIT_SECONDS))
        self._functions.worker.stop(min(remaining, _HEARTBEAT_WAIT_SECONDS))
        self._worker.stop(remaining)
        self._remaining = None

    def _finish(self, metrics: Sequence[HasRows] | None) -> None:
        if self._closed:
            return
        self._closed = True
        deadline = self._deadline = time.monotonic() + self._options.exit_seconds
        if self._worker.is_running:
            self._run_in_worker(lambda: self._publish_last(metrics), deadline)

    def _check_process(self) -> None:
        """Raise `RedisStoreError` in a child whose fork was not told: it has no thread, and the parent's numbers."""
        if self._pid != os.getpid():
            raise RedisStoreError("fork", f"process {self._pid} was forked by C code, and Python was not told")

    def _run_in_worker(self, function: Callable[[], T], deadline: float) -> T:
        try:
            return self._worker.submit(function, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            limit = "exit_seconds" if self._closed else "scrape_seconds"
            seconds: float = getattr(self._options, limit)
            raise RedisStoreError("timeout", f"it took longer than {limit}, which is {seconds:g}") from None

    # In the worker's thread -------------------------------------------------------------------------------------------

    def _tick(self) -> float | None:
        if self._closed:
            return self._options.interval_seconds  # the last publication is done, or is the next task
        remaining = self._remaining
        metrics = self._source()
        if metrics is None:
            self.client.close()
            self._heartbeat.stop(_HEARTBEAT_WAIT_SECONDS)
            self._functions.worker.stop(0.0)
            return None
        began = time.thread_time()
        self._functions.refresh(metrics)
        try:
            self._publish(metrics)
        except RedisStoreError as error:
            self._health.failed("publish", error)
            return self._pause()
        self._health.succeeded("publish")
        if self._remaining is remaining:  # no other metric has left meanwhile
            self._remaining = None
        options = self._options
        pause = min((time.thread_time() - began) / _MAX_PROCESSOR_SHARE, options.expiry_seconds / 3)
        return max(options.interval_seconds, pause)

    def _pause(self) -> float:
        """Longer after each failure, and random, so that processes do not synchronize."""
        options = self._options
        longest: float = min(options.interval_seconds * 2 ** min(self._failures, 30), options.retry_seconds)
        return longest * random.uniform(0.5, 1.0)

    def _publish(self, metrics: Sequence[HasRows], *, last: bool = False) -> None:
        try:
            try:
                self.publisher.publish(metrics, last=last)
            except RedisStoreError as first:
                if first.reason not in _RECONNECTABLE or self._failure is not None:
                    raise
                self.publisher.publish(metrics, last=last)
        except Exception as error:
            # An error of another class is a bug of this plugin, and must not end the thread.
            failure = (
                error
                if isinstance(error, RedisStoreError)
                else RedisStoreError("other", f"{type(error).__name__}: {error}")
            )
            self._failure = failure.copy()
            self._failures += 1
            self._failed_at = time.monotonic()
            self._metrics.up.set(0)
            raise failure from None
        replaced = self.publisher.replaced
        if replaced:
            keys = ", ".join(replaced)
            replaced.clear()
            self._health.failed(
                "publish", RedisStoreError("data", f"the content of {keys} was not valid and was replaced")
            )
        self._failure = None
        self._failures = 0
        self._metrics.publications.inc()
        self._metrics.up.set(1)

    def _publish_for_scrape(self, metrics: Sequence[HasRows]) -> None:
        if self._closed:  # the last publication may have been the task before this one
            raise _closed()
        self._publish(metrics)

    def _publish_last(self, metrics: Sequence[HasRows] | None) -> None:
        try:
            if metrics is not None:
                self._publish(metrics, last=True)
        finally:
            self.client.close()

    def _fetch(self, unpublished: Sequence[HasRows] | None) -> tuple[Fetched, Snapshot | None, set[str]]:
        """Redis's answers, a snapshot of `unpublished`, and the tokens that it replaces."""
        if unpublished is None:
            return self.reader.fetch(()), None, set()
        own = self.publisher.own
        fetched = self.reader.fetch([*own, *self.publisher.in_doubt])
        mine = self.publisher.snapshot(unpublished, fetched.statuses, fetched.state.epoch, fetched.now_ms)
        return fetched, mine, {keys.token for keys in own}

    # Forks and exit ---------------------------------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Begin a shard, a connection and a thread of the child's own."""
        self._worker.after_fork_in_child()
        self._heartbeat.after_fork_in_child()
        self._functions.worker.after_fork_in_child()
        self._pid = os.getpid()
        self._remaining = None
        self.client.abandon()
        self._begin_shard()

    def before_fork(self) -> None:
        """Stop the thread, if it stops quickly."""
        self._heartbeat.worker.before_fork()
        self._worker.before_fork()
        self._functions.worker.before_fork()

    def after_fork_in_parent(self) -> None:
        """Let the thread continue."""
        if not self._closed:
            self._functions.worker.after_fork_in_parent(0.0)
            self._heartbeat.after_fork_in_parent()
            self._worker.after_fork_in_parent(self._options.interval_seconds)

    def start_in_child(self) -> None:
        """Begin to publish for the child, whose numbers are zero by now."""
        if self._closed:
            return
        if self._pid != os.getpid():
            self.after_fork_in_child()
        self._start_threads()

    def __repr__(self) -> str:
        return f"<RedisStore at {self._options.redacted_url}, namespace {self._options.namespace!r}>"


def _closed() -> RedisStoreError:
    return RedisStoreError("other", "the registry was closed")
