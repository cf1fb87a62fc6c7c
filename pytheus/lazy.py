"""Names of a package that load their module when they are first used.

https://peps.python.org/pep-0562/
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

__all__ = ["lazy_names"]


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of `package`.

    `modules` maps each name to the module that defines it.

    Call it under ``if not TYPE_CHECKING``: a type checker assumes that a package with a `__getattr__` has every name.
    Each name is loaded once and then stored in the package.

        >>> load, names = lazy_names("pytheus", {"configure": "pytheus.plugins"})
        >>> "configure" in names()
        True
    """

    def load(name: str) -> object:
        module = modules.get(name)
        if module is None:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[package])
        import importlib

        value: object = getattr(importlib.import_module(module), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return load, names
