"""A mypy plugin for the compiler alone: types that checkers need and that compiled code would pay for or fail on.

mypyc takes `Generic` for a base class written in Python, and gives the objects of its subclasses a ``__dict__`` and a
list of weak references: 16 bytes for each series, and methods that CPython's specialising interpreter finds more
slowly (5 ns of 20 for `inc`). So the plugin hides it: the classes that mypyc compiles, which are those that
`mypyc_attr` decorates, have no such base at run time. `Metric.__class_getitem__` takes its place.

mypyc also checks arguments against their annotations before a method runs. A metric's name, description or mode is
checked by the constructor itself, which raises an error of pytheus. So there compiled code takes any object.

`tests/metrics/test_label_class.py` and `tests/builds/test_side_by_side.py` look at the results. If a later mypyc leaves
`Generic` alone, that part can go.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.nodes import FuncDef, OverloadedFuncDef
from mypy.plugin import ClassDefContext, Plugin
from mypy.types import AnyType, CallableType, Instance, LiteralType, Type, TypeOfAny, UnionType, get_proper_type

__all__ = ["plugin"]

# Methods that check their arguments themselves, and are not called often.
_CHECKED = {"__init__", "__call__"}


def _erase(context: ClassDefContext) -> bool:
    # The bases that mypy removes when it has read them, and mypyc puts back.
    context.cls.removed_base_type_exprs.clear()
    for definition in context.cls.defs.body:
        method = definition.impl if isinstance(definition, OverloadedFuncDef) else definition
        if isinstance(method, FuncDef) and method.name in _CHECKED and isinstance(method.type, CallableType):
            erased = [AnyType(TypeOfAny.explicit) if _is_checked(type_) else type_ for type_ in method.type.arg_types]
            method.type = method.type.copy_modified(arg_types=erased)
    return True


def _is_checked(type_: Type) -> bool:
    proper = get_proper_type(type_)
    if isinstance(proper, UnionType):
        return all(map(_is_checked, proper.items))
    if isinstance(proper, LiteralType):
        proper = proper.fallback
    return isinstance(proper, Instance) and proper.type.fullname in ("builtins.str", "builtins.bool")


class _Erasing(Plugin):
    def get_class_decorator_hook_2(self, fullname: str) -> Callable[[ClassDefContext], bool] | None:
        return _erase if fullname == "mypy_extensions.mypyc_attr" else None


def plugin(version: str) -> type[Plugin]:
    """The class of the plugin, by the name that mypy looks for."""
    return _Erasing
