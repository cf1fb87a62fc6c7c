"""The operating system's figures of each process.

The names are those of `pytheus.collectors.ProcessCollector`, with a label `pid`.

Rules:

- ``/proc/PID`` is of the process that wrote a shard only if it is in the PID namespace of this process, and began when
  that one did. Processes of another PID namespace are not visible from here, which is logged once.
- The start of a process is read from its shard, so that all observers expose the same constant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pytheus.kinds import MetricType
from pytheus.lazy import logger
from pytheus.samples import Family, Sample
from pytheus.shards import ShardIdentity
from pytheus_multiprocess.origin import ProcessOrigin

__all__ = ["LiveProcess", "ProcessesCollector"]

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


class LiveProcess(NamedTuple):
    """A process that writes a shard."""

    identity: ShardIdentity
    origin: ProcessOrigin


class ProcessesCollector:
    """CPU time, memory, start and file descriptors of `processes`, by `pid`.

    Only of this machine, and only if it has a Linux ``/proc``; a process that has ended is skipped.
    """

    name: Final = "process"
    precedence: Final = 1
    """Greater than that of `ProcessCollector`, which knows one process only."""

    def __init__(self, processes: Callable[[], Sequence[LiveProcess]]) -> None:
        self._processes = processes
        # By pid and start: the limit of file descriptors, which is a constant as well.
        self._limits: dict[tuple[int, int], float] = {}
        self._invisible: set[int] = set()

    def collect(self) -> Iterator[Family]:
        """The present families."""
        mine = ProcessOrigin.of_this_process()
        columns: list[list[Sample]] = [[] for _ in _FAMILIES]
        limits: dict[tuple[int, int], float] = {}
        # A process that has two registries has two shards.
        for pid, ticks, start in sorted({(each.identity.pid, *each.origin.start) for each in self._visible(mine)}):
            try:
                limit = self._limits.get((pid, ticks))
                limits[pid, ticks] = limit = _descriptor_limit(pid) if limit is None else limit
                cpu, descriptors, virtual, resident = _numbers(pid, ticks)
            except (OSError, ValueError, IndexError):
                continue
            for column, number in zip(columns, (cpu, descriptors, limit, virtual, resident, start), strict=True):
                column.append(Sample("", {"pid": str(pid)}, number))
        self._limits = limits
        for (name, type_, description), samples in zip(_FAMILIES, columns, strict=True):
            if samples:
                yield Family(name, type_, description, samples)

    def _visible(self, mine: ProcessOrigin) -> Iterator[LiveProcess]:
        for each in self._processes():
            namespace = each.origin.pid_namespace
            if namespace == mine.pid_namespace:
                yield each
            elif namespace not in self._invisible:
                self._invisible.add(namespace)
                logger("pytheus_multiprocess").warning(
                    "%s is in another PID namespace (%d, and this process in %d), such as that of another container:"
                    " scrapes of this process show its counts, but not its process_* metrics",
                    each.identity,
                    namespace,
                    mine.pid_namespace,
                )


def _numbers(pid: int, ticks: int) -> tuple[float, float, float, float]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    if int(fields[_STARTTIME]) != ticks:
        raise ValueError(f"process {pid} is another one by now")
    return (
        (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK"),
        float(len(os.listdir(f"/proc/{pid}/fd"))),
        float(fields[_VSIZE]),
        float(fields[_RSS]) * os.sysconf("SC_PAGE_SIZE"),
    )


def _descriptor_limit(pid: int) -> float:
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        for line in file:
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return float("inf") if soft == "unlimited" else float(soft)
    raise ValueError("the limit of open files is missing")
