"""All steps between which a process may be killed: system calls, and stores.

All of them are methods of `System`, so that a test can end the process before the first, the second, the third, ...
until an operation completes, and check the result each time.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys

__all__ = ["Inode", "System", "inode_of", "mapped"]

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


def mapped(descriptor: int, offset: int, size: int, protection: int) -> mmap.mmap:
    """A shared mapping; without a copy of the descriptor if Python supports that."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=offset, trackfd=False)
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=offset)


class System:
    """The operating system, with a hook for tests before each step."""

    def step(self, what: str) -> None:
        """Called before each step; does nothing here."""

    def open(self, name: str, flags: int, mode: int = 0o600, *, directory: int | None = None) -> int:
        """A descriptor that programs do not inherit; a symbolic link is an error (ELOOP)."""
        self.step(f"open {name}")
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=directory)

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
        return True

    def unlock(self, descriptor: int) -> None:
        self.step("unlock")
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def reserve(self, descriptor: int, offset: int, size: int) -> None:
        """Reserve these bytes, as zeros; OSError (ENOSPC) now instead of SIGBUS later."""
        self.step("posix_fallocate")
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, offset, size)
            return
        for start in range(offset, offset + size, 1 << 16):  # macOS does not have it; writing zeros reserves as well
            os.pwrite(descriptor, bytes(min(1 << 16, offset + size - start)), start)

    def truncate(self, descriptor: int, size: int) -> None:
        self.step("ftruncate")
        os.ftruncate(descriptor, size)

    def map(self, descriptor: int, offset: int, size: int) -> mmap.mmap:
        self.step("mmap")
        return mapped(descriptor, offset, size, mmap.PROT_READ | mmap.PROT_WRITE)

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
