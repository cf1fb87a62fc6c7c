"""``pytheus config``: which registry a program started here would use, who chose it, and with which options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pytheus.cli.click_support import REGISTRY_OPTION, print_json, print_problems, table
from pytheus.plugins.plan import Plan, layer_arguments, plan, tables_without_effect

if TYPE_CHECKING:
    from pytheus.plugins.layers import WrapLayer

__all__ = ["command"]

_SETTINGS = {"strict": "strict labels", "names": "names", "created_lines": "created lines"}


@click.command(
    "config",
    epilog=(
        "\b\nexamples:\n  pytheus config\n  PYTHEUS_REGISTRY='default://?prefix=shop' pytheus config\n"
        "  pytheus config --json | jq -r .registry.name\n\n"
        "\b\nexit codes: 0, or 1 if the registry or a named plugin is not available, or a name\n"
        "is probably misspelt; 2 if a setting is not valid."
    ),
)
@REGISTRY_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(registry: str | None, as_json: bool) -> int:
    """Show which registry would be used, who chose it, and with which options.

    No plugin is imported, so it is not known whether the plugin has these options; `pytheus check` finds out.
    Credentials are shown as ***.
    """
    planned = plan(registry)
    planned = planned._replace(warnings=tuple(dict.fromkeys((*planned.warnings, *tables_without_effect(planned)))))
    if as_json:
        looked_at = [looked_at._asdict() for looked_at in planned.activation.configuration.looked_at]
        print_json({**planned.document(), "looked_at": looked_at})
    else:
        _print(planned)
    # A warning that ends with a question is about a name that is probably misspelt.
    is_misspelt = any(warning.endswith("?") for warning in (*planned.warnings, *planned.activation.warnings))
    return 1 if planned.problems or is_misspelt else 0


def _print(planned: Plan) -> None:
    chosen = planned.activation.process_settings
    settings = planned.activation.settings
    provider = click.style("not available", fg="red") if planned.provider is None else " ".join(planned.provider)
    named = [f"{named} (by {named.setting})" for named in settings.named]
    blocked = [f"{name} (by {setting})" for name, setting in settings.blocked.items()]
    rows = [
        ("registry", click.style(planned.address.shown, bold=True)),
        ("chosen", planned.choice.source),
        ("created by", provider),
        ("plugins named", ", ".join(named) or "none"),
        ("plugins blocked", ", ".join(blocked) or "none"),
        ("wrapped in", ", ".join(map(_layer, settings.wrap)) or "nothing"),
        *((_SETTINGS[key], f"{_word(setting.value)} ({setting.source})") for key, setting in chosen.items()),
        ("configuration", settings.path or "no file"),
    ]
    for line in table(rows):
        click.echo(line)
    files = [tuple(looked_at) for looked_at in planned.activation.configuration.looked_at]
    click.echo("\nfiles looked at" if files else "\nfiles looked at: none")
    for line in table(files, indent=2):
        click.echo(line)
    options = [(key, f"= {value}", source) for key, value, source in planned.options.describe()]
    click.echo("\noptions" if options else "\noptions: none")
    for line in table(options, indent=2):
        click.echo(line)
    print_problems(planned)


def _word(value: bool | str) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"


def _layer(layer: WrapLayer) -> str:
    return str(layer._replace(arguments=layer_arguments(layer)))
