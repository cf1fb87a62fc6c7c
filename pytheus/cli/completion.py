"""``pytheus completion``: what makes bash, zsh or fish complete the commands, their options, and registries' names.

The script that it prints asks ``pytheus`` itself, through the variable ``_PYTHEUS_COMPLETE``, how a line may go on:
https://click.palletsprojects.com/en/stable/shell-completion/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import get_completion_class, shell_complete

from pytheus.cli import check, config, new, plugins
from pytheus.cli.command import call, plugin_names

__all__ = ["command", "complete", "completion"]

_VARIABLE: Final = "_PYTHEUS_COMPLETE"
_SHELLS: Final = ("bash", "zsh", "fish")


def completion(arguments: Sequence[str]) -> int:
    """Run ``pytheus completion`` with `arguments`; gives the exit code."""
    return call(command, arguments)


def complete(instruction: str) -> int:
    """Answer the shell, as the script wants it; `instruction` is what it put into the variable."""
    return shell_complete(_everything(), {}, "pytheus", _VARIABLE, _in_order(instruction))


def _in_order(instruction: str) -> str:
    # The script says "bash_complete"; the older "complete_bash" is still found in people's files.
    first, _, second = instruction.partition("_")
    return f"{second}_{first}" if second in _SHELLS else instruction


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
    """Print the script that makes SHELL complete pytheus's commands, options and registries' names."""
    kind = get_completion_class(shell)
    assert kind is not None  # _SHELLS has those that click knows
    click.echo(kind(_everything(), {}, "pytheus", _VARIABLE).source(), nl=False)
    return 0


@click.command("run")
@click.option("--registry", shell_complete=plugin_names, help="the registry's plugin")
@click.option("--port", type=int, help="the port to serve at")
@click.option("--addr", help="the address to serve at")
@click.option("--quiet", is_flag=True, help="do not write where the metrics are")
@click.option("-m", "module", help="a module to run")
@click.argument("program", nargs=-1, type=click.Path())
def _run() -> None:
    """``pytheus run`` as far as completion needs it; cli/run.py is the command."""


def _everything() -> click.Group:
    return click.Group("pytheus", commands=[_run, plugins.command, check.command, new.command, config.command, command])
