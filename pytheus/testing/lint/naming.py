"""The rules for names alone, as a list and as an assertion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from pytheus.registry.contract import Registry
from pytheus.registry.traversal import flatten
from pytheus.testing.lint.family import LintFamily
from pytheus.testing.lint.names import check_name
from pytheus.testing.lint.rules import Severity
from pytheus.testing.parsed import ParsedSample

__all__ = ["NamingFinding", "assert_well_named", "lint_names"]

_MISSING_HELP: Final = "it has no description; state the thing it counts, and the unit"


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

    The names are those of the definitions, without the registry's prefix. `lint_registry` checks all else, too.

    >>> from pytheus import Gauge
    >>> from pytheus.registry import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> wait = Gauge("wait_ms", "Wait.", registry=registry)
    >>> [str(finding) for finding in lint_names(registry)]
    ["wait_ms: use the base unit: 'wait_seconds'"]
    """
    families = [
        LintFamily(
            family.name,
            family.type,
            family.description,
            family.unit,
            [ParsedSample.of(family.name + sample.suffix, sample.labels, sample.value) for sample in family.samples],
            is_exact=True,
        )
        for collector in registry.collect()
        for family in flatten(collector)
    ]
    names = {family.name: family for family in families}
    return [
        NamingFinding(finding.metric, _MISSING_HELP if finding.rule == "no-help" else finding.remedy)
        for family in families
        for finding in check_name(family, names)
        if finding.severity > Severity.NOTE
    ]


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
