"""The version of pytheus, and whether this build is compiled."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Final

__all__ = ["COMPILED", "PACKAGES", "__version__"]

__version__: Final = "1.0.0"


def _probe() -> None:
    """Do nothing; the type of this function shows whether the module is compiled."""


def _is_native(probe: object) -> bool:
    return not isinstance(probe, FunctionType)


# Either all modules in the list of setup.py are compiled or none, and this module is in the list.
COMPILED: Final[bool] = _is_native(_probe)
"""Whether the metrics are compiled by mypyc (True) or run as plain Python (False).

Both builds accept and expose the same; docs/explanation/speed.md describes the differences.
"""

PACKAGES: Final[list[ModuleType]] = []
"""The packages `pytheus` that this process has imported, for `pytheus.compilation`.

More than one after a program removed the first from `sys.modules`. A compiled module is loaded once in a process, and
this list with it.
"""
