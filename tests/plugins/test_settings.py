"""What is configured about plugins, for commands that show it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus.plugins import NamedPlugin, WrapLayer, implemented_hooks, plugin_settings
from tests.plugins.conftest import AUDIT, FACTORY

if TYPE_CHECKING:
    from tests.plugins.conftest import Site


def test_without_any_there_is_nothing() -> None:
    assert plugin_settings() == (None, (), {}, ())


def test_names_blocks_and_layers_are_told_with_where_they_stand(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "pyproject.toml"
    path.write_text('[tool.pytheus]\nplugins = ["audit", "no:redis"]\nwrap = [{ prefixed = "app" }]\n')
    monkeypatch.setenv("PYTHEUS_PLUGINS", "push@acme")
    settings = plugin_settings()
    in_file = f"in 'plugins' in [tool.pytheus] of {path}"
    assert settings.path == str(path)
    assert settings.named == (
        NamedPlugin("audit", None, f"'audit' {in_file}"),
        NamedPlugin("push", "acme", "'push@acme' in PYTHEUS_PLUGINS"),
    )
    assert settings.blocked == {"redis": f"'no:redis' {in_file}"}
    assert settings.wrap == (WrapLayer("prefixed", {"prefix": "app"}),)


def test_what_an_imported_plugin_implements_is_told(site: Site) -> None:
    site.plugin("audit", AUDIT + FACTORY + "@hookimpl(optionalhook=True)\ndef pytheus_future(): ...\n")
    audit_module = importlib.import_module("audit_module")
    assert implemented_hooks(audit_module) == (
        "pytheus_collect_error",
        "pytheus_collector_registered",
        "pytheus_collector_rejected",
        "pytheus_collector_unregistered",
        "pytheus_make_registry",
    )
    assert implemented_hooks(audit_module.Memory()) == ()
