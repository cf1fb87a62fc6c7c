"""Distributions made in a temporary folder, as an installer would leave them, and a place without configuration."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from pytheus.cli.__main__ import main
from tests.cli.programs import Programs
from tests.plugins.conftest import Site
from tests.plugins.conftest import home as home

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


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def pytheus(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Call it with the arguments of the command."""

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main(arguments)
        written = capfd.readouterr()
        return Ended(code, written.out, written.err)

    return call


@pytest.fixture(autouse=True)
def _colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


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


@pytest.fixture(scope="session")
def sound() -> str:
    """The source of a plugin that keeps the contract."""
    return SOUND


@pytest.fixture
def install(site: Path) -> Callable[..., None]:
    """Call it with a plugin's name, and its source or what else its entry point names, to have it installed."""

    def install(name: str, source: str = SOUND, *, value: str | None = None, distribution: str | None = None) -> None:
        installed = Site(site)
        installed.module(f"{name}_module", source)
        installed.distribution(distribution or f"{name}-dist", {name: value or f"{name}_module"})
        importlib.invalidate_caches()

    return install


@pytest.fixture
def files(home: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[tuple[str, str]]], None]:
    """Call it with names and texts of files in the working directory, where modules are found whatever the flags."""
    monkeypatch.syspath_prepend(str(home))

    def write(named: Sequence[tuple[str, str]]) -> None:
        for name, text in named:
            (home / name).write_text(textwrap.dedent(text), "utf-8")
        importlib.invalidate_caches()

    return write


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    directory = tmp_path / "programs"
    directory.mkdir()
    return Programs(directory)
