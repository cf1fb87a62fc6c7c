"""The command ``pytheus``, and its table of subcommands.

Rules:

- ``pytheus run`` starts other people's programs: it needs the standard library and pytheus alone, and parses its own
  arguments. The other commands are written with click (https://click.palletsprojects.com, the extra ``pytheus[cli]``),
  and where that is not installed they say so in one line.
- Each exit code means one thing: 0, it was done, and what was asked about is sound; 1, it was done, and something is
  wrong with what was asked about; 2, it could not be done, and one line on stderr says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

__all__ = ["main"]

_Subcommand: TypeAlias = Callable[[Sequence[str]], int]

_REFUSED: Final = 2
# Set by the script that `pytheus completion` prints, when the shell wants to know how a line may go on.
_COMPLETION_VARIABLE: Final = "_PYTHEUS_COMPLETE"


def _run(arguments: Sequence[str]) -> int:
    from pytheus.cli.run import run  # loaded late, like every subcommand: the others need none of it

    return run(arguments)


def _plugins(arguments: Sequence[str]) -> int:
    from pytheus.cli.plugins import plugins  # loaded late: it needs click, as all below

    return plugins(arguments)


def _check(arguments: Sequence[str]) -> int:
    from pytheus.cli.check import check  # loaded late

    return check(arguments)


def _new(arguments: Sequence[str]) -> int:
    from pytheus.cli.new import new  # loaded late

    return new(arguments)


def _config(arguments: Sequence[str]) -> int:
    from pytheus.cli.config import config  # loaded late

    return config(arguments)


def _completion(arguments: Sequence[str]) -> int:
    from pytheus.cli.completion import completion  # loaded late

    return completion(arguments)


# A subcommand takes the arguments behind its name and gives the exit code.
_SUBCOMMANDS: Final[dict[str, tuple[_Subcommand, str]]] = {
    "run": (_run, "run a program and serve its metrics"),
    "config": (_config, "show which registry would be used, from where, and with which options"),
    "plugins": (_plugins, "list the registries that can be chosen by name"),
    "check": (_check, "check that a registry keeps the contract"),
    "new": (_new, "start a distribution of your own: a registry plugin"),
    "completion": (_completion, "print what lets bash, zsh or fish complete these commands"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process, by default); gives the exit code.

    What the program of ``pytheus run`` raises comes out as it is, `SystemExit` included.

        >>> main(["--version"])  # doctest: +ELLIPSIS
        pytheus ...
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and _COMPLETION_VARIABLE in os.environ:
        return _with_click("completion", lambda: _complete(os.environ[_COMPLETION_VARIABLE]))
    if not given or given[0] in ("-h", "--help"):
        return _print(_help())
    if given[0] in ("-V", "--version"):
        return _print(_version() + "\n")
    subcommand = _SUBCOMMANDS.get(given[0])
    if subcommand is None:
        print(f"pytheus: {given[0]!r} is no command; there is: {', '.join(_SUBCOMMANDS)}", file=sys.stderr)
        return _REFUSED
    call = subcommand[0]
    return call(given[1:]) if call is _run else _with_click(given[0], lambda: call(given[1:]))


def _with_click(name: str, call: Callable[[], int]) -> int:
    try:
        return call()
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            f"pytheus {name}: click is not installed, which every command but `pytheus run` needs;"
            " pip install 'pytheus[cli]'",
            file=sys.stderr,
        )
        return _REFUSED


def _complete(instruction: str) -> int:
    from pytheus.cli.completion import complete  # loaded late: it needs click

    return complete(instruction)


def _print(text: str) -> int:
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # What is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 1  # as in `pytheus.cli.command.call`: whoever read our output has enough of it
        print(f"pytheus: {error}", file=sys.stderr)
        return _REFUSED
    return 0


def _help() -> str:
    lines = [f"  {name:<12}{summary}\n" for name, (_, summary) in _SUBCOMMANDS.items()]
    return (
        "usage: pytheus COMMAND ...\n       pytheus --version\n\n"
        "Prometheus metrics, with a registry that is a plugin.\n\n"
        f"commands:\n{''.join(lines)}\n"
        "examples:\n"
        "  pytheus run --port 9464 app.py\n"
        "  PYTHEUS_REGISTRY='default://?prefix=shop' pytheus config\n"
        "  pytheus plugins --check\n\n"
        "`pytheus COMMAND --help` tells about one of them. All but `run` need the extra: pip install 'pytheus[cli]'.\n"
    )


def _version() -> str:
    from pytheus.version import COMPILED, __version__  # loaded late: it imports every metric

    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"pytheus {__version__} ({'compiled' if COMPILED else 'pure Python'} build, {sys.implementation.name} {python})"
    )


if __name__ == "__main__":
    sys.exit(main())
