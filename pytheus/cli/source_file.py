"""The content of a file that is named on the command line, or of standard input.

A pipe is read, too, such as one of a shell's ``<(...)``, and so is a device. They are waited for within a limit of
time. Standard input is waited for without one, because the shell or the user ends it.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from typing import Final

from pytheus.push.deadline import Deadline

__all__ = ["read_source"]

_PIECE_BYTES: Final = 64 * 1024


def read_source(path: str, max_bytes: int, seconds: float) -> bytes:
    """Return at most `max_bytes` from the beginning of the file `path`, or of standard input for ``-``.

    Raises `OSError`, which is a `TimeoutError` if a pipe or a device has not ended after `seconds`.
    """
    if path == "-":
        with open(0, "rb", closefd=False) as file:
            return file.read(max_bytes)
    if sys.platform == "win32":
        with open(path, "rb") as file:  # where a pipe is not a file
            return file.read(max_bytes)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(max_bytes)
        return _read_waiting(descriptor, max_bytes, seconds)
    finally:
        os.close(descriptor)


def _read_waiting(descriptor: int, max_bytes: int, seconds: float) -> bytes:
    deadline = Deadline(seconds)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    content = bytearray()
    while len(content) < max_bytes:
        try:
            is_ready = poller.poll(deadline.remaining() * 1000)
        except TimeoutError:
            is_ready = []
        if not is_ready:
            raise TimeoutError(errno.ETIMEDOUT, f"it has not ended after {seconds:g} seconds")
        try:
            piece = os.read(descriptor, min(_PIECE_BYTES, max_bytes - len(content)))
        except BlockingIOError:
            continue  # another process has read it
        if not piece:
            break
        content += piece
    return bytes(content)
