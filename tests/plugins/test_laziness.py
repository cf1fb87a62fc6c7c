"""What the way to a registry imports, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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


def test_the_package_itself_imports_none_of_it() -> None:
    assert loaded_after("import pytheus.plugins") == set()


def test_the_default_path_imports_none_of_it() -> None:
    assert loaded_after("from pytheus.plugins import resolve_registry\nresolve_registry()") == set()


@pytest.mark.parametrize("name", ["default", "none"])
def test_a_built_in_name_imports_none_of_it(name: str) -> None:
    code = "from pytheus.plugins import resolve_registry\nresolve_registry()"
    assert loaded_after(code, environ={"PYTHEUS_REGISTRY": name}) == set()


def test_a_pyproject_of_somebody_else_imports_none_of_it(home: Path) -> None:
    (home / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    assert loaded_after("from pytheus.plugins import resolve_registry\nresolve_registry()") == set()


def test_a_plugin_can_be_imported_without_pluggy(site: Site) -> None:
    site.plugin("memory")
    assert loaded_after("import memory_module", site.folder) - {"dataclasses"} == {"memory_module"}


def test_only_the_plugin_that_is_named_is_imported(site: Site) -> None:
    site.plugin("memory")
    site.plugin("other")
    code = "from pytheus.plugins import resolve_registry\nresolve_registry('memory')"
    loaded = loaded_after(code, site.folder)
    assert "memory_module" in loaded
    assert "other_module" not in loaded


def test_listing_imports_no_plugin(site: Site) -> None:
    site.plugin("memory")
    code = "from pytheus.plugins import available_plugins\nassert 'memory' in {p.name for p in available_plugins()}"
    assert loaded_after(code, site.folder) & {"memory_module", "pluggy", "msgspec"} == set()
