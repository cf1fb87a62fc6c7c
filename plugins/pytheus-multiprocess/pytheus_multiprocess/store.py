"""The shards of one machine, in one directory: a `pytheus.shards.ShardStore`.

Rules:

- This process's shard is written through `Shard`, and read like all others.
- A scrape reads a consistent state: the archive, and the shards that it does not contain. It folds dead shards as well.
- A shard that cannot be read is skipped, and reported. The reason is remembered until the file changes; but errors of
  the system are not, and nothing of a live process is, because its stores do not change the file's modification time.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from pytheus.definitions import Definition
from pytheus.exceptions import PytheusError, ShardFormatError
from pytheus.registry import Collector, HasRows, NumberStorage
from pytheus.samples import Family, Sample
from pytheus.shards import Archive, Failure, Reading, ShardIdentity, Snapshot
from pytheus_multiprocess.archive_file import ArchiveFile, listed, shard_names, token_of
from pytheus_multiprocess.directory import open_directory
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.processes import ProcessesCollector
from pytheus_multiprocess.shard import Shard, ShardStorage
from pytheus_multiprocess.shard_file import ShardFile
from pytheus_multiprocess.shard_reader import ShardReader
from pytheus_multiprocess.system import System, inode_of

__all__ = ["MultiprocessStore"]

_MAX_ATTEMPTS: Final = 100
_MANY_SHARDS: Final = 100
"""From this count on, a process that starts tries to fold shards, because there may be no scrapes."""

_FileVersion = tuple[int, int, int]


class MultiprocessStore:
    """The shards in one directory. Any thread may call its methods."""

    def __init__(self, options: MultiprocessOptions, system: System | None = None) -> None:
        self._options = options
        self._path = os.path.abspath(options.path)  # because the program may change its working directory
        self._system = System() if system is None else system
        self._directory = open_directory(self._path)
        self._inode = inode_of(self._directory)
        try:
            self._archive = ArchiveFile(self._system, self._directory)
        except BaseException:
            os.close(self._directory)
            raise
        self._reading = threading.RLock()
        self._readers: dict[str, ShardReader] = {}
        self._unreadable: dict[str, tuple[_FileVersion | None, str]] = {}
        self._pid = os.getpid()
        self._was_unshared = False
        self._closed = False
        self._last = Reading((), Archive())
        self._next_expiry = 0.0
        self._processes = ProcessesCollector(self._live_processes) if options.process_metrics else None
        self._shard = self._new_shard()
        _lock_at_forks(self)

    def _new_shard(self) -> Shard:
        return Shard(ShardIdentity.of_this_process(), self._open_file)

    def _open_file(self, identity: ShardIdentity) -> ShardFile:
        options = self._options
        if len(shard_names(listed(self._directory))) >= _MANY_SHARDS:
            self._fold_separately()
        create = partial(
            ShardFile,
            self._system,
            self._directory,
            f"{identity.token}.shard",
            identity,
            index_step_bytes=options.index_step_bytes,
            numbers_step_bytes=options.numbers_step_bytes,
            max_size_bytes=options.max_size_bytes,
        )
        try:
            return create()
        except FileNotFoundError:
            return create()

    @property
    def identity(self) -> ShardIdentity:
        """The identity of this process's shard."""
        return self._shard.identity

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """The metric's storage in this process's shard."""
        return ShardStorage(self._shard, definition)

    def publish(self, collectors: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Do nothing, because all processes see the numbers already."""

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self) -> Reading:
        """All shards and the archive; folds first, unless another process is folding."""
        with self._reading:
            skipped: list[Failure] = []
            archive, readers, is_due = self._consistent()
            if (is_due or self._may_expire(archive)) and self._fold(skipped):
                archive, readers, _ = self._consistent()
            snapshots = [snapshot for reader in readers if (snapshot := self._snapshot(reader)) is not None]
            unshared = self._shard.unshared()
            if unshared is not None:
                snapshots.append(unshared)
            skipped += [Failure(name, reason) for name, (_, reason) in self._unreadable.items()]
            if self._shard.file is not None and self._version_of(f"{self.identity.token}.shard") is None:
                skipped.append(
                    Failure(
                        str(self.identity),
                        f"its file in {self._path!r} was removed while it runs, or the program has closed the"
                        " descriptor that locks it; its counts are lost until it is started again",
                    )
                )
            self._last = Reading(snapshots, archive, skipped)
            return self._last

    def _consistent(self) -> tuple[Archive, list[ShardReader], bool]:
        """The archive, the shards outside of it, and whether there is anything to fold."""
        for _ in range(_MAX_ATTEMPTS):
            archive = self._archive.read()
            names = shard_names(listed(self._directory))
            for name in self._readers.keys() - names:
                self._readers.pop(name).close()
            for name in self._unreadable.keys() - names:
                del self._unreadable[name]
            wanted = [name for name in names if token_of(name) not in archive.folded_tokens]
            readers = [reader for name in wanted if (reader := self._reader(name)) is not None]
            if self._archive.is_current():
                is_due = len(wanted) < len(names) or any(reader.is_dead() for reader in readers)
                return archive, readers, is_due
        raise ShardFormatError(
            f"the archive in {self._path!r} was replaced {_MAX_ATTEMPTS} times while it was read with the shards"
        )

    def _reader(self, name: str) -> ShardReader | None:
        reader = self._readers.get(name)
        if reader is not None:
            return reader
        known = self._unreadable.get(name)
        if known is not None and known[0] is not None and known[0] == self._version_of(name):
            return None
        try:
            reader = ShardReader(self._system, self._directory, name)
        except FileNotFoundError:
            return None  # folded meanwhile, or removed
        except (ShardFormatError, OSError, ValueError) as error:
            self._skip(name, error)
            return None
        self._unreadable.pop(name, None)
        self._readers[name] = reader
        return reader

    def _snapshot(self, reader: ShardReader) -> Snapshot | None:
        """The shard's content; on failure, that of a new reader, or None."""
        for last in (False, True):
            try:
                return reader.read(live=not reader.is_dead())
            except (ShardFormatError, OSError) as error:
                self._readers.pop(reader.name, None)
                if last:
                    self._skip(reader.name, error, remember=reader.is_dead())
                reader.close()
                if last:
                    return None
            again = self._reader(reader.name)
            if again is None:
                return None
            reader = again
        return None

    def _skip(self, name: str, error: Exception, *, remember: bool = True) -> None:
        reason = str(error)
        if isinstance(error, OSError):
            reason = error.strerror or reason
            remember = False
        self._unreadable[name] = (self._version_of(name) if remember else None, reason)

    def _version_of(self, name: str) -> _FileVersion | None:
        try:
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    # Folding ---------------------------------------------------------------------------------------------------------

    def _fold(self, skipped: list[Failure]) -> bool:
        live: list[Snapshot] = []
        if self._options.retention_seconds:
            readers = [reader for reader in self._readers.values() if not reader.is_dead()]
            live = [snapshot for reader in readers if (snapshot := self._snapshot(reader)) is not None]
        try:
            return self._archive.fold(
                self._read_dead, live=live, retention_seconds=self._options.retention_seconds or 0.0
            )
        except OSError as error:
            # The shards still count, and the next scrape tries again.
            skipped.append(Failure("folding of dead processes", error.strerror or str(error)))
            return True

    def _may_expire(self, archive: Archive) -> bool:
        """Whether to look for expired series although no process has died."""
        retention = self._options.retention_seconds
        if not retention or time.monotonic() < self._next_expiry:
            return False
        self._next_expiry = time.monotonic() + retention / 10
        before = time.time() - retention
        each = archive.dead_values
        return min(archive.folded_at, default=before) < before or bool(
            each and each[0].identity.started_ns < before * 1e9
        )

    def _read_dead(self, name: str) -> Snapshot | None:
        reader = self._reader(name)
        return self._snapshot(reader) if reader is not None and reader.is_dead() else None

    def _fold_separately(self) -> None:
        with suppress(OSError, PytheusError):
            # With readers of its own, because a scrape may be using those of this store.
            store = MultiprocessStore(replace(self._options, path=self._path), self._system)
            try:
                store.read()
            finally:
                store.close()

    # Forks and the end -----------------------------------------------------------------------------------------------

    def leave_parent(self) -> None:
        """In a child after a fork: close everything that was inherited, once."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._shard.abandon()
        self._reading = threading.RLock()
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            reader.close()
        self._unreadable = {}
        self._last = Reading((), Archive())
        self._archive.leave_parent()
        if not self._closed and inode_of(self._directory) != self._inode:
            # The parent has closed all descriptors, as daemons do.
            with suppress(OSError, PytheusError):
                self._directory = open_directory(self._path)
                self._inode = inode_of(self._directory)
                self._archive.close()
                self._archive = ArchiveFile(self._system, self._directory)

    def after_fork_in_child(self) -> None:
        """Begin a shard of the child's own."""
        self.leave_parent()
        self._shard = self._new_shard()
        if self._closed:
            self._shard.close()

    def close(self) -> None:
        """Close everything; the next scrape of any process folds this process's shard."""
        with self._reading:
            if self._closed:
                return
            self._closed = True
            self._shard.close()
            for reader in self._readers.values():
                reader.close()
            self._readers = {}
            self._archive.close()
            self._system.close(self._directory, self._inode)

    def __repr__(self) -> str:
        return f"<MultiprocessStore in {self._path!r}>"

    def lock_shard(self) -> threading.RLock:
        """Acquire the shard's lock, so that no change is under way during a fork."""
        lock = self._shard.lock
        lock.acquire()
        return lock

    # Its own metrics -------------------------------------------------------------------------------------------------

    def collectors(self) -> Iterable[Collector]:
        """The count of unshared series, if there ever was one, and process metrics."""
        unshared = self._unshared_count()
        self._was_unshared = self._was_unshared or unshared > 0
        collectors: list[Collector] = [_UnsharedSeries(unshared)] if self._was_unshared else []
        if self._processes is not None:
            collectors.append(self._processes)
        return collectors

    def _live_processes(self) -> Sequence[ShardIdentity]:
        return [snapshot.identity for snapshot in self._last.snapshots if snapshot.live]

    def _unshared_count(self) -> int:
        """How many series only their own process exposes, over all processes."""
        own = 0 if self._shard.file is not None else self._shard.unshared_count
        return own + sum(reader.unshared for reader in list(self._readers.values()))


class _UnsharedSeries:
    name: Final = "pytheus_multiprocess_unshared_series"

    def __init__(self, count: int) -> None:
        self._count = count

    def collect(self) -> Iterable[Family]:
        """Its one family."""
        description = "Series that do not fit into their process's file, and show in its own scrapes only."
        yield Family(self.name, "gauge", description, [Sample("", {}, self._count)])


# Forks ---------------------------------------------------------------------------------------------------------------

# By id, because copying a dict's values is one step, unlike iterating over a WeakSet while threads change it.
_stores: Final[dict[int, weakref.ref[MultiprocessStore]]] = {}
_hooked = False


class _ForkLocks(threading.local):
    """The locks that a thread has acquired for each of its forks, the innermost last."""

    def __init__(self) -> None:
        self.of_forks: list[list[threading.RLock]] = []


_locked: Final = _ForkLocks()


def _lock_at_forks(store: MultiprocessStore) -> None:
    global _hooked
    key = id(store)
    _stores[key] = weakref.ref(store, lambda _: _stores.pop(key, None))
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _living() -> list[MultiprocessStore]:
    return [store for reference in list(_stores.values()) if (store := reference()) is not None]


def _before_fork() -> None:
    # So that the child knows all descriptors that it has to close: one might be open, but not assigned yet.
    _locked.of_forks.append([store.lock_shard() for store in _living()])


def _after_in_parent() -> None:
    if _locked.of_forks:  # empty if the first store was created between the two hooks
        for lock in _locked.of_forks.pop():
            lock.release()


def _after_in_child() -> None:
    _locked.of_forks.clear()
    for store in _living():
        store.leave_parent()
