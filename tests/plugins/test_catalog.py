from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from pytheus.exceptions import ConfigurationError, PluginLoadError
from pytheus.plugins import PluginInfo, available_plugins, refresh_plugins, resolve_registry
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


# Damage ---------------------------------------------------------------------------------------------------------------


def listed(name: str) -> bool:
    """Whether the standard library lists the plugin."""
    return any(point.name == name for point in importlib.metadata.entry_points(group="pytheus"))


def of_a_module(site: Site, name: str) -> None:
    site.module(f"{name}_module", "from pytheus import CollectorRegistry\nregistry = CollectorRegistry()\n")


@pytest.mark.parametrize(
    ("metadata", "distribution", "version", "reason"),
    [
        (b"Metadata-Version: 2.1\nName: damaged\n", "damaged", "1.0", "its METADATA has no Version"),
        (b"Metadata-Version: 2.1\nVersion: 2.0\n", "damaged", "2.0", "its METADATA has no Name"),
        (b"Name:\nVersion: \n", "damaged", "1.0", "its METADATA has no Name and no Version"),
        (b"", "damaged", "1.0", "its METADATA has no Name and no Version"),
        (b"Name: \xff\xfe\n", "damaged", "1.0", "its METADATA cannot be read (UnicodeDecodeError: "),
        (None, "damaged", "1.0", "its METADATA has no Name and no Version"),
    ],
    ids=["no version", "no name", "empty values", "empty", "bytes", "no file"],
)
def test_a_plugin_with_damaged_metadata_is_listed_as_broken_and_can_be_chosen(
    metadata: bytes | None, distribution: str, version: str, reason: str, site: Site
) -> None:
    of_a_module(site, "memory")
    info = site.distribution("damaged", {"memory": "memory_module:registry"})
    if metadata is None:
        (info / "METADATA").unlink()
    else:
        (info / "METADATA").write_bytes(metadata)
    refresh_plugins()
    (plugin,) = named("memory")
    assert (plugin.distribution, plugin.version, plugin.state) == (distribution, version, "broken")
    # From Python 3.15 on, importlib.metadata raises where it gave empty metadata.
    assert plugin.reason.startswith((reason, "its METADATA cannot be read (MetadataNotFound"))
    assert listed("memory")
    assert resolve_registry("memory") is sys.modules["memory_module"].registry
    assert resolve_registry("memory@damaged") is sys.modules["memory_module"].registry


@pytest.mark.parametrize("folder", ["demo-a-1.0.dist-info", "demo-a.dist-info", "demo_a.egg-info", "x-y-z-1.dist-info"])
def test_a_plugin_in_a_directory_of_another_name_can_be_chosen(folder: str, site: Site) -> None:
    of_a_module(site, "memory")
    site.distribution("demo-a", {"memory": "memory_module:registry"}).rename(site.folder / folder)
    if folder.endswith("egg-info"):
        (site.folder / folder / "METADATA").rename(site.folder / folder / "PKG-INFO")
    refresh_plugins()
    (plugin,) = named("memory")
    assert (plugin.distribution, plugin.state) == ("demo-a", "available")
    assert listed("memory")
    assert resolve_registry("memory@demo-a") is sys.modules["memory_module"].registry


def test_two_directories_of_another_form_do_not_hide_each_other(site: Site) -> None:
    for name in ("demo-a", "demo-b"):
        of_a_module(site, name[-1])
        site.distribution(name, {f"memory-{name[-1]}": f"{name[-1]}_module:registry"}).rename(
            site.folder / f"{name}-1.0.dist-info"
        )
    refresh_plugins()
    assert [plugin.distribution for name in "ab" for plugin in named(f"memory-{name}")] == ["demo-a", "demo-b"]


@pytest.mark.parametrize(
    "value", ["", "a:b:c", "not a module", "a.b:", "a b:c", "a:b c", "-x", "a/b", ":registry", "a:b[", "é è"]
)
def test_a_malformed_entry_point_is_listed_as_broken_and_refused(value: str, site: Site) -> None:
    site.distribution("damaged", {"memory": value, "sound": "sound_module"})
    (plugin,) = named("memory")
    assert plugin.state == "broken"
    assert plugin.reason == f"it names {value!r}, which is neither MODULE nor MODULE:ATTRIBUTE"
    assert named("sound")[0].state == "available"
    with pytest.raises(PluginLoadError) as caught:
        resolve_registry("memory")
    assert f"is malformed: {plugin.reason}; ask its authors" in str(caught.value)


@pytest.mark.parametrize("value", ["a", "a.b", "a:b", "a.b:c.d", "a : b", "a:b [extra]", "a [x,y]"])
def test_a_well_formed_entry_point_is_available(value: str, site: Site) -> None:
    site.distribution("a-dist", {"memory": value})
    assert named("memory")[0].state == "available"


def test_a_malformed_line_hides_no_other_line(site: Site) -> None:
    of_a_module(site, "memory")
    info = site.distribution("damaged", {"memory": "memory_module:registry"})
    with (info / "entry_points.txt").open("a") as file:
        file.write("no equals sign\n# a comment\n\n[other]\nx = y\nalso none\n")
    refresh_plugins()
    assert resolve_registry("memory") is sys.modules["memory_module"].registry
    (broken,) = named("no equals sign")
    assert (broken.state, broken.distribution) == ("broken", "damaged")
    assert named("x") == []


def test_a_distribution_that_declares_a_name_twice_is_broken(site: Site) -> None:
    info = site.distribution("twice", {"memory": "a"})
    (info / "entry_points.txt").write_text("[pytheus]\nmemory = a\nmemory = b\n")
    refresh_plugins()
    assert [(plugin.state, plugin.reason) for plugin in named("memory")] == [
        ("broken", "its distribution declares it 2 times")
    ] * 2


def test_a_finder_that_fails_hides_nothing_that_was_found_before_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        @staticmethod
        def find_spec(*_: object) -> None: ...

        @staticmethod
        def find_distributions(_: object) -> NoReturn:
            raise RuntimeError("no index")

    site.distribution("memory-dist", {"memory": "m"})
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Failing])
    refresh_plugins()
    assert len(named("memory")) == 1
    assert catalog().unreadable == ("a distribution without a path (RuntimeError: no index)",)
    monkeypatch.undo()
    refresh_plugins()
