"""The operating system's figures of each process.

The names are those of `pytheus.collectors.ProcessCollector`, with a label `pid`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pytheus.kinds import MetricType
from pytheus.samples import Family, Sample
from pytheus.shards import ShardIdentity

__all__ = ["ProcessesCollector"]

# Fields of /proc/PID/stat after the command's name, numbered here from 0, there from 3:
# https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_UTIME: Final = 11
_STIME: Final = 12
_STARTTIME: Final = 19
_VSIZE: Final = 20
_RSS: Final = 21

_FAMILIES: Final[tuple[tuple[str, MetricType, str], ...]] = (
    ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."),
    ("process_open_fds", "gauge", "Number of open file descriptors."),
    ("process_max_fds", "gauge", "Maximum number of open file descriptors."),
    ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."),
    ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."),
    ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."),
)


class ProcessesCollector:
    """CPU time, memory, start and file descriptors of `processes`, by `pid`.

    Only of this machine, and only if it has a Linux ``/proc``; a process that has ended is skipped.
    """

    name: Final = "process"
    precedence: Final = 1
    """Greater than that of `ProcessCollector`, which knows one process only."""

    def __init__(self, processes: Callable[[], Sequence[ShardIdentity]]) -> None:
        self._processes = processes
        # By token, the constants: start time, and limit of file descriptors.
        self._fixed: dict[str, tuple[float, float]] = {}

    def collect(self) -> Iterator[Family]:
        """The present families."""
        host = os.uname().nodename
        columns: list[list[Sample]] = [[] for _ in _FAMILIES]
        fixed: dict[str, tuple[float, float]] = {}
        for process in sorted({each.pid: each for each in self._processes() if each.host == host}.values()):
            known = self._fixed.get(process.token)
            try:
                numbers, fixed[process.token] = _numbers(process.pid, known)
            except (OSError, ValueError, IndexError):
                continue
            for column, number in zip(columns, numbers, strict=True):
                column.append(Sample("", {"pid": str(process.pid)}, number))
        self._fixed = fixed
        for (name, type_, description), samples in zip(_FAMILIES, columns, strict=True):
            if samples:
                yield Family(name, type_, description, samples)


def _numbers(pid: int, known: tuple[float, float] | None) -> tuple[tuple[float, ...], tuple[float, float]]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    if known is None:
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        known = (booted + int(fields[_STARTTIME]) / ticks, _descriptor_limit(pid))
    numbers = (
        (int(fields[_UTIME]) + int(fields[_STIME])) / ticks,
        float(len(os.listdir(f"/proc/{pid}/fd"))),
        known[1],
        float(fields[_VSIZE]),
        float(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE"),
        known[0],
    )
    return numbers, known


def _descriptor_limit(pid: int) -> float:
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        for line in file:
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return float("inf") if soft == "unlimited" else float(soft)
    raise ValueError("the limit of open files is missing")
