"""The shards of one machine, in one directory: what `pytheus.shards.ShardedRegistry` works over here.

Rules:

- This process's shard is written through `Shard`, and read like everybody else's.
- A scrape takes what belongs together: the archive, and the shards that it lacks. Dead ones are folded on the occasion.
- What cannot be read is left out, and told as a problem. What is wrong with a file is remembered until it has changed,
  but not what the system refused, nor anything of a process that lives: what that writes shows in no time of change.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
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
from pytheus_multiprocess.shard import Shard, ShardMemory
from pytheus_multiprocess.shard_file import ShardFile
from pytheus_multiprocess.shard_reader import ShardReader
from pytheus_multiprocess.system import System, inode_of

__all__ = ["MultiprocessStore"]

_MOST_ATTEMPTS: Final = 100
_MANY_SHARDS: Final = 100
"""From how many files on a process that starts looks whether they can be folded: nobody may be scraping."""

_Seen = tuple[int, int, int]


class MultiprocessStore:
    """The shards in one directory. Made by `multiprocess_registry`; all methods may be called from any thread."""

    def __init__(self, options: MultiprocessOptions, system: System | None = None) -> None:
        self._options = options
        self._path = os.path.abspath(options.path)  # wherever the program goes from here
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
        self._unreadable: dict[str, tuple[_Seen | None, str]] = {}
        self._pid = os.getpid()
        self._was_unshared = False
        self._closed = False
        self._last = Reading((), Archive())
        self._looks_at = 0.0
        self._processes = ProcessesCollector(self._live_processes) if options.process_metrics else None
        self._shard = self._new_shard()
        _hold_at_forks(self)

    def _new_shard(self) -> Shard:
        return Shard(ShardIdentity.of_this_process(), self._open_file)

    def _open_file(self, identity: ShardIdentity) -> ShardFile:
        options = self._options
        if len(shard_names(listed(self._directory))) >= _MANY_SHARDS:
            self._fold_in_passing()
        for last in (False, True):
            try:
                return ShardFile(
                    self._system,
                    self._directory,
                    f"{identity.token}.shard",
                    identity,
                    index_step_bytes=options.index_step_bytes,
                    numbers_step_bytes=options.numbers_step_bytes,
                    max_size_bytes=options.max_size_bytes,
                )
            except FileNotFoundError:
                if last:
                    raise
        raise AssertionError("unreachable")

    @property
    def identity(self) -> ShardIdentity:
        """Of this process's shard."""
        return self._shard.identity

    def storage(self, definition: Definition, /) -> NumberStorage | None:
        """Room in this process's shard."""
        return ShardMemory(self._shard, definition)

    def publish(self, collectors: Sequence[HasRows], /, *, last: bool = False) -> None:
        """Do nothing: all numbers are where everybody sees them."""

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self) -> Reading:
        """All shards and the archive; dead processes' shards are folded first, unless somebody else is at it."""
        with self._reading:
            problems: list[Failure] = []
            archive, readers, is_due = self._at_one_moment()
            if (is_due or self._may_expire(archive)) and self._fold(problems):
                archive, readers, _ = self._at_one_moment()
            snapshots = [snapshot for reader in readers if (snapshot := self._snapshot(reader)) is not None]
            homeless = self._shard.homeless()
            if homeless is not None:
                snapshots.append(homeless)
            problems += [Failure(name, reason) for name, (_, reason) in self._unreadable.items()]
            if self._shard.file is not None and self._seen(f"{self.identity.token}.shard") is None:
                problems.append(
                    Failure(
                        str(self.identity),
                        f"its file in {self._path!r} is gone while it runs: somebody removed it, or the program has"
                        " closed the descriptor that keeps it; what it counts is lost until it is started again",
                    )
                )
            self._last = Reading(snapshots, archive, problems)
            return self._last

    def _at_one_moment(self) -> tuple[Archive, list[ShardReader], bool]:
        """The archive, the shards that it lacks, and whether there is anything to fold or to remove."""
        for _ in range(_MOST_ATTEMPTS):
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
            f"the archive in {self._path!r} was another one each time that it was read with the shards,"
            f" {_MOST_ATTEMPTS} times"
        )

    def _reader(self, name: str) -> ShardReader | None:
        reader = self._readers.get(name)
        if reader is not None:
            return reader
        known = self._unreadable.get(name)
        if known is not None and known[0] is not None and known[0] == self._seen(name):
            return None
        try:
            reader = ShardReader(self._system, self._directory, name)
        except FileNotFoundError:
            return None  # folded meanwhile, or removed by somebody else
        except (ShardFormatError, OSError, ValueError) as error:
            self._leave_out(name, error)
            return None
        self._unreadable.pop(name, None)
        self._readers[name] = reader
        return reader

    def _snapshot(self, reader: ShardReader) -> Snapshot | None:
        """The shard as it stands; read all over again before it is given up, for it is being written."""
        for last in (False, True):
            try:
                return reader.read(live=not reader.is_dead())
            except (ShardFormatError, OSError) as error:
                self._readers.pop(reader.name, None)
                if last:
                    self._leave_out(reader.name, error, for_good=reader.is_dead())
                reader.close()
                if last:
                    return None
            again = self._reader(reader.name)
            if again is None:
                return None
            reader = again
        return None

    def _leave_out(self, name: str, error: Exception, *, for_good: bool = True) -> None:
        reason = str(error)
        if isinstance(error, OSError):
            reason = error.strerror or reason
            for_good = False
        self._unreadable[name] = (self._seen(name) if for_good else None, reason)

    def _seen(self, name: str) -> _Seen | None:
        try:
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    # Folding ---------------------------------------------------------------------------------------------------------

    def _fold(self, problems: list[Failure]) -> bool:
        live: list[Snapshot] = []
        if self._options.retention_seconds:
            readers = [reader for reader in self._readers.values() if not reader.is_dead()]
            live = [snapshot for reader in readers if (snapshot := self._snapshot(reader)) is not None]
        try:
            return self._archive.fold(
                self._read_dead, live=live, retention_seconds=self._options.retention_seconds or 0.0
            )
        except OSError as error:
            # They go on counting as they are, and the next scrape tries again.
            problems.append(Failure("folding of dead processes", error.strerror or str(error)))
            return True

    def _may_expire(self, archive: Archive) -> bool:
        """Whether it is time to look what goes, though nobody has died: now and then, for it takes a while."""
        retention = self._options.retention_seconds
        if not retention or time.monotonic() < self._looks_at:
            return False
        self._looks_at = time.monotonic() + retention / 10
        before = time.time() - retention
        each = archive.dead_values
        return min(archive.folded_at, default=before) < before or bool(
            each and each[0].identity.started_ns < before * 1e9
        )

    def _read_dead(self, name: str) -> Snapshot | None:
        reader = self._reader(name)
        return self._snapshot(reader) if reader is not None and reader.is_dead() else None

    def _fold_in_passing(self) -> None:
        with suppress(OSError, PytheusError):
            # With readers of its own, for a scrape may be using the others.
            store = MultiprocessStore._for_folding(self)
            try:
                store.read()
            finally:
                store.close()

    @classmethod
    def _for_folding(cls, other: MultiprocessStore) -> MultiprocessStore:
        return cls(replace(other._options, path=other._path), other._system)

    # Life ------------------------------------------------------------------------------------------------------------

    def leave_parent(self) -> None:
        """In a child after a fork: give back what was inherited, once."""
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
            # The parent has closed all descriptors, as daemons do; the child need not go without.
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
        """Let go of everything; this process's shard is folded by whoever scrapes next."""
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

    def hold(self) -> threading.RLock:
        """Wait until nothing of the shard is halfway done, and keep it so: for the moment of a fork."""
        lock = self._shard.lock
        lock.acquire()
        return lock

    # Health ----------------------------------------------------------------------------------------------------------

    def collectors(self) -> Iterable[Collector]:
        """How many series found no room, if any ever did, and what each process uses."""
        unshared = self._unshared_count()
        self._was_unshared = self._was_unshared or unshared > 0
        telling: list[Collector] = [_Unshared(unshared)] if self._was_unshared else []
        if self._processes is not None:
            telling.append(self._processes)
        return telling

    def _live_processes(self) -> Sequence[ShardIdentity]:
        return [snapshot.identity for snapshot in self._last.snapshots if snapshot.live]

    def _unshared_count(self) -> int:
        """How many series their process keeps to itself, over all processes."""
        own = 0 if self._shard.file is not None else self._shard.homeless_count
        return own + sum(reader.homeless for reader in list(self._readers.values()))


class _Unshared:
    name: Final = "pytheus_multiprocess_unshared_series"

    def __init__(self, count: int) -> None:
        self._count = count

    def collect(self) -> Iterable[Family]:
        """The one family."""
        description = "Series that found no room in their process's file, and show in its own scrapes only."
        yield Family(self.name, "gauge", description, [Sample("", {}, self._count)])


# Forks ---------------------------------------------------------------------------------------------------------------

# By id, for to copy a dict's values is one step, whatever other threads do.
_stores: Final[dict[int, weakref.ref[MultiprocessStore]]] = {}
_hooked = False


class _Held(threading.local):
    """Of each thread, for several may fork at once: the locks for each fork that it is about, the innermost last."""

    def __init__(self) -> None:
        self.of_forks: list[list[threading.RLock]] = []


_held: Final = _Held()


def _hold_at_forks(store: MultiprocessStore) -> None:
    global _hooked
    key = id(store)
    _stores[key] = weakref.ref(store, lambda _: _stores.pop(key, None))
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _living() -> list[MultiprocessStore]:
    return [store for reference in list(_stores.values()) if (store := reference()) is not None]


def _before_fork() -> None:
    # So that the child knows every descriptor that it has to close: one could have been opened, and not be noted yet.
    _held.of_forks.append([store.hold() for store in _living()])


def _after_in_parent() -> None:
    if _held.of_forks:  # not where the first store was made between the two hooks
        for lock in _held.of_forks.pop():
            lock.release()


def _after_in_child() -> None:
    _held.of_forks.clear()
    for store in _living():
        store.leave_parent()
