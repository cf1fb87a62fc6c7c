"""Where a metric was put, and whether an expression must be what was put there.

A type says what an expression may hold, and two metrics with other labels have the same type: mypy gives a variable
that is bound twice, or a dict's values, the first one's. So what is known of a metric names the one place that it was
put, its home, and is believed only of an expression that reads that place:

- a variable or attribute that its module binds once, to that metric;
- the value of a definition or of `labels()`, where it is used at once: ``Counter(...).labels(...).inc()``. Any other
  call (``metrics.pop()``) may give another metric of the type.
"""

from __future__ import annotations

from collections.abc import Iterator

from mypy.checker import TypeChecker
from mypy.nodes import (
    AssignmentStmt,
    Block,
    CallExpr,
    ClassDef,
    Context,
    Decorator,
    Expression,
    ForStmt,
    FuncDef,
    IfStmt,
    ImportBase,
    ListExpr,
    MatchStmt,
    MemberExpr,
    NameExpr,
    OperatorAssignmentStmt,
    OverloadedFuncDef,
    StarExpr,
    Statement,
    TryStmt,
    TupleExpr,
    Var,
    WhileStmt,
    WithStmt,
)
from mypy.patterns import (
    AsPattern,
    ClassPattern,
    MappingPattern,
    OrPattern,
    Pattern,
    SequencePattern,
    StarredPattern,
)
from mypy.types import CallableType, Instance, TypeType, get_proper_type

from pytheus.mypy_plugin.literals import type_of

__all__ = ["Places"]


def _place(variable: Var) -> str:
    if variable.info:
        return f"{variable.info.fullname}.{variable.name}"
    # A local variable's full name is its name, which others may have.
    return variable.fullname if "." in variable.fullname else f"{variable.name}:{variable.line}"


class Places:
    """The places that the modules under check put metrics."""

    def __init__(self) -> None:
        # Of the module looked at last. The daemon puts new statements into the old module.
        self._statements: list[Statement] = []
        self._bindings = _Bindings([])
        self._calls: set[Context] = set()

    def home(self, call: Context, api: TypeChecker) -> str:
        """The place that the value of `call`, which makes a metric, is put, or "" where it is none to speak of."""
        self._look_at(api.tree.defs)
        self._calls.add(call)
        return self._bindings.home(call)

    def holds(self, expression: Context, home: str, api: TypeChecker) -> bool:
        """Whether `expression` must be the metric that was put at `home`."""
        self._look_at(api.tree.defs)
        if isinstance(expression, CallExpr):
            return home == "" and expression in self._calls
        if isinstance(expression, (NameExpr, MemberExpr)):
            variable = self._variable(expression, api)
            return variable is not None and _place(variable) == home
        return False

    def _look_at(self, statements: list[Statement]) -> None:
        if statements is not self._statements:
            self._bindings = _Bindings(statements)
            self._statements = statements
            self._calls.clear()

    def _variable(self, expression: NameExpr | MemberExpr, api: TypeChecker) -> Var | None:
        if isinstance(expression, NameExpr):
            return expression.node if isinstance(expression.node, Var) else None
        if self._bindings.binds_of_others(expression.name):
            return None
        if isinstance(expression.node, Var):
            return expression.node
        proper = get_proper_type(type_of(expression.expr, api))
        if isinstance(proper, TypeType):
            proper = get_proper_type(proper.item)
        elif isinstance(proper, CallableType) and proper.is_type_obj():
            proper = get_proper_type(proper.ret_type)
        if not isinstance(proper, Instance):
            return None
        found = proper.type.get(expression.name)
        if found is None or not isinstance(found.node, Var):
            return None
        derived = (
            proper.type.mro[: proper.type.mro.index(found.node.info)] if found.node.info in proper.type.mro else []
        )
        # mypy knows no attribute of a class that only binds an inherited one anew, for itself.
        if any(self._bindings.binds(f"{cls.fullname}.{expression.name}") for cls in derived):
            return None
        return found.node


class _Bindings:
    """Which place each call's value is put, and how often each place is bound, in one module.

    A walk over its statements, for mypy's visitors are compiled and cannot be derived from. So what an expression binds
    (``:=``) is not seen, and has no home.
    """

    def __init__(self, statements: list[Statement]) -> None:
        self._homes: dict[CallExpr, str] = {}
        self._times: dict[str, int] = {}
        # Attributes of an object that is not `self`: whose they are is not known here.
        self._others: set[str] = set()
        self._walk(statements, None, "")

    def binds(self, place: str) -> bool:
        """Whether the module binds `place`."""
        return place in self._times

    def binds_of_others(self, attribute: str) -> bool:
        """Whether the module binds an attribute of this name, of whichever object or module."""
        return attribute in self._others

    def home(self, call: Context) -> str:
        place = self._homes.get(call, "") if isinstance(call, CallExpr) else ""
        if self._times.get(place, 0) > 1 or self.binds_of_others(place.rpartition(".")[2]):
            return ""
        return place

    def _walk(self, statements: list[Statement], cls: ClassDef | None, self_name: str) -> None:
        for statement in statements:
            if isinstance(statement, OverloadedFuncDef):  # a property that can be set is one, too
                self._walk([*statement.items], cls, self_name)
                continue
            function = statement.func if isinstance(statement, Decorator) else statement
            if isinstance(function, FuncDef):
                # In a function inside of a method, `self` is still the method's.
                if function.info and function.arguments:
                    self_name = function.arguments[0].variable.name
                self._walk(function.body.body, cls, self_name)
            elif isinstance(statement, ClassDef):
                self._walk(statement.defs.body, statement, "")
            else:
                for target in _targets(statement):
                    value = statement.rvalue if isinstance(statement, AssignmentStmt) else None
                    self._bind(target, value, cls, self_name)
                for block in _blocks(statement):
                    self._walk(block.body, cls, self_name)

    def _bind(self, target: Expression, value: Expression | None, cls: ClassDef | None, self_name: str) -> None:
        if isinstance(target, (TupleExpr, ListExpr)):
            for item in target.items:
                self._bind(item, None, cls, self_name)
            return
        if isinstance(target, StarExpr):
            target = target.expr
        place: str | None = None
        if isinstance(target, NameExpr) and isinstance(target.node, Var):
            place = _place(target.node)
        elif isinstance(target, MemberExpr):
            if cls is not None and isinstance(target.expr, NameExpr) and target.expr.name == self_name:
                place = f"{cls.fullname}.{target.name}"
            else:
                self._others.add(target.name)
        if place is not None:
            self._times[place] = self._times.get(place, 0) + 1
            if isinstance(value, CallExpr):
                self._homes.setdefault(value, place)


def _targets(statement: Statement) -> list[Expression]:
    if isinstance(statement, AssignmentStmt):
        return [*statement.lvalues]
    if isinstance(statement, OperatorAssignmentStmt):
        return [statement.lvalue]
    if isinstance(statement, ForStmt):
        return [statement.index]
    if isinstance(statement, WithStmt):
        return [target for target in statement.target if target is not None]
    if isinstance(statement, TryStmt):
        return [name for name in statement.vars if name is not None]
    if isinstance(statement, MatchStmt):
        return [name for pattern in statement.patterns for name in _captured(pattern)]
    if isinstance(statement, ImportBase):
        # Where a name is imported that was bound before.
        return [target for assignment in statement.assignments for target in assignment.lvalues]
    return []


def _captured(pattern: Pattern) -> Iterator[Expression]:
    """The names that `pattern` binds."""
    names: list[NameExpr | None] = []
    inner: list[Pattern | None] = []
    if isinstance(pattern, AsPattern):
        names, inner = [pattern.name], [pattern.pattern]
    elif isinstance(pattern, StarredPattern):
        names = [pattern.capture]
    elif isinstance(pattern, (OrPattern, SequencePattern)):
        inner = [*pattern.patterns]
    elif isinstance(pattern, MappingPattern):
        names, inner = [pattern.rest], [*pattern.values]
    elif isinstance(pattern, ClassPattern):
        inner = [*pattern.positionals, *pattern.keyword_values]
    yield from (name for name in names if name is not None)
    for part in inner:
        if part is not None:
            yield from _captured(part)


def _blocks(statement: Statement) -> list[Block]:
    blocks: list[Block | None] = []
    if isinstance(statement, Block):
        blocks = [statement]
    elif isinstance(statement, IfStmt):
        blocks = [*statement.body, statement.else_body]
    elif isinstance(statement, (ForStmt, WhileStmt)):
        blocks = [statement.body, statement.else_body]
    elif isinstance(statement, WithStmt):
        blocks = [statement.body]
    elif isinstance(statement, TryStmt):
        blocks = [statement.body, *statement.handlers, statement.else_body, statement.finally_body]
    elif isinstance(statement, MatchStmt):
        blocks = [*statement.bodies]
    return [block for block in blocks if block is not None]
