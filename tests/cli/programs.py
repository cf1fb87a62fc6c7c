"""Programs that run under plain `python` and under `pytheus run`, and all that is seen of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE_SECONDS = 120

# What an installer writes for the entry point `pytheus`.
_CONSOLE_SCRIPT = (
    "import sys\nfrom pytheus.cli.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
)


class Ended(NamedTuple):
    """How a program ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON that it wrote."""
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line that the user reads instead of the program's output."""
        assert (self.code, self.out, self.err.count("\n")) == (2, "", 1), self
        return self.err


def execute(*command: str, cwd: Path | None = None, stdin: str = "", **environ: str) -> Ended:
    """Run the command to its end."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run(directory: Path, *arguments: str, **environ: str) -> Ended:
    """Run `pytheus run` in the directory."""
    return execute(sys.executable, "-m", "pytheus", "run", *arguments, cwd=directory, **environ)


def refused(directory: Path, *arguments: str, **environ: str) -> str:
    """The reason that `pytheus run` gives in place of the program's output."""
    line = run(directory, *arguments, **environ).refusal
    assert line.startswith("pytheus run: "), line
    return line.removeprefix("pytheus run: ")


class Programs:
    """A directory of programs, and the two ways to run them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._console_script = directory.parent / "bin" / "pytheus"
        self._console_script.parent.mkdir()
        self._console_script.write_text(_CONSOLE_SCRIPT)

    def write(self, path: str, source: str | bytes) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())

    def expect_the_same(
        self, *program: str, options: Sequence[str] = (), stdin: str = "", script: bool = False
    ) -> None:
        """Assert that under pytheus, run as a module or as a console script, the program does what it does alone."""
        entry = [str(self._console_script)] if script else ["-m", "pytheus"]
        alone = self._end([*options, *program], stdin)
        ended = self._end([*options, *entry, "run", "--quiet", "--port", "0", *program], stdin)
        assert ended == alone, f"{ended}\n{alone}"

    def _end(self, arguments: Sequence[str], stdin: str) -> Ended:
        environ = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        ended = execute(sys.executable, *arguments, cwd=self.directory, stdin=stdin, **environ)
        return ended._replace(err=re.sub("0x[0-9a-f]+", "0x...", ended.err))


SEES_ITSELF = """
    import sys
    print(sys.argv, sys.orig_argv[1:])
    print(sys.path)
    print({name: value for name, value in globals().items() if name not in ("__loader__", "__spec__")})
    print(type(__loader__).__name__, getattr(__loader__, "name", None), getattr(__loader__, "path", None))
    print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent, __spec__.cached))
    print(sys.modules["__main__"].__dict__ is globals(), sys.flags.safe_path)
"""

FAILS = """
    import sys

    def inner(value):
        return 1 / value

    def outer():
        try:
            inner(0)
        except ZeroDivisionError as error:
            raise LookupError("outer") from error

    try:
        outer()
    except LookupError:
        raise ValueError("while handling")
"""
