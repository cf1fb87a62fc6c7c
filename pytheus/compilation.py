"""A class decorator that only the compiled build reads; plain Python ignores it.

mypyc reads the decorator when it compiles a class and removes it. mypy_extensions is not imported at run time, so
pytheus does not depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**attributes):
        return lambda cls: cls


__all__ = ["mypyc_attr"]
