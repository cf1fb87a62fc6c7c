"""Calls of functions and classes other than metrics: the exposition, servers, registries, families of one sample."""

from __future__ import annotations

from typing import Final

import libcst as cst

from pytheus.migrate.arguments import by_parameter, expression, keyword, text_of, with_arguments
from pytheus.migrate.tables import FAMILIES

__all__ = ["as_text", "family", "other_call", "text_call"]

_SERVER: Final = ("port", "addr", "registry")
_APPLICATION: Final = ("registry", "disable_compression")
_REGISTRY: Final = ("auto_describe", "target_info", "support_collectors_without_names")
_FAMILY: Final = ("name", "documentation", "value")
_UNUSED: Final = {
    "auto_describe": "",
    "support_collectors_without_names": "",
    "disable_compression": "",
    "target_info": "define an Info named target instead",
}
_Remarks = list[tuple[str, str]]


def text_call(call: cst.Call) -> cst.Call | None:
    """``generate_latest(registry)``, whose function is renamed already, as bytes; None if it has other arguments."""
    found = by_parameter(call, ("registry",))
    if found is None or any(parameter != "registry" for parameter, _ in found):
        return None
    return cst.Call(cst.Attribute(call, cst.Name("encode")))


def as_text(call: cst.Call) -> cst.BaseExpression | None:
    """The text whose bytes `call` decodes at once; None if it decodes something else, or with arguments of its own."""
    encoded = call.func.value if isinstance(call.func, cst.Attribute) and call.func.attr.value == "decode" else None
    if not (isinstance(encoded, cst.Call) and isinstance(encoded.func, cst.Attribute)):
        return None
    if call.args and not (len(call.args) == 1 and (text_of(call.args[0].value) or "").lower() in ("utf-8", "utf8")):
        return None
    return encoded.func.value


def family(type: str, call: cst.Call) -> cst.Call | None:
    """``GaugeMetricFamily(name, documentation, value=...)`` as a call of `Family.of`; None with other arguments."""
    found = by_parameter(call, _FAMILY)
    if found is None or sorted(parameter for parameter, _ in found) != sorted(_FAMILY):
        return None
    given = {parameter: argument.value for parameter, argument in found}
    name = given["name"]
    if type == "CounterMetricFamily":
        text = text_of(name)
        if text is None:
            return None
        name = name if text.endswith("_total") else expression(f'"{text}_total"')
    arguments = (name, expression(f'"{FAMILIES[type]}"'), given["documentation"], given["value"])
    function = cst.Attribute(call.func, cst.Name("of"))
    return with_arguments(call, [cst.Arg(value) for value in arguments]).with_changes(func=function)


def other_call(name: str, call: cst.Call, *, used: bool) -> tuple[cst.Call, _Remarks]:
    """`call` of the function or class `name`, and remarks on it; `used` says that its result is used."""
    if name in ("start_http_server", "start_wsgi_server"):
        return _server(call, used=used)
    if name in ("make_wsgi_app", "make_asgi_app"):
        return _without(name, call, _APPLICATION)
    if name == "CollectorRegistry":
        return _without(name, call, _REGISTRY)
    return call, []


def _server(call: cst.Call, *, used: bool) -> tuple[cst.Call, _Remarks]:
    remarks: _Remarks = []
    if used:
        remedy = "it is one server, which close() ends; there is no thread to join"
        remarks.append(("start_http_server(...) returned a server and a thread", remedy))
    found = by_parameter(call, _SERVER)
    if found is None:
        return call, [*remarks, ("start_http_server(...) with * or ** hides its arguments", 'pass addr="0.0.0.0"')]
    for parameter in (parameter for parameter, _ in found if parameter not in _SERVER):
        remarks.append((f"start_http_server(...) has {parameter or 'more arguments'}", "serve TLS by a proxy"))
    if all(parameter != "addr" for parameter, _ in found):
        added = keyword("addr", expression('"0.0.0.0"'))
        call = with_arguments(call, [*call.args[:1], added, *call.args[1:]])
    return call, remarks


def _without(name: str, call: cst.Call, parameters: tuple[str, ...]) -> tuple[cst.Call, _Remarks]:
    found = by_parameter(call, parameters)
    if found is None:
        return call, [(f"{name}(...) with * or ** hides its arguments", f"remove {', '.join(_UNUSED)}")]
    remarks = [(f"{name}(...) had {each}", _UNUSED[each]) for each, _ in found if _UNUSED.get(each)]
    kept = [argument for parameter, argument in found if parameter not in _UNUSED]
    return (call if len(kept) == len(found) else with_arguments(call, kept)), remarks
