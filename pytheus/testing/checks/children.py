"""Work in the child of a fork, for checks."""

from __future__ import annotations

import os
import select
import signal
import warnings
from collections.abc import Callable
from unittest import SkipTest

__all__ = ["error_in_child", "fork", "readable"]


def fork() -> int:
    """Fork, and return the child's process id, or 0 in the child. Raises `SkipTest` where there is no fork."""
    if not hasattr(os, "fork"):
        raise SkipTest("this system has no fork")
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, which is what some checks are about.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def readable(descriptor: int, patience_seconds: float) -> bool:
    """Wait until `descriptor` has data or its other end is closed, and return whether that came in time."""
    # Unlike select(), for descriptors of any number.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(patience_seconds * 1000))


def error_in_child(work: Callable[[], object], patience_seconds: float) -> str:
    """Run `work` in the child of a fork, and return the text of its error, or "".

    The child ends by `os._exit`, so that it runs nothing of the test runner, and is killed if it does not end in time.
    """
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            os.close(reader)
            work()
        except BaseException as error:
            told = str(error) if isinstance(error, AssertionError) else f"raised {type(error).__name__}: {error}"
            os.write(writer, told.encode("utf-8", "replace")[:4096] or b"it failed")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        # The pipe ends with the child.
        if not readable(reader, patience_seconds):
            os.kill(pid, signal.SIGKILL)
            return f"it did not return within {patience_seconds:g} s; was a lock inherited from the parent?"
        return os.read(reader, 4096).decode("utf-8", "replace")
    finally:
        os.close(reader)
        os.waitpid(pid, 0)
