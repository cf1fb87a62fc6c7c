"""The linter: all rules over the families of a registry or of an exposition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pytheus.registry.contract import Registry
from pytheus.testing.lint.distributions import check_distribution
from pytheus.testing.lint.family import LintFamily, families_of
from pytheus.testing.lint.faults import Faults
from pytheus.testing.lint.finding import Finding
from pytheus.testing.lint.labels import check_labels
from pytheus.testing.lint.names import check_all_names, check_name
from pytheus.testing.lint.numbers import check_numbers
from pytheus.testing.lint.options import LintOptions
from pytheus.testing.lint.reading import read_exposition
from pytheus.testing.lint.totals import check_series, check_totals

__all__ = ["LintReport", "lint_exposition", "lint_families", "lint_registry"]


class LintReport(NamedTuple):
    """The findings of a lint, in the order of the metrics, and how much it has read.

    `metrics` and `series` are numbers; series are counted as Prometheus does, each bucket one. `size_bytes` is the
    length of the exposition, 0 for a registry. `ignored` is the number of findings that the options leave out.
    """

    findings: tuple[Finding, ...]
    metrics: int
    series: int
    size_bytes: int = 0
    ignored: int = 0


def lint_registry(registry: Registry, options: LintOptions | None = None) -> LintReport:
    """Return the findings about the metrics of `registry`, its prefix included; collects every collector.

    Metrics without series are checked as well. Raises the errors of `pytheus.generate_metrics`.

        >>> from pytheus import Gauge
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> wait = Gauge("wait_ms", "Time that orders wait.", registry=registry)
        >>> [finding.rule for finding in lint_registry(registry).findings]
        ['unit-abbreviated']
    """
    return lint_families(families_of(registry), options)


def lint_exposition(
    body: str | bytes, content_type: str = "text/plain", options: LintOptions | None = None, *, now: float | None = None
) -> LintReport:
    """Return the findings about an exposition, with the lines of its faults.

    `content_type` is that of the response, and `now` its time in seconds since the Unix epoch, without which the age of
    timestamps is not checked. A line that the format does not allow is a finding, and the next one is read. If a rule
    has very many of them, the last one tells how many are not listed. Raises `ValueError` for a `content_type` of
    another format, and for damaged protobuf.

        >>> report = lint_exposition("# TYPE jobs counter\\njobs 3\\njobs{\\n")
        >>> [(finding.rule, finding.line) for finding in report.findings]
        [('syntax-error', 3), ('no-help', 1), ('counter-without-total', 1)]
    """
    content = body.encode() if isinstance(body, str) else body
    faults = Faults(LintOptions() if options is None else options)
    families = read_exposition(content, content_type, faults)
    report = lint_families(families, options, faults=faults.findings(), size_bytes=len(content), now=now)
    return report._replace(ignored=report.ignored + faults.ignored)


def lint_families(
    families: Sequence[LintFamily],
    options: LintOptions | None = None,
    *,
    faults: Iterable[Finding] = (),
    size_bytes: int = 0,
    now: float | None = None,
) -> LintReport:
    """Return the findings about `families`, after `faults`; see `lint_exposition` for the other arguments."""
    chosen = LintOptions() if options is None else options
    found = [*faults, *_findings(families, size_bytes, chosen, now)]
    # One label may have a fault in several series, and a family may have several metrics.
    selected = [finding for finding in dict.fromkeys(found) if not chosen.select or finding.rule in chosen.select]
    kept = tuple([finding for finding in selected if not chosen.ignores(finding)])
    series = sum(len(family.samples) for family in families)
    return LintReport(kept, len(families), series, size_bytes, len(selected) - len(kept))


def _findings(
    families: Sequence[LintFamily], size_bytes: int, options: LintOptions, now: float | None
) -> Iterator[Finding]:
    yield from check_totals(families, size_bytes, options)
    names = {family.name: family for family in families}
    of_all: dict[str, list[Finding]] = {}
    for finding in check_all_names(families):
        of_all.setdefault(finding.metric, []).append(finding)
    # A Pushgateway exposes the labels that were pushed, and must be scraped with honor_labels.
    keeps_target_labels = "push_time_seconds" in names
    for family in families:
        if not family.type:
            message = "it has no TYPE, so that Prometheus takes it as untyped"
            yield Finding("no-type", family.name, message, "write its TYPE before the samples", "", family.line)
        yield from check_name(family, names)
        yield from of_all.pop(family.name, ())
        yield from check_labels(family, keeps_target_labels=keeps_target_labels)
        yield from check_series(family, options)
        yield from check_distribution(family, names)
        yield from check_numbers(family, now)
