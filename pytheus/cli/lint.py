"""``pytheus lint``: metrics checked against Prometheus's conventions, for people, programs and CI.

Rules:

- The target is a registry or a scrape (`pytheus.cli.metrics_target`). Of a scrape, OpenMetrics is preferred, because it
  states units and all types.
- Options decide over ``[tool.pytheus.lint]`` in the configuration file; the items of ``--ignore`` are added to it.
- Texts of a scrape are shown with escapes, so that they can neither change a terminal nor add an annotation.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import click

from pytheus.cli.click_support import print_json, visible
from pytheus.cli.exposition_source import ACCEPT, Exposition, ExpositionSource, Reading, SourceError
from pytheus.cli.metrics_target import METRICS_METAVAR, is_exposition, registry_at
from pytheus.cli.reading_options import reading_options
from pytheus.plugins.config import Configuration, load_configuration
from pytheus.testing.lint import RULES, Finding, LintOptions, LintReport, Severity, lint_exposition, lint_registry
from pytheus.testing.lint.options import configured_options

__all__ = ["command"]

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_NEVER: Final = "never"
# From this number of findings on, the numbers by rule help to decide on the first steps.
_MANY: Final = 20
# https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
_ANNOTATIONS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


@click.command(
    "lint",
    epilog=(
        "\b\nexamples:\n  pytheus lint shop.app\n  pytheus lint :9464 --ignore unit-abbreviated --ignore 'legacy_*'\n"
        "  pytheus lint metrics.prom --fail-on error --format github\n"
        "  curl --silent localhost:9464/metrics | pytheus lint - --json\n\n"
        "\b\nexit codes: 0 if nothing was found that --fail-on names; 1 if something was;\n"
        "2 if the target is not available or has no metrics."
    ),
)
@click.argument("target", metavar=METRICS_METAVAR, required=False)
@click.option(
    "--ignore", multiple=True, metavar="WHICH", help="Leave out a RULE, a METRIC (* is any text), or RULE:METRIC."
)
@click.option("--select", multiple=True, metavar="RULE", help="Apply this rule only; may be repeated.")
@click.option(
    "--max-series", type=click.IntRange(min=0), metavar="N", help="The most series in total, 0 for any number. [10000]"
)
@click.option(
    "--max-series-per-metric",
    type=click.IntRange(min=0),
    metavar="N",
    help="The most label sets of a metric, 0 for any number. [1000]",
)
@click.option(
    "--fail-on",
    type=click.Choice([*(str(severity) for severity in reversed(Severity)), _NEVER]),
    help="The lowest severity that makes the exit code 1. [warning]",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["text", "json", "github"]),
    help="For people, programs, or the annotations of GitHub's workflows. [text]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--rules", "list_rules", is_flag=True, help="List the rules, and check nothing.")
@reading_options
def command(
    reading: Reading,
    target: str | None,
    ignore: tuple[str, ...],
    select: tuple[str, ...],
    max_series: int | None,
    max_series_per_metric: int | None,
    fail_on: str | None,
    layout: str | None,
    as_json: bool,
    list_rules: bool,
) -> int:
    """Check metrics against Prometheus's conventions.

    MODULE (FILE.py as well) is imported, and the metrics are those of pytheus.REGISTRY. MODULE:OBJECT is a registry, or
    a function or class that returns one. URL, FILE or - (standard input) is a scrape of any program.

    Defaults can be in [tool.pytheus.lint] of pyproject.toml.
    """
    if as_json and layout not in (None, "json"):
        raise click.UsageError(f"--json and --format {layout} exclude each other")
    layout = "json" if as_json else layout or "text"
    if list_rules:
        _print_rules(layout)
        return 0
    if target is None:
        raise click.UsageError(f"name the metrics to check: {METRICS_METAVAR}")
    configuration = load_configuration()
    options = configured_options(
        configuration,
        ignore=ignore,
        select=select,
        max_series=max_series,
        max_series_per_metric=max_series_per_metric,
    )
    report, source = _report(target, reading, options)
    if layout == "json":
        print_json(_document(report, source))
    else:
        for line in _text(report, source) if layout == "text" else _annotations(report, target):
            click.echo(line)
    return 1 if _fails(report.findings, fail_on, configuration) else 0


def _report(target: str, reading: Reading, options: LintOptions) -> tuple[LintReport, str]:
    """Return the report about `target`, and the words for where its metrics are from."""
    if not is_exposition(target):
        source = target
        report = lint_registry(registry_at(target), options)
    else:
        exposition = ExpositionSource(target, reading, accept=ACCEPT["openmetrics"]).read()
        source = exposition.source
        report = _lint_scrape(exposition, options)
    if not report.metrics and not report.findings:
        raise click.ClickException(f"{source!r} has no metrics; name the module that defines them, or a scrape")
    return report, source


def _lint_scrape(exposition: Exposition, options: LintOptions) -> LintReport:
    # A file may be old on purpose.
    now = None if exposition.timings is None else time.time()
    try:
        return lint_exposition(exposition.body, exposition.content_type, options, now=now)
    except ValueError as error:
        raise SourceError(f"{exposition.source} is not an exposition: {error}") from error


def _fails(findings: Iterable[Finding], fail_on: str | None, configuration: Configuration) -> bool:
    chosen = fail_on or configuration.lint.get("fail_on") or str(Severity.WARNING)
    if chosen == _NEVER:
        return False
    return any(finding.severity >= Severity[str(chosen).upper()] for finding in findings)


# Output ---------------------------------------------------------------------------------------------------------------


def _text(report: LintReport, source: str) -> Iterator[str]:
    by_metric: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_metric.setdefault(finding.metric, []).append(finding)
    for metric, findings in by_metric.items():
        place = next((_place(finding) for finding in findings), "")
        yield click.style(visible(metric) or "(all metrics)", bold=True) + (f"  {place}" if place else "")
        for finding in findings:
            severity = click.style(f"{finding.severity!s:7}", fg=_COLOURS[finding.severity])
            other = _place(finding)
            where = f" ({other})" if other and other != place else ""
            yield f"  {severity}  {visible(finding.message)}{where}  [{finding.rule}]"
            yield f"           {visible(finding.remedy)}"
        yield ""
    if len(report.findings) > _MANY:
        by_rule = Counter(finding.rule for finding in report.findings).most_common()
        yield f"by rule: {', '.join(f'{rule} {number}' for rule, number in by_rule)}"
    counts = Counter(finding.severity for finding in report.findings)
    told = ", ".join(_count(counts[severity], str(severity)) for severity in reversed(Severity))
    ignored = f", {report.ignored} ignored" if report.ignored else ""
    yield f"{told}{ignored}: {_count(report.metrics, 'metric')}, {report.series} series of {visible(source)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _place(finding: Finding) -> str:
    """Where the finding is, as editors and terminals link it, or ""."""
    if finding.location:
        path, _, line = finding.location.rpartition(":")
        return f"{visible(_shown_path(path))}:{line}"
    return f"line {finding.line}" if finding.line else ""


def _shown_path(path: str) -> str:
    """Return `path` from the working directory if it is below that."""
    relative = os.path.relpath(path) if os.path.splitdrive(path)[0] == os.path.splitdrive(os.getcwd())[0] else path
    return path if relative.startswith("..") else relative


def _annotations(report: LintReport, target: str) -> Iterator[str]:
    for finding in report.findings:
        properties = {"title": finding.rule}
        if finding.location:
            path, _, line = finding.location.rpartition(":")
            properties |= {"file": _shown_path(path), "line": line}
        elif finding.line and os.path.isfile(target):
            properties |= {"file": target, "line": str(finding.line)}
        shown = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
        subject = f"{finding.metric}: " if finding.metric else ""
        text = _escaped(visible(f"{subject}{finding.message}; {finding.remedy}"))
        yield f"::{_ANNOTATIONS[finding.severity]} {shown}::{text}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _document(report: LintReport, source: str) -> dict[str, object]:
    counts = Counter(str(finding.severity) for finding in report.findings)
    return {
        "source": source,
        "metrics": report.metrics,
        "series": report.series,
        "size_bytes": report.size_bytes,
        "counts": {str(severity): counts[str(severity)] for severity in reversed(Severity)},
        "ignored": report.ignored,
        "findings": [
            {
                "rule": finding.rule,
                "severity": str(finding.severity),
                "metric": finding.metric,
                "label": finding.label,
                "message": finding.message,
                "remedy": finding.remedy,
                "line": finding.line or None,
                "location": finding.location or None,
            }
            for finding in report.findings
        ],
    }


def _print_rules(layout: str) -> None:
    if layout == "json":
        print_json({"rules": [{**rule._asdict(), "severity": str(rule.severity)} for rule in RULES.values()]})
        return
    for rule in RULES.values():
        severity = click.style(f"{rule.severity!s:7}", fg=_COLOURS[rule.severity])
        click.echo(f"{severity}  {rule.id:24} {rule.convention}")
