"""What the commands that are written with click have in common: how they are called, and how they end.

Rules:

- Whatever was asked for and cannot be done is one line on stderr and exit code 2: no traceback for an error that
  pytheus raises on purpose, nor for a misspelt option.
- Colour is for terminals, and for no terminal where ``NO_COLOR`` is set (https://no-color.org).
- What a program would read (``--json``) is one JSON document on stdout, and nothing else is there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from pytheus.exceptions import PytheusError

__all__ = ["REFUSED", "call", "plugin_names", "print_json", "table"]

REFUSED: Final = 2


def call(command: click.Command, arguments: Sequence[str]) -> int:
    """Run `command`, which gives its exit code, as ``pytheus NAME``."""
    name = f"pytheus {command.name}"
    try:
        code: object = command.main(
            list(arguments), prog_name=name, standalone_mode=False, color=False if os.environ.get("NO_COLOR") else None
        )
    except click.UsageError as error:
        return _refuse(f"{name}: {error.format_message().rstrip('.')}; `{_path(error, name)} --help` tells more")
    except click.ClickException as error:
        return _refuse(f"{name}: {error.format_message()}")
    except (PytheusError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read our output has enough of it. What is left in the buffer must not be tried again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        return _refuse(f"{name}: {error}")
    except click.Abort:
        return 130  # as a shell reports what Ctrl-C ended
    return code if isinstance(code, int) else 0


def _path(error: click.UsageError, name: str) -> str:
    return name if error.ctx is None else error.ctx.command_path


def _refuse(reason: str) -> int:
    print(" ".join(reason.split()), file=sys.stderr)
    return REFUSED


def print_json(document: object) -> None:
    """`document` on stdout, as JSON for people to read as well."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]], *, indent: int = 0) -> list[str]:
    """Lines in which the columns of `rows` stand below each other; cells may be styled.

    >>> table([("NAME", "STATE"), ("default", "active")])
    ['NAME     STATE', 'default  active']
    """
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*rows, strict=True)]
    return [
        (
            " " * indent
            + "  ".join(
                cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True)
            )
        ).rstrip()
        for row in rows
    ]


def plugin_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names that can be chosen and begin with what was typed, for completion; imports no plugin."""
    from pytheus.plugins import available_plugins  # loaded late: only a completion needs it

    try:
        plugins = available_plugins()
    except PytheusError:
        return []  # a shell's prompt is no place for it
    names = (plugin.name for plugin in plugins if plugin.state == "available" and plugin.name.startswith(incomplete))
    return list(dict.fromkeys(names))
