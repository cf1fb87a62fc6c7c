"""``pytheus plugins``: which registries can be chosen by name, and which one would be used.

It tells what the metadata of the installed distributions tell, and imports no plugin. Which hooks a plugin implements,
and whether it can be imported at all, is only known once it was: ``--check`` does that, each in an interpreter of its
own, and leaves out those that a setting blocks and those that are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import click

from pytheus.cli.command import call, plugin_names, print_json, table
from pytheus.cli.inspection import Findings, inspect_plugin
from pytheus.cli.selection import Selection, matches, problems_of, select
from pytheus.plugins.builtin import BUILTIN_REGISTRIES
from pytheus.plugins.catalog import PluginInfo, PluginState, available_plugins, catalog
from pytheus.plugins.configuration import load_configuration
from pytheus.plugins.switches import NamedPlugin, load_switches

__all__ = ["command", "plugins"]

_State: TypeAlias = PluginState | Literal["active", "broken"]

_COLOURS: Final[dict[_State, str]] = {
    "active": "green",
    "ambiguous": "yellow",
    "blocked": "yellow",
    "broken": "red",
    "reserved": "yellow",
    "unnameable": "red",
}


class _Row(NamedTuple):
    plugin: PluginInfo
    state: _State
    reason: str
    selected_by: str | None
    hooks: tuple[str, ...] | None  # None where nobody looked


def plugins(arguments: Sequence[str]) -> int:
    """Run ``pytheus plugins`` with `arguments`; gives the exit code.

    >>> plugins(["--registry", "none"])  # doctest: +ELLIPSIS
    NAME ...
    0
    """
    return call(command, arguments)


@click.command(
    "plugins",
    epilog=(
        "\b\nexamples:\n  pytheus plugins\n  pytheus plugins --check\n"
        "  pytheus plugins --json | jq -r '.plugins[].name'\n\n"
        "\b\nexit codes: 0, or 1 if the registry or a plugin that was chosen cannot be had,"
        "\nor --check found one broken; 2 if it could not be told."
    ),
)
@click.option(
    "--registry",
    shell_complete=plugin_names,
    metavar="NAME|URL",
    help="As if this were chosen, as in `pytheus run --registry`.",
)
@click.option("--check", is_flag=True, help="Import each plugin that may be used, and tell its hooks and its errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(registry: str | None, check: bool, as_json: bool) -> int:
    """List the registries that can be chosen by name.

    Nothing is imported but with --check: the list comes from the metadata of what is installed.
    """
    configuration = load_configuration()
    selection = select(registry, configuration)
    named = load_switches(configuration).named
    problems = problems_of(selection, named)
    rows = [_row(plugin, selection, named, check=check) for plugin in available_plugins()]
    unreadable = catalog().unreadable
    if as_json:
        print_json(_document(rows, selection, problems, unreadable, checked=check))
    else:
        _print(rows, problems, unreadable, checked=check)
    return 1 if problems or any(row.state == "broken" for row in rows) else 0


def _row(plugin: PluginInfo, selection: Selection, named: Sequence[NamedPlugin], *, check: bool) -> _Row:
    selected_by: str | None = None
    if plugin == selection.plugin:
        selected_by = selection.source
    else:
        selected_by = next((f"by {one.setting}" for one in named if matches(one, plugin)), None)
    state: _State = plugin.state if selected_by is None else "active"
    reason = "" if state == "active" else plugin.reason
    findings: Findings | None = None
    if check and plugin.state in ("available", "ambiguous") and plugin.name not in BUILTIN_REGISTRIES:
        findings = inspect_plugin(plugin)
        if findings.problem:
            state, reason = "broken", findings.problem
    return _Row(plugin, state, reason, selected_by, None if findings is None else findings.hooks)


def _document(
    rows: Sequence[_Row],
    selection: Selection,
    problems: Sequence[str],
    unreadable: Sequence[str],
    *,
    checked: bool,
) -> dict[str, object]:
    return {
        "registry": {
            "address": selection.address.shown,
            "name": selection.address.name,
            "origin": selection.origin,
            "source": selection.source,
        },
        "problems": list(problems),
        "checked": checked,
        "plugins": [
            {
                "name": row.plugin.name,
                "distribution": row.plugin.distribution,
                "version": row.plugin.version,
                "value": row.plugin.value,
                "state": row.state,
                "reason": row.reason or None,
                "selected_by": row.selected_by,
                "hooks": None if row.hooks is None else list(row.hooks),
            }
            for row in rows
        ],
        "unreadable": list(unreadable),
    }


def _print(rows: Sequence[_Row], problems: Sequence[str], unreadable: Sequence[str], *, checked: bool) -> None:
    lines: list[tuple[str, ...]] = [("NAME", "STATE", "DISTRIBUTION", "VERSION", *(["HOOKS"] if checked else []), "")]
    for row in rows:
        about = f"chosen {row.selected_by}" if row.selected_by is not None else ""
        lines.append(
            (
                row.plugin.name,
                click.style(row.state, fg=_COLOURS.get(row.state)),
                row.plugin.distribution,
                row.plugin.version,
                *([", ".join(row.hooks) or "none" if row.hooks is not None else "-"] if checked else []),
                "; ".join(filter(None, [about, row.reason])),
            )
        )
    for line in table(lines):
        click.echo(line)
    for problem in problems:
        click.echo(f"\n{click.style('problem', fg='red')}: {problem}")
    for place in unreadable:
        click.echo(f"\n{click.style('could not be read', fg='red')}: {place}")
    if not checked:
        click.echo("\nHooks are not shown: no plugin was imported. `pytheus plugins --check` does.")
