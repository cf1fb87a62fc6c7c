"""The command ``pytheus``, and its table of subcommands.

Rules:

- ``pytheus run`` starts other programs: it needs only the standard library and pytheus, and parses its own arguments.
  The other commands are written with click (https://click.palletsprojects.com, the extra ``pytheus[cli]``); without it,
  they say so in one line.
- Each subcommand is the `command` of the module of its name, which is imported when it is called.
- Each exit code has one meaning: 0, the command was carried out and found nothing wrong; 1, it was carried out and
  found something wrong; 2, it could not be carried out, and one line on stderr says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["main"]

_REFUSED: Final = 2
# Set by the script that `pytheus completion` prints, when the shell needs the possible continuations of a line.
_COMPLETION_VARIABLE: Final = "_PYTHEUS_COMPLETE"

_SUBCOMMANDS: Final = {
    "run": "run a program and serve its metrics",
    "config": "show which registry would be used, from where, and with which options",
    "plugins": "list the registries that can be chosen by name",
    "check": "check that a registry keeps the contract",
    "scrape": "show the metrics of a URL or a file, as text or JSON",
    "diff": "compare two scrapes: families, series, values",
    "lint": "check metrics against Prometheus's conventions",
    "dashboard": "write a Grafana dashboard and Prometheus rules for a registry",
    "top": "show live metrics of a URL or a process in the terminal",
    "push": "send metrics once: to a Pushgateway, a file or standard output",
    "migrate": "rewrite sources from prometheus_client or pytheus 0.6",
    "new": "start a distribution of your own: a registry plugin",
    "completion": "print a script that lets bash, zsh or fish complete these commands",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (by default those of the process); returns the exit code.

    Exceptions of the program of ``pytheus run`` are passed on unchanged, `SystemExit` included.

        >>> main(["config", "--registry", "default://?prefix=shop"])  # doctest: +ELLIPSIS
        registry ... default://?prefix=shop
        ...
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and _COMPLETION_VARIABLE in os.environ:
        return _carry_out("completion", (), os.environ[_COMPLETION_VARIABLE])
    if not given or given[0] in ("-h", "--help"):
        return _print(_help())
    if given[0] in ("-V", "--version"):
        return _print(_version() + "\n")
    name, *rest = given
    if name not in _SUBCOMMANDS:
        shown = "a URL" if "://" in name else repr(name)  # which may contain a password
        print(f"pytheus: unknown command {shown}; the commands are: {', '.join(_SUBCOMMANDS)}", file=sys.stderr)
        return _REFUSED
    if name == "run":
        from pytheus.cli.run import run

        return run(rest)
    return _carry_out(name, rest, owns_process=arguments is None)


def _carry_out(
    name: str, arguments: Sequence[str], completion: str | None = None, *, owns_process: bool = False
) -> int:
    """Call a command that is written with click, or answer the shell that asks it for a `completion`."""
    import importlib

    try:
        from pytheus.cli.click_support import call

        module = importlib.import_module(f"pytheus.cli.{name}")
        if completion is not None:
            code: int = module.complete(completion)
            return code
        return call(module.command, arguments, owns_process=owns_process)
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            f"pytheus {name}: click is not installed, which every command but `pytheus run` needs;"
            " pip install 'pytheus[cli]'",
            file=sys.stderr,
        )
        return _REFUSED


def _print(text: str) -> int:
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # The rest of the buffer must not be written again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 1  # as in `pytheus.cli.click_support.call`
        print(f"pytheus: {error}", file=sys.stderr)
        return _REFUSED
    return 0


def _help() -> str:
    lines = [f"  {name:<12}{summary}\n" for name, summary in _SUBCOMMANDS.items()]
    return (
        "usage: pytheus COMMAND ...\n       pytheus --version\n\n"
        "Prometheus metrics, with a registry that is a plugin.\n\n"
        f"commands:\n{''.join(lines)}\n"
        "examples:\n"
        "  pytheus run --port 9464 app.py\n"
        "  PYTHEUS_REGISTRY='default://?prefix=shop' pytheus config\n"
        "  pytheus plugins --check\n\n"
        "`pytheus COMMAND --help` describes one of them. All but `run` need the extra: pip install 'pytheus[cli]'.\n"
    )


def _version() -> str:
    from pytheus.version import COMPILED, __version__

    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"pytheus {__version__} ({'compiled' if COMPILED else 'pure Python'} build, {sys.implementation.name} {python})"
    )


if __name__ == "__main__":
    sys.exit(main())
