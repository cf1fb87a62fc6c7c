"""Values that the source states: texts, sequences of texts, and dicts with texts for keys; and the error codes.

Constants count as well: the type of a `Final` text, or of a `Final` tuple of texts, contains its value.
A line is silenced by its code: ``# type: ignore[pytheus-label]``.
"""

from __future__ import annotations

from typing import Final

from mypy.checker import TypeChecker
from mypy.errorcodes import ErrorCode
from mypy.nodes import DictExpr, Expression, ListExpr, NameExpr, SetExpr, TupleExpr
from mypy.types import (
    CallableType,
    Instance,
    LiteralType,
    NoneType,
    TupleType,
    Type,
    TypedDictType,
    UnionType,
    get_proper_type,
)

__all__ = ["LABEL", "NAME", "is_none", "keys", "may_be_label_value", "text", "texts", "type_of"]


LABEL: Final = ErrorCode("pytheus-label", "Labels that do not fit the metric", "pytheus")
NAME: Final = ErrorCode("pytheus-name", "A metric or label name that Prometheus does not allow", "pytheus")


def type_of(expression: Expression, api: TypeChecker) -> Type | None:
    """Return the type that mypy inferred for `expression`, or None."""
    return api.lookup_type(expression) if api.has_type(expression) else None


def is_none(expression: Expression) -> bool:
    """Return whether the expression is the literal None."""
    return isinstance(expression, NameExpr) and expression.fullname == "builtins.None"


def text(expression: Expression, api: TypeChecker) -> str | None:
    """Return the text that `expression` always has, or None."""
    found = type_of(expression, api)
    return None if found is None else _literal(found)


def texts(expression: Expression, api: TypeChecker) -> list[str] | None:
    """Return the texts that `expression` always holds, in order (in any order for a set), or None."""
    if isinstance(expression, (ListExpr, TupleExpr, SetExpr)):
        found = [text(item, api) for item in expression.items]
    else:
        proper = get_proper_type(type_of(expression, api))
        if not isinstance(proper, TupleType):
            return None
        found = [_literal(item) for item in proper.items]
    seen = [item for item in found if item is not None]
    return seen if len(seen) == len(found) else None


def keys(expression: Expression, api: TypeChecker) -> dict[str, Expression] | None:
    """Return the keys and values of a dict display with constant keys, or None."""
    if not isinstance(expression, DictExpr):
        return None
    written: dict[str, Expression] = {}
    for key, value in expression.items:
        name = None if key is None else text(key, api)
        if name is None:
            return None
        written[name] = value
    return written


def _literal(type: Type) -> str | None:
    proper = get_proper_type(type)
    if isinstance(proper, Instance) and proper.last_known_value is not None:
        proper = proper.last_known_value
    if isinstance(proper, LiteralType) and isinstance(proper.value, str) and not proper.is_enum_literal():
        return proper.value
    return None


def may_be_label_value(type: Type) -> bool:
    """Return whether values of `type` are or may be label values: texts or ints, but not bools."""
    proper = get_proper_type(type)
    if isinstance(proper, UnionType):
        return all(map(may_be_label_value, proper.items))
    if isinstance(proper, LiteralType):
        return may_be_label_value(proper.fallback)
    if isinstance(proper, Instance):
        info = proper.type
        return info.has_base("builtins.str") or (info.has_base("builtins.int") and info.fullname != "builtins.bool")
    return not isinstance(proper, (NoneType, TupleType, CallableType, TypedDictType))
