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
    int refused = owner != -1 && owner != current;
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000
    /* CPython 3.12 would refuse the library after it has run here; 3.13 runs it in the main interpreter. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()
        && _PyInterpreterState_HasFeature(PyInterpreterState_Get(), Py_RTFLAGS_MULTI_INTERP_EXTENSIONS))
        refused = 1;
#endif
    if (refused) {
        PyErr_SetString(PyExc_ImportError,
                        "the compiled build of pytheus works in one interpreter of a process, and not in an isolated"
                        " one; import it in the main interpreter only (mod_wsgi: WSGIApplicationGroup %{GLOBAL}), or"
                        " install the pure build, which works in all (build it with PYTHEUS_PURE=1)");
        return NULL;
    }
    owner = current;
"""


def guard_interpreters(generated: Path) -> None:
    """Add the check to the C file that mypyc generated. Stops the build if its place is not found."""
    code = generated.read_text()
    code, definitions = re.subn(_DEFINITION, lambda found: found[0].replace(".m_size = -1", ".m_size = 0"), code)
    code, begins = re.subn(_BEGIN, lambda found: found[0] + _CHECK, code)
    if definitions != 1 or begins != 1:
        raise SystemExit(f"the generated code begins its library {begins} times and defines it {definitions} times")
    generated.write_text(code)
