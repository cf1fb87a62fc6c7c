"""Creates, checks and opens the directory that the processes share."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from pytheus.exceptions import PytheusError

__all__ = ["DirectoryError", "open_directory"]

_PRIVATE: Final = 0o700
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class DirectoryError(PytheusError):
    """The directory cannot be used for sharing metrics."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


def open_directory(path: str) -> int:
    """A descriptor of the directory `path`, whose last part is created if missing.

    All files are opened relative to the descriptor, so that no other user can replace the path. Raises `DirectoryError`
    if it cannot be created, is a symbolic link, belongs to another user, or can be written by others.
    """
    path = os.path.abspath(path)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            try:
                os.mkdir(path, _PRIVATE)
            except FileExistsError:
                pass  # another process of the same program was first
            descriptor = os.open(path, flags)
    except OSError as error:
        raise _error(path, _reason(path, error)) from error
    try:
        status = os.fstat(descriptor)
        me = os.geteuid()
        mode = stat.S_IMODE(status.st_mode)
        below = os.path.join(path, "pytheus")
        if status.st_uid != me:
            remedy = "run all processes as one user"
            if os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor, effective_ids=True):
                # Such as a volume that Kubernetes makes (emptyDir: root, mode 777).
                remedy = f"name a subdirectory, such as {below!r}, which is then created for this user, or {remedy}"
            raise _error(path, f"belongs to user {status.st_uid}, but this process runs as user {me}; {remedy}")
        if status.st_mode & _WRITABLE_BY_OTHERS:
            raise _error(
                path,
                f"can be written by other users (mode {mode:o}); `chmod 700` it, or name a subdirectory, such as"
                f" {below!r}, which is then created for this user",
            )
        if not os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=descriptor, effective_ids=True):
            raise _error(path, "cannot be written by this process; check its mode and whether it is mounted read-only")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _reason(path: str, error: OSError) -> str:
    if os.path.islink(path):
        return "is a symbolic link; name the directory that it points to"
    if error.errno == errno.ENOENT:
        return f"cannot be created because {os.path.dirname(path)!r} does not exist; create that first"
    if error.errno == errno.ENOTDIR:
        return "is not a directory; name one"
    return f"cannot be created or opened: {error.strerror}"


def _error(path: str, reason: str) -> DirectoryError:
    return DirectoryError(f"directory {path!r} for the metrics of several processes {reason}", path=path)
