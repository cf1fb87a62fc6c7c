"""Checks of metric names against Prometheus's naming conventions.

https://prometheus.io/docs/practices/naming/ and https://prometheus.io/docs/instrumenting/writing_clientlibs/. These
are conventions that a registry does not enforce: a name in use is better than a name that changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pytheus.registry.contract import Registry
from pytheus.registry.traversal import flatten
from pytheus.samples import Family

__all__ = ["NamingFinding", "assert_well_named", "lint_names"]

_BASE_UNITS: Final[dict[str, str]] = {
    **dict.fromkeys(("ns", "nanoseconds", "us", "microseconds", "ms", "milliseconds", "sec", "secs"), "seconds"),
    **dict.fromkeys(("minutes", "mins", "hours", "days", "weeks"), "seconds"),
    **dict.fromkeys(("kb", "mb", "gb", "kilobytes", "megabytes", "gigabytes", "kibibytes", "mebibytes"), "bytes"),
    **dict.fromkeys(("percent", "percentage"), "ratio"),
    **dict.fromkeys(("fahrenheit", "kelvin"), "celsius"),
    **dict.fromkeys(("millimeters", "centimeters", "kilometers", "miles"), "meters"),
    **dict.fromkeys(("milligrams", "kilograms"), "grams"),
    **dict.fromkeys(("milliamperes", "kiloamperes"), "amperes"),
    **dict.fromkeys(("millivolts", "kilovolts"), "volts"),
}

_OTHERS_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "_total": ("counter",),
    "_info": ("info",),
    "_bucket": (),
    "_count": (),
    "_sum": (),
    "_created": (),
}


class NamingFinding(NamedTuple):
    """A family that breaks a naming convention; `advice` states the remedy.

    >>> str(NamingFinding("wait_ms", "use the base unit: 'wait_seconds'"))
    "wait_ms: use the base unit: 'wait_seconds'"
    """

    name: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}"


def lint_names(registry: Registry) -> list[NamingFinding]:
    """Return the naming findings of `registry`, in order; collects every collector.

    >>> from pytheus import Gauge
    >>> from pytheus.registry import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> wait = Gauge("wait_ms", "Wait.", registry=registry)
    >>> [str(finding) for finding in lint_names(registry)]
    ["wait_ms: use the base unit: 'wait_seconds'"]
    """
    findings: list[NamingFinding] = []
    for collector in registry.collect():
        for family in flatten(collector):
            findings += [NamingFinding(family.name, advice) for advice in _advice(family)]
    return findings


def assert_well_named(registry: Registry, *, ignore: Iterable[str] = ()) -> None:
    """Fail with every `NamingFinding` of `registry`, except those of the families in `ignore`.

    >>> from pytheus import Gauge
    >>> from pytheus.registry import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> wait = Gauge("wait_ms", "A name that dashboards know.", registry=registry)
    >>> assert_well_named(registry, ignore=["wait_ms"])
    """
    __tracebackhide__ = True
    ignored = frozenset(ignore)
    findings = [finding for finding in lint_names(registry) if finding.name not in ignored]
    if findings:
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise AssertionError(f"{len(findings)} names do not follow Prometheus's conventions:\n{lines}")


def _advice(family: Family) -> Iterator[str]:
    name = family.name
    if not family.description.strip():
        yield "it has no description; state the thing it counts, and the unit"
    if family.type == "counter" and not name.endswith("_total"):
        yield f"a counter ends with '_total': {name + '_total'!r}"
    for suffix, types in _OTHERS_SUFFIXES.items():
        if name.endswith(suffix) and family.type not in types:
            yield f"samples of other types end with {suffix!r}: {name.removesuffix(suffix)!r}"
    words = name.split("_")
    for word in words:
        unit = _BASE_UNITS.get(word)
        if unit is not None:
            yield f"use the base unit: {'_'.join(unit if other == word else other for other in words)!r}"
    if words[-1] in ("counter", "gauge", "histogram", "summary") and len(words) > 1:
        yield f"leave the type out of the name: {'_'.join(words[:-1])!r}"
    if ":" in name:
        yield "':' is for the names of recording rules; use '_'"
    if re.search("[a-z][A-Z]", name):
        yield f"write it in snake_case: {_snake(name)!r}"
    for label in dict.fromkeys(label for sample in family.samples for label in sample.labels):
        if re.search("[a-z][A-Z]", label):
            yield f"write its label {label!r} in snake_case: {_snake(label)!r}"


def _snake(name: str) -> str:
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", name).lower()
