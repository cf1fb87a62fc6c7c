"""The command ``pytheus``, and its table of subcommands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["main"]


def _run(arguments: Sequence[str]) -> int:
    from pytheus.cli.run import run  # loaded late, like every subcommand: the others need none of it

    return run(arguments)


# A subcommand takes the arguments behind its name and gives the exit code.
_SUBCOMMANDS: Final[dict[str, tuple[Callable[[Sequence[str]], int], str]]] = {
    "run": (_run, "run a program and serve its metrics"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process, by default); gives the exit code.

    What the program of ``pytheus run`` raises comes out as it is, `SystemExit` included.

        >>> main(["--version"])  # doctest: +ELLIPSIS
        pytheus ...
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0
    if given[0] in ("-V", "--version"):
        print(_version())
        return 0
    subcommand = _SUBCOMMANDS.get(given[0])
    if subcommand is None:
        print(f"pytheus: {given[0]!r} is no command; there is: {', '.join(_SUBCOMMANDS)}", file=sys.stderr)
        return 2
    return subcommand[0](given[1:])


def _help() -> str:
    lines = [f"  {name:<10}{summary}\n" for name, (_, summary) in _SUBCOMMANDS.items()]
    return (
        "usage: pytheus COMMAND ...\n       pytheus --version\n\n"
        "Prometheus metrics, with a registry that is a plugin.\n\n"
        f"commands:\n{''.join(lines)}\n`pytheus COMMAND --help` tells about one of them.\n"
    )


def _version() -> str:
    from pytheus.version import COMPILED, __version__  # loaded late: it imports every metric

    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"pytheus {__version__} ({'compiled' if COMPILED else 'pure Python'} build, {sys.implementation.name} {python})"
    )


if __name__ == "__main__":
    sys.exit(main())
