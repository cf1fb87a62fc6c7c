"""The shards of one machine, in one directory: a `pytheus.shards.ShardStore`.

Rules:

- This process's shard is written through `Shard`, and read like all others, but not by its name.
- A scrape reads a consistent state: the archive, and the shards that it does not contain. It folds dead shards as well.
- A shard that cannot be read is skipped, and reported. The reason is remembered until the file changes; but errors of
  the system are not, and nothing of a live process is, because its stores do not change the file's modification time.
- A scrape holds a bounded number of descriptors. Beyond that, a shard is opened, read and closed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from pytheus.definitions import Definition
from pytheus.exceptions import PytheusError, ShardFormatError
from pytheus.registry import Collector, HasRows, NumberStorage
from pytheus.samples import Family, Sample
from pytheus.shards import Archive, Failure, LabelBlocks, Reading, ShardIdentity, Snapshot, watch_c_forks
from pytheus_multiprocess.archive_file import ArchiveFile, listed, shard_names, token_of
from pytheus_multiprocess.directory import DirectoryError, open_directory
from pytheus_multiprocess.forks import lock_at_forks
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.origin import machine_clock
from pytheus_multiprocess.processes import LiveProcess, ProcessesCollector
from pytheus_multiprocess.shard import Shard, ShardSeries
from pytheus_multiprocess.shard_file import ShardFile
from pytheus_multiprocess.shard_reader import ShardReader
from pytheus_multiprocess.storage import ShardStorage
from pytheus_multiprocess.system import System, inode_of

__all__ = ["MultiprocessStore"]

_MAX_ATTEMPTS: Final = 100
_MANY_SHARDS: Final = 100
"""From this count on, a process that starts tries to fold shards, because there may be no scrapes."""
_MAX_OPEN: Final = 512
"""How many shards a store keeps open from one scrape to the next, at most."""
_OPEN_SHARE: Final = 8
"""They are at most one in so many of the descriptors that the process may have."""

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
        except BaseException as error:
            os.close(self._directory)
            if isinstance(error, ShardFormatError):
                raise DirectoryError(
                    f"directory {self._path!r} for the metrics of several processes cannot be used: {error}",
                    path=self._path,
                ) from error
            raise
        self._reading = threading.RLock()
        self._readers: dict[str, ShardReader] = {}
        self._blocks = LabelBlocks()
        self._kept_open: set[str] = set()
        self._unreadable: dict[str, tuple[_FileVersion | None, str]] = {}
        self._pid = os.getpid()
        self._was_unshared = False
        self._closed = False
        self._live: Sequence[LiveProcess] = ()
        self._next_expiry = 0.0
        self._processes = ProcessesCollector(lambda: self._live) if options.process_metrics else None
        self._shard = self._new_shard()
        watch_c_forks()
        lock_at_forks(self)

    def _new_shard(self) -> Shard:
        return Shard(ShardIdentity.of_this_process(), self._open_file)

    def _open_file(self, identity: ShardIdentity) -> ShardFile:
        self._reopen_if_lost()
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
        # A process that folds may take the file for abandoned until it is locked. A series without a file would be
        # lost with this process.
        for _ in range(_MAX_ATTEMPTS - 1):
            with suppress(FileNotFoundError):
                return create()
        return create()

    @property
    def identity(self) -> ShardIdentity:
        """The identity of this process's shard."""
        return self._shard.identity

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """The metric's storage in this process's shard."""
        return ShardStorage(self._shard, definition, self._retire)

    def publish(self, collectors: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Do nothing, because all processes see the numbers already."""

    # Reading ---------------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        """The clock that orders the sets of "last" gauges: seconds since the machine started."""
        return machine_clock()

    def read(self) -> Reading:
        """All shards and the archive; folds first, unless another process is folding."""
        with self._reading:
            self._reopen_if_lost()
            skipped: list[Failure] = []
            snapshots: dict[str, Snapshot] = {}
            archive, dead, is_due = self._gather(snapshots, with_dead=False)
            if is_due or self._may_expire(archive):
                self._fold(dead, snapshots, skipped, retention_seconds=self._options.retention_seconds or 0.0)
                archive, _, _ = self._gather(snapshots, with_dead=True)
            self._live = [
                LiveProcess(snapshot.identity, self._readers[name].origin)
                for name, snapshot in snapshots.items()
                if snapshot.live
            ]
            present = list(snapshots.values())
            unshared = self._shard.unshared()
            if unshared is not None:
                present.append(unshared)
            skipped += self._problems()
            return Reading(present, archive, skipped)

    def _problems(self) -> list[Failure]:
        problems = [Failure(name, reason) for name, (_, reason) in self._unreadable.items()]
        problems += [Failure(name, reader.damage) for name, reader in self._readers.items() if reader.damage]
        if self._archive.damage is not None:
            problems.append(Failure(f"archive in {self._path!r}", self._archive.damage))
        if self._archive.lock_damage is not None:
            problems.append(Failure(f"archive.lock in {self._path!r}", self._archive.lock_damage))
        if self._shard.file is not None and self._version_of(self._own_name) is None:
            problems.append(
                Failure(
                    str(self.identity),
                    f"its file in {self._path!r} was removed while it runs, or the program has closed the"
                    " descriptor that locks it; its counts are lost until it is started again",
                )
            )
        return problems

    @property
    def _own_name(self) -> str:
        return f"{self.identity.token}.shard"

    def _gather(self, snapshots: dict[str, Snapshot], *, with_dead: bool) -> tuple[Archive, list[str], bool]:
        """Let `snapshots` have the shards outside of the archive, by file name, those of dead processes if wanted.

        Gives the archive, the names of the dead shards that were not wanted, and whether there is anything to fold.
        """
        for _ in range(_MAX_ATTEMPTS):
            archive = self._archive.read()
            names = shard_names(listed(self._directory))
            for name in self._readers.keys() - names:
                self._drop(name)
            for name in self._unreadable.keys() - names:
                del self._unreadable[name]
            wanted = [name for name in names if token_of(name) not in archive.folded_tokens]
            for name in snapshots.keys() - wanted:
                del snapshots[name]
            for name, snapshot in list(snapshots.items()):
                reader = self._readers.get(name)
                if reader is None or not reader.retire(snapshot, self._archive.retired.get(token_of(name))):
                    del snapshots[name]
            dead: list[str] = []
            for name in wanted:
                # What was read before counts as well: a shard only grows.
                if name not in snapshots and not self._read_shard(name, snapshots, with_dead=with_dead):
                    dead.append(name)
            if self._archive.is_current():
                return archive, dead, bool(dead) or len(wanted) < len(names)
        raise ShardFormatError(
            f"the archive in {self._path!r} was replaced {_MAX_ATTEMPTS} times while it was read with the shards"
        )

    def _read_shard(self, name: str, snapshots: dict[str, Snapshot], *, with_dead: bool) -> bool:
        """Add the shard's content to `snapshots` if it can be read; False if it is dead and is not wanted."""
        for is_last in (False, True):
            reader: ShardReader | None = None
            try:
                reader = self._reader(name)
                if reader is None:
                    return True
                if not with_dead and reader.is_dead():
                    self._park(reader)
                    return False
                snapshot = reader.read()
                reader.retire(snapshot, self._archive.retired.get(token_of(name)))
                snapshots[name] = snapshot
                self._park(reader)
                return True
            except FileNotFoundError:
                self._drop(name)
                return True  # folded meanwhile, or removed
            except Exception as error:
                # Also a defect of pytheus, because it must not hide the other shards.
                is_known_dead = reader is not None and reader.known_dead
                self._drop(name)
                # Its owner may have been in the middle of a change, which a new reader sees as a whole.
                if is_last or reader is None:
                    self._skip(name, error, remember=reader is None or is_known_dead)
                    return True
        return True

    def _reader(self, name: str) -> ShardReader | None:
        """The open reader of a shard, or None if it is known to be unreadable."""
        reader = self._readers.get(name)
        own = self._shard.file if name == self._own_name else None
        if reader is not None and reader.own is own:
            reader.open()
            return reader
        known = self._unreadable.get(name)
        if own is None and known is not None and known[0] is not None and known[0] == self._version_of(name):
            return None
        reader = ShardReader(self._system, self._directory, name, own, self._blocks)
        self._unreadable.pop(name, None)
        self._readers[name] = reader
        return reader

    def _park(self, reader: ShardReader) -> None:
        """Close the file of a reader until the next scrape, unless it is one of a few."""
        if reader.name not in self._kept_open and reader.is_open:
            limit = os.sysconf("SC_OPEN_MAX")
            if len(self._kept_open) < (_MAX_OPEN if limit < 0 else min(_MAX_OPEN, limit // _OPEN_SHARE)):
                self._kept_open.add(reader.name)
            else:
                reader.close()

    def _drop(self, name: str) -> None:
        reader = self._readers.pop(name, None)
        self._kept_open.discard(name)
        if reader is not None:
            reader.close()

    def _skip(self, name: str, error: Exception, *, remember: bool) -> None:
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"it cannot be read: {error.strerror or reason}"
            remember = False
        elif not isinstance(error, PytheusError):
            reason = f"it cannot be read: {error!r}"
        self._unreadable[name] = (self._version_of(name) if remember else None, reason)

    def _version_of(self, name: str) -> _FileVersion | None:
        try:
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    # Folding ---------------------------------------------------------------------------------------------------------

    def _fold(
        self, dead: list[str], snapshots: dict[str, Snapshot], skipped: list[Failure], *, retention_seconds: float = 0.0
    ) -> None:
        # Oldest first, because series are exposed in this order, and that of the names is random.
        dead.sort(key=lambda name: (self._readers[name].identity.started_ns, name))
        live = [snapshot for snapshot in snapshots.values() if snapshot.live]

        def expired(archive: Archive) -> Archive:
            return archive.expire(time.time() - retention_seconds, live) if retention_seconds else archive

        try:
            self._archive.fold(dead, self._read_dead, expired)
        except (OSError, ShardFormatError) as error:
            # The shards still count, and the next scrape tries again.
            reason = error.strerror if isinstance(error, OSError) else None
            skipped.append(Failure("folding of dead processes", reason or str(error)))

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

    def expire_ended_series(self, idle_seconds: float, selects: Callable[[Definition], bool], /) -> None:
        """Drop series of the archive; see `pytheus.registry.EndedSeriesExpirable`."""
        with self._reading:
            before = time.time() - idle_seconds
            if self._closed or self._archive.read().expire(before, (), selects) is self._archive.read():
                return
            snapshots: dict[str, Snapshot] = {}
            self._gather(snapshots, with_dead=True)
            present = snapshots.values()
            self._archive.fold([], self._read_dead, lambda archive: archive.expire(before, present, selects))

    def _retire(self, storage: ShardStorage, take: Callable[[], Sequence[ShardSeries]], idle_seconds: float) -> None:
        with self._reading, self._shard.lock:
            if storage.shard is self._shard and not self._closed:
                now = time.time() - idle_seconds
                absorb = partial(self._archive.absorb, token=self.identity.token, now=now)
                storage.give_back(self._shard.retire(take, absorb))

    def _read_dead(self, name: str) -> Snapshot | None:
        """The content of a shard whose process has ended, which is not needed again."""
        found: dict[str, Snapshot] = {}
        self._read_shard(name, found, with_dead=True)
        snapshot = found.get(name)
        return snapshot if snapshot is not None and not snapshot.live else None

    def fold(self) -> None:
        """Fold the shards of dead processes, as far as that is possible now."""
        with self._reading:
            archive = self._archive.read()
            dead: list[str] = []
            for name in shard_names(listed(self._directory)):
                if token_of(name) not in archive.folded_tokens:
                    with suppress(OSError, ShardFormatError):
                        reader = self._reader(name)
                        if reader is not None:
                            if reader.is_dead():
                                dead.append(name)
                            self._park(reader)
            self._fold(dead, {}, [])

    def _fold_separately(self) -> None:
        with suppress(OSError, PytheusError):
            # With readers of its own, because a scrape may be using those of this store.
            store = MultiprocessStore(replace(self._options, path=self._path), self._system)
            try:
                store.fold()
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
        for name in list(self._readers):
            self._drop(name)
        self._unreadable = {}
        self._live = ()
        if not self._reopen_if_lost():
            self._archive.leave_parent()

    def _reopen_if_lost(self) -> bool:
        """Open the directory again if the program has closed its descriptor, as daemons do; returns whether it has.

        Its number may be that of a directory of the program by now, in which nothing must be opened or created.
        """
        if self._closed or inode_of(self._directory) == self._inode:
            return False
        directory = open_directory(self._path)
        self._directory, self._inode = directory, inode_of(directory)
        for name in list(self._readers):
            self._drop(name)
        self._unreadable = {}
        self._archive.close()
        self._archive = ArchiveFile(self._system, directory)
        return True

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
            for name in list(self._readers):
                self._drop(name)
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
