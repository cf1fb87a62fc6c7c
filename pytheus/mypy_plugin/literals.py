"""What a program says in so many words: texts, sequences of texts, and dicts with texts for keys.

Constants count, too: a `Final` text, or a `Final` tuple of texts, has a type that tells its value.
"""

from __future__ import annotations

from mypy.checker import TypeChecker
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

__all__ = ["is_none", "keys", "may_be_text", "text", "texts", "type_of"]


def type_of(expression: Expression, api: TypeChecker) -> Type | None:
    """The type that mypy found for `expression`, or None where it found none."""
    return api.lookup_type(expression) if api.has_type(expression) else None


def is_none(expression: Expression) -> bool:
    """Whether it is written as None."""
    return isinstance(expression, NameExpr) and expression.fullname == "builtins.None"


def text(expression: Expression, api: TypeChecker) -> str | None:
    """The text that `expression` always is."""
    found = type_of(expression, api)
    return None if found is None else _literal(found)


def texts(expression: Expression, api: TypeChecker) -> list[str] | None:
    """The texts that `expression` always holds, in order (a set's in any)."""
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
    """The keys and values of a dict that is written out."""
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


def may_be_text(type: Type) -> bool:
    """Whether values of `type` are texts, or may be for all that is known."""
    proper = get_proper_type(type)
    if isinstance(proper, UnionType):
        return all(map(may_be_text, proper.items))
    if isinstance(proper, LiteralType):
        return may_be_text(proper.fallback)
    if isinstance(proper, Instance):
        return proper.type.has_base("builtins.str")
    return not isinstance(proper, (NoneType, TupleType, CallableType, TypedDictType))
