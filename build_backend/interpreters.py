"""Let one interpreter of a process import the compiled modules, and refuse every other one with an ImportError.

mypyc keeps the modules, types and constants of a program in static variables, of which a process has one set. A
second interpreter in the process (a subinterpreter) would use the objects of the first, which breaks both. CPython
refuses such modules only in isolated subinterpreters, from 3.12 on.

The library that all compiled modules share is loaded before each of them, so the check is there. For the check to run
in each interpreter that imports the library, and not only in the first, it must not be a module that CPython copies.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["guard_interpreters"]

_DEFINITION = r"(static PyModuleDef module_def_pytheus__mypyc = \{[^}]*\})"
_BEGIN = r"(PyMODINIT_FUNC PyInit_pytheus__mypyc\(void\) \{\n)"

_CHECK = """
    static int64_t owner = -1;
    int64_t current = PyInterpreterState_GetID(PyInterpreterState_Get());
    if (owner == -1)
        owner = current;
    if (owner != current) {
        PyErr_SetString(PyExc_ImportError,
                        "the compiled build of pytheus works in one interpreter of a process, and another one has"
                        " imported it; import it in one interpreter only, or install the pure build, which works in"
                        " several (build it with PYTHEUS_PURE=1)");
        return NULL;
    }
"""


def guard_interpreters(generated: Path) -> None:
    """Add the check to the C file that mypyc generated. Stops the build if its place is not found."""
    code = generated.read_text()
    code, definitions = re.subn(_DEFINITION, lambda found: found[0].replace(".m_size = -1", ".m_size = 0"), code)
    code, begins = re.subn(_BEGIN, lambda found: found[0] + _CHECK, code)
    if definitions != 1 or begins != 1:
        raise SystemExit(f"the generated code begins its library {begins} times and defines it {definitions} times")
    generated.write_text(code)
