"""What the way to a registry imports, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.conftest import Site

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = ("pluggy", "importlib.metadata", "msgspec", "tomllib", "dataclasses", "urllib.parse", "difflib")


def loaded_after(code: str, *path: Path, environ: dict[str, str] | None = None) -> set[str]:
    """Which of `HEAVY`, and of the modules on `path`, are loaded after `code`, and were not before."""
    program = (
        f"import sys\nsys.path[:0] = {[str(folder) for folder in path]!r}\nbefore = set(sys.modules)\n{code}\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), **(environ or {})}
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    own = {module.stem for folder in path for module in folder.glob("*.py")}
    return set(done.stdout.split()) & {*HEAVY, *own}


REGISTER = """
from pytheus import REGISTRY, Counter, generate_metrics
jobs = Counter("jobs_total", "Jobs.")
REGISTRY.unregister(jobs)
REGISTRY.register(jobs)
generate_metrics()
"""

RESOLVE = "from pytheus.plugins import resolve_registry\nresolve_registry()"


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        pytest.param("import pytheus.plugins", {}, id="the package itself"),
        pytest.param(RESOLVE, {}, id="the default"),
        pytest.param(RESOLVE, {"PYTHEUS_REGISTRY": "default"}, id="default by name"),
        pytest.param(RESOLVE, {"PYTHEUS_REGISTRY": "none"}, id="none by name"),
        pytest.param(REGISTER, {}, id="a registration without an observer"),
        pytest.param(
            "from pytheus.plugins import plugin_settings\nassert plugin_settings().named[0].name == 'memory'",
            {"PYTHEUS_PLUGINS": "memory"},
            id="the settings",
        ),
    ],
)
def test_no_plugin_machinery_is_imported(code: str, environ: dict[str, str], site: Site) -> None:
    site.plugin("memory")
    assert loaded_after(code, site.folder, environ=environ) == set()


def test_an_unrelated_pyproject_imports_none_of_it(pyproject: Path) -> None:
    pyproject.write_text("[project]\nname = 'shop'\n")
    assert loaded_after(RESOLVE) == set()


def test_a_plugin_can_be_imported_without_pluggy(site: Site) -> None:
    site.plugin("memory")
    assert loaded_after("import memory_module", site.folder) - {"dataclasses"} == {"memory_module"}


def test_only_the_plugin_that_is_named_is_imported(site: Site) -> None:
    site.plugin("memory")
    site.plugin("other")
    loaded = loaded_after(RESOLVE.replace("()", "('memory')"), site.folder)
    assert "memory_module" in loaded
    assert "other_module" not in loaded


def test_listing_imports_no_plugin(site: Site) -> None:
    site.plugin("memory")
    code = "from pytheus.plugins import available_plugins\nassert 'memory' in {p.name for p in available_plugins()}"
    assert loaded_after(code, site.folder) & {"memory_module", "pluggy", "msgspec"} == set()


def test_a_registration_without_an_observer_calls_no_hook(site: Site) -> None:
    # A plugin is named, and so pluggy is there; no function of it runs once the registry is made.
    site.plugin("wraps", "@hookimpl\ndef pytheus_wrap_registry(registry): ...")
    code = f"""
from pytheus import REGISTRY
REGISTRY.registry
import sys
called = set()
sys.setprofile(lambda frame, event, argument: called.add(frame.f_globals.get("__name__", "")))
{REGISTER}
sys.setprofile(None)
assert "pytheus.registry.collector_registry" in called
assert not [name for name in called if name.startswith(("pluggy", "pytheus.plugins", "wraps_module"))], called
"""
    assert "wraps_module" in loaded_after(code, site.folder, environ={"PYTHEUS_PLUGINS": "wraps"})
