"""``pytheus check``: whether a registry keeps the contract, in one report.

The checks are those of `pytheus.testing.RegistryConformance`, which a plugin's own tests run with pytest; here they
need no pytest. A check that is left out does not fail, and the report has the reason: mypy is not installed, the
registry does not declare the capability, or another check failed that this one depends on.
"""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import click

from pytheus.cli.check_target import Target, Typed, target_of
from pytheus.cli.click_support import plugin_names, print_json
from pytheus.cli.progress import Progress, report_stream
from pytheus.testing.checks.distribution import DistributionChecks, mypy_errors
from pytheus.testing.conformance import RegistryConformance
from pytheus.testing.runner import Outcome, check_names, run_conformance

__all__ = ["command"]

_PROTOCOL, _TYPES, _DISTRIBUTION, _CONTRACT = "protocol and signatures", "types", "distribution", "contract"
_SECTIONS: Final = (_PROTOCOL, _TYPES, _DISTRIBUTION, _CONTRACT)
_SECTION_OF_CHECK: Final[dict[str, str]] = {
    "test_it_satisfies_the_protocol": _PROTOCOL,
    "test_the_plugin_is_typed": _TYPES,
}

_ASSIGNMENT: Final = """\
import {module}

from pytheus.registry import Registry

registry: Registry = {module}.{expression}
"""


class _Finding(NamedTuple):
    section: str
    outcome: Outcome


@click.command(
    "check",
    epilog=(
        "\b\nexamples:\n  pytheus check audited\n"
        "  pytheus check 'redis://127.0.0.1:6379/15?namespace=check'\n"
        "  pytheus check shop.metrics:MyRegistry\n"
        "  pytheus check audited --conformance tests/test_conformance.py:TestAudited\n\n"
        "\b\nexit codes: 0, or 1 if a check fails; 2 if there is no registry of that name."
    ),
)
@click.argument("registry", shell_complete=plugin_names, metavar="NAME|URL|MODULE:OBJECT")
@click.option(
    "--conformance",
    metavar="MODULE:CLASS",
    help="The RegistryConformance subclass that declares intended deviations. FILE.py:CLASS as well.",
)
@click.option("--verbose", is_flag=True, help="Show each check, also those that passed or were left out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def command(owns_process: bool, registry: str, conformance: str | None, verbose: bool, as_json: bool) -> int:
    """Check that a registry keeps the contract.

    NAME or URL is an installed plugin's, as in PYTHEUS_REGISTRY; its distribution is checked, too. MODULE:OBJECT
    (FILE.py:OBJECT as well) is a registry, or a class or factory that returns one without arguments.

    mypy checks the types if it is installed.
    """
    # Messages that registries under test log do not belong in the report. Without any handler, they would go to stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    with report_stream(owns_process=owns_process) as stream, Progress("check") as progress:
        progress.step("importing the registry")
        target = target_of(registry, conformance)
        findings = sorted(_findings(target, progress), key=lambda finding: _SECTIONS.index(finding.section))
        failed = any(outcome.status == "failed" for _, outcome in findings)
        hints = _hints(target, findings, declared=conformance is not None) if failed else []
        if as_json:
            print_json(_document(target, findings, hints), stream)
        else:
            for line in _report(target, findings, hints, verbose=verbose):
                click.echo(line, file=stream)
    return 1 if failed else 0


def _findings(target: Target, progress: Progress) -> Iterator[_Finding]:
    names = check_names(target.conformance)
    progress.step(f"running {names[0]}")
    for position, outcome in enumerate(run_conformance(target.conformance), 1):
        progress.step(f"running {names[position]}" if position < len(names) else "checking types")
        if target.conformance.plugin_name is None and hasattr(DistributionChecks, outcome.check):
            continue  # there is no distribution
        section = _DISTRIBUTION if hasattr(DistributionChecks, outcome.check) else _CONTRACT
        yield _Finding(_SECTION_OF_CHECK.get(outcome.check, section), outcome)
    if target.typed is not None:
        yield _Finding(_TYPES, _typed(target.typed))


def _typed(typed: Typed) -> Outcome:
    name, promise = "test_it_is_typed", "``mypy --strict`` accepts that it satisfies the contract."
    if importlib.util.find_spec("mypy") is None:
        return Outcome(name, "skipped", promise, "mypy is not installed", None)
    errors = mypy_errors(_ASSIGNMENT.format(module=typed.module, expression=typed.expression), typed.folder)
    return Outcome(name, "failed" if errors else "passed", promise, errors, None)


def _hints(target: Target, findings: Sequence[_Finding], *, declared: bool) -> list[str]:
    """Remedies for a failure in the contract that may be intended."""
    if not any(section == _CONTRACT and outcome.status == "failed" for section, outcome in findings):
        return []
    if target.conformance.gives_originals and _gives_others(target.conformance):
        return [
            "collect() of this registry gives other collectors than those that were registered; if that is intended,"
            " declare gives_originals = False in a conformance class, and name that with --conformance FILE.py:CLASS"
        ]
    if declared:
        return []
    return ["if a difference is intended, declare it in a conformance class: --conformance FILE.py:CLASS"]


def _gives_others(conformance: type[RegistryConformance]) -> bool:
    """Whether a registry gives a metric's family by a collector that is not the metric."""
    from pytheus.metrics import Counter as CounterMetric
    from pytheus.registry import Closable

    checks = conformance()
    try:
        registry = checks.make_registry()
        try:
            metric = CounterMetric("pytheus_check_total", "Made by pytheus check.", registry=registry)
            given = list(registry.collect())
            names = {getattr(family, "name", "") for collector in given for family in collector.collect()}
            return not any(one is metric for one in given) and any("pytheus_check" in str(name) for name in names)
        finally:
            if isinstance(registry, Closable):
                registry.close()
    except Exception:
        return False  # the checks tell it
    finally:
        checks.teardown_method()


def _document(target: Target, findings: Sequence[_Finding], hints: Sequence[str]) -> dict[str, object]:
    counts = Counter(outcome.status for _, outcome in findings)
    return {
        "subject": target.title,
        "sound": not counts["failed"],
        "passed": counts["passed"],
        "failed": counts["failed"],
        "left_out": counts["skipped"],
        "hints": list(hints),
        "checks": [
            {
                "section": section,
                "check": outcome.check,
                "status": _STATUS[outcome.status],
                "promise": outcome.promise,
                "message": outcome.message or None,
            }
            for section, outcome in findings
        ],
    }


_STATUS: Final[dict[Literal["passed", "failed", "skipped"], str]] = {
    "passed": "passed",
    "failed": "failed",
    "skipped": "left out",
}
_COLOURS: Final = {"passed": "green", "failed": "red", "skipped": "yellow"}


def _report(target: Target, findings: Sequence[_Finding], hints: Sequence[str], *, verbose: bool) -> Iterator[str]:
    """The lines of the report: failures first; checks that were left out are folded by their reasons."""
    yield click.style(target.title, bold=True)
    everything = [outcome for _, outcome in findings]
    failures = [outcome for outcome in everything if outcome.status == "failed"]
    if failures:
        yield ""
    for outcome in failures:
        yield from _told(outcome)
    for section in _SECTIONS:
        outcomes = [outcome for where, outcome in findings if where == section]
        if not outcomes:
            continue
        yield f"\n{section}: {_counted(outcomes)}"
        if verbose:
            for outcome in outcomes:
                if outcome.status != "failed":
                    yield from _told(outcome)
        else:
            yield from _folded(outcomes)
    for hint in hints:
        yield f"\n{click.style('hint', fg='yellow')}: {hint}"
    verdict = click.style("FAILED", fg="red") if failures else click.style("passed", fg="green")
    yield f"\n{verdict}: {_counted(everything)}"


def _folded(outcomes: Sequence[Outcome]) -> Iterator[str]:
    reasons = Counter(outcome.message for outcome in outcomes if outcome.status == "skipped")
    for reason, count in reasons.most_common():
        yield f"  {count} {click.style(_STATUS['skipped'], fg=_COLOURS['skipped'])}: {reason}"


def _counted(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    return ", ".join(f"{counts[status]} {word}" for status, word in _STATUS.items() if counts[status])


def _told(outcome: Outcome) -> Iterator[str]:
    status = click.style(_STATUS[outcome.status], fg=_COLOURS[outcome.status])
    yield f"  {status} {outcome.check}"
    for line in (outcome.message or outcome.promise).splitlines():
        yield f"      {line}"
