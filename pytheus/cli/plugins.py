"""``pytheus plugins``: which registries can be chosen by name, and which one would be used.

The list comes from the metadata of the installed distributions; no plugin is imported. Only an import shows the hooks
that a plugin implements, and whether it can be imported at all: ``--check`` imports each plugin in an interpreter of
its own, except those that a setting blocks and those that are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import click

from pytheus.cli.click_support import REGISTRY_OPTION, print_json, print_problems, table
from pytheus.cli.inspection import Inspection, inspect_plugin
from pytheus.cli.progress import Progress
from pytheus.plugins.address import BUILTIN_REGISTRIES
from pytheus.plugins.catalog import PluginInfo, PluginState, available_plugins, catalog
from pytheus.plugins.plan import Plan, plan

__all__ = ["command"]

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
    hooks: tuple[str, ...] | None  # None if it was not inspected


@click.command(
    "plugins",
    epilog=(
        "\b\nexamples:\n  pytheus plugins\n  pytheus plugins --check\n"
        "  pytheus plugins --json | jq -r '.plugins[].name'\n\n"
        "\b\nexit codes: 0, or 1 if the registry or a named plugin is not available,"
        "\nor one is broken; 2 if a setting is not valid."
    ),
)
@REGISTRY_OPTION
@click.option("--check", is_flag=True, help="Import each plugin that may be used, and show its hooks and its errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(registry: str | None, check: bool, as_json: bool) -> int:
    """List the registries that can be chosen by name.

    Only --check imports plugins: the list comes from the metadata of the installed distributions.
    """
    planned = plan(registry)
    with Progress("plugins") as progress:
        rows = [_row(plugin, planned, progress if check else None) for plugin in available_plugins()]
    unreadable = catalog().unreadable
    if as_json:
        print_json(_document(rows, planned, unreadable, checked=check))
    else:
        _print(rows, planned, unreadable, checked=check)
    return 1 if planned.problems or unreadable or any(row.state == "broken" for row in rows) else 0


def _row(plugin: PluginInfo, planned: Plan, progress: Progress | None) -> _Row:
    selected_by = planned.chosen_by(plugin)
    is_active = selected_by is not None and plugin.state != "broken"
    state: _State = "active" if is_active else plugin.state
    reason = "" if is_active else plugin.reason
    inspection: Inspection | None = None
    if progress is not None and plugin.state in ("available", "ambiguous") and plugin.name not in BUILTIN_REGISTRIES:
        progress.step(f"importing {plugin.name} of {plugin.distribution}")
        inspection = inspect_plugin(plugin)
        if inspection.problem:
            state, reason = "broken", inspection.problem
    return _Row(plugin, state, reason, selected_by, None if inspection is None else inspection.hooks)


def _document(rows: Sequence[_Row], planned: Plan, unreadable: Sequence[str], *, checked: bool) -> dict[str, object]:
    return {
        "registry": {
            "address": planned.address.shown,
            "name": planned.address.name,
            "origin": planned.choice.origin,
            "source": planned.choice.source,
        },
        "problems": planned.problems,
        "checked": checked,
        "plugins": [
            {
                **row.plugin._asdict(),
                "state": row.state,
                "reason": row.reason or None,
                "selected_by": row.selected_by,
                "hooks": row.hooks,
            }
            for row in rows
        ],
        "unreadable": list(unreadable),
    }


def _print(rows: Sequence[_Row], planned: Plan, unreadable: Sequence[str], *, checked: bool) -> None:
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
    print_problems(planned)
    for damaged in unreadable:
        click.echo(f"\n{click.style('broken', fg='red')}: the metadata of a distribution cannot be read: {damaged}")
    if not checked:
        click.echo("\nHooks are not shown, because no plugin was imported; `pytheus plugins --check` shows them.")
