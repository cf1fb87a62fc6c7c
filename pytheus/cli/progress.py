"""Progress of a command on stderr, and its report alone on stdout, whatever a plugin does meanwhile.

Rules:

- A step is told only if it takes long, and then again in growing intervals, so that a plugin that hangs is seen and a
  quick command stays quiet.
- While a plugin's code runs, everything that is written to stdout goes to stderr: by Python, by C code to the
  descriptor, and by child processes, which inherit it.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self, TextIO

__all__ = ["FIRST_SECONDS", "Progress", "report_stream"]

FIRST_SECONDS: float = 5.0
_STDOUT: Final = 1
_STDERR: Final = 2


class Progress:
    """Tells on stderr which step of the command `name` is under way, if it takes long. Use it as a context manager."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._changed: Final = threading.Condition()
        self._text: str | None = None
        self._since = 0.0
        self._is_closed = False

    def step(self, text: str) -> None:
        """Begin the step `text`, such as "importing audited"."""
        with self._changed:
            if self._text is None:
                threading.Thread(target=self._tell, name="pytheus progress", daemon=True).start()
            self._text, self._since = text, time.monotonic()
            self._changed.notify()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _tell(self) -> None:
        step, interval = None, FIRST_SECONDS
        while True:
            with self._changed:
                if self._is_closed:
                    return
                if self._text != step:
                    step, interval = self._text, FIRST_SECONDS
                elapsed = time.monotonic() - self._since
                if elapsed >= interval:
                    line = f"pytheus {self._name}: {step} ({elapsed:.0f} s)\n"
                    interval *= 2
                else:
                    self._changed.wait(interval - elapsed)
                    continue
            # Not by `sys.stderr`, whose lock the code that hangs may hold.
            with suppress(OSError):
                os.write(_STDERR, line.encode("utf-8", "replace"))


@contextmanager
def report_stream(*, owns_process: bool) -> Iterator[TextIO]:
    """A stream to the present stdout; everything else that is written to stdout meanwhile goes to stderr.

    With `owns_process` it stays so afterwards, because a plugin may also write while the interpreter ends.
    """
    former = sys.stdout
    with suppress(OSError, ValueError):
        former.flush()
    stream: TextIO = former
    kept: int | None = None
    with suppress(OSError, ValueError):  # a caller has replaced `sys.stdout`, or it is closed
        kept = os.dup(_STDOUT)
        if former.fileno() == _STDOUT:
            stream = io.TextIOWrapper(io.FileIO(kept, "w", closefd=False), "utf-8", "replace", write_through=True)
    with suppress(OSError):
        os.dup2(_STDERR, _STDOUT)
    sys.stdout = sys.stderr
    try:
        yield stream
        stream.flush()
    finally:
        if not owns_process:
            sys.stdout = former
            if kept is not None:
                os.dup2(kept, _STDOUT)
                os.close(kept)
