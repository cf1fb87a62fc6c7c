"""The classes and functions of a module, with their parameters and docstrings but without their bodies.

A build reads them from the source. It cannot import the module, whose own imports may not be installed there.
"""

from __future__ import annotations
import __future__

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

__all__ = ["COMPILER_FLAGS", "Outline"]

COMPILER_FLAGS = __future__.annotations.compiler_flag

# Decorators that matter to what a class shows of a method.
_DESCRIPTORS = {"classmethod", "property", "staticmethod"}


class Outline:
    """A module in outline; `members` are its classes and functions, `definitions` the functions as they are written."""

    def __init__(self, source: str) -> None:
        self.name = _module_name(source)
        tree = ast.parse(Path(source).read_text())
        self.doc = ast.get_docstring(tree, clean=False)
        self.bases: dict[str, set[str]] = {}
        self.definitions: dict[str, ast.FunctionDef] = {}
        outline = ast.Module(self._outlined(tree.body), [])
        names: dict[str, object] = {"__name__": self.name}
        for definition in self.definitions.values():
            for name in _names_of_defaults(definition):
                names[name] = getattr(builtins, name) if hasattr(builtins, name) else _constant(tree, name)
        before = set(names)
        exec(compile(outline, source, "exec", COMPILER_FLAGS, dont_inherit=True), names)
        self.members = [
            value for name, value in names.items() if name not in before and isinstance(value, (FunctionType, type))
        ]

    def _outlined(self, statements: list[ast.stmt], prefix: str = "") -> list[ast.stmt]:
        kept: list[ast.stmt] = []
        outline: ast.stmt
        for node in statements:
            if isinstance(node, ast.FunctionDef):
                decorators = [decorator for decorator in node.decorator_list if ast.unparse(decorator) in _DESCRIPTORS]
                outline = ast.FunctionDef(node.name, node.args, _doc(node) or [ast.Pass()], decorators, node.returns)
                self.definitions[prefix + node.name] = node
            elif isinstance(node, ast.ClassDef):
                body = [*_doc(node), *self._outlined(node.body, f"{node.name}.")]
                outline = ast.ClassDef(node.name, [], [], body or [ast.Pass()], [])
                self.bases[node.name] = {ast.unparse(base) for base in node.bases}
            else:
                continue
            kept.append(ast.fix_missing_locations(ast.copy_location(outline, node)))
        return kept


def _module_name(source: str) -> str:
    return source.removesuffix(".py").replace("/", ".")


def _doc(node: ast.FunctionDef | ast.ClassDef) -> list[ast.stmt]:
    return [] if ast.get_docstring(node) is None else node.body[:1]


def _names_of_defaults(definition: ast.FunctionDef) -> Iterator[str]:
    for default in [*definition.args.defaults, *definition.args.kw_defaults]:
        for node in ast.walk(default or ast.Pass()):
            if isinstance(node, ast.Name):
                yield node.id


def _constant(tree: ast.Module, name: str) -> object:
    """The value of a module's name, if it is written as a literal or a call of `float`; otherwise just an object."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            source = Path(*(node.module or "").split(".")).with_suffix(".py")
            return _constant(ast.parse(source.read_text()), name) if source.exists() else object()
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if value is not None and name in {target.id for target in targets if isinstance(target, ast.Name)}:
            try:
                return eval(ast.unparse(value), {"__builtins__": {"float": float}})
            except NameError:
                break
    return object()
