"""How the operating system knows this process, and the clock that all processes of the machine share.

Rules:

- A pid is not an identity: it is reused, and two PID namespaces have equal ones. Together with the namespace and the
  start in the kernel's own unit it is one, until the machine starts again.
- Facts about a process are determined once, by the process itself, because each observer's computation would differ in
  the last digits, and after a correction of the clock in the first ones.
"""

from __future__ import annotations

import os
import time
from functools import cache

import msgspec

__all__ = ["ProcessOrigin", "boot_id", "machine_clock", "start_ticks_of"]

# Field 22 of /proc/PID/stat, counted from the first one after the command's name:
# https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_STARTTIME = 19

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ProcessOrigin(msgspec.Struct, array_like=True, frozen=True):
    """Where and when a process began; empty and 0 without a Linux ``/proc``."""

    boot: str
    """The random identifier of the machine's start."""
    pid_namespace: int
    """The inode of the PID namespace."""
    start_ticks: int
    """The start, in the unit and from the origin of ``/proc/PID/stat``."""
    start_seconds: float
    """The start, in seconds since the Unix epoch."""

    @property
    def start(self) -> tuple[int, float]:
        """In ticks, and in seconds since the Unix epoch."""
        return self.start_ticks, self.start_seconds

    @classmethod
    def of_this_process(cls) -> ProcessOrigin:
        """The same one at each call of a process."""
        return _origin_of(os.getpid())


@cache
def _origin_of(pid: int) -> ProcessOrigin:
    # By pid, because a forked child inherits the cache.
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
        ticks = start_ticks_of("self")
    except (OSError, ValueError, IndexError):
        return ProcessOrigin(boot_id(), 0, 0, 0.0)
    booted = time.time() - time.clock_gettime(_CLOCK)
    return ProcessOrigin(boot_id(), namespace, ticks, booted + ticks / os.sysconf("SC_CLK_TCK"))


def start_ticks_of(pid: int | str) -> int:
    """The start of the process that has this pid now. Raises OSError, ValueError or IndexError."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[_STARTTIME])


@cache
def boot_id() -> str:
    """The random identifier of the machine's start; empty if the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def machine_clock() -> float:
    """Seconds since the machine's start, the same for all its processes, and never set back."""
    return time.clock_gettime(_CLOCK)
