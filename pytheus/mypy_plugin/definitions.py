"""Checks of metric definitions: allowed names, and the facts that the metric's type then carries."""

from __future__ import annotations

from collections.abc import Callable

from mypy.checker import TypeChecker
from mypy.messages import format_type_bare
from mypy.nodes import (
    ARG_STAR,
    ARG_STAR2,
    CallExpr,
    Context,
    Expression,
    FuncDef,
    MemberExpr,
    NameExpr,
    OverloadedFuncDef,
    SetExpr,
    SymbolNode,
    TypeInfo,
)
from mypy.plugin import FunctionContext
from mypy.types import CallableType, FunctionLike, Instance, Type, TypeType, get_proper_type

from pytheus.exceptions import LabelError, PytheusError
from pytheus.kinds import MetricType
from pytheus.metrics.label_class import unfit_annotation
from pytheus.mypy_plugin.bindings import Bindings
from pytheus.mypy_plugin.literals import LABEL, NAME, is_none, keys, may_be_label_value, text, texts, type_of
from pytheus.mypy_plugin.metric_info import METRIC_TYPES, UNSEEN, MetricInfo, metric_type, with_metric_info
from pytheus.names import (
    RESERVED_NAMES,
    occupied_names,
    reserved_label,
    validate_label_name,
    validate_label_names,
    validate_metric_name,
)
from pytheus.settings import NameRules

__all__ = ["Definitions"]


class Definitions:
    """Checks definitions."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    def check_subclass(self, node: SymbolNode | None) -> Callable[[FunctionContext], Type] | None:
        """Return `check` for a user's metric class that takes the arguments of its base; otherwise None."""
        if not isinstance(node, TypeInfo) or metric_type(node) is None:
            return None
        for name in ("__init__", "__new__"):
            found = node.get(name)
            if (
                found is not None
                and isinstance(found.node, (FuncDef, OverloadedFuncDef))
                and found.node.info.fullname not in (*METRIC_TYPES, "builtins.object")
            ):
                return None
        return self.check

    def check(self, context: FunctionContext) -> Type:
        """Check one call of a metric class; mypy's function hook."""
        made = get_proper_type(context.default_return_type)
        api = context.api
        if not isinstance(made, Instance) or not isinstance(api, TypeChecker):
            return context.default_return_type
        kind = metric_type(made.type)
        if kind is None or any(ARG_STAR in kinds or ARG_STAR2 in kinds for kinds in context.arg_kinds):
            return context.default_return_type
        arguments = {
            name: given[0]
            for name, given in zip(context.callee_arg_names, context.args, strict=True)
            if name is not None and given
        }
        call = _Call(kind, arguments, api)
        call.check_name()
        if not _makes_one(context.context, api):
            return context.default_return_type
        known = call.known(self._bindings.target_of(context.context, api))
        return context.default_return_type if known is None else with_metric_info(made, known, api.str_type())


def _makes_one(where: Context, api: TypeChecker) -> bool:
    """Return whether `where` calls a metric class, and does not only bind arguments as functools.partial does."""
    callee = get_proper_type(type_of(where.callee, api)) if isinstance(where, CallExpr) else None
    if isinstance(callee, FunctionLike):
        return callee.is_type_obj() and metric_type(callee.type_object()) is not None
    return isinstance(callee, TypeType)


class _Call:
    """One call that defines a metric."""

    def __init__(self, type: MetricType, arguments: dict[str, Expression], api: TypeChecker) -> None:
        self._type: MetricType = type
        self._arguments = arguments
        self._api = api
        name = text(arguments["name"], api) if "name" in arguments else None
        self._name = UNSEEN if name is None else name
        self._subject = f"{type} {self._name!r}"
        self._names: NameRules | None = self._name_rules()

    def _name_rules(self) -> NameRules | None:
        """Return the rules for names; those of UTF-8 if they are not known, and None for the setting of the process."""
        where = self._arguments.get("names")
        if where is None or is_none(where):
            return None
        return "legacy" if text(where, self._api) == "legacy" else "utf8"

    def check_name(self) -> None:
        if self._name is UNSEEN:
            return
        where = self._arguments["name"]
        try:
            name = validate_metric_name(self._name, self._type, self._names)
            if self._type == "stateset":
                subject = f"{self._subject} exposes its states in a label of the same name, and so"
                validate_label_name(name, subject, names=self._names)
        except PytheusError as error:
            self._api.fail(str(error), where, code=NAME)
            return
        if "registry" in self._arguments and is_none(self._arguments["registry"]):
            return
        taken = [name for name in occupied_names(name, self._type) if name in RESERVED_NAMES]
        if taken:
            self._api.fail(
                f"{self._subject} would expose the name {taken[0]!r}, which counts failed collectors; choose another"
                " name",
                where,
                code=NAME,
            )

    def known(self, bound_to: str) -> MetricInfo | None:
        """Return the facts about the metric, or None if its labels are unknown."""
        labels = self._labels()
        if labels is None:
            return None
        ordered = not isinstance(self._arguments.get("required_labels"), SetExpr)
        known = MetricInfo(self._type, self._name, labels, ordered, None, (None,) * len(labels), bound_to)
        known = known._replace(defaults=self._defaults(known))
        self._check_labels_from(known)
        return known

    def _labels(self) -> tuple[str, ...] | None:
        if "labels" in self._arguments and not is_none(self._arguments["labels"]):
            self._check_class(self._arguments["labels"])
            return None  # mypy checks uses of such labels itself
        where = self._arguments.get("required_labels")
        if where is None or is_none(where):
            return ()
        # A plain text is refused below, as at run time.
        found = text(where, self._api) or texts(where, self._api)
        if found is None:
            return None
        return self._allowed(found, where)

    def _allowed(self, labels: object, where: Expression) -> tuple[str, ...] | None:
        reserved = reserved_label(self._name, self._type)
        try:
            return validate_label_names(labels, self._subject, reserved, self._names)
        except PytheusError as error:
            self._api.fail(str(error), where, code=NAME)
            return None

    def _check_class(self, where: Expression) -> None:
        """Check the fields of a class that declares labels: the parameters of its constructor."""
        constructor = get_proper_type(type_of(where, self._api))
        if not isinstance(constructor, CallableType) or not isinstance(where, (NameExpr, MemberExpr)):
            return
        fields = {name: kind for name, kind in zip(constructor.arg_names, constructor.arg_types, strict=True) if name}
        self._allowed([*fields], where)
        for name, found in fields.items():
            if not may_be_label_value(found):
                shown = format_type_bare(found, self._api.options)
                self._api.fail(unfit_annotation(self._subject, name, where.name, shown), where, code=LABEL)

    def _defaults(self, known: MetricInfo) -> tuple[str, ...] | None:
        where = self._arguments.get("default_labels")
        if where is None or is_none(where):
            return ()
        found = keys(where, self._api)
        if found is None:
            return None
        try:
            known.binding((), dict.fromkeys(found, UNSEEN), "")
        except LabelError as error:
            self._api.fail(f"default_labels: {error}", where, code=LABEL)
            return None
        return tuple(found)

    def _check_labels_from(self, known: MetricInfo) -> None:
        where = self._arguments.get("labels_from")
        found = None if where is None or is_none(where) else keys(where, self._api)
        if where is None or found is None:
            return
        try:
            known.binding((), dict.fromkeys(found, UNSEEN), "").require_all()
        except LabelError as error:
            self._api.fail(f"labels_from: {error}", where, code=LABEL)
