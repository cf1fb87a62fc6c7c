"""Commands that the user of ``pytheus run`` may have meant, for messages that refuse a program or a registry."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pytheus.cli.interpreter import is_python
from pytheus.cli.python_runner import is_module
from pytheus.exceptions import PytheusError
from pytheus.plugins.plan import plan
from pytheus.plugins.resolve import names_of_shared, shared_address

__all__ = ["Named", "instead_of_missing", "instead_of_path"]


class Named(NamedTuple):
    """The program as it was named on the command line, with its arguments, and the option ``--registry``."""

    kind: Literal["SCRIPT", "MODULE"]
    words: Sequence[str]
    registry: str | None


def instead_of_missing(named: Named) -> str:
    """Return the end of a message about a program that does not exist: commands for its name, or ""."""
    meant = [f"`{command}`" for command in _commands(named)]
    if not meant:
        return ""
    if names_of_shared() or not any(" -- " in command for command in meant):
        return f"; did you mean {' or '.join(meant)}?"
    return f"; did you mean {' or '.join(meant)} (with pytheus-multiprocess installed)?"


def _commands(named: Named) -> Iterator[str]:
    name, *arguments = named.words
    if named.kind == "MODULE":
        if os.path.isfile(name):
            yield _command(named.registry, [name, *arguments])
    elif is_python(name) and arguments:
        yield _command(named.registry, arguments)
    else:
        if os.path.isfile(f"{name}.py"):
            yield _command(named.registry, [f"{name}.py", *arguments])
        elif is_module(name):
            yield _command(named.registry, ["-m", name, *arguments])
    if shutil.which(name) is not None:
        registry = named.registry or next(iter(names_of_shared()), "multiprocess")
        yield _command(registry, ["--", name, *arguments])


def instead_of_path(named: Named, key: str) -> str:
    """Return the end of a message about the missing option `key`: a command for which pytheus provides it, or ""."""
    try:
        planned = plan(named.registry)
        if key != "path" or key in planned.options.given:
            return ""
        with shared_address(planned) as address:
            if address == planned.choice.text:
                return ""
    except (PytheusError, OSError):
        return ""
    python = ["--", "python", *(["-m"] if named.kind == "MODULE" else []), *named.words]
    return f"; or let pytheus make a private one: `{_command(named.registry, python)}`"


def _command(registry: str | None, words: Sequence[str]) -> str:
    return shlex.join(["pytheus", "run", *([] if registry is None else ["--registry", registry]), *words])
