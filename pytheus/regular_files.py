"""Files that a user names, read without waiting: a named pipe waits for its writer, and some devices never end."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

__all__ = ["MAX_PEM_BYTES", "UnfitFileError", "check_regular_file", "read_regular_file"]

MAX_PEM_BYTES: Final = 16 * 1024 * 1024
"""The largest file of certificates: those of all public authorities take a quarter of a megabyte."""


class UnfitFileError(OSError):
    """A file that is not regular or too large; `strerror` continues "the file is"."""


def check_regular_file(path: str | os.PathLike[str], max_bytes: int) -> None:
    """Raise `UnfitFileError` unless the file is regular and has at most `max_bytes`, or the `OSError` of the system.

    For files that a library opens itself.
    """
    _check(os.stat(path), max_bytes)


def read_regular_file(path: str | os.PathLike[str], max_bytes: int) -> tuple[bytes, os.stat_result]:
    """Return the content of a regular file of at most `max_bytes`, and its status, which belong together.

    Raises `UnfitFileError` for another file, or the `OSError` of the system.
    """
    # Before it is opened, because that alone has an effect on some devices.
    check_regular_file(path, max_bytes)
    # Opened without waiting, because it may be another file now.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        _check(status, max_bytes)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content, status


def _check(status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnfitFileError(errno.EINVAL, "not a regular file")
    if status.st_size > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> UnfitFileError:
    return UnfitFileError(errno.EFBIG, f"larger than {max_bytes} bytes")
