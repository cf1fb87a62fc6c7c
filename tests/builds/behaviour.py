"""What a build does with many inputs, told as JSON: run by two builds, it must tell the same.

Runs by itself, with nothing but pytheus: ``python behaviour.py``.
"""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from types import MappingProxyType

import pytheus
from pytheus import Counter, Gauge, Histogram, Summary, generate_metrics
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry


class FloatSubclass(float):
    def __radd__(self, other: object) -> float:
        raise AssertionError("foreign code ran in the middle of a write")


class IntSubclass(int):
    pass


class StrSubclass(str):
    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) if isinstance(other, str) else NotImplemented


class HasFloat:
    def __float__(self) -> float:
        return 2.5


class HasIndex:
    def __index__(self) -> int:
        return 3


class FloatThatRaises:
    def __float__(self) -> float:
        raise ValueError("no number today")


class FloatThatLies:
    def __float__(self) -> str:  # what a build makes of it is the question
        return "2.5"


NUMBERS: dict[str, object] = {
    "int": 2, "zero": 0, "bool": True, "false": False, "float": 2.5, "tiny": 5e-324, "large": 1.7e308,
    "big int": 2**63, "exact big int": 2**53, "huge int": 10**400, "negative": -1, "negative float": -0.5,
    "minus zero": -0.0, "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "Decimal": Decimal("1.25"),
    "Decimal NaN": Decimal("NaN"), "Decimal sNaN": Decimal("sNaN"), "Fraction": Fraction(1, 4),
    "float subclass": FloatSubclass(1.5), "int subclass": IntSubclass(4), "has float": HasFloat(),
    "has index": HasIndex(), "raises": FloatThatRaises(), "lies": FloatThatLies(), "str": "1",
    "str subclass": StrSubclass("1"),
    "bytes": b"1", "bytearray": bytearray(b"1"), "memoryview": memoryview(b"1"), "None": None, "complex": 1j,
    "list": [1.0], "tuple": (1,), "dict": {}, "object": object(), "class": float, "range": range(2),
}  # fmt: skip

try:
    import numpy
except ImportError:  # also where there is no numpy the rest can be compared
    pass
else:
    NUMBERS |= {
        "numpy float64": numpy.float64(1.5), "numpy float32": numpy.float32(0.5), "numpy float16": numpy.float16(0.5),
        "numpy int64": numpy.int64(3), "numpy uint8": numpy.uint8(3), "numpy bool": numpy.bool_(True),
        "numpy nan": numpy.float64("nan"), "numpy negative": numpy.int64(-3), "numpy complex": numpy.complex128(1),
        "numpy str": numpy.str_("1"), "numpy array": numpy.array([1.0, 2.0]), "numpy 0-d array": numpy.array(2.0),
        "numpy datetime": numpy.datetime64("2026-01-01"),
    }  # fmt: skip

LABELS: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {
    "positional": (("GET", "200"), {}), "keywords": ((), {"method": "GET", "code": "200"}),
    "other order": ((), {"code": "200", "method": "GET"}), "mapping": (({"method": "GET", "code": "200"},), {}),
    "proxy mapping": ((MappingProxyType({"method": "GET", "code": "200"}),), {}), "none": ((), {}),
    "too few": (("GET",), {}), "too many": (("GET", "200", "x"), {}),
    "unknown": ((), {"method": "GET", "status": "200"}),
    "mixed": (("GET",), {"code": "200"}), "mapping and keyword": (({"method": "GET"},), {"code": "200"}),
    "int value": (("GET", 200), {}), "None value": (("GET", None), {}), "bytes value": ((b"GET", "200"), {}),
    "int keyword value": ((), {"method": "GET", "code": 200}), "list": ((["GET", "200"],), {}),
    "str subclass": ((StrSubclass("GET"), "200"), {}), "surrogate": (("GET", "\ud800"), {}), "empty": (("", ""), {}),
    "quotes": (('a"b\\c\nd', "200"), {}), "self": ((), {"self": "GET"}), "unhashable in two": ((["GET"], "200"), {}),
    "mapping with foreign key": (({"method": "GET", 1: "200"},), {}), "two mappings": (({}, {}), {}),
}  # fmt: skip


def told(action: Callable[[], object]) -> str:
    """What came of it: the result, or the error's whole family and text."""
    try:
        result = action()
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
        return f"{'/'.join(kinds)}: {_steady(str(error))}"
    return f"{type(result).__name__}: {_steady(repr(result))}"


def _steady(text: str) -> str:
    return " ".join("0x" if word.startswith("0x") else word for word in text.replace(">", " >").split(" "))


def behaviour() -> dict[str, str]:
    """What this build does, by input."""
    report: dict[str, str] = {}
    for name, number in NUMBERS.items():
        registry = CollectorRegistry()
        counter = Counter("c_total", "d", registry=registry)
        gauge = Gauge("g", "d", registry=registry)
        histogram = Histogram("h", "d", buckets=(1, 2, 3), registry=registry)
        summary = Summary("s", "d", registry=registry)
        writes: dict[str, Callable[..., object]] = {
            "counter.inc": counter.inc, "gauge.inc": gauge.inc, "gauge.dec": gauge.dec, "gauge.set": gauge.set,
            "histogram.observe": histogram.observe, "summary.observe": summary.observe,
        }  # fmt: skip
        for write, method in writes.items():
            report[f"{write}({name})"] = told(partial(method, number))
            report[f"{write}({name}) leaves"] = generate_metrics(registry)
    for name, (values, named) in LABELS.items():
        registry = CollectorRegistry()
        counter = Counter("c_total", "d", ["method", "code"], registry=registry)
        labels: Callable[..., Counter] = counter.labels
        remove: Callable[..., bool] = counter.remove
        report[f"labels({name})"] = told(partial(labels, *values, **named))
        report[f"labels({name}).inc()"] = told(partial(_increment, labels, values, named))
        report[f"labels({name}) leaves"] = generate_metrics(registry)
        report[f"remove({name})"] = told(partial(remove, *values, **named))
    report |= _calls()
    return report


def _increment(labels: Callable[..., Counter], values: tuple[object, ...], named: dict[str, object]) -> None:
    labels(*values, **named).inc()


def _timed(gauge: Gauge) -> float:
    with gauge.time():
        pass
    return gauge.value


def _calls() -> dict[str, str]:
    class MyCounter(Counter):
        """A user's subclass, with an attribute, an override and a method of its own."""

        def inc_twice(self) -> None:
            self.inc()
            self.inc()

    class Loud(Gauge):
        def set(self, value: object) -> None:
            super().set(7)

    counter = Counter("c_total", "d", registry=None)
    mine = MyCounter("m_total", "d", ["a"], registry=None)
    loud = Loud("l", "d", registry=None)
    mine.labels("x").inc_twice()
    # By way of a dict, because these calls are wrong on purpose.
    untyped: dict[str, Callable[..., Counter]] = {"make": Counter}
    unchecked: dict[str, Callable[..., object]] = {"inc": counter.inc}
    make = untyped["make"]
    anything = unchecked["inc"]
    foreign: object = counter
    actions: dict[str, Callable[[], object]] = {
        "inc(1, 2, 3)": lambda: anything(1, 2, 3),
        "inc(amount=2)": lambda: anything(amount=2),
        "inc(value=2)": lambda: anything(value=2),
        "inc(exemplar)": lambda: anything(1, {"trace_id": "x"}),
        "inc(bad exemplar)": lambda: anything(1, {"trace id": "x"}),
        "Counter()": lambda: make(),
        "Counter('a')": lambda: make("a"),
        "Counter(unknown keyword)": lambda: make("a", "b", colour="red"),
        "Counter(int name)": lambda: make(1, "b", registry=None),
        "Counter(None description)": lambda: make("a", None, registry=None),
        "Counter(str labels)": lambda: make("a", "b", "abc", registry=None),
        "Counter(labels as set)": lambda: make("a", "b", {"x"}, registry=None).label_names,
        "Counter(labels as generator)": lambda: make("a", "b", (x for x in "xy"), registry=None).label_names,
        "subclass value": lambda: mine.labels("x").value,
        "subclass child": lambda: type(mine.labels("x")).__name__,
        "overridden set in time()": lambda: _timed(loud),
        "new attribute": lambda: setattr(foreign, "colour", "red"),
        "repr": lambda: repr(counter),
        "str": lambda: str(counter),
        "is a Metric": lambda: isinstance(counter, Metric),
        "call": lambda: callable(counter),
        "decorated": lambda: Histogram("x", "d", registry=None)(len)("abc"),
        "copy": lambda: copy.copy(counter) is counter,
        "deepcopy": lambda: copy.deepcopy({"a": counter})["a"] is counter,
        "pickle": lambda: pickle.dumps(counter),
        "equality": lambda: counter == Counter("c_total", "d", registry=None),
        "hash": lambda: isinstance(hash(counter), int),
        "bool": lambda: bool(counter),
    }
    return {name: told(action) for name, action in actions.items()}


if __name__ == "__main__":
    json.dump({"compiled": pytheus.COMPILED, "report": behaviour()}, sys.stdout)
