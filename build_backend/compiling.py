"""Whether this build compiles."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["announce", "can_compile"]


@cache
def can_compile() -> bool:
    """Return whether to compile: a C compiler and Python's headers work, and PYTHEUS_PURE is not set.

    Not on PyPy, which runs the pure build faster, nor on free-threaded builds, whose locks are put around the methods
    of the pure classes.
    """
    if os.environ.get("PYTHEUS_PURE", "0") not in ("", "0"):
        return _say("PYTHEUS_PURE asks for it")
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return _say("this interpreter runs it best")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    include = sysconfig.get_paths()["include"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nint probe(void) { return PY_VERSION_HEX != 0; }\n")
        command = [*compiler, "-fPIC", "-c", str(source), "-o", str(source.with_suffix(".o")), f"-I{include}"]
        try:
            found = subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            found = False
    return found or _say(f"{compiler[0]} with Python's headers in {include} does not work here")


def announce(text: str) -> None:
    """Print a line about the build; pip shows it with ``-v``, uv and build always."""
    print(f"pytheus: {text}", file=sys.stderr, flush=True)


def _say(reason: str) -> bool:
    announce(f"building pure Python: {reason}")
    return False
