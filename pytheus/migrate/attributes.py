"""Attributes and methods of metrics and registries that pytheus lacks, or that take other arguments there.

None is rewritten; each has a remark. A metric is known by its definition in the same file, whether that comes before or
after. Names that only prometheus_client has are reported on any object.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Final, NamedTuple

import libcst as cst
from libcst.metadata import (
    BaseMetadataProvider,
    CodeRange,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameProvider,
)

from pytheus.migrate.arguments import by_parameter, text_of
from pytheus.migrate.tables import METRICS, Remark, canonical

__all__ = ["attribute_remarks"]

_REGISTRIES: Final = ("REGISTRY", "CollectorRegistry")
_TARGET: Final = "define an Info named target instead"
_COLLECTORS: Final = "iterate over registry.collect(), which gives the collectors"
_NAMED: Final = {
    "get_sample_value": "call pytheus.testing.sample_value(registry, name, labels)",
    "remove_by_labels": "pass the labels by keyword to remove(...)",
    "restricted_registry": "call pytheus.exposition.expose(registry, names=[...]), or pass name[]= in the address",
    "set_target_info": _TARGET,
    "get_target_info": _TARGET,
    "_collector_to_names": _COLLECTORS,
    "_names_to_collectors": _COLLECTORS,
}
_KEYWORDS: Final = {
    ("observe", "amount"): "pass the number by position",
    ("set_function", "f"): "pass the function by position",
    ("count_exceptions", "exception"): "pass the class by position",
    ("info", "val"): "pass the labels by position",
}
_WRITES: Final = ("dec", "inc", "set", "set_to_current_time", "time", "track_inprogress")
_JUDGED: Final = frozenset({"reset", "clear", "set_function", *_WRITES})
_PRIVATE: Final = "pytheus has no such attribute; read values by pytheus.testing.sample_value(registry, name, labels)"


class _Receiver(NamedTuple):
    """A metric or registry: its class in prometheus_client, and whether it may have labels."""

    known: str
    labelled: bool = True


class _Attribute(NamedTuple):
    node: cst.Attribute
    call: cst.Call | None
    of: str | _Receiver


def attribute_remarks(wrapper: MetadataWrapper, through: Mapping[str, str]) -> list[Remark]:
    """The remarks on the source of `wrapper`; `through` is that of `references.find`."""
    found = _Attributes(through)
    wrapper.visit(found)
    return found.remarks


class _Attributes(cst.CSTVisitor):
    METADATA_DEPENDENCIES: ClassVar[Collection[type[BaseMetadataProvider[object]]]] = (
        QualifiedNameProvider,
        ParentNodeProvider,
        PositionProvider,
    )

    def __init__(self, through: Mapping[str, str]) -> None:
        super().__init__()
        self._through = through
        self._receivers: dict[str, _Receiver] = {}
        self._with_texts: set[str] = set()
        self._attributes: list[_Attribute] = []
        self._buckets: list[cst.BaseExpression] = []
        self._of_functions: set[str] = set()
        self.remarks: list[Remark] = []

    def _remark(self, node: cst.CSTNode, subject: str, remedy: str) -> None:
        place = self.get_metadata(PositionProvider, node)
        assert isinstance(place, CodeRange)
        self.remarks.append(Remark(place.start.line, subject, remedy))

    def _known(self, node: cst.BaseExpression) -> str | None:
        names = {each.name for each in self.get_metadata(QualifiedNameProvider, node, set())}
        known = {canonical(self._through.get(name, name)) for name in names}
        return known.pop() if len(known) == 1 else None

    def _receiver(self, value: cst.BaseExpression | None) -> _Receiver | None:
        """The metric or registry that `value` defines, or the default registry; None for other expressions."""
        if isinstance(value, cst.Call):
            known = self._known(value.func)
            if known in METRICS:
                return _Receiver(known, _may_have_labels(value))
            return _Receiver(known) if known == "CollectorRegistry" else None
        if isinstance(value, cst.Name | cst.Attribute) and self._known(value) == "REGISTRY":
            return _Receiver("REGISTRY")
        return None

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._assigned(node, target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._assigned(node, node.target, node.value)

    def _assigned(self, node: cst.CSTNode, target: cst.BaseExpression, value: cst.BaseExpression | None) -> None:
        name = _code(target)
        if isinstance(value, cst.List | cst.Tuple) and any(text_of(each.value) is not None for each in value.elements):
            self._with_texts.add(name)
        receiver = self._receiver(value)
        if receiver is None:
            return
        self._receivers[name] = receiver
        for _ in range(3):
            node = self._parent(node)
            if isinstance(node, cst.ClassDef):
                for owner in ("self", "cls", node.name.value):
                    self._receivers[f"{owner}.{name}"] = receiver

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode:
        if isinstance(node, cst.Module):
            return node
        parent = self.get_metadata(ParentNodeProvider, node)
        assert isinstance(parent, cst.CSTNode)
        return parent

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute):
            method = node.func.attr.value
            for argument in node.args:
                remedy = _KEYWORDS.get((method, argument.keyword.value)) if argument.keyword else None
                if argument.keyword and remedy:
                    self._remark(node, f".{method}({argument.keyword.value}=...)", remedy)
        if self._known(node.func) == "Histogram":
            self._buckets += [each.value for each in node.args if each.keyword and each.keyword.value == "buckets"]

    def visit_Attribute(self, node: cst.Attribute) -> None:
        name = node.attr.value
        parent = self._parent(node)
        call = parent if isinstance(parent, cst.Call) and parent.func is node else None
        if name in _NAMED:
            if call is not None or name.startswith("_"):
                self._remark(node, f".{name}{'' if call is None else '(...)'}", _NAMED[name])
        elif (name in _JUDGED and call is not None) or (name[0] == "_" and name[:2] != "__"):
            value: cst.BaseExpression = node.value
            while isinstance(value, cst.Call) and isinstance(value.func, cst.Attribute) and _is_labels(value.func):
                value = value.func.value
            self._attributes.append(_Attribute(node, call, self._receiver(value) or _code(value)))

    def leave_Module(self, original_node: cst.Module) -> None:
        self._of_functions = {
            _code(each.node.value) for each in self._attributes if each.node.attr.value == "set_function"
        }
        for each in self._attributes:
            receiver = self._receivers.get(each.of) if isinstance(each.of, str) else each.of
            if receiver is not None:
                self._judge(each, receiver)
        for bounds in self._buckets:
            code = _code(bounds)
            if code in self._with_texts:
                remedy = "write numbers, and leave the last one out if it is infinite"
                self._remark(bounds, f"buckets={code} has texts", remedy)

    def _judge(self, attribute: _Attribute, receiver: _Receiver) -> None:
        node, call, _ = attribute
        name = node.attr.value
        if name.startswith("_"):
            self._remark(node, f".{name}, which is private to prometheus_client", _PRIVATE)
        elif name == "reset" and receiver.known == "Counter":
            self._remark(node, ".reset() of a counter", "call clear() without labels, or remove(...) with them")
        elif name == "clear" and not receiver.labelled:
            self._remark(node, ".clear() of a metric without labels", "it did nothing, and here sets zero: remove it")
        elif name == "set" and receiver.known == "Gauge" and call and call.args and text_of(call.args[0].value):
            self._remark(node, ".set(...) of a text", "pass a number")
        elif name in _WRITES and _code(node.value) in self._of_functions:
            remedy = "it did nothing, and here raises PytheusError after set_function(...): remove it"
            self._remark(node, f".{name}(...) of a gauge with a function", remedy)


def _is_labels(function: cst.Attribute) -> bool:
    return function.attr.value == "labels"


def _may_have_labels(definition: cst.Call) -> bool:
    found = by_parameter(definition, ("name", "documentation", "labelnames"))
    if found is None:
        return True
    labels = dict(found).get("labelnames")
    return labels is not None and not (isinstance(labels.value, cst.List | cst.Tuple) and not labels.value.elements)


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)
