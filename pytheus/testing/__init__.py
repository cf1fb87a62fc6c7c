"""The conformance kits for registries and stores, and helpers for an application's tests.

    >>> from pytheus.registry import CollectorRegistry
    >>> from pytheus.testing import RegistryConformance, run_conformance
    >>> class TestMine(RegistryConformance):
    ...     def make_registry(self):
    ...         return CollectorRegistry()
    >>> [outcome.check for outcome in run_conformance(TestMine) if outcome.status == "failed"]
    []

Each name is imported from its module at first use (PEP 562), so that importing `fixtures` costs next to nothing.
https://peps.python.org/pep-0562/

Modules:

- `conformance`: the kits, a class of tests each; their checks are in the package `checks`
- `runner`: running the kit without pytest
- `assertions`: assertions about metrics and expositions, and the value of one sample
- `fixtures`: pytest fixtures
- `metrics_check`: the check of the metrics that a test makes or changes
- `parse`: the parser of every format
- `parse_text`, `parse_leniently`, `parse_protobuf`: its parts: text and OpenMetrics by the book, as Prometheus reads
  them, and protobuf
- `protobuf_wire`, `protobuf_schema`: a reader of protobuf messages, and their fields
- `parsed`: families and samples as `parse` returns them
- `lint`: Prometheus's conventions, checked for a registry or an exposition
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.testing.assertions import assert_exposition, assert_increments, sample_value
    from pytheus.testing.conformance import RegistryConformance, ShardStoreConformance
    from pytheus.testing.lint import NamingFinding, assert_well_named, lint_names
    from pytheus.testing.metrics_check import MetricsCheck
    from pytheus.testing.parse import ParsedFamily, ParsedSample, parse_exposition
    from pytheus.testing.runner import Outcome, run_conformance

__all__ = [
    "MetricsCheck",
    "NamingFinding",
    "Outcome",
    "ParsedFamily",
    "ParsedSample",
    "RegistryConformance",
    "ShardStoreConformance",
    "assert_exposition",
    "assert_increments",
    "assert_well_named",
    "lint_names",
    "parse_exposition",
    "run_conformance",
    "sample_value",
]

if not TYPE_CHECKING:  # with a __getattr__ checkers would accept every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "pytheus.testing.assertions": ["assert_exposition", "assert_increments", "sample_value"],
            "pytheus.testing.conformance": ["RegistryConformance", "ShardStoreConformance"],
            "pytheus.testing.lint": ["NamingFinding", "assert_well_named", "lint_names"],
            "pytheus.testing.metrics_check": ["MetricsCheck"],
            "pytheus.testing.parse": ["ParsedFamily", "ParsedSample", "parse_exposition"],
            "pytheus.testing.runner": ["Outcome", "run_conformance"],
        },
    )
