"""The addresses at which a process, or its children, may serve metrics: their listening sockets, through ``/proc``.

Rules:

- Only processes are looked into that the user may look into (``/proc/PID/fd``), and nothing of theirs is changed.
- The sockets of the process itself come first, then those of its children, each by their ports.
- A process in another network namespace, such as a container, is not reachable by its addresses: that is an error.

https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final, NamedTuple

from pytheus.exceptions import PytheusError

__all__ = ["Listener", "ProcessNotReadableError", "listeners_of"]

_LISTEN: Final = "0A"
_SOCKET: Final = re.compile(r"socket:\[([0-9]+)\]")
_PROCESSES_AT_MOST: Final = 1000
_LISTENERS_AT_MOST: Final = 32


class ProcessNotReadableError(PytheusError):
    """The process does not exist, belongs to another user, or its addresses are not those of this machine."""


class Listener(NamedTuple):
    """An address, as it is written in a URL, at which a process listens."""

    pid: int
    host: str
    port: int

    @property
    def url(self) -> str:
        """The address of metrics there."""
        return f"http://{self.host}:{self.port}/metrics"


def listeners_of(pid: int, proc: Path = Path("/proc")) -> list[Listener]:
    """Return where process `pid` and its children listen, at most 32 addresses.

    Raises `ProcessNotReadableError` with the reason and the remedy.
    """
    if not sys.platform.startswith("linux"):
        raise ProcessNotReadableError(
            f"a process is found through /proc, which {sys.platform} does not have; name the URL of its metrics"
        )
    if not (proc / str(pid)).is_dir():
        raise ProcessNotReadableError(f"there is no process {pid}; name a running process, or the URL of its metrics")
    try:
        os.listdir(proc / str(pid) / "fd")
    except PermissionError as error:
        raise ProcessNotReadableError(
            f"process {pid} belongs to another user, and its sockets may not be looked at; name the URL of its metrics"
        ) from error
    except OSError as error:
        raise ProcessNotReadableError(f"process {pid} has ended; name a running process") from error
    if _namespace(proc, str(pid)) != _namespace(proc, "self"):
        raise ProcessNotReadableError(
            f"process {pid} is in another network namespace, such as that of a container; run this command there, or"
            " name the URL at which its metrics are reachable from here"
        )
    found: dict[tuple[str, int], Listener] = {}
    for process in _family(pid, proc):
        sockets = _sockets(proc, process)
        for host, port, inode in sorted(_listening(proc, process), key=lambda one: (one[1], one[0])):
            if inode in sockets and len(found) < _LISTENERS_AT_MOST:
                found.setdefault((host, port), Listener(process, host, port))
    return list(found.values())


def _namespace(proc: Path, process: str) -> str | None:
    try:
        return os.readlink(proc / process / "ns" / "net")
    except OSError:
        return None


def _family(pid: int, proc: Path) -> list[int]:
    """The process, its children, theirs, and so on, in this order."""
    children: dict[int, list[int]] = {}
    for name in sorted(filter(str.isdigit, os.listdir(proc)), key=int):
        try:
            status = (proc / name / "stat").read_text("utf-8", "replace")
        except OSError:
            continue  # it has ended
        # The name of the program, in parentheses, may have spaces and parentheses.
        parent = status.rpartition(")")[2].split()[1]
        children.setdefault(int(parent), []).append(int(name))
    family = [pid]
    for process in family:
        family += [child for child in children.get(process, ()) if child not in family]
        if len(family) >= _PROCESSES_AT_MOST:
            break
    return family[:_PROCESSES_AT_MOST]


def _sockets(proc: Path, process: int) -> set[str]:
    directory = proc / str(process) / "fd"
    found: set[str] = set()
    try:
        for name in os.listdir(directory):
            match = _SOCKET.fullmatch(_target(directory / name))
            if match is not None:
                found.add(match[1])
    except OSError:
        pass  # a child of another user, or one that has ended
    return found


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _listening(proc: Path, process: int) -> Iterator[tuple[str, int, str]]:
    """The host, the port and the inode of each listening TCP socket in the network namespace of a process."""
    for name in "tcp", "tcp6":
        try:
            lines = (proc / str(process) / "net" / name).read_text("ascii", "replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                yield _host(address), int(port, 16), fields[9]


def _host(address: str) -> str:
    """The host of a URL for an address of ``/proc/net``, which has words in the order of the machine's bytes.

    >>> _host("00000000") if sys.byteorder == "little" else "127.0.0.1"
    '127.0.0.1'
    """
    words = [bytes.fromhex(address[start : start + 8]) for start in range(0, len(address), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    if len(packed) == 4:
        plain = IPv4Address(packed)
        return "127.0.0.1" if plain.is_unspecified else str(plain)
    long = IPv6Address(packed)
    if long.ipv4_mapped is not None:
        return str(long.ipv4_mapped)
    return "[::1]" if long.is_unspecified else f"[{long}]"
