"""The archive's file, and how dead processes' shards are folded into it.

Rules:

- The file is replaced, never written to. The rename is the moment at which shards change from counting for themselves
  to counting in the archive; their files are removed after it, and their tokens, which the archive knows until then,
  after that. So whoever is killed at whatever step has folded a shard once or not at all, and the next one goes on.
- Only the holder of `archive.lock` folds. Nobody waits for it: who does not get it leaves the folding to the holder,
  and counts the dead processes' shards as they are. So a holder that was stopped stops nobody else.
- The archive and the list of shards belong together if the archive is the same before and after the listing: a shard
  that it lacks has a file for as long as it is the archive. The file is kept open, so that no other can have its inode.
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
    """Which of a directory's `names` are those of shards."""
    return [name for name in names if _SHARD.fullmatch(name)]


def token_of(name: str) -> str:
    """The token of the shard with that file name."""
    return name.partition(".")[0]


def listed(directory: int) -> list[str]:
    """The names in the directory."""
    # Opened anew, for a descriptor's position is shared with all its copies, also with those of forked children.
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


class ArchiveFile:
    """The archive in `directory` (a descriptor). To be used by one thread at a time."""

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
        """Give everything back."""
        for descriptor, inode in ((self._descriptor, self._inode), (self._lock_descriptor, self._lock_inode)):
            if descriptor >= 0:
                self._system.close(descriptor, inode)
        self._descriptor = self._lock_descriptor = -1

    def leave_parent(self) -> None:
        """In a child after a fork: let go of the parent's lock, which it may be holding."""
        was_open = self._lock_descriptor >= 0
        self.close()
        if was_open:
            with suppress(OSError):  # where the directory is gone, nothing is folded
                self._lock_descriptor = self._open_lock()

    # Reading ---------------------------------------------------------------------------------------------------------

    def is_current(self) -> bool:
        """Whether what `read` gave is still the archive."""
        try:
            there = os.stat(_NAME, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return self._descriptor < 0
        if self._descriptor < 0:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def read(self) -> Archive:
        """The archive as it is now: the same object for as long as it is the same. Raises `ShardFormatError`."""
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
        """Fold every dead shard, and clear up behind those who were killed folding; False if somebody else is at it.

        `read_dead` gives the snapshot of the shard with that file name if its process is dead and it can be read. With
        `retention_seconds`, series go that nothing was folded into for so long, unless one of `live` has them.
        """
        if self._lock_descriptor < 0 or not self._system.lock(self._lock_descriptor):
            return False
        try:
            self._fold(read_dead, live, retention_seconds)
        finally:
            # Said expressly: a child that was forked just now has a copy of the descriptor until it comes to close it.
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
        # Whether a shard has a file must be asked now, with the lock: one that was folded before has none.
        for name in shard_names(names):
            token = token_of(name)
            tokens.add(token)
            if token in archive.folded_tokens:
                self._remove(name)
            elif (snapshot := read_dead(name)) is not None:
                dead.append(snapshot)
        if not dead and retention_seconds <= 0:
            return
        # Oldest first, for series show in the order in which they come here, and that of the names is chance.
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
            return  # forked by a signal handler in the middle of it: the parent has the lock, and does the rest
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
        """Remove what a process left that was killed while it began its shard."""
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
