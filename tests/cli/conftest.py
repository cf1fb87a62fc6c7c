"""Distributions made in a temporary folder, as an installer would leave them, and a place without configuration."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from pytheus.cli.__main__ import main
from pytheus.plugins import refresh_plugins
from tests.cli.programs import Ended, Programs

SOUND = """
from dataclasses import dataclass

from pytheus.plugins import RegistryOptions, hookimpl
from pytheus.registry import CollectorRegistry, Registry


@dataclass(frozen=True)
class Options:
    prefix: str | None = None


@hookimpl
def pytheus_make_registry(options: RegistryOptions) -> Registry:
    return CollectorRegistry(options.parse(Options).prefix)
"""


Pytheus: TypeAlias = Callable[..., Ended]
Install: TypeAlias = Callable[..., None]
Files: TypeAlias = Callable[..., None]


@pytest.fixture
def pytheus(capfd: pytest.CaptureFixture[str]) -> Pytheus:
    """Call it with the arguments of the command."""

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main(arguments)
        written = capfd.readouterr()
        return Ended(code, written.out, written.err)

    return call


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, with no setting of pytheus and nothing remembered of earlier scans."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("PYTHEUS_REGISTRY", "PYTHEUS_CONFIG", "PYTHEUS_PLUGINS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    refresh_plugins()
    yield folder
    refresh_plugins()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that this interpreter, those that it starts, and mypy take for installed; forgotten with the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("MYPYPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    before = list(sys.path)
    yield folder
    sys.path[:] = before
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """Call it with a plugin's name, and its source or what else its entry point names, to have it installed."""

    def install(name: str, source: str = SOUND, *, value: str | None = None, distribution: str | None = None) -> None:
        (site / f"{name}_module.py").write_text(textwrap.dedent(source), "utf-8")
        distribution = distribution or f"{name}-dist"
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[pytheus]\n{name} = {value or f'{name}_module'}\n", "utf-8")
        importlib.invalidate_caches()
        refresh_plugins()

    return install


@pytest.fixture
def files(home: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Call it with names and texts of files in the working directory, where modules are found whatever the flags."""
    monkeypatch.syspath_prepend(str(home))

    def write(named: Mapping[str, str]) -> None:
        for name, text in named.items():
            (home / name).write_text(text, "utf-8")
        importlib.invalidate_caches()

    return write


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    directory = tmp_path / "programs"
    directory.mkdir()
    return Programs(directory)
