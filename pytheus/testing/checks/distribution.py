"""Checks of a plugin as an installed distribution, each in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final
from unittest import SkipTest

from pytheus.testing.checks.base import Declarations, check

__all__ = ["DistributionChecks", "mypy_errors"]

# The beginning of every program. The plugin's import is not charged for these imports.
_BEGIN: Final = """
import importlib.util, json, sys, threading, time
import pytheus, pytheus.plugins, pluggy, pytheus.plugins.loader
from pytheus.exceptions import OptionError, PluginBlockedError
from pytheus.plugins import available_plugins, resolve_registry
name, address = sys.argv[1:]
plugins = [plugin for plugin in available_plugins() if plugin.name == name]
module = plugins[0].value.partition(":")[0].strip() if plugins else None
def report(**findings):
    print(json.dumps(findings))
"""

_LISTED: Final = """
report(listed=bool(plugins), state=plugins[0].state if plugins else "", imported=module in sys.modules)
"""

_QUIET: Final = """
deeds = []
def note(event, arguments):
    if event in ("socket.__new__", "socket.connect", "socket.bind", "subprocess.Popen"):
        deeds.append(event)
# Python 3.11 has no audit event for it.
start_thread = threading.Thread.start
def start(thread):
    deeds.append("threading.Thread.start")
    start_thread(thread)
threading.Thread.start = start
registry = pytheus.CollectorRegistry()
sys.addaudithook(note)
threads = threading.active_count()
with pytheus.REGISTRY.use(registry):
    before = time.process_time()
    importlib.import_module(module)
    seconds = time.process_time() - before
metrics = [str(held) for held in registry]
report(deeds=deeds, threads=threading.active_count() - threads, metrics=metrics, seconds=seconds)
"""

_MADE: Final = """
from pytheus.registry import check_registry
check_registry(resolve_registry(address))
report(made=True)
"""

_OPTION: Final = """
wrong = address + ("&" if "?" in address else "?" if "://" in address else "://?") + "kit_no_such_option=1"
try:
    resolve_registry(wrong)
except OptionError as error:
    report(refused=True, key=error.key)
else:
    report(refused=False)
"""

_BLOCKED: Final = """
try:
    resolve_registry(address)
except PluginBlockedError:
    report(blocked=True, imported=module in sys.modules)
else:
    report(blocked=False, imported=module in sys.modules)
"""

_SIBLING: Final = """
resolve_registry(address)
report(made=True, sibling="kit_broken_sibling" in sys.modules)
"""

_TYPED: Final = """
from collections.abc import Callable

import {module} as plugin

from pytheus.plugins import RegistryOptions
from pytheus.registry import Registry

{assignment}
"""


class DistributionChecks(Declarations):
    """The plugin's distribution, of classes that declare `plugin_name`."""

    @check(needs=["plugin"])
    def test_the_plugin_is_listed_without_being_imported(self) -> None:
        """`available_plugins()` lists it from metadata alone."""
        found = self._program(_LISTED)
        if not found["listed"] or found["state"] != "available":
            raise AssertionError(
                f"available_plugins() lists the plugin {self.plugin_name!r} as available: "
                + (f"it is {found['state']}" if found["listed"] else "it is not listed; is its distribution installed?")
            )
        if found["imported"]:
            raise AssertionError("available_plugins() lists a plugin without importing it: it was imported")

    @check("test_the_plugin_is_listed_without_being_imported", needs=["plugin"])
    def test_the_plugin_makes_a_registry(self) -> None:
        """`resolve_registry` makes one in a fresh interpreter."""
        self._program(_MADE)

    @check("test_the_plugin_makes_a_registry", needs=["plugin"])
    def test_importing_the_plugin_does_nothing(self) -> None:
        """No thread, no socket, no process, no metric."""
        found = self._program(_QUIET)
        deeds = [*found["deeds"], *found["metrics"]]
        if deeds or found["threads"]:
            raise AssertionError(
                "importing a plugin starts no thread, opens no socket and registers no metric: it did"
                f" {', '.join(deeds) or 'start a thread'}"
            )

    @check("test_importing_the_plugin_does_nothing", needs=["plugin"])
    def test_importing_the_plugin_is_quick(self) -> None:
        """Within `import_budget_seconds` of processor time."""
        seconds = self._program(_QUIET)["seconds"]
        if seconds > self.import_budget_seconds:
            raise AssertionError(
                f"importing a plugin takes at most import_budget_seconds = {self.import_budget_seconds:g} of processor"
                f" time: it took {seconds:.3f}; import heavy modules inside the functions that need them"
            )

    @check("test_the_plugin_makes_a_registry", needs=["plugin"])
    def test_the_plugin_refuses_unknown_options(self) -> None:
        """A misspelt option is an error and is never ignored."""
        if not self._program(_OPTION)["refused"]:
            raise AssertionError(
                "an option that the plugin does not have raises OptionError: it was ignored;"
                " take options with options.parse(...)"
            )

    @check("test_the_plugin_makes_a_registry", needs=["plugin"])
    def test_a_blocked_plugin_is_not_imported(self) -> None:
        """``PYTHEUS_PLUGINS=no:NAME`` keeps it out."""
        found = self._program(_BLOCKED, PYTHEUS_PLUGINS=f"no:{self.plugin_name}")
        if not found["blocked"] or found["imported"]:
            raise AssertionError("a plugin that is blocked is refused and not imported: it was")

    @check("test_the_plugin_makes_a_registry", needs=["plugin"])
    def test_a_broken_sibling_does_no_harm(self) -> None:
        """Another distribution's plugin that cannot be imported is not even tried."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "kit_broken_sibling.py").write_text("raise RuntimeError('broken on purpose')\n", "utf-8")
            info = Path(folder, "kit_broken_sibling-1.0.dist-info")
            info.mkdir()
            Path(info, "METADATA").write_text(
                "Metadata-Version: 2.1\nName: kit-broken-sibling\nVersion: 1.0\n", "utf-8"
            )
            Path(info, "entry_points.txt").write_text("[pytheus]\nkit_broken = kit_broken_sibling\n", "utf-8")
            path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
            if self._program(_SIBLING, PYTHONPATH=path)["sibling"]:
                raise AssertionError("a plugin that was not named is not imported: a broken sibling was")

    @check("test_the_plugin_makes_a_registry", needs=["plugin"])
    def test_the_plugin_is_typed(self) -> None:
        """``mypy --strict`` accepts that the factory satisfies the contract."""
        import importlib.util

        if importlib.util.find_spec("mypy") is None:
            raise SkipTest("mypy is not installed")
        from pytheus.plugins import available_plugins

        value = next(plugin.value for plugin in available_plugins() if plugin.name == self.plugin_name)
        module, _, attribute = (part.strip() for part in value.partition(":"))
        assignment = (
            f"registry: Registry = plugin.{attribute}"
            if attribute
            else "factory: Callable[[RegistryOptions], Registry] = plugin.pytheus_make_registry"
        )
        errors = mypy_errors(_TYPED.format(module=module, assignment=assignment))
        if errors:
            raise AssertionError(f"mypy --strict accepts the plugin's factory: {errors}")

    def _program(self, source: str, **environ: str) -> dict[str, Any]:
        """Run `source` in a fresh interpreter, in an empty directory, and return its report."""
        name = self.plugin_name
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", _BEGIN + source, str(name), self.plugin_address or str(name)],
                cwd=folder,
                env={**os.environ, "PYTHEUS_REGISTRY": "", "PYTHEUS_PLUGINS": "", "PYTHEUS_CONFIG": "", **environ},
                capture_output=True,
                text=True,
            )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            raise AssertionError(f"the plugin {name!r} can be used in a fresh interpreter: {''.join(last)}")
        findings: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return findings


def mypy_errors(source: str, *folders: str) -> str:
    """Return the errors that ``mypy --strict`` reports for `source`, which may import modules in `folders`, or ""."""
    path = os.pathsep.join([*folders, *filter(None, [os.environ.get("MYPYPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "check_typed.py")
        file.write_text(source, "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", folder, file.name],
            cwd=folder,
            env={**os.environ, "MYPYPATH": path},
            capture_output=True,
            text=True,
        )
    return "" if done.returncode == 0 else done.stdout.strip() or done.stderr.strip() or "mypy fails without a message"
