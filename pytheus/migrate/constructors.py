"""Calls that define metrics: `Counter`, `Gauge`, `Histogram`, `Summary`, `Info` and `Enum`.

The call of pytheus defines a metric with the same series: the complete name, the same labels, the same buckets.
"""

from __future__ import annotations

from typing import Final

import libcst as cst

from pytheus.migrate.arguments import by_parameter, expression, keyword, text_of, with_arguments
from pytheus.migrate.metric_names import complete_name
from pytheus.migrate.tables import BUCKETS, GAUGE_MODES

__all__ = ["former_constructor", "has_default_buckets", "has_default_mode", "metric_constructor"]

_PARAMETERS: Final = (
    "name",
    "documentation",
    "labelnames",
    "namespace",
    "subsystem",
    "unit",
    "registry",
    "_labelvalues",
)
_LAST: Final = {"Gauge": "multiprocess_mode", "Histogram": "buckets", "Enum": "states"}
_RENAMED: Final = {"documentation": "description", "labelnames": "required_labels"}
_FORMER: Final = ("name", "description", "required_labels", "labels", "default_labels", "registry")
_INFINITE: Final = ("float('inf')", 'float("inf")', "math.inf", "INF", "np.inf", "numpy.inf")


def has_default_buckets(call: cst.Call) -> bool:
    """Whether `call` of prometheus_client's class `Histogram` certainly has no argument `buckets`."""
    return _lacks_last("Histogram", call)


def has_default_mode(call: cst.Call) -> bool:
    """Whether `call` of prometheus_client's class `Gauge` certainly has no argument `multiprocess_mode`."""
    return _lacks_last("Gauge", call)


def metric_constructor(type: str, call: cst.Call, buckets: str) -> tuple[cst.Call, list[tuple[str, str]]]:
    """`call` of prometheus_client's class `type` as one of pytheus, and remarks on it.

    `buckets` is the expression of its default buckets.
    """
    remarks = []
    found = by_parameter(call, _parameters(type))
    if found is None:
        remedy = "rename documentation to description and labelnames to required_labels; write the complete name"
        if type == "Histogram":
            remedy += f"; to keep the series, pass buckets={BUCKETS.dotted}"
        return _renamed(call), [(f"{type}(...) with * or ** hides its arguments", remedy)]
    given = dict(found)
    unit = text_of(given["unit"].value) if "unit" in given else ""
    if unit is None:
        remarks.append((f"{type}(...) has a unit that is not a literal", "write the name with the unit as its end"))
    arguments: list[cst.Arg] = []
    for parameter, argument in found:
        value = argument.value
        if parameter == "name":
            namespace = given["namespace"].value if "namespace" in given else None
            subsystem = given["subsystem"].value if "subsystem" in given else None
            value = complete_name(type, value, namespace, subsystem, unit or "")
            arguments.append(argument.with_changes(value=value))
        elif parameter in _RENAMED:
            if parameter == "labelnames" and (text := text_of(value)):
                value = expression(f"[{', '.join(map(_quoted, text))}]")  # of a text, each letter was a label
            arguments.append(
                keyword(_RENAMED[parameter], value, argument)
                if argument.keyword
                else argument.with_changes(value=value)
            )
        elif parameter in ("namespace", "subsystem") or (parameter == "unit" and unit == ""):
            pass
        elif parameter == "multiprocess_mode":
            modes = GAUGE_MODES.get(text_of(value) or "")
            if modes is None:
                remedy = f"pass mode= and processes=; the modes are {', '.join(GAUGE_MODES)}"
                remarks.append(("Gauge(...) has a multiprocess_mode that is not a literal", remedy))
                arguments.append(keyword(parameter, value, argument))
            else:
                arguments.append(keyword("mode", expression(f'"{modes[0]}"'), argument))
                arguments.append(keyword("processes", expression(f'"{modes[1]}"')))
        elif parameter == "buckets":
            arguments.append(keyword(parameter, _buckets(value), argument))
        elif parameter == "_labelvalues":
            remarks.append((f"{type}(...) has _labelvalues, which is private", "call labels(...) of the metric"))
            arguments.append(keyword(parameter, value, argument))
        else:
            arguments.append(keyword(parameter, value, argument) if parameter else argument)
    if type == "Histogram" and "buckets" not in given:
        arguments.append(keyword("buckets", expression(buckets)))
    if type == "Enum" and "labelnames" not in given:
        remedy = "call state(...) with the first one to keep that"
        remarks.append(("a new StateSet is in no state, an Enum was in its first", remedy))
    return with_arguments(call, arguments), remarks


def former_constructor(call: cst.Call) -> cst.Call:
    """`call` of a class of pytheus 0.6 as one of this pytheus."""
    found = by_parameter(call, _FORMER)
    if found is None:
        return call
    arguments = []
    for index, (parameter, argument) in enumerate(found):
        if (
            argument.keyword is None
            and index >= 3
            and isinstance(argument.value, cst.Name)
            and argument.value.value == "None"
        ) and parameter in ("labels", "default_labels"):
            continue
        if parameter == "labels" and (argument.keyword is None or isinstance(argument.value, cst.Dict)):
            arguments.append(keyword("default_labels", argument.value, argument))
        elif argument.keyword is None and index >= 3 and parameter:
            arguments.append(keyword(parameter, argument.value, argument))
        else:
            arguments.append(argument)
    return with_arguments(call, arguments) if arguments != [each for _, each in found] else call


def _lacks_last(type: str, call: cst.Call) -> bool:
    found = by_parameter(call, _parameters(type))
    return found is not None and all(parameter != _LAST[type] for parameter, _ in found)


def _parameters(type: str) -> tuple[str, ...]:
    return (*_PARAMETERS, _LAST[type]) if type in _LAST else _PARAMETERS


def _quoted(text: str) -> str:
    return f'"{text}"'


def _renamed(call: cst.Call) -> cst.Call:
    arguments = [
        each.with_changes(keyword=cst.Name(_RENAMED[each.keyword.value]))
        if each.keyword is not None and each.keyword.value in _RENAMED
        else each
        for each in call.args
    ]
    return call.with_changes(args=arguments)


def _buckets(value: cst.BaseExpression) -> cst.BaseExpression:
    """`value` without its last bound, if that is infinite, and with numbers instead of texts."""
    if not isinstance(value, cst.List | cst.Tuple) or not value.elements:
        return value
    *others, last = value.elements
    code = cst.Module([]).code_for_node(last.value)
    elements = list(value.elements)
    if others and (code in _INFINITE or (text_of(last.value) or "").lower() in ("inf", "+inf")):
        elements = [*others[:-1], others[-1].with_changes(comma=last.comma)]
        if isinstance(value, cst.Tuple) and len(elements) == 1:
            elements[0] = elements[0].with_changes(comma=cst.Comma())
    numbers = []
    for element in elements:
        text = text_of(element.value)
        try:
            number = None if text is None else float(text)
        except ValueError:
            number = None
        numbers.append(element if number is None else element.with_changes(value=expression(repr(number))))
    return value.with_changes(elements=numbers)
