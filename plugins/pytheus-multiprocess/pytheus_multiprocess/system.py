"""Every step that a kill could separate from the next one: the system calls that change files, and stores that commit.

All of them go through one `System`, so that a test can end the process before the first, the second, the third, ...
until an operation runs through, and look at what it left each time.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys

__all__ = ["Inode", "System", "inode_of", "mapped"]

Inode = tuple[int, int]
"""Which file it is, on this machine."""


def inode_of(descriptor: int) -> Inode | None:
    """Of which file it is a descriptor, or None if it is none.

    A program that makes a daemon of itself may close all descriptors that it finds, and be given their numbers again.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def mapped(descriptor: int, offset: int, size: int, protection: int) -> mmap.mmap:
    """A mapping that others see; without a copy of the descriptor, where Python can do without."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=offset, trackfd=False)
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection, offset=offset)


class System:
    """The operating system, with a place before each step where a test can stand."""

    def step(self, what: str) -> None:
        """Called before each step; the real system has nothing to do here."""

    def open(self, name: str, flags: int, mode: int = 0o600, *, directory: int | None = None) -> int:
        """A descriptor that is not inherited by programs; a symbolic link is an error (ELOOP), wherever it leads."""
        self.step(f"open {name}")
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode, dir_fd=directory)

    def close(self, descriptor: int, inode: Inode | None = None) -> None:
        """Close `descriptor`, unless it is none any more, or not one of the file `inode`."""
        self.step("close")
        if inode is None or inode_of(descriptor) == inode:
            os.close(descriptor)

    def lock(self, descriptor: int, *, shared: bool = False) -> bool:
        """Whether the lock could be had at once: the kernel's, on the open file description, gone with its process."""
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
        """Let the file have these bytes, zeros so far; raises OSError (ENOSPC) now, rather than SIGBUS later."""
        self.step("posix_fallocate")
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, offset, size)
            return
        for start in range(offset, offset + size, 1 << 16):  # macOS has none; zeros written take their space as well
            os.pwrite(descriptor, bytes(min(1 << 16, offset + size - start)), start)

    def truncate(self, descriptor: int, size: int) -> None:
        self.step("ftruncate")
        os.ftruncate(descriptor, size)

    def map(self, descriptor: int, offset: int, size: int) -> mmap.mmap:
        self.step("mmap")
        return mapped(descriptor, offset, size, mmap.PROT_READ | mmap.PROT_WRITE)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of it; in two pieces, so that a test sees half a file as well."""
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

    def store(self, cells: memoryview, index: int, value: int) -> None:
        """Store one aligned 64-bit number in mapped memory: for everybody else it is there whole or not at all."""
        self.step("store")
        cells[index] = value

    def fill(self, memory: memoryview, start: int, data: bytes) -> None:
        """Copy `data` into mapped memory, where nobody looks before a store that commits it."""
        self.step("copy")
        memory[start : start + len(data)] = data
