"""What a build tells about its public names, as JSON: docstrings, signatures, and errors about arguments.

Runs by itself, with pytheus and its dependencies: ``python introspection.py``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import pydoc
import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
)

import pytheus
from pytheus.metrics import Counter, Gauge, Histogram, Summary
from pytheus.shards import Layout, Merger

MODULES = (
    "pytheus",
    "pytheus.collectors",
    "pytheus.compose",
    "pytheus.exceptions",
    "pytheus.exposition",
    "pytheus.metrics",
    "pytheus.plugins",
    "pytheus.registry",
    "pytheus.shards",
    "pytheus.testing",
    "pytheus.version",
)

# Attributes of classes that are made from Python code, which have nothing to tell.
_PLAIN_PYTHON = {"__dict__", "__weakref__"}

_ATTRIBUTES = (property, GetSetDescriptorType, MemberDescriptorType)

_TOO_MANY = (None,) * 40


def told() -> dict[str, dict[str, object]]:
    """What this build tells, by name."""
    report: dict[str, dict[str, object]] = {}
    for name, value in _public_names():
        report[name] = _description(value)
    for instance in _instances():
        for name in dir(instance):
            if f"{_home(instance, name)}.{name}" in report and callable(getattr(type(instance), name)):
                report[f"{type(instance).__name__}().{name}"] = _refusals(getattr(instance, name))
    for function in (Counter, Gauge, Histogram, Summary, pytheus.linear_buckets, pytheus.exponential_buckets):
        report[f"{function.__name__}(...)"] = _refusals(function)
    return report


def _public_names() -> Iterator[tuple[str, object]]:
    for name in MODULES:
        module = importlib.import_module(name)
        yield name, module
        names: list[str] = module.__all__
        for public in names:
            value: object = getattr(module, public)
            if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
                yield f"{value.__module__}.{value.__qualname__}", value
            if isinstance(value, type):
                yield from _members(value)


def _members(cls: type) -> Iterator[tuple[str, object]]:
    for base in cls.__mro__:
        if not base.__module__.startswith("pytheus"):
            continue
        for name, raw in vars(base).items():
            value = getattr(base, name, raw)
            if _is_told(name) and _defines(base, name) and (callable(value) or isinstance(raw, _ATTRIBUTES)):
                yield f"{base.__module__}.{base.__qualname__}.{name}", value


def _defines(cls: type, name: str) -> bool:
    """Whether `cls` has the attribute, and not as a method of its base that the compiled build puts there as well."""
    value = vars(cls).get(name)
    is_inherited = isinstance(value, MethodDescriptorType) and value.__qualname__ != f"{cls.__qualname__}.{name}"
    return name in vars(cls) and not is_inherited


def _is_told(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__") and name not in _PLAIN_PYTHON)


def _description(value: object) -> dict[str, object]:
    doc = value.__doc__
    description: dict[str, object] = {"doc": doc}
    if doc:
        description["help"] = doc.splitlines()[0] in pydoc.plain(pydoc.render_doc(value))
    if isinstance(value, (FunctionType, type)) or inspect.isroutine(value):
        description["native"] = not isinstance(value, (FunctionType, type)) and not inspect.ismethod(value)
        description["signature"] = _signature(value)
        description["pickled"] = _pickled(value)
    return description


def _signature(value: Callable[..., object]) -> object:
    try:
        signature = inspect.signature(value)
    except ValueError as error:
        return f"ValueError: {error}"
    parameters = [
        [parameter.name, parameter.kind.name, _shown(parameter.default), _annotation(parameter.annotation)]
        for parameter in signature.parameters.values()
    ]
    if parameters and parameters[0][0] == "self":
        parameters[0][1] = "self"  # native code takes its object by position alone
    return [*parameters, _annotation(signature.return_annotation)]


def _shown(value: object) -> str:
    return "" if value is Parameter.empty else f"{type(value).__name__} {value!r}"


def _annotation(value: object) -> object:
    # A NamedTuple has types of them, or references.
    return value if isinstance(value, str) else value is not Parameter.empty


def _pickled(value: object) -> str:
    try:
        return str(pickle.loads(pickle.dumps(value)) is value)
    except Exception as error:
        return type(error).__name__


def _instances() -> list[object]:
    counter = Counter("c_total", "d", ["a"], registry=None)
    gauge = Gauge("g", "d", registry=None)
    histogram = Histogram("h", "d", registry=None)
    summary = Summary("s", "d", registry=None)
    around = [histogram.time(), gauge.track_inprogress(), counter.labels("a").count_exceptions()]
    return [counter, gauge, histogram, summary, *around, Layout(), Merger()]


def _home(instance: object, name: str) -> str:
    owner = next((cls for cls in type(instance).__mro__ if _defines(cls, name)), object)
    return f"{owner.__module__}.{owner.__qualname__}"


def _refusals(function: Callable[..., object]) -> dict[str, object]:
    """The errors of calls that do not fit the parameters; such a call runs nothing of the function."""
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        return {"signature": str(error)}
    calls: dict[str, tuple[tuple[object, ...], Mapping[str, object]]] = {
        "too many": (_TOO_MANY, {}),
        "unknown keyword": ((), {"no_such_parameter": None}),
        "none": ((), {}),
    }
    for parameter in [*signature.parameters.values()][:1]:
        calls["by keyword"] = ((), {parameter.name: None})
        calls["twice"] = ((None,), {parameter.name: None})
    refusals: dict[str, object] = {}
    for call, (values, named) in calls.items():
        try:
            signature.bind(*values, **named)
        except TypeError:
            try:
                function(*values, **named)
            except TypeError as error:
                refusals[call] = str(error)
            else:
                refusals[call] = "accepted"
    return refusals


if __name__ == "__main__":
    json.dump({"compiled": pytheus.COMPILED, "report": told()}, sys.stdout)
