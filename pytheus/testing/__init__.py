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

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

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

if not TYPE_CHECKING:  # for checkers would take the package to have every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "NamingProblem": "pytheus.testing.lint",
            "Outcome": "pytheus.testing.report",
            "ParsedFamily": "pytheus.testing.exposition",
            "ParsedSample": "pytheus.testing.exposition",
            "RegistryConformance": "pytheus.testing.conformance",
            "assert_exposition": "pytheus.testing.expectations",
            "assert_increments": "pytheus.testing.expectations",
            "assert_well_named": "pytheus.testing.lint",
            "lint_names": "pytheus.testing.lint",
            "parse_exposition": "pytheus.testing.exposition",
            "run_conformance": "pytheus.testing.report",
        },
    )
