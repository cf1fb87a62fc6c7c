"""Mechanical defects: every place of a file where an operator turns one thing into another.

Operators: a condition is negated, `and` and `or` change places, a comparison is turned round or moved by one, a whole
number is one more, True and False change places, a statement is left out, a `return` gives None.

Rules:

- A defect is called by where it is and what it does to which text, not by line, so that its name outlives other edits.
- Messages, annotations, docstrings, `__all__`, `__slots__` and what only type checkers read are left alone: a test that
  noticed those would only repeat them.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from mutation.equivalents import EQUIVALENTS
from mutation.mutant import Mutant
from mutation.suites import COLLECTOR_REGISTRY, COMPOSE, LOOKUP, PROXY, Suite
from mutation.workbench import CHECKOUT

__all__ = ["SWEPT", "SweptMutant", "sweep"]

SWEPT: Final[dict[str, Suite]] = {
    "registry/collector_registry.py": COLLECTOR_REGISTRY,
    "registry/lookup.py": LOOKUP,
    "registry/proxy.py": PROXY,
    "registry/migration.py": PROXY,
    "registry/standing.py": COMPOSE,
    "compose/derived.py": COMPOSE,
    "compose/filtered.py": COMPOSE,
    "compose/labelled.py": COMPOSE,
    "compose/layer.py": COMPOSE,
    "compose/layers.py": COMPOSE,
    "compose/limited.py": COMPOSE,
    "compose/prefixed.py": COMPOSE,
    "compose/read_only.py": COMPOSE,
    "compose/union.py": COMPOSE,
}
"""The files that are swept, and which tests come first for each."""

_TURNED: Final[dict[type[ast.cmpop], tuple[str, ...]]] = {
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
}

_LEFT_OUT: Final = (ast.Assign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)


class _Edit(NamedTuple):
    node: ast.expr | ast.stmt
    text: str
    what: str


class SweptMutant(Mutant):
    """A mutant that knows its place in the file rather than its lines."""

    __slots__ = ()

    def mutated(self, source: str) -> str:
        """`source` with the defect; its `old` is the whole file as it was when it was swept."""
        if source != self.old:
            raise RuntimeError(f"{self.file} has changed since it was swept")
        return self.new


def sweep(files: Iterable[str]) -> Iterator[Mutant]:
    """Every mechanical defect of `files`, which are named as within the package."""
    for file in files:
        source = (CHECKOUT / "pytheus" / file).read_text("utf-8")
        names: Counter[str] = Counter()
        for place, edit in _edits(ast.parse(source).body, "", source):
            name = f"{file} {place}: {edit.what}"
            names[name] += 1
            if names[name] > 1:
                name += f" ({names[name]})"
            equivalent = EQUIVALENTS.get(name, "")
            yield SweptMutant(
                name, file, edit.what, source, _replaced(source, edit), SWEPT[file], equivalent=equivalent
            )


def _replaced(source: str, edit: _Edit) -> str:
    lines, node = _lines(source), edit.node
    assert node.end_lineno is not None
    first, last = lines[node.lineno - 1][: node.col_offset], lines[node.end_lineno - 1][node.end_col_offset :]
    return b"\n".join(
        [*lines[: node.lineno - 1], first + edit.text.encode() + last, *lines[node.end_lineno :]]
    ).decode()


def _edits(body: Sequence[ast.stmt], place: str, source: str) -> Iterator[tuple[str, _Edit]]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            inner = f"{place}.{statement.name}".lstrip(".")
            if inner.endswith("__repr__"):
                continue
            yield from _edits(statement.body, inner, source)
            continue
        if not place or _is_for_type_checkers(statement):
            continue
        for edit in _of_statement(statement, source):
            yield place, edit
        for part in ast.iter_child_nodes(statement):
            if isinstance(part, ast.expr):
                for edit in _of_expression(part, source, annotated=isinstance(statement, ast.AnnAssign)):
                    yield place, edit
            elif isinstance(part, ast.withitem):
                for edit in _of_expression(part.context_expr, source, annotated=False):
                    yield place, edit
        for name in ("body", "orelse", "finalbody"):
            yield from _edits(getattr(statement, name, []), place, source)
        for handler in getattr(statement, "handlers", []):
            yield from _edits(handler.body, place, source)


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id.startswith("__") for target in statement.targets)
    return isinstance(statement, (ast.Import, ast.ImportFrom)) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _of_statement(statement: ast.stmt, source: str) -> Iterator[_Edit]:
    shown = _shown(statement, source)
    if isinstance(statement, _LEFT_OUT) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        yield _Edit(statement, "pass", f"leaves out `{shown}`")
    elif isinstance(statement, ast.Return) and statement.value is not None:
        if not (isinstance(statement.value, ast.Constant) and statement.value.value is None):
            yield _Edit(statement, "return None", f"`{shown}` gives None")
    elif isinstance(statement, ast.Return):
        yield _Edit(statement, "pass", f"leaves out `{shown}`")
    if isinstance(statement, (ast.If, ast.While)):
        yield from _negated(statement.test, source)


def _negated(test: ast.expr, source: str) -> Iterator[_Edit]:
    # A comparison is turned round below, which comes to the same.
    if not isinstance(test, ast.Compare):
        yield _Edit(test, f"(not ({_text(test, source)}))", f"negates `{_shown(test, source)}`")


def _of_expression(expression: ast.expr, source: str, *, annotated: bool) -> Iterator[_Edit]:
    if annotated and isinstance(expression, (ast.Name, ast.Subscript, ast.BinOp)):
        return
    if isinstance(expression, (ast.JoinedStr, ast.FormattedValue)):
        return  # a message
    shown = _shown(expression, source)
    if isinstance(expression, ast.Constant):
        value = expression.value
        if value is True or value is False:
            yield _Edit(expression, str(not value), f"`{value}` becomes {not value}")
        elif type(value) is int:
            yield _Edit(expression, str(value + 1), f"`{value}` becomes {value + 1}")
    elif isinstance(expression, ast.BoolOp):
        word, other = ("and", "or") if isinstance(expression.op, ast.And) else ("or", "and")
        parts = f" {other} ".join(f"({_text(value, source)})" for value in expression.values)
        yield _Edit(expression, f"({parts})", f"`{word}` becomes `{other}` in `{shown}`")
    elif isinstance(expression, ast.Compare) and len(expression.ops) == 1:
        left, right = _text(expression.left, source), _text(expression.comparators[0], source)
        for operator in _TURNED[type(expression.ops[0])]:
            yield _Edit(expression, f"({left} {operator} {right})", f"`{shown}` with `{operator}`")
    elif isinstance(expression, ast.IfExp):
        yield from _negated(expression.test, source)
    elif isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.Not):
        yield _Edit(expression, f"({_text(expression.operand, source)})", f"`not` is left out of `{shown}`")
    for part in ast.iter_child_nodes(expression):
        if isinstance(part, ast.expr):
            yield from _of_expression(part, source, annotated=False)
        elif isinstance(part, ast.comprehension):
            yield from _of_expression(part.iter, source, annotated=False)
            for condition in part.ifs:
                yield from _negated(condition, source)
                yield from _of_expression(condition, source, annotated=False)
        elif isinstance(part, ast.keyword):
            yield from _of_expression(part.value, source, annotated=False)


def _text(node: ast.expr | ast.stmt, source: str) -> str:
    lines = _lines(source)
    assert node.end_lineno is not None
    # Columns count bytes. ast.get_source_segment splits the whole source anew each time.
    if node.lineno == node.end_lineno:
        return lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()
    between = lines[node.lineno : node.end_lineno - 1]
    first, last = lines[node.lineno - 1][node.col_offset :], lines[node.end_lineno - 1][: node.end_col_offset]
    return b"\n".join([first, *between, last]).decode()


@lru_cache(maxsize=4)
def _lines(source: str) -> list[bytes]:
    return source.encode().split(b"\n")


def _shown(node: ast.expr | ast.stmt, source: str) -> str:
    """The text, on one line and not too long."""
    text = " ".join(_text(node, source).split())
    return text if len(text) <= 60 else text[:57] + "..."
