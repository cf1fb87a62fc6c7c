"""``pytheus completion``: a script that lets bash, zsh or fish complete commands, options, and names of registries.

To find the continuations of a line, the script calls ``pytheus`` with the variable ``_PYTHEUS_COMPLETE``:
https://click.palletsprojects.com/en/stable/shell-completion/
"""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class, shell_complete

from pytheus.cli import check, config, dashboard, diff, migrate, new, plugins, push, scrape
from pytheus.cli.click_support import plugin_names

__all__ = ["command", "complete"]

_VARIABLE: Final = "_PYTHEUS_COMPLETE"
_SHELLS: Final = ("bash", "zsh", "fish")


def complete(instruction: str) -> int:
    """Answer the shell in the script's format; `instruction` is the value of the script's variable."""
    return shell_complete(_everything(), {}, "pytheus", _VARIABLE, instruction)


@click.command(
    "completion",
    epilog=(
        "\b\nexamples:\n"
        '  eval "$(pytheus completion bash)"    # in ~/.bashrc\n'
        '  eval "$(pytheus completion zsh)"     # in ~/.zshrc, after compinit\n'
        "  pytheus completion fish > ~/.config/fish/completions/pytheus.fish"
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> int:
    """Print the script that lets SHELL complete pytheus's commands, options and names of registries."""
    kind = get_completion_class(shell)
    assert kind is not None  # click supports all of _SHELLS
    click.echo(kind(_everything(), {}, "pytheus", _VARIABLE).source(), nl=False)
    return 0


@click.command("run")
@click.option("--registry", shell_complete=plugin_names, help="the registry's plugin")
@click.option("--port", type=int, help="the port to serve at")
@click.option("--addr", help="the address to serve at")
@click.option("--job", help="the name under which the metrics are sent when the program ends")
@click.option("--push-gateway", help="the Pushgateway to send them to")
@click.option("--textfile", type=click.Path(), help="a file for node_exporter to write them to")
@click.option("--remote-write", help="a receiver of remote write, to write them to at intervals")
@click.option("--otlp", help="a receiver of OTLP, to write them to at intervals")
@click.option("--quiet", is_flag=True, help="do not print the metrics' address")
@click.option("-m", "module", help="a module to run")
@click.argument("program", nargs=-1, type=click.Path())
def _run() -> None:
    """The options of ``pytheus run`` for completion; cli/run.py is the command."""


def _everything() -> click.Group:
    modules = (plugins, check, new, config, scrape, diff, dashboard, push, migrate)
    commands = [_run, *(module.command for module in modules), command]
    return click.Group("pytheus", commands=commands)
