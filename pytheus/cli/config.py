"""``pytheus config``: which registry a program started here would use, who says so, and with which options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from pytheus.cli.command import call, plugin_names, print_json, table
from pytheus.cli.selection import Selection, problems_of, select
from pytheus.plugins.configuration import Configuration, load_configuration
from pytheus.plugins.options import URL_PARTS
from pytheus.plugins.redaction import HIDDEN, is_secret, redact
from pytheus.plugins.switches import Switches, load_switches

if TYPE_CHECKING:
    from pytheus.plugins.wrapping import WrapLayer

__all__ = ["command", "config"]


class _Option(NamedTuple):
    key: str
    value: object  # without its credentials
    source: str


def config(arguments: Sequence[str]) -> int:
    """Run ``pytheus config`` with `arguments`; gives the exit code.

    >>> config(["--registry", "default://?prefix=shop"])  # doctest: +ELLIPSIS
    registry ... default://?prefix=shop
    ...
    0
    """
    return call(command, arguments)


@click.command(
    "config",
    epilog=(
        "\b\nexamples:\n  pytheus config\n  PYTHEUS_REGISTRY='default://?prefix=shop' pytheus config\n"
        "  pytheus config --json | jq -r .registry.name\n\n"
        "\b\nexit codes: 0, or 1 if the registry or a plugin that is named cannot be had;"
        "\n2 if the settings make no sense."
    ),
)
@click.option(
    "--registry",
    shell_complete=plugin_names,
    metavar="NAME|URL",
    help="As if this were chosen, as in `pytheus run --registry`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(registry: str | None, as_json: bool) -> int:
    """Show which registry would be used, who chose it, and with which options.

    No plugin is imported, so whether the plugin takes these options is not known; `pytheus check` tells. Credentials
    are shown as ***.
    """
    configuration = load_configuration()
    selection = select(registry, configuration)
    switches = load_switches(configuration)
    options = _options(selection, configuration)
    problems = problems_of(selection, switches.named)
    if as_json:
        print_json(_document(selection, options, switches, problems, configuration))
    else:
        _print(selection, options, switches, problems, configuration)
    return 1 if problems else 0


def _options(selection: Selection, configuration: Configuration) -> list[_Option]:
    """What the registry would be given, by the rules of `RegistryOptions`: the URL goes before the table."""
    address = selection.address
    given: dict[str, _Option] = {}
    table_source = f"from [tool.pytheus.registries.{address.name}] in {configuration.path}"
    for key, value in configuration.registries.get(address.name, {}).items():
        given[key] = _Option(key, _shown(key, value), table_source)
    for key, text in address.query:
        given[key] = _Option(key, _shown(key, text), selection.source)
    for part in URL_PARTS:
        value = getattr(address, part)
        if value is not None:
            given[part] = _Option(part, _shown(part, value), selection.source)
    return list(given.values())


def _shown(key: str, value: object) -> object:
    if is_secret(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {inner: _shown(inner, held) for inner, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown("", held) for held in value]
    if isinstance(value, str):
        return redact(value)
    return value if isinstance(value, (bool, int, float)) else str(value)  # dates of TOML among others


def _document(
    selection: Selection,
    options: Sequence[_Option],
    switches: Switches,
    problems: Sequence[str],
    configuration: Configuration,
) -> dict[str, object]:
    plugin = selection.plugin
    return {
        "registry": {
            "address": selection.address.shown,
            "name": selection.address.name,
            "origin": selection.origin,
            "source": selection.source,
            "distribution": None if plugin is None else plugin.distribution,
            "version": None if plugin is None else plugin.version,
        },
        "problems": list(problems),
        "options": {option.key: {"value": option.value, "source": option.source} for option in options},
        "plugins": {
            "named": [
                {"name": named.name, "distribution": named.distribution, "setting": named.setting}
                for named in switches.named
            ],
            "blocked": dict(switches.blocked),
        },
        "wrap": [{"layer": layer.name, "arguments": _shown("", layer.arguments)} for layer in configuration.wrap],
        "configuration": configuration.path,
    }


def _print(
    selection: Selection,
    options: Sequence[_Option],
    switches: Switches,
    problems: Sequence[str],
    configuration: Configuration,
) -> None:
    plugin = selection.plugin
    made_by = click.style("nobody", fg="red") if plugin is None else f"{plugin.distribution} {plugin.version}"
    rows = [
        ("registry", click.style(selection.address.shown, bold=True)),
        ("chosen", selection.source),
        ("made by", made_by),
        ("plugins named", ", ".join(f"{named} (by {named.setting})" for named in switches.named) or "none"),
        (
            "plugins blocked",
            ", ".join(f"{name} (by {setting})" for name, setting in switches.blocked.items()) or "none",
        ),
        ("wrapped in", ", ".join(map(_layer, configuration.wrap)) or "nothing"),
        ("configuration", configuration.path or "no file"),
    ]
    for line in table(rows):
        click.echo(line)
    click.echo("\noptions" if options else "\noptions: none")
    for line in table([(option.key, f"= {option.value}", option.source) for option in options], indent=2):
        click.echo(line)
    for problem in problems:
        click.echo(f"\n{click.style('problem', fg='red')}: {problem}")


def _layer(layer: WrapLayer) -> str:
    return str(layer._replace(arguments={key: _shown(key, value) for key, value in layer.arguments.items()}))
