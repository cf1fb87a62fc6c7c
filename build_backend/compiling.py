"""Whether this build compiles, and how fast the C compiler may be."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["announce", "can_compile", "parallel_options"]


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
    include = sysconfig.get_paths()["include"]
    probe = "#include <Python.h>\nint probe(void) { return PY_VERSION_HEX != 0; }\n"
    return _compiles(probe, "-c", f"-I{include}") or _say(
        f"{_compiler()[0]} with Python's headers in {include} does not work here"
    )


def parallel_options() -> tuple[str, ...]:
    """Return the options, of the compiler and of the linker, that make one file's code in parallel; () if none do.

    With them, GCC only reads the file before the linker makes its code in as many parts as there are processors. Others
    know the option for something that is slower.
    """
    options = ("-flto=auto",)
    probe = (
        "#if !defined(__GNUC__) || defined(__clang__) || __GNUC__ < 10\n#error\n#endif\nint probe(void) { return 1; }\n"
    )
    return options if _compiles(probe, "-shared", *options) else ()


def _compiler() -> list[str]:
    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def _compiles(source: str, *options: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "probe.c")
        file.write_text(source)
        command = [*_compiler(), "-fPIC", str(file), "-o", str(file.with_suffix(".o")), *options]
        try:
            return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def announce(text: str) -> None:
    """Print a line about the build; pip shows it with ``-v``, uv and build always."""
    print(f"pytheus: {text}", file=sys.stderr, flush=True)


def _say(reason: str) -> bool:
    announce(f"building pure Python: {reason}")
    return False
