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

from pytheus.plugins.catalog import GROUP, Claim, PluginInfo

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


def inspect_plugin(plugin: PluginInfo) -> Findings:
    """What the entry point of `plugin` leads to. Imports it, elsewhere; takes as long as that does."""
    named = (plugin.name, plugin.value, plugin.distribution, plugin.version)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), *named],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Findings((), f"its import did not end within {_PATIENCE_SECONDS} seconds")
    if not done.stdout.startswith("{"):
        last = done.stderr.strip().splitlines()[-1:]
        return Findings((), ": ".join([f"its import ended the interpreter with status {done.returncode}", *last]))
    answer = json.loads(done.stdout)
    return Findings(tuple(answer["hooks"]), answer["problem"])


def main() -> None:
    """The program of the other interpreter; its arguments are `sys.path`, and what `Claim` begins with."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        hooks, problem = _found(*sys.argv[2:])
        json.dump({"hooks": hooks, "problem": problem}, answer)
        answer.flush()
        os._exit(0)  # what the plugin left behind, such as a thread, must not keep the list waiting


def _found(name: str, value: str, distribution: str, version: str) -> Findings:
    from importlib.metadata import EntryPoint  # loaded late: the caller needs none of these

    from pytheus.exceptions import PytheusError
    from pytheus.plugins.loading import Plugin
    from pytheus.registry import check_registry

    claim = Claim(name, value, distribution, version, EntryPoint(name, value, GROUP))
    try:
        plugin = Plugin(claim, "it")
        if not plugin.implements:
            check_registry(claim.entry_point.load(), "it implements no hook, and the entry point")
    except (PytheusError, KeyboardInterrupt) as error:
        return Findings((), " ".join(str(error).split()) or type(error).__name__)
    return Findings(plugin.implements, "")
