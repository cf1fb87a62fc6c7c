"""A mypy plugin for the compiler alone: type variables are the checkers' matter, and cost the compiled build nothing.

mypyc takes `Generic` for a base class written in Python, and gives the objects of its subclasses a ``__dict__`` and a
list of weak references: 16 bytes for each series, and methods that CPython's specialising interpreter finds more
slowly (5 ns of 20 for `inc`). So it is not told: the classes that it compiles, which are those that `mypyc_attr`
decorates, have no such base at run time. `Metric.__class_getitem__` does what is left to do of it.

`tests/metrics/test_label_class.py` looks at what came of it. If a later mypyc leaves `Generic` alone, this can go.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.plugin import ClassDefContext, Plugin

__all__ = ["plugin"]


def _erase(context: ClassDefContext) -> bool:
    # What mypy took out of the bases when it had read it, and mypyc would put back.
    context.cls.removed_base_type_exprs.clear()
    return True


class _Erasing(Plugin):
    def get_class_decorator_hook_2(self, fullname: str) -> Callable[[ClassDefContext], bool] | None:
        return _erase if fullname == "mypy_extensions.mypyc_attr" else None


def plugin(version: str) -> type[Plugin]:
    """What mypy asks a plugin's module for."""
    return _Erasing
