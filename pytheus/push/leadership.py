"""Which one of several processes writes: the one that holds the lock of a file.

The system releases the lock when a process ends, however it ends, and another one takes over. A child that C code
forks, so that Python is not told, shares the lock as long as it lives. A lock that no child shares, that of
``fcntl.lockf``, would be lost as soon as any code of the process closes the file.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from pytheus.exceptions import InvalidReceiverError, PushError

__all__ = ["Leadership"]


class Leadership:
    """The lock of the file at `path`, which is made if it is missing. Raises `InvalidReceiverError` without POSIX.

    May be used from any thread.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if os.name != "posix":
            raise InvalidReceiverError("lock_file needs the file locks of POSIX; start the writer in one process only")
        self._path: Final = os.fspath(path)
        self._descriptor = -1
        self._is_wanted = False
        self._changing = threading.Lock()

    def begin(self) -> None:
        """Let `acquire` take the lock from now on."""
        with self._changing:
            self._is_wanted = True

    def acquire(self) -> bool:
        """Return whether this process holds the lock; does not wait. Raises `PushError` if the file cannot be used."""
        with self._changing:
            # A thread that is late may ask after the release.
            return self._is_wanted and (self._descriptor >= 0 or self._take())

    def _take(self) -> bool:
        import fcntl

        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise PushError(f"cannot use lock_file {self._path}: {error.strerror}", reason="file") from error
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Release the lock, until `begin`."""
        with self._changing:
            self._is_wanted = False
            self._close()

    def forget(self) -> None:
        """Close the file in the child of a fork, which leaves the lock with the parent."""
        self._changing = threading.Lock()  # which another thread of the parent may have held
        self._is_wanted = False
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
