"""All steps between which a process may be killed: system calls, and stores.

All of them are methods of `System`, so that a test can end the process before the first, the second, the third, ...
until an operation completes, and check the result each time.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import sys
from typing import Final

from pytheus.exceptions import ShardFormatError

__all__ = ["Inode", "NotRegularError", "System", "inode_of"]

Inode = tuple[int, int]
"""The identity of a file on this machine: device and inode."""


def inode_of(descriptor: int) -> Inode | None:
    """The file of a descriptor, or None if it is closed.

    A program that becomes a daemon may close all descriptors, and later files get their numbers.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# Without O_NONBLOCK, opening a pipe waits for its other end; with O_NOCTTY, a terminal stays what it is.
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY

_ZEROS: Final = bytes(1 << 16)

_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.ENOLCK})
"""The errors by which file systems say that they do not have an operation."""


def _unsupported(error: OSError, operation: str) -> OSError:
    return OSError(error.errno, f"the file system has no {operation}; use a directory on another one, such as /dev/shm")


class _Map(mmap.mmap):
    """A mapping that does not close a descriptor of the program.

    Until Python 3.12, a mapping copies the descriptor and closes the copy at its end. The program may have closed the
    copy and used its number again; the mapping then stays until the process ends.
    """

    __slots__ = ("copy", "inode")

    copy: int
    inode: Inode | None

    def __del__(self) -> None:
        if self.inode is not None and inode_of(self.copy) not in (self.inode, None):
            _kept.append(self)


_kept: Final[list[_Map]] = []


class NotRegularError(ShardFormatError):
    """In the place of a file is a directory, a symbolic link, a pipe, a socket or a device."""


def _kind_of(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


class System:
    """The operating system, with a hook for tests before each step."""

    def step(self, what: str) -> None:
        """Called before each step; does nothing here."""

    def open(self, name: str, flags: int, mode: int = 0o600, *, directory: int | None = None) -> int:
        """A descriptor of a regular file, which programs do not inherit; never waits.

        Raises `NotRegularError` for anything else, and OSError.
        """
        self.step(f"open {name}")
        try:
            descriptor = os.open(name, flags | _FLAGS, mode, dir_fd=directory)
        except FileExistsError:
            raise
        except OSError as error:
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            except OSError:
                raise error from None
            if stat.S_ISREG(found):
                raise
            raise NotRegularError(f"{name} is {_kind_of(found)}, not a regular file; remove it") from error
        found = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(found):
            os.close(descriptor)
            raise NotRegularError(f"{name} is {_kind_of(found)}, not a regular file; remove it")
        return descriptor

    def close(self, descriptor: int, inode: Inode | None = None) -> None:
        """Close `descriptor`, unless it is of another file than `inode` by now."""
        self.step("close")
        if inode is None or inode_of(descriptor) == inode:
            os.close(descriptor)

    def lock(self, descriptor: int, *, shared: bool = False) -> bool:
        """Whether the kernel's lock on the open file description was free."""
        self.step("flock")
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                raise _unsupported(error, "locks (flock)") from error
            raise
        return True

    def unlock(self, descriptor: int) -> None:
        self.step("unlock")
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def reserve(self, descriptor: int, offset: int, size: int) -> None:
        """Reserve these bytes beyond the end, as zeros; OSError (ENOSPC) now instead of SIGBUS later."""
        self.step("posix_fallocate")
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(descriptor, offset, size)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
            else:
                return
        # Neither macOS nor every file system has it. Writing zeros reserves as well.
        end = offset + size
        while offset < end:
            offset += os.pwrite(descriptor, _ZEROS[: end - offset], offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.step("ftruncate")
        os.ftruncate(descriptor, size)

    def map(self, descriptor: int, offset: int, size: int) -> mmap.mmap:
        """A shared mapping for reading and writing; without a copy of the descriptor if Python supports that."""
        self.step("mmap")
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        try:
            if sys.version_info >= (3, 13):
                return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=offset, trackfd=False)
            copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 0)
            os.close(copy)
            mapped = _Map(descriptor, size, mmap.MAP_SHARED, protection, offset=offset)
            # It has copied the descriptor to the lowest number that is free: the same, unless another thread took it.
            mapped.copy = copy
            mapped.inode = inode_of(copy)
            return mapped
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                raise _unsupported(error, "shared mappings (mmap)") from error
            raise

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of it; in two parts, so that a test sees half a file as well."""
        rest = memoryview(data)
        at_most = len(data) // 2 + 1
        while rest:
            self.step("write")
            rest = rest[os.write(descriptor, rest[:at_most]) :]

    def rename(self, old: str, new: str, *, directory: int) -> None:
        self.step(f"rename {old} {new}")
        os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)

    def unlink(self, name: str, *, directory: int) -> None:
        self.step(f"unlink {name}")
        os.unlink(name, dir_fd=directory)

    def store(self, words: memoryview, index: int, value: int) -> None:
        """Store a 64-bit number, which other processes see completely or not at all."""
        self.step("store")
        words[index] = value

    def fill(self, memory: memoryview, start: int, data: bytes) -> None:
        """Copy `data` into mapped memory that no process reads before a store commits it."""
        self.step("copy")
        memory[start : start + len(data)] = data
