"""Distributions made in a temporary folder, as an installer would leave them, and a place without configuration."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from pytheus.cli.__main__ import main
from tests.cli.programs import Ended, Programs
from tests.plugins.conftest import Site, home
from tests.plugins.conftest import site as plain_site

__all__ = ["home", "plain_site"]

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
def pytheus(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Pytheus:
    """Call it with the arguments of the command."""
    # A busy machine makes steps long, which would be told on stderr.
    monkeypatch.setattr("pytheus.cli.progress.FIRST_SECONDS", 3600.0)

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        code = main(arguments)
        written = capfd.readouterr()
        return Ended(code, written.out, written.err)

    return call


@pytest.fixture
def site(plain_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A `Site` that the interpreters that are started here, and mypy, take for installed as well."""
    folder = str(plain_site.folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("MYPYPATH", folder)
    return plain_site


@pytest.fixture
def install(site: Site) -> Install:
    """Call it with a plugin's name, and its source or what else its entry point names, to have it installed."""

    def install(name: str, source: str = SOUND, *, value: str | None = None, distribution: str | None = None) -> None:
        site.module(f"{name}_module", source)
        site.distribution(distribution or f"{name}-dist", {name: value or f"{name}_module"})

    return install


@pytest.fixture
def files(home: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Files:
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
