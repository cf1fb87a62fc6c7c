"""Shared parts of the commands that are written with click: how they are called, and how they end.

Rules:

- A request that cannot be carried out is one line on stderr and exit code 2: no traceback for an error that pytheus
  raises on purpose, nor for a misspelt option.
- Colour is for terminals, unless ``NO_COLOR`` is set (https://no-color.org).
- Output for programs (``--json``) is one JSON document on stdout, and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

import click

from pytheus.exceptions import PytheusError
from pytheus.plugins.address import redact

if TYPE_CHECKING:
    from pytheus.plugins.plan import Plan

__all__ = [
    "REFUSED",
    "REGISTRY_OPTION",
    "call",
    "plugin_names",
    "print_json",
    "print_lines",
    "print_problems",
    "table",
    "visible",
]

REFUSED: Final = 2

_UNUSUAL: Final = re.compile("[^\n -~]+")


def call(command: click.Command, arguments: Sequence[str], *, owns_process: bool = False) -> int:
    """Run `command` as ``pytheus NAME``; returns its exit code.

    `owns_process` says that the process ends with it. The command gets it as the object of its context.
    """
    name = f"pytheus {command.name}"
    try:
        code: object = command.main(
            list(arguments),
            prog_name=name,
            standalone_mode=False,
            color=False if os.environ.get("NO_COLOR") else None,
            obj=owns_process,
        )
    except click.UsageError as error:
        path = name if error.ctx is None else error.ctx.command_path
        return _refuse(f"{name}: {_without_urls(error, arguments).rstrip('.')}; see `{path} --help`")
    except click.ClickException as error:
        return _refuse(f"{name}: {_without_urls(error, arguments)}")
    except (PytheusError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # The reader of our output has ended. The rest of the buffer must not be written again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        return _refuse(f"{name}: {error}")
    except click.Abort:
        return 130  # as shells report a program that Ctrl-C ended
    return code if isinstance(code, int) else 0


def _without_urls(error: click.ClickException, arguments: Sequence[str]) -> str:
    """The message of `error`, with each URL of the command line as it may be shown."""
    message = error.format_message()
    for argument in arguments:
        for text in {argument, argument.partition("=")[2]}:
            if "://" in text:
                message = message.replace(repr(text), repr(redact(text))).replace(text, redact(text))
    return message


def _refuse(reason: str) -> int:
    print(" ".join(reason.split()), file=sys.stderr)
    return REFUSED


def print_json(document: object, stream: TextIO | None = None) -> None:
    """Print `document` as indented JSON, with escapes for characters that change a terminal or that it lacks."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    is_unicode = encoding.lower().replace("-", "").startswith("utf")
    text = json.dumps(document, indent=2, ensure_ascii=not is_unicode)
    click.echo(_UNUSUAL.sub(_escaped, text), file=stream)


def _escaped(found: re.Match[str]) -> str:
    return "".join([each if each.isprintable() else json.dumps(each)[1:-1] for each in found[0]])


def visible(text: str) -> str:
    """Return `text` with escapes for the characters that would change a terminal or the direction of writing.

    >>> visible("a\\x1b[2J\\u202eb\\n")
    'a\\\\x1b[2J\\\\u202eb\\\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        [
            character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
            for character in text
        ]
    )


def print_lines(lines: Iterable[str]) -> None:
    """Print `lines`, which may be styled, with escapes for characters that the encoding of stdout lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    text = "".join([f"{line}\n" for line in lines])
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), nl=False)


def table(rows: Sequence[Sequence[str]], *, indent: int = 0) -> list[str]:
    """Lines with the columns of `rows` aligned; cells may be styled.

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
    """The available names that begin with `incomplete`, for completion; imports no plugin."""
    from pytheus.plugins import available_plugins

    try:
        plugins = available_plugins()
    except PytheusError:
        return []  # a shell's prompt cannot show the error
    names = (plugin.name for plugin in plugins if plugin.state == "available" and plugin.name.startswith(incomplete))
    return list(dict.fromkeys(names))


REGISTRY_OPTION: Final = click.option(
    "--registry",
    shell_complete=plugin_names,
    metavar="NAME|URL",
    help="As if this were chosen, as in `pytheus run --registry`.",
)


def print_problems(planned: Plan) -> None:
    """Print each problem and each warning of `planned` in a paragraph of its own."""
    for problem in planned.problems:
        click.echo(f"\n{click.style('problem', fg='red')}: {problem}")
    for warning in (*planned.warnings, *planned.activation.warnings):
        click.echo(f"\n{click.style('warning', fg='yellow')}: {warning}")
