"""Distributions made in a temporary folder, as an installer would leave them, and a place without configuration."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytheus.plugins import refresh_plugins

PRELUDE = """
from dataclasses import dataclass
from pytheus.plugins import hookimpl


class Memory:
    def __init__(self, prefix=None):
        self.prefix = prefix
        self.collectors = []
        self.closed = False

    def __len__(self):
        return 0

    def register(self, collector):
        if collector not in self.collectors:
            self.collectors.append(collector)

    def unregister(self, collector):
        self.collectors.remove(collector)

    def collect(self):
        return list(self.collectors)

    def close(self):
        self.closed = True
"""
"""What every plugin made here begins with: a registry that knows nothing of pytheus, and is always falsy."""

FACTORY = """
@hookimpl
def pytheus_make_registry(options):
    return Memory()
"""
"""A factory that takes no options."""


class Site:
    """A folder on `sys.path` that holds installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def module(self, name: str, source: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(source), "utf-8")

    def distribution(
        self, name: str, entry_points: Mapping[str, str], *, version: str = "1.0", group: str = "pytheus"
    ) -> Path:
        """The metadata of a distribution with these entry points."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        lines = [f"{key} = {value}\n" for key, value in entry_points.items()]
        (info / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}", "utf-8")
        refresh_plugins()
        return info

    def plugin(self, name: str, body: str = FACTORY, *, value: str | None = None) -> None:
        """The distribution ``NAME-dist`` 1.0 whose entry point NAME is ``NAME_module``, made of the prelude and `body`.

        `value` is what the entry point names instead of the module.
        """
        self.module(f"{name}_module", PRELUDE + textwrap.dedent(body))
        self.distribution(f"{name}-dist", {name: value or f"{name}_module"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, with no variable of pytheus set and nothing remembered of earlier scans."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("PYTHEUS_REGISTRY", "PYTHEUS_CONFIG", "PYTHEUS_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    refresh_plugins()
    yield folder
    refresh_plugins()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty `Site`; what is imported from it is forgotten with the test."""
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    yield site
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
