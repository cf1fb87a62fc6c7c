"""Names of prometheus_client that one file of a tree imports and others import from it.

A tree is read by `ast`, and a file that passes names on by libcst as well: a name that stays that of prometheus_client
there is not followed. Of other files only imports are remembered, and attributes that may be such a name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import libcst as cst

from pytheus.migrate.rewriting import kept_names
from pytheus.migrate.tables import RENAMED, Remark, canonical, is_module
from pytheus.regular_files import read_regular_file

__all__ = ["MAX_BYTES", "Exports"]

MAX_BYTES: Final = 5_000_000
"""The largest file that is read."""

_Module = tuple[str, ...]


class _File(NamedTuple):
    """The imports of a file, the attributes in it as (dotted owner, name, line), and the plain names with a line."""

    imports: list[ast.Import | ast.ImportFrom]
    attributes: list[tuple[str, str, int]]
    names: dict[str, int]


class Exports:
    """The names that the files `paths` pass on to each other."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._passed: dict[_Module, dict[str, str]] = {}
        self._paths: dict[_Module, Path] = {}
        self._by_last: dict[str, list[_Module]] = {}
        self._exported: dict[Path, set[str]] = {}
        self._through: dict[Path, dict[str, str]] = {}
        self._remarks: dict[Path, set[Remark]] = {}
        self._lost: set[tuple[Path, str]] = set()
        self._kept: dict[tuple[Path, int], frozenset[str] | None] = {}
        known = list(paths)
        for path in known:
            self._read(path)
        wanted = {name for names in self._passed.values() for name in names}
        files = {path: _file(path, wanted) for path in known} if wanted else {}
        passed = -1
        while passed != (passed := sum(map(len, self._passed.values()))):  # a file may pass on what it imports so
            for path, file in files.items():
                self._follow(path, file)

    def exported(self, path: Path) -> frozenset[str]:
        """The names that other files import from `path`."""
        return frozenset(self._exported.get(path, ()))

    def through(self, path: Path) -> dict[str, str]:
        """The names of prometheus_client that `path` imports from other files, by their qualified names in it."""
        return self._through.get(path, {})

    def remarks(self, path: Path) -> frozenset[Remark]:
        """The remarks on names that `path` imports from other files and that cannot be followed."""
        return frozenset(self._remarks.get(path, ()))

    def _read(self, path: Path) -> None:
        tree = _parsed(path, b"prometheus_client")
        names = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in _imports(tree)
            if isinstance(node, ast.ImportFrom) and not node.level and node.module
            if node.module.partition(".")[0] == "prometheus_client"
            for alias in node.names
            if alias.name != "*"
        }
        for node in _imports(tree):
            if isinstance(node, ast.Import):
                names |= {
                    alias.asname or alias.name: alias.name
                    for alias in node.names
                    if is_module(alias.name) and (alias.asname or "." not in alias.name)
                    if alias.name.startswith("prometheus_client")
                }
        for name, known in names.items():
            self._pass_on(path, name, known, True)

    def _follow(self, path: Path, file: _File) -> None:
        for node in file.imports:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    for module in self._modules(path, tuple(alias.name.split("."))):
                        self._attributes(path, file, module, alias.asname or alias.name, alias.name)
                continue
            parts = tuple((node.module or "").split(".")) if node.module else ()
            if node.level:
                parts = (*path.absolute().parts[: -node.level], *parts)
            start = f"{'.' * node.level}{node.module}." if node.module else "." * node.level
            for alias in node.names:
                for module in self._modules(path, (*parts, alias.name)):
                    self._attributes(path, file, module, alias.asname or alias.name, f"{start}{alias.name}")
            for module in self._modules(path, parts):
                names = self._passed[module]
                for alias in node.names:
                    if alias.name in names:
                        found = self._use(path, module, alias.name, f"{start}{alias.name}", node.lineno)
                        self._pass_on(path, alias.asname or alias.name, names[alias.name], found)
                    elif alias.name == "*":
                        self._star(path, file, module, node.lineno)

    def _modules(self, path: Path, parts: _Module) -> list[_Module]:
        """The modules that pass names on and that `path` may mean by `parts`."""
        found = self._by_last.get(parts[-1], []) if parts else []
        return [each for each in found if each[-len(parts) :] == parts and self._paths[each] != path]

    def _attributes(self, path: Path, file: _File, module: _Module, bound: str, qualified: str) -> None:
        for owner, name, line in file.attributes:
            if owner == bound and name in self._passed[module]:
                self._use(path, module, name, f"{qualified}.{name}", line)

    def _star(self, path: Path, file: _File, module: _Module, line: int) -> None:
        for name, known in list(self._passed[module].items()):
            if name in file.names:
                remedy = "import the name, and run `pytheus migrate` again"
                self._remark(path, file.names[name], f"{name} by the star import in line {line}", remedy)
            origin = self._paths[module]
            if name in file.names or not is_module(known):
                self._exported.setdefault(origin, set()).add(name)
            self._pass_on(path, name, known, not self._stays(origin, name))

    def _use(self, path: Path, module: _Module, name: str, qualified: str, line: int) -> bool:
        """Follow `name` of `module` to `path`, or report that it stays as it is."""
        known = self._passed[module][name]
        origin = self._paths[module]
        if is_module(known):
            self._exported.setdefault(origin, set()).add(name)
            subject = f"{qualified} is the module {known} by {origin.name}"
            self._remark(path, line, subject, f"import {known} here, and run `pytheus migrate` again")
            return False
        if canonical(known) in RENAMED and self._stays(origin, name):
            self._through.get(path, {}).pop(qualified, None)
            subject = f"{qualified}: {origin.name} may still have that of prometheus_client"
            self._remark(path, line, subject, "rewrite that file by hand, and then the calls of the name here")
            return False
        self._exported.setdefault(origin, set()).add(name)
        self._through.setdefault(path, {})[qualified] = known
        return True

    def _pass_on(self, path: Path, name: str, known: str, followed: bool) -> None:
        module = _module(path)
        if module not in self._passed:
            self._paths[module] = path
            self._by_last.setdefault(module[-1], []).append(module)
        self._passed.setdefault(module, {}).setdefault(name, known)
        if not followed:
            self._lost.add((path, name))

    def _stays(self, path: Path, name: str) -> bool:
        through = self.through(path)
        key = path, len(through)
        if key not in self._kept:
            try:
                self._kept[key] = kept_names(path.read_bytes(), through)
            except (OSError, cst.ParserSyntaxError, cst.CSTValidationError, ValueError, SyntaxError, RecursionError):
                self._kept[key] = None  # which is reported when the file is rewritten
        kept = self._kept[key]
        return kept is None or name in kept or (path, name) in self._lost

    def _remark(self, path: Path, line: int, subject: str, remedy: str) -> None:
        self._remarks.setdefault(path, set()).add(Remark(line, subject, remedy))


def _module(path: Path) -> _Module:
    parts = path.absolute().with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _parsed(path: Path, word: bytes) -> ast.Module | None:
    try:
        source, _ = read_regular_file(path, MAX_BYTES)
        return ast.parse(source) if word in source else None
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # which is reported when the file is rewritten


def _imports(tree: ast.Module | None) -> Iterator[ast.Import | ast.ImportFrom]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)) if tree else ()


def _file(path: Path, wanted: set[str]) -> _File:
    found = _File([], [], {})
    tree = _parsed(path, b"import")
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.imports.append(node)
        elif isinstance(node, ast.Attribute) and node.attr in wanted:
            found.attributes.append((ast.unparse(node.value), node.attr, node.lineno))
        elif isinstance(node, ast.Name) and node.id in wanted:
            found.names.setdefault(node.id, node.lineno)
    return found
