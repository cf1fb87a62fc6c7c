"""From a source that uses prometheus_client, or pytheus 0.6, to one that uses this pytheus.

Rules:

- All names are decided before the first is rewritten: a name of which one use must stay is imported from both.
- A use that cannot be rewritten with the same meaning stays as it is, and has a remark.
- A rewritten source has no name of prometheus_client but those in the remarks, so rewriting it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, ParentNodeProvider, PositionProvider, QualifiedNameProvider

from pytheus.migrate.arguments import expression
from pytheus.migrate.attributes import attribute_remarks
from pytheus.migrate.calls import as_text, family, other_call, text_call
from pytheus.migrate.constructors import former_constructor, has_default_mode, metric_constructor
from pytheus.migrate.imports import Imports
from pytheus.migrate.references import References, Use, find
from pytheus.migrate.tables import BUCKETS, FAMILIES, METRICS, OLD_BUCKETS, Remark

__all__ = ["Rewritten", "kept_names", "rewrite"]

_RUNTIME = "call pytheus.collectors.register_runtime_collectors() where the program starts"
_MODES = 'this one is the sum of all processes; pass mode="each", processes="all" to keep the series'
# The index of the argument `registry` of the functions that expose the default registry without it.
_SERVING: Final = {
    "start_http_server": 2,
    "start_wsgi_server": 2,
    "make_wsgi_app": 0,
    "make_asgi_app": 0,
    "generate_latest": 0,
}


class Rewritten(NamedTuple):
    """The `source` as rewritten, the remarks in the order of its lines, and how many calls were rewritten."""

    source: bytes
    remarks: tuple[Remark, ...]
    calls: int


def rewrite(
    source: bytes, *, exported: Container[str] = (), through: Mapping[str, str] = MappingProxyType({})
) -> Rewritten:
    """Rewrite one file.

    `exported` are names that other files import from this one, which it goes on to bind. `through` maps qualified names
    of this file that another file passes on to those that they have in prometheus_client, as in
    ``{"shop.metrics.Counter": "prometheus_client.Counter"}``.

    The encoding and the line ends of `source` are kept. Raises `libcst.ParserSyntaxError` and `UnicodeDecodeError` for
    a source that cannot be read.

        >>> rewritten = rewrite(b'from prometheus_client import Counter\\nhits = Counter("hits", "Hits.")\\n')
        >>> print(rewritten.source.decode(), end="")
        from pytheus import Counter
        hits = Counter("hits_total", "Hits.")
    """
    if not through and b"prometheus_client" not in source and b"pytheus" not in source:
        return Rewritten(source, (), 0)
    # libcst drops some blank lines at the end of a file.
    end = len(source.rstrip())
    module = cst.parse_module(source[:end])
    if module.bytes != source[:end]:
        remedy = "rewrite the file by hand"
        return Rewritten(source, (Remark(1, "libcst does not give back the text of this file", remedy),), 0)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    references = find(wrapper, through)
    references.remarks += attribute_remarks(wrapper, through)
    imports = Imports(references, exported)
    rewriter = _Rewriter(references, imports)
    changed = wrapper.visit(rewriter)
    places = wrapper.resolve(PositionProvider)
    references.remarks += [Remark(places[node].start.line, *about) for node, *about in imports.unused]
    return Rewritten(changed.bytes + source[end:], tuple(sorted(set(references.remarks))), rewriter.calls)


def kept_names(source: bytes, through: Mapping[str, str]) -> frozenset[str]:
    """The names that `source` imports and that stay those of prometheus_client, for `through` as of `rewrite`."""
    references = find(MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True), through)
    return frozenset(use.root for use in references.uses if use.fate == "kept")


class _Rewriter(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (QualifiedNameProvider, ParentNodeProvider, PositionProvider)

    def __init__(self, references: References, imports: Imports) -> None:
        super().__init__()
        self._references = references
        self._imports = imports
        self._uses: dict[cst.CSTNode, Use] = {use.node: use for use in references.uses if use.fate == "rewritten"}
        self._said_runtime = False
        self._said_modes = False
        self.calls = 0

    def _remark(self, node: cst.CSTNode, subject: str, remedy: str) -> None:
        place = self.get_metadata(PositionProvider, node)
        assert isinstance(place, CodeRange)
        self._references.remarks.append(Remark(place.start.line, subject, remedy))

    def _qualified(self, node: cst.CSTNode) -> set[str]:
        return {each.name for each in self.get_metadata(QualifiedNameProvider, node, set())}

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        use = self._uses.get(original_node)
        if use is None:
            return updated_node
        return updated_node.with_changes(value=self._imports.local(use, self._aliased(use)))

    def _aliased(self, use: Use) -> bool:
        return use.root != use.known.rpartition(".")[2]

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        use = self._uses.get(original_node)
        if use is not None:
            if use.root in self._references.passed_on:
                return updated_node
            if use.known.startswith("pytheus."):
                return updated_node.with_changes(attr=cst.Name(use.targets[0].name))
            replaced = expression(use.targets[0].dotted)
            return replaced.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)
        if original_node.attr.value == "DEFAULT_BUCKETS":
            value = self._uses.get(original_node.value)
            if value is not None and value.known == "Histogram":
                buckets = self._buckets(value)
                unpacked = f"(*{buckets}, " if len(value.targets) > 1 else buckets.replace(")", ", ")
                return expression(f'{unpacked}float("inf"))')
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        function = original_node.func
        use = self._uses.get(function)
        if use is None:
            return self._call_of_other(original_node, updated_node)
        self.calls += 1
        name = use.known
        if name in _SERVING and not self._said_runtime and self._serves_default(original_node, _SERVING[name]):
            self._said_runtime = True
            self._remark(original_node, "process_*, python_* are not exposed by themselves", _RUNTIME)
        if name in METRICS:
            call, remarks = metric_constructor(name, updated_node, self._buckets(use))
            if name == "Gauge" and not self._said_modes and has_default_mode(original_node):
                self._said_modes = True
                self._remark(original_node, "a gauge without multiprocess_mode had a series for each process", _MODES)
        elif name == "generate_latest":
            return text_call(updated_node) or updated_node
        elif name in FAMILIES:
            return family(name, updated_node) or updated_node
        else:
            used = not isinstance(self.get_metadata(ParentNodeProvider, original_node), cst.Expr)
            call, remarks = other_call(name, updated_node, used=used)
        for subject, remedy in remarks:
            self._remark(original_node, subject, remedy)
        return call

    def _buckets(self, use: Use) -> str:
        """The expression of prometheus_client's default buckets where `use` is."""
        if len(use.targets) < 2:
            return OLD_BUCKETS
        return BUCKETS.dotted if isinstance(use.node, cst.Attribute) else BUCKETS.name

    def _serves_default(self, call: cst.Call, index: int) -> bool:
        """Whether the argument `registry` of `call`, by keyword or at `index`, is left out or the default registry."""
        for position, argument in enumerate(call.args):
            if argument.keyword.value == "registry" if argument.keyword else position == index:
                use = self._uses.get(argument.value)
                return use is not None and use.known == "REGISTRY"
        return True

    def _call_of_other(self, original: cst.Call, updated: cst.Call) -> cst.BaseExpression:
        function = original.func
        moving = {"pytheus.REGISTRY.set_registry", "pytheus.registry.REGISTRY.set_registry"}
        if isinstance(function, cst.Attribute):
            called = self._uses.get(function.value.func) if isinstance(function.value, cst.Call) else None
            if called is not None and called.known == "generate_latest":
                return as_text(updated) or updated
            if len(original.args) == 1 and self._qualified(function) & moving:
                remedy = "in 0.6 the new registry was empty: pass migrate=False for that, or migrate=True"
                self._remark(original, "set_registry(...) moves the collectors", remedy)
        qualified = self._qualified(function)
        metrics = {f"{module}.{name}" for module in ("pytheus", "pytheus.metrics") for name in METRICS}
        if qualified and qualified <= metrics:
            return former_constructor(updated)
        return updated

    def leave_Expr(
        self, original_node: cst.Expr, updated_node: cst.Expr
    ) -> cst.BaseSmallStatement | cst.RemovalSentinel:
        return cst.RemoveFromParent() if original_node in self._references.removed else updated_node

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.BaseSuite:
        replaced = self._replaced(original_node, updated_node)
        if replaced is None:
            return updated_node
        return updated_node.with_changes(
            body=[each.with_changes(semicolon=cst.MaybeSentinel.DEFAULT) for each in replaced]
        )

    def _replaced(
        self,
        original: cst.SimpleStatementLine | cst.SimpleStatementSuite,
        updated: cst.SimpleStatementLine | cst.SimpleStatementSuite,
    ) -> list[cst.BaseSmallStatement] | None:
        """The statements of a line with other imports; None if all stay."""
        replaced: list[cst.BaseSmallStatement] = []
        changed = len(original.body) != len(updated.body)
        for small in updated.body:
            statements = None
            if isinstance(small, cst.Import | cst.ImportFrom):
                statements = self._imports.statement(small, original)
            changed = changed or statements is not None
            replaced.extend([small] if statements is None else statements)
        return replaced if changed else None

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement] | cst.RemovalSentinel:
        replaced = self._replaced(original_node, updated_node)
        if replaced is None:
            return updated_node
        if not replaced:
            return cst.RemoveFromParent()
        lines = [cst.SimpleStatementLine([each.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]) for each in replaced]
        kept = {line.comment.value for small in replaced for line in _comments(small) if line.comment is not None}
        comments = [line for small in original_node.body for line in _comments(small)]
        comments = [line for line in comments if line.comment is not None and line.comment.value not in kept]
        lines[0] = lines[0].with_changes(leading_lines=[*updated_node.leading_lines, *comments])
        lines[-1] = lines[-1].with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        return cst.FlattenSentinel(lines)


def _comments(statement: cst.BaseSmallStatement) -> list[cst.EmptyLine]:
    """The comments within `statement`, a line for each."""
    found = _Comments()
    statement.visit(found)
    return [cst.EmptyLine(comment=comment) for comment in found.comments]


class _Comments(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.comments: list[cst.Comment] = []

    def visit_Comment(self, node: cst.Comment) -> None:
        self.comments.append(node)
