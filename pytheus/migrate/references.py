"""Which expression of a source means which imported name, and whether it is rewritten.

Names are resolved by scope, not by their text: a class `Counter` of the source's own, one of another package, and a
name that a function rebinds have other qualified names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar, Final, Literal, NamedTuple

import libcst as cst
from libcst.metadata import (
    BaseMetadataProvider,
    CodeRange,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameProvider,
    QualifiedNameSource,
)

from pytheus.migrate.calls import family, text_call
from pytheus.migrate.constructors import has_default_buckets
from pytheus.migrate.tables import (
    BUCKETS,
    CALLED,
    FAMILIES,
    KEPT,
    METRICS,
    RENAMED,
    Remark,
    Target,
    canonical,
    is_module,
)

__all__ = ["References", "Use", "find"]

_DEFAULTS: Final = ("PROCESS_COLLECTOR", "PLATFORM_COLLECTOR", "GC_COLLECTOR")
_BACKENDS: Final = "choose a registry by name: PYTHEUS_REGISTRY, see docs/reference/selection.md"
_DOTTED: Final = re.compile(r"prometheus_client(\.\w+)+")
_WORD: Final = re.compile(r"\w+")
_UNKNOWN: Final = "pytheus has no such name; see docs/how-to/from-prometheus-client.md"
_CALLS: Final = "where it is called, write the complete name, and the arguments as docs/how-to/migrate.md has them"
_SUBCLASS: Final = "its __init__ and private attributes may differ: look at both"
# Functions that do not call a class that they are given.
_CHECKS: Final = frozenset({"isinstance", "issubclass", "cast", "TypeVar", "NewType", "assert_type", "len", "repr"})


class Use(NamedTuple):
    """An expression that means the name `known`; `root` is its first part, the name that an import binds.

    `targets` are the names of pytheus that replace it, the first one where it is; a kept use has none.
    """

    node: cst.Name | cst.Attribute
    root: str
    known: str
    fate: Literal["rewritten", "kept", "removed"]
    targets: tuple[Target, ...] = ()


class References(cst.CSTVisitor):
    """All uses in a source, in its order, and the names and texts in it."""

    METADATA_DEPENDENCIES: ClassVar[Collection[type[BaseMetadataProvider[object]]]] = (
        QualifiedNameProvider,
        ParentNodeProvider,
        PositionProvider,
    )

    def __init__(self, through: Mapping[str, str]) -> None:
        super().__init__()
        self._through = through
        self.uses: list[Use] = []
        self.passed_on: set[str] = set()
        self.remarks: list[Remark] = []
        self.names: set[str] = set()
        self.texts: set[str] = set()
        self.quoted: set[str] = set()
        self.rebound: set[str] = set()
        self.removed: set[cst.CSTNode] = set()

    def remark(self, node: cst.CSTNode, subject: str, remedy: str) -> None:
        place = self.get_metadata(PositionProvider, node)
        assert isinstance(place, CodeRange)
        self.remarks.append(Remark(place.start.line, subject, remedy))

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        text = node.evaluated_value
        if not isinstance(text, str):
            return
        self.texts.add(text)
        if _DOTTED.fullmatch(text):
            self.remark(node, f"the text {text!r}", "if it is the path of a name, write that of pytheus")
        if any(isinstance(each, cst.Annotation) for each in self._ancestors(node)):
            self.quoted.update(_WORD.findall(text))
            self.texts |= self.quoted

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            if isinstance(target.target, cst.Name):
                self.rebound.add(target.target.value)

    def visit_Param(self, node: cst.Param) -> None:
        self.rebound.add(node.name.value)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if isinstance(node.names, cst.ImportStar):
            module = _code(node.module) if node.module else ""
            if not node.relative and is_module(module):
                remedy = "import the names that are used, and run `pytheus migrate` again"
                self.remark(node, f"from {module} import *: its names cannot be told from others", remedy)
            return False
        owner = next((each for each in self._ancestors(node) if isinstance(each, cst.ClassDef | cst.FunctionDef)), None)
        for alias in node.names:
            bound = alias.asname.name if alias.asname else alias.name
            if isinstance(bound, cst.Name):
                self.names.add(bound.value)
            module = _code(node.module) if node.module else ""
            known = canonical(f"{module}.{alias.evaluated_name}")
            if isinstance(owner, cst.ClassDef) and known in METRICS:
                self.remark(node, f"{known} as an attribute of the class {owner.name.value}", _CALLS)
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self.names.add(node.value)
        self._visit(node)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self._visit(node)

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode:
        parent = self.get_metadata(ParentNodeProvider, node)
        assert isinstance(parent, cst.CSTNode)
        return parent

    def _ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        while not isinstance(node, cst.Module):
            node = self._parent(node)
            yield node

    def _visit(self, node: cst.Name | cst.Attribute) -> None:
        parent = self._parent(node)
        if isinstance(parent, cst.Attribute) and parent.attr is node:
            return
        if isinstance(parent, cst.Arg) and parent.keyword is node:
            return
        if isinstance(parent, cst.AssignTarget | cst.Del) and isinstance(node, cst.Attribute):
            root = _root(node)
            imported = {each.name for each in self.get_metadata(QualifiedNameProvider, node, set())}
            if root is not None and any(_DOTTED.fullmatch(each) for each in imported):
                self._keep(node, root, min(imported), "an attribute of the module is set: set that of pytheus")
            return
        if isinstance(
            parent, cst.AssignTarget | cst.Param | cst.FunctionDef | cst.ClassDef | cst.NameItem | cst.AsName
        ) and not (isinstance(parent, cst.Param) and parent.default is node):
            return
        meanings = self.get_metadata(QualifiedNameProvider, node, set())
        imported = {each.name for each in meanings if each.source is QualifiedNameSource.IMPORT}
        root = _root(node)
        if not imported or root is None:
            return
        if any(name in self._through for name in imported):
            self.passed_on.add(root)
            imported = {self._through.get(name, name) for name in imported}
        if all(is_module(name) for name in imported):
            peer = any(name.startswith("prometheus_client") for name in imported)
            if peer and not isinstance(parent, cst.Attribute):
                self._keep(node, root, min(imported), "pass the names of pytheus instead of the module")
            return
        known = {canonical(name) for name in imported}
        if known == {None} or not known:
            return
        name = min(each for each in known if each is not None)
        others = len(imported) < len(meanings) and not self._only_none(root, node)
        if len(known) > 1 or others:
            self._keep(node, root, name, "it has another meaning as well: rewrite both")
            return
        self._use(node, root, name, parent)

    def _only_none(self, root: str, node: cst.CSTNode) -> bool:
        """Whether all that binds `root` beside an import is ``root = None``."""
        module = next(each for each in self._ancestors(node) if isinstance(each, cst.Module))
        found = _Bindings(root)
        module.visit(found)
        return found.only_none

    def _keep(self, node: cst.Name | cst.Attribute, root: str, known: str, remedy: str) -> None:
        self.uses.append(Use(node, root, known, "kept"))
        self.remark(node, known, remedy)

    def _use(self, node: cst.Name | cst.Attribute, root: str, name: str, parent: cst.CSTNode) -> None:
        if name.startswith("pytheus.") and name not in RENAMED and name not in KEPT:
            if name.startswith("pytheus.backends."):
                self.remark(node, name, _BACKENDS)
            return
        if name == "disable_created_metrics" or name in _DEFAULTS:
            statement = self._unneeded(node, name)
            if statement is not None:
                self.removed.add(statement)
                self.uses.append(Use(node, root, name, "removed"))
                return
        if root in self.passed_on:
            if name in METRICS:
                self.uses.append(Use(node, root, name, "rewritten", (RENAMED[name],)))
                self._remark_value(node, name, parent)
            elif name not in RENAMED:
                self._keep(node, root, name, KEPT.get(name, _UNKNOWN))
            return
        if name in CALLED and isinstance(parent, cst.Call) and parent.func is node:
            possible = family(name, parent) if name in FAMILIES else text_call(parent)
            if possible is not None:
                self.uses.append(Use(node, root, name, "rewritten", CALLED[name]))
                return
        annotation = any(isinstance(each, cst.Annotation) for each in self._ancestors(node))
        if annotation and (name == "Metric" or name.endswith("MetricFamily")):
            self.uses.append(Use(node, root, name, "rewritten", (Target("pytheus.samples", "Family"),)))
            return
        if name not in RENAMED:
            self._keep(node, root, name, KEPT.get(name, _UNKNOWN))
            return
        target = RENAMED[name]
        if name == "CollectorRegistry" and annotation:
            target = Target("pytheus", "Registry")
        if (
            isinstance(parent, cst.Arg)
            and isinstance(self._parent(parent), cst.ClassDef)
            and target.name != "CustomCollector"
        ):
            self.remark(node, f"a subclass of {name}", f"{_SUBCLASS}; {_CALLS}" if name in METRICS else _SUBCLASS)
        elif name in METRICS:
            self._remark_value(node, name, parent)
        with_buckets = name == "Histogram" and _means_default_buckets(node, parent)
        self.uses.append(Use(node, root, name, "rewritten", (target, BUCKETS) if with_buckets else (target,)))

    def _remark_value(self, node: cst.Name | cst.Attribute, name: str, parent: cst.CSTNode) -> None:
        """Report a metric class that goes where its calls are not seen."""
        if isinstance(parent, cst.Call) and parent.func is node:
            return
        harmless = cst.Expr | cst.Attribute | cst.Comparison | cst.ComparisonTarget | cst.Index | cst.MatchClass
        if isinstance(parent, harmless) or (
            isinstance(parent, cst.BinaryOperation) and isinstance(parent.operator, cst.BitOr)
        ):
            return
        for each in self._ancestors(node):
            if isinstance(each, cst.Annotation):
                return
            if isinstance(each, cst.ClassDef):
                self.remark(node, f"a subclass of {name}", f"{_SUBCLASS}; {_CALLS}")
                return
            if isinstance(each, cst.Call) and _code(each.func).rpartition(".")[2] in _CHECKS:
                return
            if isinstance(each, cst.Call | cst.BaseSmallStatement | cst.BaseCompoundStatement):
                break
        self.remark(node, f"{name} as a value", _CALLS)

    def _unneeded(self, node: cst.CSTNode, name: str) -> cst.CSTNode | None:
        """The statement whose whole content is a call that pytheus does not need."""
        call = self._parent(node)
        if name in _DEFAULTS:
            call = self._parent(call)
            function = call.func if isinstance(call, cst.Call) else None
            if not (isinstance(function, cst.Attribute) and function.attr.value == "unregister"):
                return None
        statement = self._parent(call)
        return statement if isinstance(call, cst.Call) and isinstance(statement, cst.Expr) else None


class _Bindings(cst.CSTVisitor):
    def __init__(self, root: str) -> None:
        super().__init__()
        self.root = root
        self.only_none = True

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            if isinstance(target.target, cst.Name) and target.target.value == self.root:
                self.only_none &= isinstance(node.value, cst.Name) and node.value.value == "None"

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._other(node.target)

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        self._other(node.name)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._other(node.name)

    def _other(self, node: cst.BaseExpression) -> None:
        if isinstance(node, cst.Name) and node.value == self.root:
            self.only_none = False


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _means_default_buckets(node: cst.CSTNode, parent: cst.CSTNode) -> bool:
    """Whether `parent` calls the class `Histogram`, which `node` is, without buckets, or reads its default buckets."""
    if isinstance(parent, cst.Attribute):
        return parent.attr.value == "DEFAULT_BUCKETS"
    return isinstance(parent, cst.Call) and parent.func is node and has_default_buckets(parent)


def _root(node: cst.BaseExpression) -> str | None:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else None


def find(wrapper: MetadataWrapper, through: Mapping[str, str]) -> References:
    """The uses in the source of `wrapper`.

    `through` maps the qualified names of names that other modules pass on to those that they have where they are
    defined.
    """
    found = References(through)
    wrapper.visit(found)
    kept = {(use.root, use.known) for use in found.uses if use.fate == "kept"}
    parents = wrapper.resolve(ParentNodeProvider)
    for index, use in enumerate(found.uses):
        is_called = isinstance(parents[use.node], cst.Call)
        if use.targets and use.targets[0].name == "Family" and not is_called and (use.root, use.known) in kept:
            found.uses[index] = use._replace(fate="kept", targets=())  # as annotation of a family that stays
            continue
        taken = {target.name for target in use.targets[1:]} & found.names
        if isinstance(use.node, cst.Attribute) and use.root not in found.passed_on:
            taken = {"pytheus"} & found.rebound
        elif use.targets and use.targets[0].name == "Registry":
            if "Registry" in found.names:
                found.uses[index] = use._replace(targets=(RENAMED[use.known],))
            continue
        if use.fate == "rewritten" and taken and not use.known.startswith("pytheus."):
            found.uses[index] = use._replace(fate="kept", targets=())
            line = wrapper.resolve(PositionProvider)[use.node].start.line
            subject = f"{use.known}: the source has another {min(taken)}"
            found.remarks.append(Remark(line, subject, "rename that, and run `pytheus migrate` again"))
    return found
