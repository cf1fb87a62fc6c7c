"""The linter: Prometheus's conventions for names, labels, histograms and the number of series, and faults of the text.

    >>> from pytheus import Counter
    >>> from pytheus.registry import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> orders = Counter("orders_total", "Orders placed.", ["userId"], registry=registry)
    >>> for finding in lint_registry(registry).findings:
    ...     print(finding.metric, finding.severity, finding.rule, finding.remedy, sep=", ")
    orders_total, warning, label-not-snake-case, write its label 'userId' in snake_case: 'user_id'

Each name is imported from its module at first use.

Modules:

- `engine`: all rules over a registry or an exposition
- `options`: the rules and bounds that apply
- `finding`: one finding
- `rules`: the table of rules
- `naming`: the rules for names alone, as a list and as an assertion
- `family`: a family as the rules see it
- `reading`: the reader of an exposition that reports every fault with its line
- `openmetrics_lines`: the form of a line of OpenMetrics
- `faults`: the faults that a reader has found, of each rule so many
- `names`, `units`: rules for names, units and help texts
- `labels`, `label_values`: rules for labels and their values
- `distributions`: rules for histograms and summaries
- `numbers`: rules for values and timestamps
- `totals`: rules for the number of series and the size
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytheus.lazy import lazy_names

if TYPE_CHECKING:
    from pytheus.testing.lint.engine import LintReport, lint_exposition, lint_registry
    from pytheus.testing.lint.finding import Finding
    from pytheus.testing.lint.naming import NamingFinding, assert_well_named, lint_names
    from pytheus.testing.lint.options import LintOptions
    from pytheus.testing.lint.rules import RULES, Rule, Severity

__all__ = [
    "RULES",
    "Finding",
    "LintOptions",
    "LintReport",
    "NamingFinding",
    "Rule",
    "Severity",
    "assert_well_named",
    "lint_exposition",
    "lint_names",
    "lint_registry",
]

if not TYPE_CHECKING:  # with a __getattr__ checkers would accept every name
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "pytheus.testing.lint.engine": ["LintReport", "lint_exposition", "lint_registry"],
            "pytheus.testing.lint.finding": ["Finding"],
            "pytheus.testing.lint.naming": ["NamingFinding", "assert_well_named", "lint_names"],
            "pytheus.testing.lint.options": ["LintOptions"],
            "pytheus.testing.lint.rules": ["RULES", "Rule", "Severity"],
        },
    )
