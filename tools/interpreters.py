"""Finds the interpreters to test: the running CPython first, then one for each other minor version from 3.11 up.

They are looked for on PATH and among pyenv's versions. Prereleases and free-threaded builds are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST_MINOR, NEWEST_MINOR = 11, 15

_PROBE = """
import json, platform, sys, sysconfig
supported = platform.python_implementation() == "CPython" and sys.version_info[3] == "final"
print(json.dumps([supported and not sysconfig.get_config_var("Py_GIL_DISABLED"), *sys.version_info[:2]]))
"""


def interpreters() -> dict[str, str]:
    """Paths by minor version, as in ``{"3.12": "/usr/bin/python3.12"}``; the running interpreter's comes first."""
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    # Where this runs in a virtual environment, the interpreter that it was made with.
    found = {running: getattr(sys, "_base_executable", sys.executable)}
    for path in _candidates():
        minor = _probe(path)
        if minor is not None:
            found.setdefault(minor, path)
    return found


def _candidates() -> Iterator[str]:
    for minor in range(OLDEST_MINOR, NEWEST_MINOR + 1):
        for directory in os.get_exec_path():
            if path := shutil.which(f"python3.{minor}", path=directory):
                yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for executable in sorted(pyenv.glob("versions/3.*/bin/python3"), reverse=True):
        yield str(executable)


def _probe(path: str) -> str | None:
    """The minor version of the interpreter at `path`, or None if it is not one to test."""
    try:
        answer = subprocess.run([path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60)
        supported, major, minor = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # among others a pyenv shim whose version is not activated
    return f"{major}.{minor}" if supported and major == 3 and minor >= OLDEST_MINOR else None
