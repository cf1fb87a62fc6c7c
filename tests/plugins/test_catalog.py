from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins import PluginInfo, available_plugins, refresh_plugins
from pytheus.plugins.catalog import catalog
from pytheus.version import __version__
from tests.plugins.conftest import Site

DEFAULT = PluginInfo("default", "pytheus.registry:CollectorRegistry", "pytheus", __version__, "available", "")
NONE = PluginInfo("none", "pytheus.registry:NullRegistry", "pytheus", __version__, "available", "")


def named(name: str) -> list[PluginInfo]:
    return [plugin for plugin in available_plugins() if plugin.name == name]


def test_the_built_in_ones_are_always_there() -> None:
    assert named("default") == [DEFAULT]
    assert named("none") == [NONE]


def test_an_installed_one_is_listed_and_not_imported(site: Site) -> None:
    site.distribution("Memory-Dist", {"memory": "no_such_module:registry"}, version="1.2")
    assert named("memory") == [PluginInfo("memory", "no_such_module:registry", "Memory-Dist", "1.2", "available", "")]


def test_they_are_sorted_by_name(site: Site) -> None:
    site.distribution("a-dist", {"zebra": "z", "ape": "a"})
    names = [plugin.name for plugin in available_plugins()]
    assert names == sorted(names)


def test_other_groups_are_not_listed(site: Site) -> None:
    site.distribution("a-dist", {"memory": "m"}, group="pytheus_other")
    assert named("memory") == []


def test_a_built_in_name_is_reserved(site: Site) -> None:
    site.distribution("thief", {"default": "thief"})
    assert named("default") == [
        DEFAULT,
        PluginInfo("default", "thief", "thief", "1.0", "reserved", "'default' is a name of pytheus itself"),
    ]


def test_a_name_with_two_owners_is_ambiguous(site: Site) -> None:
    site.distribution("a-dist", {"memory": "a"})
    site.distribution("b-dist", {"memory": "b"})
    reason = "choose with memory@a-dist or memory@b-dist"
    assert named("memory") == [
        PluginInfo("memory", "a", "a-dist", "1.0", "ambiguous", reason),
        PluginInfo("memory", "b", "b-dist", "1.0", "ambiguous", reason),
    ]


def test_a_blocked_one_tells_by_what(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.distribution("a-dist", {"memory": "a"})
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:memory,no:none")
    assert [(plugin.state, plugin.reason) for plugin in (*named("memory"), *named("none"))] == [
        ("blocked", "by 'no:memory' in PYTHEUS_PLUGINS"),
        ("blocked", "by 'no:none' in PYTHEUS_PLUGINS"),
    ]


def test_a_name_that_no_address_can_have_is_listed_as_such(site: Site) -> None:
    site.distribution("a-dist", {"my memory": "a"})
    assert [plugin.state for plugin in named("my memory")] == ["unnameable"]


def test_settings_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_CONFIG", "missing.toml")
    with pytest.raises(ConfigurationError):
        available_plugins()


@pytest.mark.parametrize(("group", "listed"), [("pytheus", [("new", "2.0")]), ("other", [])])
def test_of_a_distribution_that_is_on_the_path_twice_the_first_counts(
    group: str, listed: list[tuple[str, str]], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.distribution("Memory_Dist", {"memory": "old"}, version="1.0")
    newer = Site(tmp_path / "newer", monkeypatch)
    monkeypatch.syspath_prepend(str(newer.folder))
    newer.distribution("memory-dist", {"memory": "new"}, version="2.0", group=group)
    assert [(plugin.value, plugin.version) for plugin in named("memory")] == listed


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("METADATA", b"Version: 1.0\n"),
        ("METADATA", b"\xff\xfe"),
        ("entry_points.txt", b"[pytheus]\nno equals sign\n"),
        ("entry_points.txt", b"[pytheus]\nx = \xff\n"),
    ],
)
def test_broken_metadata_hide_nothing_else(file: str, content: bytes, site: Site) -> None:
    (site.distribution("broken", {"broken": "b"}) / file).write_bytes(content)
    site.distribution("memory-dist", {"memory": "m"})
    assert len(named("memory")) == 1


def test_broken_metadata_are_remembered(site: Site) -> None:
    info = site.distribution("broken", {"broken": "b"})
    (info / "entry_points.txt").write_bytes(b"[pytheus]\nx = \xff\n")
    refresh_plugins()
    assert [str(info) in text and "UnicodeDecodeError" in text for text in catalog().unreadable] == [True]


def test_one_scan_serves_until_it_is_forgotten(site: Site) -> None:
    assert catalog() is catalog()
    before = catalog()
    refresh_plugins()
    assert catalog() is not before


def test_a_longer_path_is_scanned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = catalog()
    other = Site(tmp_path / "other", monkeypatch)
    other.distribution("memory-dist", {"memory": "m"})
    assert "memory" not in before.claims
    monkeypatch.setattr(sys, "path", [*sys.path, str(other.folder)])
    assert "memory" in catalog().claims
