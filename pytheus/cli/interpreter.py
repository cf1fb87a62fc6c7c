"""The Python of a command, and whether it has pytheus.

A command whose Python has no pytheus counts nothing, and the metrics would be empty without a word. It is found by the
command's name or first line, also behind launchers such as ``env``. A command of another kind is not examined.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["is_python", "python_of", "warning_of"]

_PYTHON: Final = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")
_LAUNCHERS: Final = frozenset(
    (
        *("chrt", "dumb-init", "env", "exec", "ionice", "nice", "nohup", "numactl", "setsid"),
        *("stdbuf", "strace", "sudo", "taskset", "time", "timeout", "tini"),
    )
)
_SHELLS: Final = frozenset(("bash", "dash", "ksh", "sh", "zsh"))
_ASSIGNMENT: Final = re.compile(r"\w+=.*", re.DOTALL)
# The second line of a script whose interpreter's path is too long for the first one, as installers write it.
_LONG_PATH: Final = re.compile(r"""'''exec' (?:"([^"]+)"|(\S+)) """)
_HEAD_BYTES: Final = 4096
_DEPTH_AT_MOST: Final = 5
_PATIENCE_SECONDS: Final = 20
_MISSING: Final = 3
_PROBE: Final = f"""
import os, sys
sys.path[:0] = sys.argv[1:]
try:
    from importlib.util import find_spec
    found = find_spec("pytheus")
except Exception:
    found = None
places = found.submodule_search_locations if found else None
sys.exit(0 if places and any(os.path.isdir(os.path.join(place, "plugins")) for place in places) else {_MISSING})
"""


def warning_of(words: Sequence[str]) -> str | None:
    """Return the warning about a command that runs a Python without pytheus; None for any other command.

    `words` are the command's name and arguments. Starts that Python once, if it is not the one that runs this program.
    """
    python = python_of(words)
    if python is None or os.path.abspath(python) == os.path.abspath(sys.executable):
        return None
    import subprocess

    programs = [os.path.dirname(os.path.abspath(word)) for word in words[1:] if word.endswith(".py")]
    try:
        ended = subprocess.run(
            [python, "-c", _PROBE, *programs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # the command will say by itself that it cannot start
    if ended.returncode != _MISSING:
        return None
    return (
        f"{python} has no pytheus (1.0 or later), so no metric of the command will be served; install pytheus and the"
        " registry's plugin there"
    )


def is_python(name: str) -> bool:
    """Return whether `name` is that of a Python interpreter, such as ``python3.12``."""
    return _PYTHON.fullmatch(os.path.basename(name)) is not None


def python_of(words: Sequence[str], depth: int = _DEPTH_AT_MOST) -> str | None:
    """Return the path of the Python that a command runs, or None if that is not known."""
    path = shutil.which(words[0]) if words and depth else None
    if path is None:
        return None
    if is_python(words[0]):
        return path
    name = os.path.basename(words[0])
    if name in _LAUNCHERS:
        # The command comes after options, their values, and assignments.
        for start in range(1, len(words)):
            if not _ASSIGNMENT.fullmatch(words[start]) and not words[start].startswith("-"):
                found = python_of(words[start:], depth - 1)
                if found is not None:
                    return found
        return None
    if name in _SHELLS and "-c" in words[1:-1]:
        try:
            inner = shlex.split(words[words.index("-c") + 1])
        except ValueError:
            return None
        while inner and _ASSIGNMENT.fullmatch(inner[0]):
            inner = inner[1:]
        if inner[:1] == ["exec"]:
            inner = inner[1:]
        return python_of(inner, depth - 1)
    return _python_of_script(path, depth)


def _python_of_script(path: str, depth: int) -> str | None:
    if not os.path.isfile(path):
        return None  # a pipe would be waited for
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    first, _, rest = head.decode("utf-8", "replace").partition("\n")
    long_path = _LONG_PATH.match(rest)
    if long_path is not None:
        return long_path[1] or long_path[2]
    interpreter = first[2:].split()
    # Not a shell, which may run any Python.
    return None if not interpreter else python_of([word for word in interpreter if word != "-S"], depth - 1)
