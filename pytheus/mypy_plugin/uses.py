"""Uses: do the labels given fit the metric, and are all there where it is written or read."""

from __future__ import annotations

from typing import Final

from mypy.checker import TypeChecker
from mypy.nodes import ARG_STAR, ARG_STAR2, CallExpr, Context, Decorator, Expression, MemberExpr
from mypy.plugin import AttributeContext, MethodContext
from mypy.types import Instance, Type, get_proper_type

from pytheus.exceptions import LabelError
from pytheus.mypy_plugin.codes import LABEL
from pytheus.mypy_plugin.known import UNSEEN, Known, known_of, with_known, without_known
from pytheus.mypy_plugin.literals import keys, text, type_of
from pytheus.mypy_plugin.places import Places

__all__ = ["READS", "WRITES", "Uses"]

WRITES: Final = frozenset(
    {
        "count_exceptions",
        "dec",
        "inc",
        "info",
        "observe",
        "set",
        "set_function",
        "set_to_current_time",
        "state",
        "time",
        "track_inprogress",
    }
)
"""The methods that need every label, besides `__call__`."""

READS: Final = frozenset({"active", "count", "sum", "value"})
"""The attributes that need every label."""


class Uses:
    """Checks calls of a metric's methods, and reads of its numbers."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def bind(self, context: MethodContext) -> Type:
        """What mypy asks for each `labels()`: the same metric with more labels bound."""
        result = get_proper_type(context.default_return_type)
        api = context.api
        if not isinstance(result, Instance) or not isinstance(api, TypeChecker):
            return context.default_return_type
        # What the result has from the metric is from before this call.
        bare = without_known(result)
        known = self._believed(context.type, context.context, api)
        given = None if known is None else _given(context, api)
        if known is None or given is None:
            return bare
        try:
            bound = known.binding(*given, self._places.home(context.context, api))
        except LabelError as error:
            api.fail(str(error), context.context, code=LABEL)
            return bare
        if given[0] and not known.ordered:
            return bare  # which label a value is for, only the set's order tells
        return with_known(bare, bound, api.str_type())

    def remove(self, context: MethodContext) -> Type:
        """What mypy asks for each `remove()`."""
        known = self._believed(context.type, context.context, context.api)
        api = context.api
        if known is not None and known.labels and isinstance(api, TypeChecker):
            given = _given(context, api)
            try:
                if given is not None:
                    known.binding(*given, "").require_all()
            except LabelError as error:
                api.fail(str(error), context.context, code=LABEL)
        return context.default_return_type

    def write(self, context: MethodContext) -> Type:
        """What mypy asks for each call of a method in `WRITES`."""
        self._require_all(context.type, context.context, context.api)
        return context.default_return_type

    def call(self, context: MethodContext) -> Type:
        """What mypy asks for each metric that is called, or decorates a function."""
        where = context.context
        if isinstance(where, CallExpr):
            self._require_all(context.type, where, context.api, where.callee)
        elif isinstance(where, Decorator) and isinstance(context.api, TypeChecker):
            # mypy does not tell which of the decorators it is at; this one's type is the metric's.
            for decorator in where.decorators:
                if type_of(decorator, context.api) == context.type:
                    self._require_all(context.type, decorator, context.api, decorator)
        return context.default_return_type

    def read(self, context: AttributeContext) -> Type:
        """What mypy asks for each use of an attribute in `READS`."""
        self._require_all(context.type, context.context, context.api)
        return context.default_attr_type

    def _require_all(self, type: Type, where: Context, api: object, metric: Context | None = None) -> None:
        known = self._believed(type, where, api, metric)
        if known is not None and isinstance(api, TypeChecker):
            try:
                known.require_all()
            except LabelError as error:
                api.fail(str(error), where, code=LABEL)

    def _believed(self, type: Type, where: Context, api: object, metric: Context | None = None) -> Known | None:
        """What is known of `metric`, or else of that whose method or attribute `where` is, if it can be believed."""
        known = known_of(type)
        if known is None or not isinstance(api, TypeChecker):
            return None
        name = "__call__"
        if metric is None:
            member = where.callee if isinstance(where, CallExpr) else where
            if not isinstance(member, MemberExpr):
                return None
            metric, name = member.expr, member.name
        if not _is_ours(type, name):
            return None
        return known if self._places.holds(metric, known.home, api) else None


def _is_ours(type: Type, member: str) -> bool:
    """Whether a metric has `member` from its base, and not from a class of somebody's own, which may see to labels."""
    proper = get_proper_type(type)
    info = proper.type.get_containing_type_info(member) if isinstance(proper, Instance) else None
    return info is not None and info.fullname.startswith("pytheus.")


def _given(context: MethodContext, api: TypeChecker) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """The labels of a call, by position and by name, or None where they cannot be told."""
    values: list[str] = []
    named: dict[str, str] = {}
    mappings: list[Expression] = []
    for formal in zip(context.args, context.arg_names, context.arg_kinds, context.arg_types, strict=True):
        for expression, name, kind, found in zip(*formal, strict=True):
            if kind in (ARG_STAR, ARG_STAR2):
                return None
            if name is not None:
                named[name] = _shown(expression, api)
            elif _is_text(found):
                values.append(_shown(expression, api))
            else:
                mappings.append(expression)
    if not mappings:
        return tuple(values), named
    mapping = keys(mappings[0], api)
    if mapping is None or len(mappings) > 1 or values or named:
        return None  # with anything beside it, a mapping is refused when the program runs
    return (), {name: _shown(value, api) for name, value in mapping.items()}


def _shown(expression: Expression, api: TypeChecker) -> str:
    value = text(expression, api)
    return UNSEEN if value is None else value


def _is_text(type: Type) -> bool:
    proper = get_proper_type(type)
    if isinstance(proper, Instance):
        return proper.type.has_base("builtins.str")
    return False
