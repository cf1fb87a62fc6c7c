"""Processes below ``pytheus run`` whose numbers its server does not show, and the one warning about them.

Rules:

- A process knows by the variable ``PYTHEUS_RUN`` that a program or command of `pytheus run` started it. The variable
  names the process that serves. Only code that knows that numbers are not shown asks.
- Of all processes below one `pytheus run`, one warns, once. The process that serves holds a pipe with one byte, and the
  process that gets the byte warns. So processes that are killed leave nothing behind.
- The pipe is opened by the number of its descriptor (``/proc``), which the program may have closed and used again: its
  identity is compared before it is read. On systems without ``/proc``, each process warns once.
- A warning never stops the program, not even where warnings are errors.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from pytheus.exceptions import PytheusWarning
from pytheus.lazy import logger

__all__ = ["RUN_VARIABLE", "announce_serving", "warn_if_unserved", "warn_of_function"]

RUN_VARIABLE: Final = "PYTHEUS_RUN"

_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep

# The process that serves, if it is this one; and the one that has warned already, or a parent of this one.
_serving: int | None = None
_has_warned = False


class _Run(NamedTuple):
    """The process that serves, and the descriptor and inode of its pipe."""

    pid: int
    descriptor: int
    inode: int


def announce_serving() -> str:
    """Return the value of ``PYTHEUS_RUN`` for the processes below this one, which serves the metrics from now on."""
    global _serving
    _serving = os.getpid()
    reader, writer = os.pipe()
    os.write(writer, b"1")
    os.close(writer)
    return f"{_serving}:{reader}:{os.fstat(reader).st_ino}"


def warn_if_unserved(message: Callable[[str], str]) -> None:
    """Warn with `message` if this process is below a `pytheus run` that does not serve its metrics.

    Does nothing if a process below the same `pytheus run` has warned before. `message` gets the words for the process
    that serves. Never raises.
    """
    global _has_warned
    if _has_warned:
        return
    run = _run()
    if run is None or (run.pid == os.getpid() and _serving == run.pid):
        return
    if run.pid == os.getpid():
        # The program of `pytheus run` has become another one by exec, and the server is gone with it.
        os.environ.pop(RUN_VARIABLE, None)
        subject = "`pytheus run`, which this process was before it became this program,"
    elif _takes_turn(run):
        subject = f"the server of `pytheus run` (process {run.pid})"
    else:
        return
    _has_warned = True
    _warn(message(subject))


def warn_of_function(gauge: str, storage: object) -> None:
    """Warn of the function of a gauge whose numbers are in `storage`, if only scrapes of this process call it."""
    if RUN_VARIABLE in os.environ and not getattr(storage, "calls_functions", False):
        warn_if_unserved(
            lambda server: (
                f"gauge {gauge!r} of process {os.getpid()} takes its number from a function, which {server} does not"
                " call, so that the number does not change; set the gauge where its number changes, or serve this"
                " process's metrics as well"
            )
        )


def _run() -> _Run | None:
    parts = os.environ.get(RUN_VARIABLE, "").split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return _Run(*map(int, parts))


def _takes_turn(run: _Run) -> bool:
    """Whether this process is the one to warn."""
    if not os.path.isdir("/proc/self/fd"):
        try:
            os.kill(run.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # another user's
        return True
    try:
        pipe = os.open(f"/proc/{run.pid}/fd/{run.descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return True  # the process that serves belongs to another user
    except OSError:
        return False  # it has ended, or its program has closed the pipe
    try:
        status = os.fstat(pipe)
        return stat.S_ISFIFO(status.st_mode) and status.st_ino == run.inode and os.read(pipe, 1) != b""
    except OSError:
        return False
    finally:
        os.close(pipe)


def _warn(message: str) -> None:
    import warnings

    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    try:
        warnings.warn_explicit(message, PytheusWarning, frame.f_code.co_filename, frame.f_lineno)
    except PytheusWarning:
        logger("pytheus").warning("%s", message)
    except Exception:
        logger("pytheus").debug("a warning could not be shown: %s", message, exc_info=True)
