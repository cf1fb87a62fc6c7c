"""Import a plugin in another interpreter, to see the hooks that it implements or why it cannot be used.

Rules:

- Each plugin is imported in an interpreter of its own, so that one that hangs, exits or crashes is a line in a list and
  not the end of the list.
- That interpreter finds modules where this one does.
- Only the plugin's declarations are read: no registry is created, no connection opened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Final, NamedTuple

from pytheus.plugins.catalog import GROUP, Claim, PluginInfo

__all__ = ["Inspection", "inspect_plugin", "main"]

_TIMEOUT_SECONDS: Final = 60

# The plugin may print: its output goes to stderr, which is ignored, and only the answer goes to stdout.
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pytheus.cli.inspection import main; main()"
)


class Inspection(NamedTuple):
    """`hooks` are the implemented ones, in alphabetical order; `problem` says why the plugin is broken, or is ""."""

    hooks: tuple[str, ...]
    problem: str


def inspect_plugin(plugin: PluginInfo) -> Inspection:
    """Inspect the entry point of `plugin`. Takes as long as its import, in another interpreter."""
    named = (plugin.name, plugin.value, plugin.distribution, plugin.version)
    # Files and not pipes, because a process that the plugin starts may keep a pipe open.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        try:
            status = subprocess.run(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), *named],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=_TIMEOUT_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            return Inspection((), f"its import did not end within {_TIMEOUT_SECONDS} seconds")
        out.seek(0)
        text = out.read()
        if not text.startswith("{"):
            err.seek(0)
            last = err.read().strip().splitlines()[-1:]
            return Inspection((), ": ".join([f"its import ended the interpreter with status {status}", *last]))
    answer = json.loads(text)
    return Inspection(tuple(answer["hooks"]), answer["problem"])


def main() -> None:
    """The program of the other interpreter; its arguments are `sys.path` and the first fields of `Claim`."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        hooks, problem = _inspected(*sys.argv[2:])
        json.dump({"hooks": hooks, "problem": problem}, answer)
        answer.flush()
        os._exit(0)  # so that a thread of the plugin cannot delay the list


def _inspected(name: str, value: str, distribution: str, version: str) -> Inspection:
    from importlib.metadata import EntryPoint

    from pytheus.exceptions import PytheusError
    from pytheus.plugins.loader import Plugin
    from pytheus.registry import check_registry

    claim = Claim(name, value, distribution, version, EntryPoint(name, value, GROUP))
    try:
        plugin = Plugin(claim, "it")
        if not plugin.implements:
            check_registry(claim.entry_point.load(), "it implements no hook, and the entry point")
    except (PytheusError, KeyboardInterrupt) as error:
        return Inspection((), " ".join(str(error).split()) or type(error).__name__)
    return Inspection(plugin.implements, "")
