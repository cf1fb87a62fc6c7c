"""A real terminal: tmux, in which a test types keys and reads the screen."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import wait_until

TMUX = shutil.which("tmux")

needs_tmux = pytest.mark.skipif(TMUX is None, reason="needs tmux (Debian: apt-get install tmux)")

_PROMPT = "$ "


class TmuxTerminal:
    """A terminal of a size, with a shell in it; each has a server of its own."""

    def __init__(self, directory: Path, columns: int = 80, lines: int = 24, **environ: str) -> None:
        assert TMUX is not None
        # A path of a socket is short, which a test's directory may not be.
        self._name = f"pytheus-test-{os.getpid()}-{id(self)}"
        variables = {"LC_ALL": "C.UTF-8", "HISTFILE": "", "NO_COLOR": ""} | environ
        self._environ = {name: value for name, value in os.environ.items() if name != "TMUX"} | variables
        size = ("-x", str(columns), "-y", str(lines))
        self._tmux(
            "-f", os.devnull, "-u", "new-session", "-d", *size, "-c", str(directory), f"exec env 'PS1={_PROMPT}' sh -i"
        )
        wait_until(lambda: _PROMPT.strip() in self.screen, "the shell")

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        assert TMUX is not None
        command = [TMUX, "-L", self._name, *arguments]
        done = subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    @property
    def screen(self) -> str:
        """The characters on the screen."""
        return self._tmux("capture-pane", "-p")

    @property
    def styled(self) -> str:
        """The characters with the sequences of their colours."""
        return self._tmux("capture-pane", "-p", "-e")

    @property
    def rows(self) -> list[str]:
        """The lines of the screen."""
        return self.screen.split("\n")

    @property
    def title(self) -> str:
        """The title of the window, which a program may set."""
        return self._tmux("display-message", "-p", "#{pane_title}")

    @property
    def is_on_other_screen(self) -> bool:
        """Whether a program uses the other screen."""
        return self._tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    @property
    def pid(self) -> int:
        """The process of the shell."""
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def type(self, text: str) -> None:
        """Type a text as it is."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names, such as Enter, Escape or C-c."""
        self._tmux("send-keys", *keys)

    def run(self, command: Sequence[str], **environ: str) -> None:
        """Run a command in the shell."""
        words = [f"{name}={shlex.quote(value)}" for name, value in environ.items()]
        self.type(" ".join(["clear;", *words, shlex.join(command)]))
        self.press("Enter")

    def top(self, *arguments: str, **environ: str) -> None:
        """Run `pytheus top` in the shell."""
        self.run([sys.executable, "-m", "pytheus", "top", *arguments], **environ)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def wait_for(self, text: str, *, gone: bool = False) -> str:
        """Wait until the screen has `text`, in one line or several, or has it no more; returns the screen."""
        screens: list[str] = []

        def is_there() -> bool:
            screens[:] = [self.screen]
            return (text in screens[0] or text in " ".join(screens[0].split())) is not gone

        try:
            wait_until(is_there, f"the screen {'without' if gone else 'with'} {text!r}")
        except BaseException:
            print(self.screen)
            raise
        return screens[0]

    def wait_while(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` is false."""
        wait_until(lambda: not condition(), "another state of the terminal")

    def end(self) -> None:
        """End the terminal, and all that runs in it."""
        self._tmux("kill-server", check=False)
