"""A third-party registry: built, installed, chosen in each possible way, and accepted by mypy.

The class is written from the protocol alone and imports nothing of pytheus; the distribution has a pyproject of its own
and is installed by pip, beside the wheel of pytheus under test, into a fresh virtual environment.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "acme-metrics"
version = "3.1"
dependencies = ["pytheus"]

[project.entry-points.pytheus]
acme_memory = "acme_metrics.plugin"

[tool.setuptools]
packages = ["acme_metrics"]

[tool.setuptools.package-data]
acme_metrics = ["py.typed"]
"""

REGISTRY = """
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Collector(Protocol):
    def collect(self) -> Iterable[Any]: ...


class AcmeRegistry:
    prefix: str | None

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix
        self._collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        if not any(held is collector for held in self._collectors):
            self._collectors.append(collector)

    def unregister(self, collector: Collector) -> None:
        self._collectors = [held for held in self._collectors if held is not collector]

    def collect(self) -> list[Collector]:
        return list(self._collectors)
"""

PLUGIN = """
from __future__ import annotations

from dataclasses import dataclass

from acme_metrics.registry import AcmeRegistry
from pytheus.plugins import RegistryOptions, hookimpl
from pytheus.registry import Registry

pytheus_plugin_api = 1


@dataclass(frozen=True)
class AcmeOptions:
    prefix: str | None = None


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> Registry:
    return AcmeRegistry(prefix=options.parse(AcmeOptions).prefix)
"""

APPLICATION = """
import sys

from pytheus import REGISTRY, Counter, generate_metrics

if sys.argv[1:]:
    REGISTRY.set_registry(sys.argv[1])
orders = Counter("orders_total", "Orders placed.", ["method"])
orders.labels(method="card").inc(2)
print(type(REGISTRY.registry).__module__, type(REGISTRY.registry).__name__)
print(generate_metrics(), end="")
"""

TYPED = """
from acme_metrics.plugin import pytheus_make_registry
from acme_metrics.registry import AcmeRegistry

from pytheus import REGISTRY, Counter, generate_metrics
from pytheus.plugins import RegistryOptions
from pytheus.registry import Registry

registry: Registry = AcmeRegistry(prefix="acme")
made: Registry = pytheus_make_registry(RegistryOptions("acme_memory://?prefix=acme"))
orders = Counter("orders_total", "Orders placed.", ["method"], registry=AcmeRegistry())
orders.labels(method="card").inc()
REGISTRY.set_registry(AcmeRegistry())
text: str = generate_metrics(AcmeRegistry())
"""


def run(*command: str, cwd: Path, **environ: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | environ, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, make_venv: Callable[[Path], str], pytheus_wheel: Path) -> str:
    """The interpreter of an environment into which pytheus and the third party's distribution were installed."""
    folder = tmp_path_factory.mktemp("third-party")
    package = folder / "acme" / "acme_metrics"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(PYPROJECT, "utf-8")
    (package / "__init__.py").write_text("", "utf-8")
    (package / "py.typed").write_text("", "utf-8")
    (package / "registry.py").write_text(REGISTRY, "utf-8")
    (package / "plugin.py").write_text(PLUGIN, "utf-8")
    python = make_venv(folder / "venv")
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, str(pytheus_wheel), str(package.parent), "mypy", cwd=folder)
    return python


@pytest.fixture
def application(home: Path) -> Path:
    path = home / "application.py"
    path.write_text(APPLICATION, "utf-8")
    return path


@pytest.mark.parametrize(
    ("variable", "file", "arguments", "prefix"),
    [
        pytest.param("acme_memory", "", [], "", id="variable"),
        pytest.param("acme_memory@acme-metrics://?prefix=shop", "", [], "shop_", id="URL with options"),
        pytest.param(
            "",
            '[tool.pytheus]\nregistry = "acme_memory"\n[tool.pytheus.registries.acme_memory]\nprefix = "file"\n',
            [],
            "file_",
            id="pyproject",
        ),
        pytest.param("none", "", ["acme_memory://?prefix=arg"], "arg_", id="argument"),
    ],
)
def test_it_is_chosen(
    variable: str, file: str, arguments: list[str], prefix: str, python: str, application: Path, pyproject: Path
) -> None:
    if file:
        pyproject.write_text(file, "utf-8")
    output = run(python, str(application), *arguments, cwd=application.parent, PYTHEUS_REGISTRY=variable)
    assert output == (
        "acme_metrics.registry AcmeRegistry\n"
        f"# HELP {prefix}orders_total Orders placed.\n"
        f"# TYPE {prefix}orders_total counter\n"
        f'{prefix}orders_total{{method="card"}} 2.0\n'
    )


def test_it_is_listed(python: str, home: Path) -> None:
    code = "from pytheus.plugins import available_plugins\nprint(*available_plugins(), sep='\\n')"
    assert (
        "PluginInfo(name='acme_memory', value='acme_metrics.plugin', distribution='acme-metrics', version='3.1',"
        " state='available', reason='')"
    ) in run(python, "-c", code, cwd=home).splitlines()


def test_a_misspelt_name_finds_it(python: str, application: Path, home: Path) -> None:
    environ = os.environ | {"PYTHEUS_REGISTRY": "acme_memry"}
    done = subprocess.run([python, str(application)], cwd=home, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "pytheus.exceptions.UnknownRegistryError: registry plugin 'acme_memry' (from PYTHEUS_REGISTRY) is not"
        " installed; did you mean 'acme_memory'? available: acme_memory, default, none"
    )


def test_strict_mypy_accepts_its_use_and_itself(python: str, home: Path) -> None:
    for name, source in (("typed", TYPED), ("registry_source", REGISTRY), ("plugin_source", PLUGIN)):
        (home / f"{name}.py").write_text(source, "utf-8")
    files = ("typed.py", "registry_source.py", "plugin_source.py")
    output = run(python, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", os.devnull, *files, cwd=home)
    assert output == "Success: no issues found in 3 source files\n"
