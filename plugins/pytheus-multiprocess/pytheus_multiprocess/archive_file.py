"""The archive's file, and how dead processes' shards are folded into it.

Rules:

- The file is replaced, never written to. With the rename, shards cease to count by themselves and count in the archive.
  Then their files are deleted, and then their tokens, which the archive remembers until then. So a crash at any step
  leaves each shard folded once or not at all, and the next scrape continues.
- Only the process that has the lock of `archive.lock` folds. No process waits for it: one that does not get it counts
  the dead processes' shards as they are. So a process that was stopped while it has the lock stops no other.
- The archive and the list of shards match if the archive is the same before and after the listing: a shard that it does
  not contain has a file as long as this archive is valid. The file is kept open, so that no other file gets its inode.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from pytheus.exceptions import ShardFormatError
from pytheus.shards import Archive, Snapshot, fold
from pytheus_multiprocess.system import Inode, System, inode_of

__all__ = ["ArchiveFile", "shard_names", "token_of"]

_NAME: Final = "archive"
_NEW_NAME: Final = "archive.new"
_LOCK_NAME: Final = "archive.lock"
_SHARD: Final = re.compile(r"([0-9a-f]{16})\.shard", re.ASCII)
_UNFINISHED: Final = re.compile(r"new-[0-9a-f]{16}\.shard", re.ASCII)


def shard_names(names: Collection[str]) -> list[str]:
    """The names of shards among a directory's `names`."""
    return [name for name in names if _SHARD.fullmatch(name)]


def token_of(name: str) -> str:
    """The token of the shard with this file name."""
    return name.partition(".")[0]


def listed(directory: int) -> list[str]:
    """The names of the files in the directory."""
    # Opened again, because a descriptor's position is shared with all its copies, those of forked children included.
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


class ArchiveFile:
    """The archive in `directory` (a descriptor). One thread at a time may use it."""

    def __init__(self, system: System, directory: int) -> None:
        self._system = system
        self._directory = directory
        self._descriptor = -1
        self._inode: Inode | None = None
        self._archive = Archive()
        self._lock_inode: Inode | None = None
        self._lock_descriptor = self._open_lock()

    def _open_lock(self) -> int:
        descriptor = self._system.open(_LOCK_NAME, os.O_RDWR | os.O_CREAT, directory=self._directory)
        self._lock_inode = inode_of(descriptor)
        return descriptor

    def close(self) -> None:
        """Close all files."""
        for descriptor, inode in ((self._descriptor, self._inode), (self._lock_descriptor, self._lock_inode)):
            if descriptor >= 0:
                self._system.close(descriptor, inode)
        self._descriptor = self._lock_descriptor = -1

    def leave_parent(self) -> None:
        """In a child after a fork: close the parent's lock, which it may have locked."""
        was_open = self._lock_descriptor >= 0
        self.close()
        if was_open:
            with suppress(OSError):  # if the directory is gone, nothing is folded
                self._lock_descriptor = self._open_lock()

    # Reading ---------------------------------------------------------------------------------------------------------

    def is_current(self) -> bool:
        """Whether the archive is still the one that `read` returned."""
        try:
            there = os.stat(_NAME, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return self._descriptor < 0
        if self._descriptor < 0:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def read(self) -> Archive:
        """The archive, the same object for the same file. Raises `ShardFormatError`."""
        if self.is_current():
            return self._archive
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._archive = Archive()
        try:
            descriptor = self._system.open(_NAME, os.O_RDONLY | os.O_NONBLOCK, directory=self._directory)
        except FileNotFoundError:
            return self._archive
        try:
            self._archive = Archive.decode(_content(descriptor))
        except ShardFormatError as error:
            os.close(descriptor)
            raise ShardFormatError(f"the archive cannot be read: {error}; move it away to begin without it") from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._inode = inode_of(descriptor)
        return self._archive

    # Folding ---------------------------------------------------------------------------------------------------------

    def fold(
        self,
        read_dead: Callable[[str], Snapshot | None],
        *,
        live: Sequence[Snapshot] = (),
        retention_seconds: float = 0,
    ) -> bool:
        """Fold every dead shard; False if another process is folding.

        Finishes interrupted foldings as well. `read_dead` returns the snapshot of the shard with that file name if its
        process is dead and it can be read. With `retention_seconds`, series expire into which nothing was folded for
        this time, unless one of `live` has them.
        """
        if self._lock_descriptor < 0 or not self._system.lock(self._lock_descriptor):
            return False
        try:
            self._fold(read_dead, live, retention_seconds)
        finally:
            # Explicitly, because a child that was just forked has a copy of the descriptor until it closes it.
            self._system.unlock(self._lock_descriptor)
        return True

    def _fold(
        self, read_dead: Callable[[str], Snapshot | None], live: Sequence[Snapshot], retention_seconds: float
    ) -> None:
        process = os.getpid()
        archive = self.read()
        names = listed(self._directory)
        for name in names:
            if _UNFINISHED.fullmatch(name):
                self._remove_if_abandoned(name)
        tokens: set[str] = set()
        dead: list[Snapshot] = []
        # The files must be listed with the lock: a shard that was folded before has none.
        for name in shard_names(names):
            token = token_of(name)
            tokens.add(token)
            if token in archive.folded_tokens:
                self._remove(name)
            elif (snapshot := read_dead(name)) is not None:
                dead.append(snapshot)
        if not dead and retention_seconds <= 0:
            return
        # Oldest first, because series are exposed in this order, and that of the names is random.
        dead.sort(key=lambda snapshot: (snapshot.identity.started_ns, snapshot.identity.token))
        now = time.time()
        folded = fold(archive.forget_tokens(archive.folded_tokens - tokens), dead, now=now)
        if retention_seconds > 0:
            expired = folded.expire(now - retention_seconds, live)
            if not dead and expired is folded:
                return
            folded = expired
        content = folded.encode()
        if os.getpid() != process:
            return  # forked by a signal handler in the middle of it: the parent has the lock, and continues
        self._replace(content)
        for snapshot in dead:
            self._remove(f"{snapshot.identity.token}.shard")

    def _replace(self, content: bytes) -> None:
        system = self._system
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = system.open(_NEW_NAME, flags, directory=self._directory)
        try:
            system.write(descriptor, content)
        except OSError:
            with suppress(OSError):
                system.unlink(_NEW_NAME, directory=self._directory)
            raise
        finally:
            system.close(descriptor)
        system.rename(_NEW_NAME, _NAME, directory=self._directory)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.unlink(name, directory=self._directory)

    def _remove_if_abandoned(self, name: str) -> None:
        """Remove the file of a process that was killed while it created its shard."""
        with suppress(OSError):
            descriptor = self._system.open(name, os.O_RDONLY, directory=self._directory)
            try:
                if self._system.lock(descriptor):
                    self._remove(name)
            finally:
                os.close(descriptor)


def _content(descriptor: int) -> bytes:
    parts: list[bytes] = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)
