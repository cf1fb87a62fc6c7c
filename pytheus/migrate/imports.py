"""The imports of a rewritten source: each import statement is replaced where it is, so that conditions still hold."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Final

import libcst as cst
from libcst.helpers import get_full_name_for_node

from pytheus.migrate.references import References, Use
from pytheus.migrate.tables import KEPT, RENAMED, Target, canonical, is_module

__all__ = ["Imports"]

_LINE_LENGTH: Final = 100


class Imports:
    """The decisions about the names that imports bind, from all their uses in a source."""

    def __init__(self, references: References, exported: Container[str]) -> None:
        self._references = references
        self._exported = exported
        self._uses: dict[str, list[Use]] = {}
        self._line: cst.CSTNode = cst.Module([])
        self.unused: list[tuple[cst.CSTNode, str, str]] = []
        for use in references.uses:
            self._uses.setdefault(use.root, []).append(use)

    def _unused(self, subject: str, remedy: str) -> None:
        self.unused.append((self._line, subject, remedy))

    def _module_stays(self, root: str) -> bool:
        if root in self._references.quoted:
            self._unused(f"{root} in an annotation that is a text", "write the names of pytheus there")
            return True
        return self.kept(root) or root in self._exported

    def kept(self, root: str) -> bool:
        """Whether some use of `root` is not rewritten."""
        return any(use.fate == "kept" for use in self._uses.get(root, ()))

    def local(self, use: Use, aliased: bool) -> str:
        """The expression that replaces the node of `use`."""
        target = use.targets[0]
        if isinstance(use.node, cst.Attribute):
            return target.dotted
        return self._bound(use.root, target, aliased)

    def _bound(self, root: str, target: Target, aliased: bool) -> str:
        seen = self._references
        if target.name == "Registry":
            return target.name
        if root in seen.passed_on:
            return root
        if root == target.name or (
            not aliased
            and not (target.name in seen.names or root in seen.texts or root in seen.rebound or root in self._exported)
        ):
            return target.name
        return root

    def statement(
        self, node: cst.Import | cst.ImportFrom, line: cst.CSTNode
    ) -> Sequence[cst.BaseSmallStatement] | None:
        """The statements in place of the import `node`, which is in `line` of the source; None if it stays."""
        self._line = line
        if isinstance(node, cst.Import):
            return self._modules(node)
        module = get_full_name_for_node(node.module) if node.module else None
        if node.relative or module is None or not is_module(module) or isinstance(node.names, cst.ImportStar):
            return None
        return self._names(node, module, node.names)

    def _names(
        self, node: cst.ImportFrom, module: str, names: Sequence[cst.ImportAlias]
    ) -> Sequence[cst.BaseSmallStatement] | None:
        staying: list[cst.ImportAlias] = []
        wanted: dict[tuple[str, str, str], None] = {}
        dotted: set[str] = set()
        for alias in names:
            qualified = f"{module}.{alias.evaluated_name}"
            root = alias.evaluated_alias or alias.evaluated_name
            uses = self._uses.get(root, [])
            if is_module(qualified):
                dotted |= {target.module for use in uses for target in use.targets}
                if qualified.startswith("pytheus") or not uses or self._module_stays(root):
                    staying.append(alias)
                continue
            known = canonical(qualified)
            if known is None or (qualified.startswith("pytheus") and known not in RENAMED):
                if known in KEPT and not uses:
                    self._unused(known or "", KEPT[known or ""])
                staying.append(alias)
                continue
            if not uses:
                if known not in RENAMED:
                    self._unused(known, KEPT.get(known, "pytheus has no such name"))
                    staying.append(alias)
                    continue
                target = RENAMED[known]
                bound = self._bound(root, target, alias.asname is not None)
                wanted[(target.module, target.name, bound)] = None
                continue
            if self.kept(root):
                staying.append(alias)
            if root in self._references.texts and known in RENAMED:
                target = RENAMED[known]
                wanted[(target.module, target.name, self._bound(root, target, alias.asname is not None))] = None
            for use in uses:
                for index, target in enumerate(use.targets):
                    bound = target.name if index else self._bound(root, target, alias.asname is not None)
                    wanted[(target.module, target.name, bound)] = None
        if len(staying) == len(names) and not wanted and not dotted:
            return None
        if not staying and not dotted and len(wanted) == len(names) and len({each[0] for each in wanted}) == 1:
            return [_in_place(node, names, list(wanted))]
        statements: list[cst.BaseSmallStatement] = [_import(each) for each in sorted(dotted)]
        if staying:
            last = staying[-1].with_changes(comma=names[-1].comma)
            statements.append(node.with_changes(names=[*staying[:-1], last]))
        for each in sorted({module for module, _, _ in wanted}):
            statements.append(_from(each, [(name, bound) for where, name, bound in wanted if where == each]))
        return statements

    def _modules(self, node: cst.Import) -> Sequence[cst.BaseSmallStatement] | None:
        staying: list[cst.ImportAlias] = []
        wanted: list[str] = []
        for alias in node.names:
            name = alias.evaluated_name
            root = alias.evaluated_alias or name.partition(".")[0]
            uses = self._uses.get(root, [])
            if not name.startswith("prometheus_client") or not is_module(name) or not uses or self._module_stays(root):
                staying.append(alias)
            if name.startswith("prometheus_client"):
                modules = {each.module for use in uses for each in use.targets}
                wanted += [each for each in sorted(modules) if each not in wanted]
        if not wanted and len(staying) == len(node.names):
            return None
        statements: list[cst.BaseSmallStatement] = []
        if staying:
            last = staying[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            statements.append(node.with_changes(names=[*staying[:-1], last]))
        return [*statements, *(_import(each) for each in wanted)]


def _in_place(
    node: cst.ImportFrom, names: Sequence[cst.ImportAlias], wanted: Sequence[tuple[str, str, str]]
) -> cst.ImportFrom:
    """`node` with other names and its own layout."""
    changed = []
    for alias, (_, name, bound) in zip(names, wanted, strict=True):
        asname = None if bound == name else alias.asname or cst.AsName(cst.Name(bound))
        changed.append(alias.with_changes(name=cst.Name(name), asname=asname))
    module = cst.parse_expression(wanted[0][0])
    return node.with_changes(module=module, names=changed)


def _import(module: str) -> cst.Import:
    return cst.Import([cst.ImportAlias(_dotted(module))])


def _dotted(module: str) -> cst.Name | cst.Attribute:
    node = cst.parse_expression(module)
    assert isinstance(node, cst.Name | cst.Attribute)
    return node


def _from(module: str, names: Iterable[tuple[str, str]]) -> cst.BaseSmallStatement:
    parts = [name if name == bound else f"{name} as {bound}" for name, bound in names]
    line = f"from {module} import {', '.join(parts)}"
    if len(line) > _LINE_LENGTH:
        line = f"from {module} import (\n" + "".join(f"    {part},\n" for part in parts) + ")"
    statement = cst.parse_statement(line)
    assert isinstance(statement, cst.SimpleStatementLine)
    return statement.body[0]
