"""The docstring of each package lists its modules, so that a reader finds the right one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(
    path.parent
    for top in ("pytheus", "plugins/pytheus-multiprocess/pytheus_multiprocess", "plugins/pytheus-redis/pytheus_redis")
    for path in (ROOT / top).rglob("__init__.py")
)


def modules_of(package: Path) -> set[str]:
    """The names of the modules and packages directly in `package`."""
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    return files | {path.parent.name for path in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.relative_to(ROOT).as_posix())
def test_the_docstring_lists_every_module(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    listed = set(re.findall(r"`(?:\w+\.)*([\w-]+)`", docstring))
    assert modules_of(package) - listed == set()


def test_there_are_packages_to_look_at() -> None:
    assert {"pytheus", "registry", "pytheus_redis"} <= {package.name for package in PACKAGES}


def test_a_module_that_is_not_listed_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text('"""Numbers, in `store`."""\n', "utf-8")
    (tmp_path / "store.py").touch()
    (tmp_path / "reader.py").touch()
    with pytest.raises(AssertionError, match="reader"):
        test_the_docstring_lists_every_module(tmp_path)
