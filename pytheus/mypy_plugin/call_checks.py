"""Checks of a metric's method calls and reads: labels that fit, and none missing where one is needed."""

from __future__ import annotations

from typing import Final

from mypy.checker import TypeChecker
from mypy.nodes import ARG_STAR, ARG_STAR2, CallExpr, Context, Decorator, Expression, MemberExpr
from mypy.plugin import AttributeContext, MethodContext
from mypy.types import CallableType, Instance, LiteralType, Type, UnionType, get_proper_type

from pytheus.exceptions import LabelError
from pytheus.mypy_plugin.bindings import Bindings
from pytheus.mypy_plugin.literals import LABEL, keys, text, type_of
from pytheus.mypy_plugin.metric_info import (
    UNSEEN,
    MetricInfo,
    metric_info_of,
    metric_type,
    with_metric_info,
    without_metric_info,
)

__all__ = ["READS", "WRITES", "CallChecks"]

WRITES: Final = frozenset(
    {
        "count_exceptions",
        "dec",
        "inc",
        "info",
        "observe",
        "observe_many",
        "set",
        "set_function",
        "set_to_current_time",
        "state",
        "track_inprogress",
    }
)
"""The methods that need every label, in addition to `__call__`."""

READS: Final = frozenset({"active", "count", "sum", "value"})
"""The attributes that need every label."""


class CallChecks:
    """Checks calls of a metric's methods, and reads of its values."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    def bind(self, context: MethodContext) -> Type:
        """Check one call of `labels()`; the result carries the facts with more labels bound."""
        result = get_proper_type(context.default_return_type)
        api = context.api
        if not isinstance(result, Instance) or not isinstance(api, TypeChecker):
            return context.default_return_type
        # The result has the facts of the metric before this call.
        bare = without_metric_info(result)
        known = self._facts(context.type, context.context, api)
        given = None if known is None else _given(context, api)
        if known is None or given is None:
            return bare
        try:
            bound = known.binding(*given, self._bindings.target_of(context.context, api))
        except LabelError as error:
            api.fail(str(error), context.context, code=LABEL)
            return bare
        if given[0] and not known.ordered:
            return bare  # only the order of the set tells which label a value is for
        return with_metric_info(bare, bound, api.str_type())

    def remove(self, context: MethodContext) -> Type:
        """Check one call of `remove()`, which takes a part of the labels."""
        api = context.api
        if isinstance(api, TypeChecker):
            known = self._facts(context.type, context.context, api) or _of_class(context.type)
            given = None if known is None or not known.labels else _given(context, api)
            try:
                if known is not None and given is not None:
                    known.require_some(known.binding(*given, ""))
            except LabelError as error:
                api.fail(str(error), context.context, code=LABEL)
        return context.default_return_type

    def write(self, context: MethodContext) -> Type:
        """Check one call of a method in `WRITES`."""
        self._require_all(context.type, context.context, context.api)
        return context.default_return_type

    def call(self, context: MethodContext) -> Type:
        """Check one metric that is called or decorates a function."""
        where = context.context
        if isinstance(where, CallExpr):
            self._require_all(context.type, where, context.api, where.callee)
        elif isinstance(where, Decorator) and isinstance(context.api, TypeChecker):
            # mypy does not tell which decorator it checks; find it by the metric's type.
            for decorator in where.decorators:
                if type_of(decorator, context.api) == context.type:
                    self._require_all(context.type, decorator, context.api, decorator)
        return context.default_return_type

    def read(self, context: AttributeContext) -> Type:
        """Check one use of an attribute in `READS`."""
        self._require_all(context.type, context.context, context.api)
        return context.default_attr_type

    def _require_all(self, type: Type, where: Context, api: object, metric: Context | None = None) -> None:
        known = self._facts(type, where, api, metric)
        if known is not None and isinstance(api, TypeChecker):
            try:
                known.require_all()
            except LabelError as error:
                api.fail(str(error), where, code=LABEL)

    def _facts(self, type: Type, where: Context, api: object, metric: Context | None = None) -> MetricInfo | None:
        """Return the facts about `metric`, or about the owner of the member `where`, if they hold there."""
        known = metric_info_of(type)
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
        return known if self._bindings.holds(metric, known.bound_to, api) else None


def _is_ours(type: Type, member: str) -> bool:
    """Return whether `member` comes from pytheus; a user's class may handle labels in its own way."""
    proper = get_proper_type(type)
    info = proper.type.get_containing_type_info(member) if isinstance(proper, Instance) else None
    return info is not None and info.fullname.startswith("pytheus.")


def _of_class(type: Type) -> MetricInfo | None:
    """Return the facts about a metric with a class of labels, as far as its type tells them, or None."""
    proper = get_proper_type(type)
    kind = None if not isinstance(proper, Instance) else metric_type(proper.type)
    if kind is None or not isinstance(proper, Instance) or not proper.args or not _is_ours(type, "remove"):
        return None
    fields = get_proper_type(proper.args[0])
    if not isinstance(fields, CallableType) or fields.is_ellipsis_args or not fields.arg_names:
        return None
    labels = tuple(name for name in fields.arg_names if name is not None)
    if len(labels) < len(fields.arg_names) or ARG_STAR in fields.arg_kinds or ARG_STAR2 in fields.arg_kinds:
        return None
    return MetricInfo(kind, UNSEEN, labels, True, None, (None,) * len(labels), "")


def _given(context: MethodContext, api: TypeChecker) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """Return the labels of a call, by position and by name, or None if the source does not show them."""
    values: list[str] = []
    named: dict[str, str] = {}
    mappings: list[Expression] = []
    for formal in zip(context.args, context.arg_names, context.arg_kinds, context.arg_types, strict=True):
        for expression, name, kind, found in zip(*formal, strict=True):
            if kind in (ARG_STAR, ARG_STAR2):
                return None
            if name is not None:
                named[name] = _shown(expression, api)
            elif _is_label_value(found):
                values.append(_shown(expression, api))
            else:
                mappings.append(expression)
    if not mappings:
        return tuple(values), named
    mapping = keys(mappings[0], api)
    if mapping is None or len(mappings) > 1 or values or named:
        return None  # a mapping beside other arguments is refused at run time
    return (), {name: _shown(value, api) for name, value in mapping.items()}


def _shown(expression: Expression, api: TypeChecker) -> str:
    value = text(expression, api)
    return UNSEEN if value is None else value


def _is_label_value(type: Type) -> bool:
    proper = get_proper_type(type)
    if isinstance(proper, UnionType):
        return all(map(_is_label_value, proper.items))
    if isinstance(proper, LiteralType):
        proper = proper.fallback
    if isinstance(proper, Instance):
        return proper.type.has_base("builtins.str") or proper.type.has_base("builtins.int")
    return False
