"""Both distributions: their entry points, their docstrings, and that they use public names of pytheus alone."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PACKAGES = sorted(path.parent for path in Path(__file__).parent.glob("pytheus-*/pytheus_*/__init__.py"))
REDIS = ("redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
ENTRY_POINTS = {
    "pytheus_multiprocess": {"multiprocess"},
    "pytheus_prometheus_client": {"prometheus-client"},
    "pytheus_redis": set(REDIS),
}

every_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@every_package
def test_each_entry_point_names_the_package(package: Path) -> None:
    found = {point.name: point.load() for point in entry_points(group="pytheus") if point.value == package.name}
    assert found == dict.fromkeys(ENTRY_POINTS[package.name], importlib.import_module(package.name))


@pytest.mark.parametrize(
    "module", [path for package in PACKAGES for path in package.glob("*.py")], ids=lambda path: path.stem
)
def test_examples_in_docstrings(module: Path) -> None:
    name = module.parent.name if module.stem == "__init__" else f"{module.parent.name}.{module.stem}"
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def imported(package: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each import from pytheus in a package."""
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pytheus":
                yield from ((node.module or "", name.name) for name in node.names)
            elif isinstance(node, ast.Import):
                yield from ((name.name, "") for name in node.names if name.name.partition(".")[0] == "pytheus")


@every_package
def test_a_distribution_imports_public_names_alone(package: Path) -> None:
    names = set(imported(package))
    assert len(names) > 10
    hidden = {
        f"{module}.{name}"
        for module, name in names
        if module.count(".") > 1 or name not in importlib.import_module(module).__all__
    }
    assert hidden == set()
