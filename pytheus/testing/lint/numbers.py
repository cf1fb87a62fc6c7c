"""The rules for values and timestamps of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from pytheus.names import FAILURES_NAME
from pytheus.testing.lint.family import LintFamily, bare_name
from pytheus.testing.lint.finding import Finding, shown_text
from pytheus.testing.lint.units import is_unit

__all__ = ["check_numbers"]

# Prometheus looks back five minutes: https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness
_STALE_SECONDS: Final = 300.0

# The last words of names of counters that count things, which are whole.
_COUNTED: Final = frozenset(
    (
        *("requests", "responses", "errors", "failures", "exceptions", "calls", "messages"),
        *("events", "items", "jobs", "tasks", "records", "rows", "hits"),
        *("misses", "connections", "packets", "queries", "retries", "restarts", "orders"),
        *("users", "logins", "visits", "runs"),
    )
)


def check_numbers(family: LintFamily, now: float | None) -> Iterator[Finding]:
    """Yield the findings about the numbers of `family`; `now` is the time of the scrape, or None if it is not known."""
    if family.type == "counter":
        yield from _check_counter(family)
        if family.is_exact and family.name.endswith(FAILURES_NAME):
            for sample in family.samples:
                collectors = ", ".join(shown_text(value) for _, value in sample.labels)
                remedy = "look into the log, which has its error"
                yield _finding(family, "collector-failed", f"the collector {collectors} fails", remedy)
    elif family.type == "info" and any(sample.value != 1 for sample in family.samples):
        yield _finding(family, "info-not-one", "a value of the info is not 1", "expose 1; put the fact into a label")
    timestamps = [sample.timestamp for sample in family.samples if sample.timestamp is not None]
    if not timestamps:
        return
    age = 0.0 if now is None else now - max(timestamps)
    if age > _STALE_SECONDS:
        yield _finding(
            family,
            "timestamp-stale",
            f"its latest timestamp is {age:.0f} s old",
            "leave timestamps out, or expose the time as a metric of its own",
        )
    else:
        yield _finding(
            family, "timestamp-explicit", f"{len(timestamps)} of its samples have timestamps", "leave timestamps out"
        )


def _finding(family: LintFamily, rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule, family.name, message, remedy, "", family.line, family.location)


def _check_counter(family: LintFamily) -> Iterator[Finding]:
    samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    negative = next((sample for sample in samples if not sample.value >= 0), None)
    if negative is not None:
        remedy = "use a gauge for a value that can decrease"
        yield _finding(family, "counter-negative", f"the counter {shown_text(str(negative))} is not positive", remedy)
    words = bare_name(family).lower().split("_")
    if family.unit or words[-1] not in _COUNTED or any(map(is_unit, words)):
        return
    part = next((sample for sample in samples if math.isfinite(sample.value) and sample.value % 1), None)
    if part is not None:
        remedy = f"count whole {words[-1]}, or name the unit of the value"
        yield _finding(family, "counter-fractional", f"{shown_text(str(part))} is not whole", remedy)
