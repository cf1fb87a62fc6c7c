"""Names of prometheus_client that one file of a tree imports and others import from it.

A tree is read by `ast` alone. Only files that pass names on, and those that import them, are remembered.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pytheus.regular_files import read_regular_file

__all__ = ["MAX_BYTES", "Exports"]

MAX_BYTES: Final = 5_000_000
"""The largest file that is read."""


class Exports:
    """The names that the files `paths` pass on to each other."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._of_module: dict[tuple[str, ...], dict[str, str]] = {}
        self._paths: dict[tuple[str, ...], Path] = {}
        known = list(paths)
        for path in known:
            self._read(path)
        self._exported: dict[Path, set[str]] = {}
        self._through: dict[Path, dict[str, str]] = {}
        if self._of_module:
            for path in known:
                self._follow(path)

    def exported(self, path: Path) -> frozenset[str]:
        """The names that other files import from `path`."""
        return frozenset(self._exported.get(path, ()))

    def through(self, path: Path) -> dict[str, str]:
        """The names of prometheus_client that `path` imports from other files, by their qualified names in it."""
        return self._through.get(path, {})

    def _read(self, path: Path) -> None:
        names = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in _imports(path, b"prometheus_client")
            if not node.level and node.module and node.module.partition(".")[0] == "prometheus_client"
            for alias in node.names
            if alias.name != "*"
        }
        if names:
            self._of_module[_module(path)] = names
            self._paths[_module(path)] = path

    def _follow(self, path: Path) -> None:
        for node in _imports(path, b"import"):
            parts = tuple((node.module or "").split(".")) if node.module else ()
            if node.level:
                parts = (*path.absolute().parts[: -node.level], *parts)
            for module, names in self._of_module.items():
                if not parts or module[-len(parts) :] != parts or self._paths[module] == path:
                    continue
                for alias in node.names:
                    if alias.name in names:
                        qualified = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                        if node.level and not node.module:
                            qualified = f"{'.' * node.level}{alias.name}"
                        self._exported.setdefault(self._paths[module], set()).add(alias.name)
                        self._through.setdefault(path, {})[qualified] = names[alias.name]


def _module(path: Path) -> tuple[str, ...]:
    parts = path.absolute().with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imports(path: Path, word: bytes) -> Iterator[ast.ImportFrom]:
    try:
        source, _ = read_regular_file(path, MAX_BYTES)
        tree = ast.parse(source) if word in source else None
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # which is reported when the file is rewritten
    if tree is not None:
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
