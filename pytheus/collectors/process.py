"""Metrics of the operating system about this process.

All Prometheus clients use these names with the same meaning:
https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics

With ``/proc`` of Linux, all families are complete. On other systems, a family is omitted if the standard library has no
number with exactly its meaning.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from pytheus.kinds import MetricType
from pytheus.registry.contract import RefusesPeers
from pytheus.samples import Family, Sample

__all__ = ["ProcessCollector"]

# Fields of /proc/PID/stat after the command's name in parentheses, which may itself contain spaces and parentheses;
# numbered here from 0, in the manual from 3: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_STARTTIME: Final = 19
_VSIZE: Final = 20
_RSS: Final = 21


class ProcessCollector(RefusesPeers):
    """CPU time, memory, start time and file descriptors of the current process.

        >>> families = {family.name: family for family in ProcessCollector().collect()}
        >>> families["process_cpu_seconds_total"].samples[0].value > 0
        True

    CPU time is in seconds, memory in bytes, the start time in seconds since the Unix epoch. A family is omitted if the
    system does not provide its number. May be called from any thread; reads a few files of ``/proc``.
    """

    __slots__ = ("_start",)

    name: Final = "process"
    precedence: Final = 0

    def __init__(self) -> None:
        # The id and start time of the process, because a new computation would differ slightly at each scrape.
        self._start: tuple[int, float] | None = None

    def collect(self) -> Iterator[Family]:
        """Yield the families with their current values."""
        stat = _stat_fields()
        families = (
            _family("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", time.process_time),
            _family("process_open_fds", "Number of open file descriptors.", _open_fds),
            _family("process_max_fds", "Maximum number of open file descriptors.", _max_fds),
            _family("process_virtual_memory_bytes", "Virtual memory size in bytes.", lambda: _virtual_memory(stat)),
            _family("process_resident_memory_bytes", "Resident memory size in bytes.", lambda: _resident_memory(stat)),
            _family(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                lambda: self._start_seconds(stat),
            ),
        )
        yield from (family for family in families if family is not None)

    def _start_seconds(self, stat: list[str] | None) -> float | None:
        if stat is None:
            return None
        pid = os.getpid()
        known = self._start
        if known is None or known[0] != pid:
            booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            known = (pid, booted + int(stat[_STARTTIME]) / os.sysconf("SC_CLK_TCK"))
            self._start = known
        return known[1]


def _family(name: str, description: str, read: Callable[[], float | None]) -> Family | None:
    try:
        value = read()
    except (OSError, ValueError, AttributeError, ImportError):
        return None  # not available on this system
    type_: MetricType = "counter" if name.endswith("_total") else "gauge"
    return None if value is None else Family(name, type_, description, [Sample("", {}, value)])


def _stat_fields() -> list[str] | None:
    try:
        with open("/proc/self/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return None


def _virtual_memory(stat: list[str] | None) -> float | None:
    return None if stat is None else float(stat[_VSIZE])


def _resident_memory(stat: list[str] | None) -> float | None:
    # Not from getrusage(), which returns the peak.
    return None if stat is None else float(stat[_RSS]) * os.sysconf("SC_PAGE_SIZE")


def _open_fds() -> float:
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return float(len(os.listdir(directory)) - 1)  # without the one for the listing


def _max_fds() -> float:
    try:
        with open("/proc/self/limits", encoding="ascii") as file:
            for line in file:
                if line.startswith("Max open files"):
                    soft = line.split()[3]
                    return float("inf") if soft == "unlimited" else float(soft)
    except OSError:
        pass
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else float(limit)
