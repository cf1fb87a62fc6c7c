"""The terminal: its size, its keys, its signals, and all of it as it was at the end.

Rules:

- It is restored when the program ends by whatever signal can be handled, is stopped (Ctrl-Z), or fails.
- Signals and the poller write a byte into a pipe that the loop waits for; nothing else happens in a handler.
- Only this module writes to the terminal, in one piece per frame.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from pytheus.top.keys import KeyDecoder
from pytheus.top.painter import ENTER, LEAVE

__all__ = ["Terminal", "is_capable", "is_unicode"]

_ESCAPE_SECONDS: Final = 0.05
_DEFAULT_SIZE: Final = (80, 24)
_READ_BYTES: Final = 4096
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGCONT", "SIGWINCH")


def is_unicode() -> bool:
    """Return whether the terminal is of UTF-8, by the user's locale and the encoding of standard output.

    Python itself changes the locale C to C.UTF-8 (PEP 538), so that one is not taken for the user's choice.
    """
    if (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8":
        return False
    if os.name == "nt":
        return True
    environ = os.environ
    chosen = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if not environ.get("LC_ALL") and environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        chosen = environ.get("LANG") or ""
    return chosen.lower().replace("-", "").endswith("utf8")


def is_capable() -> bool:
    """Return whether standard input and output are a terminal that can be drawn on."""
    try:
        is_terminal = os.isatty(0) and os.isatty(1)
    except OSError:
        return False
    return is_terminal and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown") and os.name == "posix"


class Terminal:
    """The terminal of standard input and output, from `opened` to its end.

    `wait` returns keys and notes signals; `ended_by` is the signal that asks the program to end.
    """

    def __init__(self) -> None:
        self._keys: Final = KeyDecoder()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._saved: list[int | list[bytes | int]] | None = None
        self._before: dict[signal.Signals, Any] = {}
        self.ended_by: int | None = None
        """The signal that asked the program to end."""
        self.is_stale: bool = True
        """Whether the whole screen is to be drawn again."""
        self._is_stopping = False
        self._is_resumed = False

    @contextmanager
    def opened(self) -> Iterator[Terminal]:
        """Take the terminal for a block, and give it back at the end."""
        try:
            for number in (
                signal.SIGINT,
                signal.SIGTERM,
                signal.SIGHUP,
                signal.SIGQUIT,
                signal.SIGTSTP,
                signal.SIGCONT,
            ):
                self._before[number] = signal.signal(number, self._note)
            self._before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._note)
            self._enter()
            yield self
        finally:
            self._leave()
            for number, handler in self._before.items():
                signal.signal(number, handler)
            os.close(self._reader)
            writer, self._writer = self._writer, -1
            os.close(writer)

    def wake(self) -> None:
        """Let `wait` return; may be called by any thread and after the end."""
        try:
            os.write(self._writer, b"\0")
        except OSError:
            pass  # it is full, and so will wake, or is closed

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self._is_stopping = True
        elif number == signal.SIGCONT:
            self._is_resumed = True
        elif number != signal.SIGWINCH:
            self.ended_by = number
        self.is_stale = True
        self.wake()

    def _enter(self) -> None:
        import termios
        import tty

        self._saved = termios.tcgetattr(0)
        tty.setcbreak(0, termios.TCSADRAIN)
        attributes = termios.tcgetattr(0)
        attributes[0] &= ~(termios.IXON | termios.ICRNL)
        termios.tcsetattr(0, termios.TCSADRAIN, attributes)
        self.write(ENTER)
        self.is_stale = True

    def _leave(self) -> None:
        import termios

        saved, self._saved = self._saved, None
        if saved is None:
            return
        try:
            self.write(LEAVE)
        except OSError:
            pass  # the terminal is gone
        try:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        except termios.error:
            pass

    def size(self) -> tuple[int, int]:
        """Return the columns and lines."""
        try:
            columns, lines = os.get_terminal_size(1)
        except OSError:
            return _DEFAULT_SIZE
        return columns or _DEFAULT_SIZE[0], lines or _DEFAULT_SIZE[1]

    def write(self, text: str) -> None:
        """Write all of `text`."""
        data = text.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(1, data) :]
            except BlockingIOError:
                select.select([], [1], [], 1.0)

    def wait(self, seconds: float | None) -> list[str]:
        """Wait for keys, a signal or `wake`, at most so long; returns the keys."""
        deadline = None if seconds is None else time.monotonic() + seconds
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if self._keys.is_waiting:
            timeout = _ESCAPE_SECONDS
        ready, _, _ = select.select([0, self._reader], [], [], timeout)
        if self._reader in ready:
            try:
                while os.read(self._reader, _READ_BYTES):
                    pass
            except BlockingIOError:
                pass
        keys: list[str] = []
        if 0 in ready:
            data = os.read(0, _READ_BYTES)
            if not data:
                self.ended_by = signal.SIGHUP  # the terminal is gone
            keys = self._keys.feed(data)
        elif self._keys.is_waiting:
            keys = self._keys.flush()
        if self._is_stopping:
            self._stop()
        if self._is_resumed:
            self._is_resumed = False
            if self._saved is not None:
                # Something else may have changed the terminal since.
                self._leave()
                self._enter()
        return keys

    def _stop(self) -> None:
        """Give the terminal back, stop, and take it again when the shell continues the program."""
        self._is_stopping = False
        self._leave()
        sys.stdout.flush()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here the program was stopped.
        signal.signal(signal.SIGTSTP, handler)
        self._is_resumed = False
        self._enter()
