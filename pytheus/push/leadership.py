"""Which one of several processes writes: the one that holds the lock of a file.

The system releases the lock when a process ends, however it ends, and another one takes over.
"""

from __future__ import annotations

import os
from typing import Final

from pytheus.exceptions import InvalidReceiverError, PushError

__all__ = ["Leadership"]


class Leadership:
    """The lock of the file at `path`, which is made if it is missing. Raises `InvalidReceiverError` without POSIX.

    One thread at a time may use it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if os.name != "posix":
            raise InvalidReceiverError("lock_file needs the file locks of POSIX; start the writer in one process only")
        self._path: Final = os.fspath(path)
        self._descriptor = -1

    def acquire(self) -> bool:
        """Return whether this process holds the lock; does not wait. Raises `PushError` if the file cannot be used."""
        if self._descriptor >= 0:
            return True
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
        """Release the lock."""
        self.forget()

    def forget(self) -> None:
        """Close the file; in the child of a fork this leaves the lock with the parent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
