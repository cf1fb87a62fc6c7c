"""``pytheus config``: which registry a program started here would use, who chose it, and with which options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pytheus.cli.click_support import REGISTRY_OPTION, print_json, print_problems, table
from pytheus.plugins.config import SETTINGS, SettingChoice, choose_setting
from pytheus.plugins.plan import Plan, plan, tables_without_effect
from pytheus.plugins.redaction import shown_value

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
    chosen = {key: choose_setting(key, planned.activation.configuration) for key in SETTINGS}
    if as_json:
        print_json(_document(planned, chosen))
    else:
        _print(planned, chosen)
    # A warning that ends with a question is about a name that is probably misspelt.
    is_misspelt = any(warning.endswith("?") for warning in (*planned.warnings, *planned.activation.warnings))
    return 1 if planned.problems or is_misspelt else 0


def _document(planned: Plan, chosen: dict[str, SettingChoice]) -> dict[str, object]:
    distribution, version = planned.provider or (None, None)
    settings = planned.activation.settings
    return {
        "registry": {
            "address": planned.address.shown,
            "name": planned.address.name,
            "origin": planned.choice.origin,
            "source": planned.choice.source,
            "distribution": distribution,
            "version": version,
        },
        "problems": planned.problems,
        "warnings": [*planned.warnings, *planned.activation.warnings],
        "options": {key: {"value": value, "source": source} for key, value, source in planned.options.describe()},
        "plugins": {"named": [named._asdict() for named in settings.named], "blocked": dict(settings.blocked)},
        "wrap": [{"layer": layer.name, "arguments": _arguments(layer)} for layer in settings.wrap],
        **{key: setting._asdict() for key, setting in chosen.items()},
        "configuration": settings.path,
        "looked_at": [looked_at._asdict() for looked_at in planned.activation.configuration.looked_at],
    }


def _print(planned: Plan, chosen: dict[str, SettingChoice]) -> None:
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
    return str(layer._replace(arguments=_arguments(layer)))


def _arguments(layer: WrapLayer) -> dict[str, object]:
    return {key: shown_value(key, value, is_known=True) for key, value in layer.arguments.items()}
