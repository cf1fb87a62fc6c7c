"""What a plugin turns out to be once it is imported: the hooks it implements, or why it cannot be used.

Rules:

- Each plugin is imported in an interpreter of its own, so that one that hangs, exits or crashes is a line in a list and
  not the end of it.
- That interpreter finds modules where this one does.
- Nothing is asked of the plugin but what it declares: no registry is made, no connection opened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final, NamedTuple

from pytheus.plugins.catalog import GROUP

__all__ = ["Findings", "inspect_plugin", "main"]

_PATIENCE_SECONDS: Final = 60

# The plugin may print: its words go to stderr, where nobody looks, and the answer keeps stdout for itself.
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pytheus.cli.inspection import main; main()"
)


class Findings(NamedTuple):
    """`hooks` are those that it implements, in alphabetical order; `problem` says why it is broken, or is ""."""

    hooks: tuple[str, ...]
    problem: str


def inspect_plugin(name: str, value: str) -> Findings:
    """What the entry point ``name = value`` leads to. Imports it, elsewhere; takes as long as that does."""
    command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), name, value]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Findings((), f"its import did not end within {_PATIENCE_SECONDS} seconds")
    if not done.stdout.startswith("{"):
        last = done.stderr.strip().splitlines()[-1:]
        return Findings((), ": ".join([f"its import ended the interpreter with status {done.returncode}", *last]))
    answer = json.loads(done.stdout)
    return Findings(tuple(answer["hooks"]), answer["problem"])


def main() -> None:
    """The program of the other interpreter; its arguments are `sys.path`, and the entry point's name and value."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        hooks, problem = _found(*sys.argv[2:])
        json.dump({"hooks": hooks, "problem": problem}, answer)
        answer.flush()
        os._exit(0)  # what the plugin left behind, such as a thread, must not keep the list waiting


def _found(name: str, value: str) -> Findings:
    from importlib.metadata import EntryPoint  # loaded late: the caller needs none of these

    from pytheus.exceptions import NotARegistryError
    from pytheus.plugins.hooks import PLUGIN_API_VERSIONS
    from pytheus.registry import check_registry

    try:
        plugin: object = EntryPoint(name, value, GROUP).load()
        version: object = getattr(plugin, "pytheus_plugin_api", 1)
        hooks = tuple(sorted(_hooks(plugin)))
    except BaseException as error:
        text = " ".join(str(error).split())
        return Findings((), f"{type(error).__name__}: {text}" if text else type(error).__name__)
    if type(version) is not int or version not in PLUGIN_API_VERSIONS:
        spoken = ", ".join(map(str, sorted(PLUGIN_API_VERSIONS)))
        return Findings(
            hooks, f"it has pytheus_plugin_api = {version!r:.40}, and this pytheus speaks plugin API {spoken}"
        )
    if hooks:
        return Findings(hooks, "")
    if hasattr(plugin, "pytheus_make_registry"):
        return Findings((), "its pytheus_make_registry is not marked with @hookimpl (from pytheus.plugins)")
    try:
        check_registry(plugin, f"entry point '{name} = {value}'")
    except NotARegistryError as error:
        return Findings((), f"it implements no hook, and is no registry: {'; '.join(error.problems)}")
    return Findings((), "")


def _hooks(plugin: object) -> set[str]:
    """The names of the hooks that `plugin` says it implements, whether they exist or not; executes no property."""
    import inspect  # loaded late: the caller does not need it

    names: set[str] = set()
    for name in dir(plugin):
        candidate = inspect.getattr_static(plugin, name, None)
        if isinstance(candidate, (staticmethod, classmethod)):
            candidate = candidate.__func__
        mark = getattr(candidate, "pytheus_impl", None) if inspect.isroutine(candidate) else None
        if isinstance(mark, dict):
            names.add(str(mark.get("specname") or name))
    return names
