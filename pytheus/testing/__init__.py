"""For tests: the conformance kit for registries, and what an application's tests need.

    >>> from pytheus.registry import CollectorRegistry
    >>> from pytheus.testing import RegistryConformance, run_conformance
    >>> class TestMine(RegistryConformance):
    ...     def make_registry(self):
    ...         return CollectorRegistry()
    >>> [outcome.check for outcome in run_conformance(TestMine) if outcome.status == "failed"]
    []

The names below load the module that has them when they are first used (PEP 562), so that the pytest plugin, which each
run of pytest imports, costs next to nothing. https://peps.python.org/pep-0562/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytheus.testing.conformance import RegistryConformance
    from pytheus.testing.expectations import assert_exposition, assert_increments
    from pytheus.testing.exposition import ParsedFamily, ParsedSample, parse_exposition
    from pytheus.testing.lint import NamingProblem, assert_well_named, lint_names
    from pytheus.testing.report import Outcome, run_conformance

__all__ = [
    "NamingProblem",
    "Outcome",
    "ParsedFamily",
    "ParsedSample",
    "RegistryConformance",
    "assert_exposition",
    "assert_increments",
    "assert_well_named",
    "lint_names",
    "parse_exposition",
    "run_conformance",
]

_HOMES: Final[dict[str, str]] = {
    "NamingProblem": "lint",
    "Outcome": "report",
    "ParsedFamily": "exposition",
    "ParsedSample": "exposition",
    "RegistryConformance": "conformance",
    "assert_exposition": "expectations",
    "assert_increments": "expectations",
    "assert_well_named": "lint",
    "lint_names": "lint",
    "parse_exposition": "exposition",
    "run_conformance": "report",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # loaded late: only the first use of each name needs it

    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
