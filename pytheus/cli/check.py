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
from pytheus.testing.checks.distribution import DistributionChecks, mypy_errors
from pytheus.testing.runner import Outcome, run_conformance

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
@click.option("--verbose", is_flag=True, help="Show passed checks, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(registry: str, conformance: str | None, verbose: bool, as_json: bool) -> int:
    """Check that a registry keeps the contract.

    NAME or URL is an installed plugin's, as in PYTHEUS_REGISTRY; its distribution is checked, too. MODULE:OBJECT
    (FILE.py:OBJECT as well) is a registry, or a class or factory that returns one without arguments.

    mypy checks the types if it is installed.
    """
    # Messages that registries under test log do not belong in the report. Without any handler, they would go to stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    target = target_of(registry, conformance)
    findings = sorted(_findings(target), key=lambda finding: _SECTIONS.index(finding.section))
    if as_json:
        print_json(_document(target, findings))
    else:
        for line in _report(target, findings, verbose=verbose):
            click.echo(line)
    return 1 if any(outcome.status == "failed" for _, outcome in findings) else 0


def _findings(target: Target) -> Iterator[_Finding]:
    for outcome in run_conformance(target.conformance):
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


def _document(target: Target, findings: Sequence[_Finding]) -> dict[str, object]:
    counts = Counter(outcome.status for _, outcome in findings)
    return {
        "subject": target.title,
        "sound": not counts["failed"],
        "passed": counts["passed"],
        "failed": counts["failed"],
        "left_out": counts["skipped"],
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


def _report(target: Target, findings: Sequence[_Finding], *, verbose: bool) -> Iterator[str]:
    yield click.style(target.title, bold=True)
    for section in _SECTIONS:
        outcomes = [outcome for where, outcome in findings if where == section]
        if not outcomes:
            continue
        yield f"\n{section}: {_counted(outcomes)}"
        for outcome in outcomes:
            if outcome.status != "passed" or verbose:
                yield from _told(outcome)
    everything = [outcome for _, outcome in findings]
    failed = any(outcome.status == "failed" for outcome in everything)
    verdict = click.style("FAILED", fg="red") if failed else click.style("passed", fg="green")
    yield f"\n{verdict}: {_counted(everything)}"


def _counted(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.status for outcome in outcomes)
    return ", ".join(f"{counts[status]} {word}" for status, word in _STATUS.items() if counts[status])


def _told(outcome: Outcome) -> Iterator[str]:
    status = click.style(_STATUS[outcome.status], fg=_COLOURS[outcome.status])
    yield f"  {status} {outcome.check}"
    for line in (outcome.message or outcome.promise).splitlines():
        yield f"      {line}"
