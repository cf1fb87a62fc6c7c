"""Which variable a metric is bound to, and whether an expression must read that variable.

A type says which class an expression holds, and two metrics with different labels have the same type: mypy gives a
variable that is bound twice, or the values of a dict, the type of the first. Facts about a metric therefore carry the
full name of the one variable that it is bound to, and are used only for an expression that reads

- a variable or attribute that its module binds once, to that metric;
- the value of a definition or of `labels()` directly: ``Counter(...).labels(...).inc()``. Any other call
  (``metrics.pop()``) may return another metric of the type.
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

__all__ = ["Bindings"]


def _full_name(variable: Var) -> str:
    if variable.info:
        return f"{variable.info.fullname}.{variable.name}"
    # A local variable's full name is its name, which others may have.
    return variable.fullname if "." in variable.fullname else f"{variable.name}:{variable.line}"


class Bindings:
    """The variables that metrics are bound to, in the modules under check."""

    def __init__(self) -> None:
        # The module read last. The mypy daemon puts new statements into the old module.
        self._statements: list[Statement] = []
        self._bindings = _ModuleBindings([])
        self._calls: set[Context] = set()

    def target_of(self, call: Context, api: TypeChecker) -> str:
        """Return the full name of the variable that the metric made by `call` is bound to, or ""."""
        self._read_module(api.tree.defs)
        self._calls.add(call)
        return self._bindings.target_of(call)

    def holds(self, expression: Context, bound_to: str, api: TypeChecker) -> bool:
        """Return whether `expression` must read the metric bound to the variable `bound_to`."""
        self._read_module(api.tree.defs)
        if isinstance(expression, CallExpr):
            return bound_to == "" and expression in self._calls
        if isinstance(expression, (NameExpr, MemberExpr)):
            variable = self._variable(expression, api)
            return variable is not None and _full_name(variable) == bound_to
        return False

    def _read_module(self, statements: list[Statement]) -> None:
        if statements is not self._statements:
            self._bindings = _ModuleBindings(statements)
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
        # mypy has no attribute for a class that only rebinds an inherited one.
        if any(self._bindings.binds(f"{cls.fullname}.{expression.name}") for cls in derived):
            return None
        return found.node


class _ModuleBindings:
    """The variable that each call is bound to in one module, and how often each variable is bound.

    Walks over statements, because mypy's visitors are compiled and cannot be subclassed. So names that an expression
    binds (``:=``) are not seen.
    """

    def __init__(self, statements: list[Statement]) -> None:
        self._bound_to: dict[CallExpr, str] = {}
        self._times: dict[str, int] = {}
        # Attributes of objects other than `self`, whose class is unknown here.
        self._others: set[str] = set()
        self._walk(statements, None, "")

    def binds(self, target_name: str) -> bool:
        """Return whether the module binds the variable."""
        return target_name in self._times

    def binds_of_others(self, attribute: str) -> bool:
        """Return whether the module binds an attribute of this name on any object or module."""
        return attribute in self._others

    def target_of(self, call: Context) -> str:
        target_name = self._bound_to.get(call, "") if isinstance(call, CallExpr) else ""
        if self._times.get(target_name, 0) > 1 or self.binds_of_others(target_name.rpartition(".")[2]):
            return ""
        return target_name

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
        target_name: str | None = None
        if isinstance(target, NameExpr) and isinstance(target.node, Var):
            target_name = _full_name(target.node)
        elif isinstance(target, MemberExpr):
            if cls is not None and isinstance(target.expr, NameExpr) and target.expr.name == self_name:
                target_name = f"{cls.fullname}.{target.name}"
            else:
                self._others.add(target.name)
        if target_name is not None:
            self._times[target_name] = self._times.get(target_name, 0) + 1
            if isinstance(value, CallExpr):
                self._bound_to.setdefault(value, target_name)


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
        # An import may rebind a name.
        return [target for assignment in statement.assignments for target in assignment.lvalues]
    return []


def _captured(pattern: Pattern) -> Iterator[Expression]:
    """Yield the names that `pattern` binds."""
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
