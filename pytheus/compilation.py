"""Names that mypyc compiles to something else, and the modules of the first import for a second one.

mypyc reads `mypyc_attr` when it compiles a class and removes it; plain Python ignores it. `vec[i64](numbers)` and
`vec[float](numbers)` are lists in plain Python. mypyc compiles them to arrays of numbers of the machine, which need no
object each; `build_backend/librt_parts.py` adds the code for it. Their length never changes; they have items, slices,
`len`, iteration and `==`. `now` is `time.time`, which mypyc compiles to a call of the system; in plain Python it is up
to a millisecond late. `with_end(line, end)` is the line with another end after its last space, which native code makes
in one step (`build_backend/primitives.h`). mypy_extensions and librt are not imported at run time, so pytheus does not
depend on them.

A compiled module is loaded once in a process. If a program removes pytheus from `sys.modules` and imports it again, as
tests do, the compiled modules go on using the modules of plain Python that they have imported first, the registry among
them. So these come back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from pytheus.version import COMPILED, PACKAGES

if TYPE_CHECKING:
    from librt.time import time as now
    from librt.vecs import vec as vec
    from mypy_extensions import i64 as i64
    from mypy_extensions import mypyc_attr as mypyc_attr

    def with_end(line: str, end: str) -> str: ...
else:
    from time import time

    i64 = int
    _latest = 0.0

    def now():
        # Many series have the object of one time, which saves 24 bytes each.
        global _latest
        present = time()
        if not 0 <= present - _latest < 0.001:
            _latest = present
        return _latest

    def with_end(line, end):
        return line[: line.rfind(" ") + 1] + end

    # Not the class, because subscribing it makes an object each time.
    vec = {i64: list, float: list}

    def mypyc_attr(**attributes):
        return lambda cls: cls


__all__ = ["i64", "mypyc_attr", "now", "vec", "with_end"]


def _restore_modules() -> None:
    """Put the modules of earlier imports back into `sys.modules`, and note this one."""
    package = sys.modules["pytheus"]
    if all(earlier is not package for earlier in PACKAGES):
        # Its last name is there once it is complete. An import that failed leaves its modules where they are.
        if PACKAGES and not hasattr(PACKAGES[0], "set_resolver") and "pytheus.exceptions" not in sys.modules:
            raise ImportError(
                "pytheus cannot be imported here: its first import in this process failed, and its modules were removed"
                " from sys.modules, while the compiled ones cannot be loaded again; start a new process, or install the"
                " pure build (PYTHEUS_PURE=1)",
                name="pytheus",
            )
        for earlier in PACKAGES:
            for module in _submodules(earlier):
                sys.modules.setdefault(module.__name__, module)
        PACKAGES.append(package)


def _submodules(package: ModuleType) -> Iterator[ModuleType]:
    for name, value in list(vars(package).items()):
        if isinstance(value, ModuleType) and value.__name__ == f"{package.__name__}.{name}":
            yield value
            yield from _submodules(value)


if COMPILED:
    _restore_modules()
