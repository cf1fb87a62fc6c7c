"""Names of a package that load their module at first use, and loggers that load `logging`.

A name that the package lacks may be one of another library; the error tells the name of pytheus then.
https://peps.python.org/pep-0562/
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["lazy_names", "logger", "set_remedies"]


def _no_remedy(package: str, name: str) -> str | None:
    return None


_remedy: Callable[[str, str], str | None] = _no_remedy


def set_remedies(remedy: Callable[[str, str], str | None]) -> None:
    """Let `remedy` return the hint on a package and a name that it lacks, or None if it has no hint."""
    global _remedy
    _remedy = remedy


def logger(name: str) -> logging.Logger:
    """Return the logger `name`. A program that logs nothing never imports `logging` by this function."""
    import logging

    return logging.getLogger(name)


def lazy_names(
    package: str, names_by_module: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of `package`, whose names are defined in other modules.

    Call it under ``if not TYPE_CHECKING``: a type checker assumes that a package with a `__getattr__` has every name.
    Each name is loaded once and then stored in the package. The name of a module is that module itself.

        >>> load, names = lazy_names("pytheus", {"pytheus.plugins": ["configure"]})
        >>> "configure" in names()
        True
    """
    modules = {name: module for module, names in names_by_module.items() for name in names}

    def load(name: str) -> object:
        module = modules.get(name)
        if module is None:
            # A submodule, if the package is imported again and its submodules are not.
            value: object = sys.modules.get(f"{package}.{name}")
            if value is not None:
                return value
            remedy = None if name.startswith("_") else _remedy(package, name)
            if remedy is not None and _is_from_import():
                raise ImportError(f"cannot import name {name!r} from {package!r}; {remedy}", name=package)
            message = f"module {package!r} has no attribute {name!r}{'' if remedy is None else f'; {remedy}'}"
            raise AttributeError(message, name=name, obj=sys.modules[package])
        import importlib

        try:
            imported = importlib.import_module(module)
            value = imported if module == f"{package}.{name}" else getattr(imported, name)
        except AttributeError as error:
            # It would say that the package lacks this name, and ``from package import name`` hides the rest.
            raise ImportError(
                f"cannot import {name!r} from {package!r}, because the import of {module!r} failed: {error}",
                name=module,
            ) from error
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return load, names


def _is_from_import() -> bool:
    """Return whether the caller's caller is at a ``from package import name``.

    Python replaces an AttributeError there by an ImportError with a text of its own.
    """
    import opcode

    frame = sys._getframe(2)
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"
