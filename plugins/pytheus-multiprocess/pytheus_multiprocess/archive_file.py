"""The archive's file, and how dead processes' shards are folded into it.

Rules:

- The file is replaced, never written to. With the rename, shards cease to count by themselves and count in the archive.
  Then their files are deleted, and then their tokens, which the archive remembers until then. So a crash at any step
  leaves each shard folded once or not at all, and the next scrape continues.
- Only the process that has the lock of `archive.lock` folds. No process waits for it: one that does not get it counts
  the dead processes' shards as they are. So a process that was stopped while it has the lock stops no other.
- An archive that cannot be read counts nothing, and is reported. Nothing is folded then, so that it is not replaced
  and can be repaired, and dead processes' shards count as they are.
- Dead shards are folded a few at a time, so that neither memory nor descriptors grow with their number, and a process
  that is killed has not worked in vain.
- A living process may move series into the archive, too. The archive keeps their numbers in its shard, and readers skip
  them there, until the shard is gone or has a new index. So it does not matter when the shard removes them.
- The archive and the list of shards match if the archive is the same before and after the listing: a shard that it does
  not contain has a file as long as this archive is valid. The file is kept open, so that no other file gets its inode.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from zlib import crc32

import msgspec

from pytheus.exceptions import ShardFormatError
from pytheus.shards import Archive, Snapshot, fold
from pytheus_multiprocess.origin import boot_id
from pytheus_multiprocess.retirement import Retirable, Retired
from pytheus_multiprocess.system import Inode, System, inode_of

__all__ = ["ArchiveFile", "shard_names", "token_of"]

_NAME: Final = "archive"
_NEW_NAME: Final = "archive.new"
_LOCK_NAME: Final = "archive.lock"
_SHARD: Final = re.compile(r"([0-9a-f]{16})\.shard", re.ASCII)
_UNFINISHED: Final = re.compile(r"new-[0-9a-f]{16}\.shard", re.ASCII)

# Magic, version, and the machine's start to which the times of "last" gauges refer; then a CRC-32 of that; the archive.
_HEAD: Final = struct.Struct("=8sI36s")
_MAGIC: Final = b"\x89pyarchv"
_VERSION: Final = 1
_HEAD_SIZE: Final = _HEAD.size + 4
_ARCHIVE_HEAD_SIZE: Final = 64
# After the archive: length and CRC-32 of the series of living shards.
_TAIL: Final = struct.Struct("=II")

_AT_ONCE: Final = 64
"""How many shards are folded at a time."""


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
        self.retired: Mapping[str, Retired] = {}
        """By the token of a living shard: those of its series that the archive has. As of the last `read`."""
        self.damage: str | None = None
        """Why the archive cannot be read, or None."""
        self._damaged: tuple[Inode, int, int] | None = None
        self.lock_damage: str | None = None
        """Why nothing is folded, or None."""
        self._lock_descriptor = -1
        self._lock_inode: Inode | None = None
        self._open_lock()

    def _open_lock(self) -> None:
        """Open the lock's file; without one, for example if no inode is left, nothing is folded for now."""
        try:
            self._lock_descriptor = self._system.open(_LOCK_NAME, os.O_RDWR | os.O_CREAT, directory=self._directory)
        except OSError as error:
            self.lock_damage = f"it cannot be opened: {error.strerror or error}"
            return
        self._lock_inode = inode_of(self._lock_descriptor)
        self.lock_damage = None

    def close(self) -> None:
        """Close all files."""
        for descriptor, inode in ((self._descriptor, self._inode), (self._lock_descriptor, self._lock_inode)):
            if descriptor >= 0:
                self._system.close(descriptor, inode)
        self._descriptor = self._lock_descriptor = -1
        # Without the descriptor, another archive may get the inode.
        self._inode = None

    def leave_parent(self) -> None:
        """In a child after a fork: close the parent's lock, which it may have locked."""
        self.close()
        with suppress(ShardFormatError):
            self._open_lock()

    # Reading ---------------------------------------------------------------------------------------------------------

    def is_current(self) -> bool:
        """Whether the archive is still the one that `read` returned."""
        try:
            there = os.stat(_NAME, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return self._descriptor < 0 and self.damage is None
        mine = inode_of(self._descriptor) if self._descriptor >= 0 else self._inode
        return (there.st_dev, there.st_ino) == mine

    def read(self) -> Archive:
        """The archive, the same object for the same file; empty, with `damage`, if it cannot be read."""
        if self.is_current() and (self.damage is None or self._damaged == _version_of(self._directory)):
            return self._archive
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._system.close(descriptor, self._inode)
        self._archive = Archive()
        self.retired = {}
        self._inode = None
        self.damage = None
        try:
            descriptor = self._system.open(_NAME, os.O_RDONLY, directory=self._directory)
        except FileNotFoundError:
            return self._archive
        except (ShardFormatError, PermissionError) as error:
            self.damage = error.strerror if isinstance(error, OSError) else str(error)
            self._damaged = _version_of(self._directory)
            self._inode = None if self._damaged is None else self._damaged[0]
            return self._archive
        try:
            self._archive, self.retired = _read(descriptor)
        except ShardFormatError as error:
            self.damage = f"{error}; move it away to begin without it"
            self._damaged = _version_of(self._directory)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._inode = inode_of(descriptor)
        return self._archive

    # Folding ---------------------------------------------------------------------------------------------------------

    def fold(
        self,
        dead_names: Sequence[str],
        read_dead: Callable[[str], Snapshot | None],
        expired: Callable[[Archive], Archive] = lambda archive: archive,
    ) -> bool:
        """Fold the dead shards with these file names, in this order; False if another process is folding.

        Finishes interrupted foldings as well. `read_dead` returns the snapshot of a dead shard, or None if it cannot be
        read. `expired` returns an archive without the series that expire.
        """
        with self._locked() as locked:
            if locked:
                self._fold(dead_names, read_dead, expired)
        return locked

    def absorb(self, take: Callable[[], Retirable], *, token: str, now: float) -> bool:
        """Fold series of the living shard `token`; False, without a call of `take`, if that is not possible now.

        `take` returns them. They cease to count in the shard with the rename, before it removes them. `now` is when
        they were written last. May raise OSError after `take` was called; then they still count in the shard.
        """
        with self._locked() as locked:
            if not locked:
                return False
            process = os.getpid()
            archive = self.read()
            if self.damage is not None:
                return False
            snapshot, generation, series = take()
            folded = fold(archive, [snapshot], now=now).forget_tokens([snapshot.identity.token])
            retired = self.retired.get(token)
            if retired is None or retired.generation != generation:
                retired = Retired(generation, [])
            retired = retired._replace(series=[*retired.series, *series])
            content = folded.encode()
            if os.getpid() != process:
                return False
            self._replace(content, {**self.retired, token: retired})
            return True

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Whether this process has the lock now, without waiting for it."""
        if self._lock_descriptor < 0:
            self._open_lock()
        if self._lock_descriptor < 0 or not self._system.lock(self._lock_descriptor):
            yield False
            return
        try:
            yield True
        finally:
            # Explicitly, because a child that was just forked has a copy of the descriptor until it closes it.
            self._system.unlock(self._lock_descriptor)

    def _fold(
        self,
        dead_names: Sequence[str],
        read_dead: Callable[[str], Snapshot | None],
        expired: Callable[[Archive], Archive],
    ) -> None:
        process = os.getpid()
        archive = self.read()
        if self.damage is not None:
            return
        # The files must be listed with the lock: a shard that was folded before has none.
        names = listed(self._directory)
        tokens: set[str] = set()
        for name in names:
            if _UNFINISHED.fullmatch(name):
                self._remove_if_abandoned(name)
        for name in shard_names(names):
            if token_of(name) in archive.folded_tokens:
                self._remove(name)
            tokens.add(token_of(name))
        present = tokens - archive.folded_tokens
        wanted = [name for name in dead_names if token_of(name) in present]
        now = time.time()
        for first in range(0, max(len(wanted), 1), _AT_ONCE):
            batch = wanted[first : first + _AT_ONCE]
            dead = [snapshot for name in batch if (snapshot := read_dead(name)) is not None]
            folded = archive
            if dead:
                folded = fold(archive.forget_tokens(archive.folded_tokens - tokens), dead, now=now)
            if first + _AT_ONCE >= len(wanted):
                folded = expired(folded)
            if folded is archive:
                continue
            content = folded.encode()
            if os.getpid() != process:
                return  # forked by a signal handler in the middle of it: the parent has the lock, and continues
            self._replace(content, {token: self.retired[token] for token in self.retired.keys() & tokens})
            for snapshot in dead:
                self._remove(f"{snapshot.identity.token}.shard")
                tokens.discard(snapshot.identity.token)
            archive = folded

    def _replace(self, content: bytes, retired: Mapping[str, Retired]) -> None:
        system = self._system
        tail = msgspec.msgpack.encode(retired)
        head = _HEAD.pack(_MAGIC, _VERSION, boot_id().encode())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            descriptor = system.open(_NEW_NAME, flags, directory=self._directory)
        except FileExistsError:
            # It was left by a process that was killed, or is not a file of ours.
            system.unlink(_NEW_NAME, directory=self._directory)
            descriptor = system.open(_NEW_NAME, flags, directory=self._directory)
        try:
            parts = (head, crc32(head).to_bytes(4, "little"), content, _TAIL.pack(len(tail), crc32(tail)), tail)
            system.write(descriptor, b"".join(parts))
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
        with suppress(OSError, ShardFormatError):
            descriptor = self._system.open(name, os.O_RDONLY, directory=self._directory)
            try:
                if self._system.lock(descriptor):
                    self._remove(name)
            finally:
                os.close(descriptor)


def _version_of(directory: int) -> tuple[Inode, int, int] | None:
    """Inode, size and time, one of which changes when the archive is repaired; None if it is not there."""
    try:
        status = os.stat(_NAME, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns


def _read(descriptor: int) -> tuple[Archive, Mapping[str, Retired]]:
    """The archive in a file, and the series of living shards that it has. Raises `ShardFormatError`."""
    head = os.pread(descriptor, _HEAD_SIZE + _ARCHIVE_HEAD_SIZE, 0)
    magic, version, boot = _HEAD.unpack(head[: _HEAD.size].ljust(_HEAD.size, b"\0"))
    if magic != _MAGIC:
        raise ShardFormatError(f"it is not an archive: it begins with {magic!r}")
    if version != _VERSION:
        raise ShardFormatError(f"it has the format version {version}, but this version reads {_VERSION}")
    if crc32(head[: _HEAD.size]).to_bytes(4, "little") != head[_HEAD.size : _HEAD_SIZE]:
        raise ShardFormatError("its header does not match its checksum")
    size = Archive.encoded_size(head[_HEAD_SIZE:])
    found = os.fstat(descriptor).st_size - _HEAD_SIZE
    if found < size + _TAIL.size:
        raise ShardFormatError(f"it has {found} bytes after its header, but should have {size + _TAIL.size} or more")
    length, checksum = _TAIL.unpack(os.pread(descriptor, _TAIL.size, _HEAD_SIZE + size).ljust(_TAIL.size, b"\0"))
    if found != size + _TAIL.size + length:
        raise ShardFormatError(f"it has {found} bytes after its header, but should have {size + _TAIL.size + length}")
    content = bytearray(found)
    view = memoryview(content)
    while view and (count := os.preadv(descriptor, [view], _HEAD_SIZE + found - len(view))):
        view = view[count:]
    tail = bytes(content[size + _TAIL.size :])
    if crc32(tail) != checksum:
        raise ShardFormatError("its list of series of living shards does not match its checksum")
    try:
        retired = msgspec.msgpack.decode(tail, type=dict[str, Retired])
    except msgspec.MsgspecError as error:
        raise ShardFormatError(f"its list of series of living shards cannot be read: {error}") from error
    archive = Archive.decode(content[:size])
    return archive if boot.rstrip(b"\0") == boot_id().encode() else archive.age(), retired
