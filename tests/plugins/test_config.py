"""The configuration file, the environment, and which of them decides."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pytheus.exceptions import ConfigurationError, RegistryAddressError
from pytheus.plugins import WrapLayer, implemented_hooks, plugin_settings
from pytheus.plugins.config import (
    MAX_FILE_BYTES,
    NO_CONFIGURATION,
    NamedPlugin,
    choose,
    load_configuration,
    settings_with,
)
from tests.plugins.conftest import AUDIT, FACTORY

if TYPE_CHECKING:
    from tests.plugins.conftest import Site


def refused() -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration()
    return str(caught.value)


def test_without_a_file_there_is_no_configuration() -> None:
    assert load_configuration() is NO_CONFIGURATION


def test_the_table_of_pyproject_is_read(home: Path) -> None:
    (home / "pyproject.toml").write_text(
        '[tool.pytheus]\nregistry = "redis"\nplugins = ["no:x"]\n[tool.pytheus.registries.redis]\nnamespace = "shop"\n'
    )
    configuration = load_configuration()
    assert configuration.path == str(home / "pyproject.toml")
    assert configuration.registry == "redis"
    assert configuration.plugins == ("no:x",)
    assert configuration.registries["redis"]["namespace"] == "shop"


def test_pyproject_is_looked_for_upward(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "redis"\n')
    (home / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(home / "a" / "b")
    assert load_configuration().registry == "redis"


def test_the_nearest_pyproject_decides_though_it_says_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "redis"\n')
    (home / "a").mkdir()
    (home / "a" / "pyproject.toml").write_text("[project]\n")
    monkeypatch.chdir(home / "a")
    assert load_configuration() is NO_CONFIGURATION


def test_a_folder_called_pyproject_is_no_file(home: Path) -> None:
    (home / "pyproject.toml").mkdir()
    assert load_configuration() is NO_CONFIGURATION


@pytest.mark.skipif(os.name == "nt", reason="a working directory cannot be removed there")
def test_a_removed_working_directory_has_no_configuration(home: Path) -> None:
    home.rmdir()
    assert load_configuration() is NO_CONFIGURATION
    home.mkdir()


def test_a_broken_pyproject_that_does_not_concern_us_is_left_alone(home: Path) -> None:
    (home / "pyproject.toml").write_text("][")
    assert load_configuration() is NO_CONFIGURATION


def test_a_pyproject_that_only_depends_on_pytheus_says_nothing(home: Path) -> None:
    (home / "pyproject.toml").write_text('[project]\ndependencies = ["pytheus"]\n')
    assert load_configuration().registry is None


def test_a_variable_names_another_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "redis"\n')
    (home / "metrics.toml").write_text('[tool.pytheus]\nregistry = "none"\n')
    monkeypatch.setenv("PYTHEUS_CONFIG", "metrics.toml")
    configuration = load_configuration()
    assert (configuration.path, configuration.registry) == (str(home / "metrics.toml"), "none")


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_counts_as_unset(value: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "redis"\n')
    monkeypatch.setenv("PYTHEUS_CONFIG", value)
    assert load_configuration().registry == "redis"


def test_a_named_file_that_is_missing_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_CONFIG", "metrics.toml")
    assert refused() == (
        f"configuration file {home / 'metrics.toml'} (from PYTHEUS_CONFIG) does not exist;"
        " create it or unset PYTHEUS_CONFIG"
    )


def test_a_named_folder_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_CONFIG", str(home))
    assert refused() == f"configuration file {home} (from PYTHEUS_CONFIG) is not a regular file; name a TOML file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_refused_and_not_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(home / "pipe")
    monkeypatch.setenv("PYTHEUS_CONFIG", "pipe")
    assert "is not a regular file" in refused()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_refused(home: Path) -> None:
    (home / "pyproject.toml").write_text("[tool.pytheus]\n")
    (home / "pyproject.toml").chmod(0)
    assert f"configuration file {home / 'pyproject.toml'} cannot be read: Permission denied" in refused()


def test_a_huge_file_is_refused(home: Path) -> None:
    (home / "pyproject.toml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert refused() == (
        f"configuration file {home / 'pyproject.toml'} is larger than {MAX_FILE_BYTES} bytes; is it the right file?"
    )


@pytest.mark.parametrize(
    "content", [b"[tool.pytheus\n", b"[tool.pytheus]\nregistry = '\xff'\n", b"pytheus =" + b"[" * 9999]
)
def test_a_file_that_is_no_toml_is_refused(content: bytes, home: Path) -> None:
    (home / "pyproject.toml").write_bytes(content)
    assert refused().startswith(f"configuration file {home / 'pyproject.toml'} is not valid TOML: ")


def test_a_named_file_without_the_table_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "metrics.toml").write_text('[pytheus]\nregistry = "none"\n')
    monkeypatch.setenv("PYTHEUS_CONFIG", "metrics.toml")
    assert refused() == (
        f"configuration file {home / 'metrics.toml'} (from PYTHEUS_CONFIG) has no table [tool.pytheus]"
        " ([pytheus] is not read); add it, even empty"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool]\npytheus = 1\n", "'tool.pytheus' must be a table but is an integer; write [tool.pytheus]"),
        (
            '[tool.pytheus]\nregisty = "redis"\n',
            "[tool.pytheus] has the unknown key 'registy'; did you mean 'registry'?"
            " it takes: plugins, registries, registry, wrap",
        ),
        (
            "[tool.pytheus]\nzzz = 1\n",
            "[tool.pytheus] has the unknown key 'zzz'; it takes: plugins, registries, registry, wrap",
        ),
        (
            "[tool.pytheus]\nregistry = true\n",
            "'registry' in [tool.pytheus] must be a string, a registry's name or URL, but is a boolean",
        ),
        (
            '[tool.pytheus]\nplugins = "no:redis"\n',
            "'plugins' in [tool.pytheus] must be an array of strings but is a string; write plugins = [\"no:NAME\"]",
        ),
        (
            "[tool.pytheus]\nplugins = [1]\n",
            "'plugins' in [tool.pytheus] must be an array of strings but has an item that is an integer;"
            ' write plugins = ["no:NAME"]',
        ),
        (
            "[tool.pytheus]\nregistries = []\n",
            "'registries' in [tool.pytheus] must be a table but is an array; write [tool.pytheus.registries.NAME]",
        ),
        (
            '[tool.pytheus.registries]\nredis = "x"\n',
            "'redis' in [tool.pytheus.registries] must be a table of that registry's options but is a string;"
            " write [tool.pytheus.registries.redis]",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_file_and_key(content: str, message: str, home: Path) -> None:
    (home / "pyproject.toml").write_text(content)
    assert refused() == f"{home / 'pyproject.toml'}: {message}"


def test_its_repr_shows_no_credential(home: Path) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "redis://:hunter2@h"\n')
    assert "hunter2" not in repr(load_configuration())


# Which registry -------------------------------------------------------------------------------------------------------


REGISTRY_IN_FILE = NO_CONFIGURATION._replace(path="/a/pyproject.toml", registry="of_file")


def test_an_argument_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "of_variable")
    assert choose("of_argument", REGISTRY_IN_FILE) == ("of_argument", "argument", "as argument")


def test_the_variable_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "of_variable")
    assert choose(None, REGISTRY_IN_FILE) == ("of_variable", "environment", "from PYTHEUS_REGISTRY")


def test_the_file_comes_third() -> None:
    assert choose(None, REGISTRY_IN_FILE) == ("of_file", "configuration", "from /a/pyproject.toml")


def test_default_comes_last() -> None:
    assert choose(None, NO_CONFIGURATION) == ("default", "default", "by default")


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_an_empty_registry_variable_counts_as_unset(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", value)
    assert choose(None, REGISTRY_IN_FILE).text == "of_file"


def test_a_variable_that_is_0_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "0")
    assert choose(None, REGISTRY_IN_FILE).text == "0"


def test_space_around_a_name_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", " redis\n")
    assert choose(None, REGISTRY_IN_FILE).text == "redis"


def test_an_empty_argument_is_not_taken_for_none() -> None:
    assert choose("", REGISTRY_IN_FILE) == ("", "argument", "as argument")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(RegistryAddressError) as caught:
        choose(cast("str", object()), REGISTRY_IN_FILE)
    assert str(caught.value) == (
        "a registry is chosen by a name or URL but got object; pass a registry object to REGISTRY.set_registry(...)"
    )


def test_the_repr_of_a_choice_shows_no_credential() -> None:
    assert "hunter2" not in repr(choose("redis://:hunter2@h", REGISTRY_IN_FILE))


# Which plugins --------------------------------------------------------------------------------------------------------


PLUGINS_IN_FILE = NO_CONFIGURATION._replace(path="/a/pyproject.toml", plugins=("no:redis", "audit"))


def test_without_a_setting_nothing_is_switched() -> None:
    assert settings_with(NO_CONFIGURATION) == (None, (), {}, ())


def test_the_variable_blocks_and_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", " no:redis, audit ,,")
    switches = settings_with(NO_CONFIGURATION)
    assert switches.named == (NamedPlugin("audit", None, "'audit' in PYTHEUS_PLUGINS"),)
    assert switches.blocked == {"redis": "'no:redis' in PYTHEUS_PLUGINS"}


def test_the_file_blocks_and_selects() -> None:
    switches = settings_with(PLUGINS_IN_FILE)
    assert [named.name for named in switches.named] == ["audit"]
    assert switches.blocked == {"redis": "'no:redis' in 'plugins' in [tool.pytheus] of /a/pyproject.toml"}


def test_both_count_and_the_variable_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "redis,no:push")
    switches = settings_with(PLUGINS_IN_FILE)
    assert {named.name for named in switches.named} == {"redis", "audit"}
    assert set(switches.blocked) == {"push"}


@pytest.mark.parametrize("entry", ["no:", "no:a b", "a:b", "-x", "no:redis@pytheus-redis"])
def test_an_entry_that_names_no_plugin_is_refused(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entry)
    with pytest.raises(ConfigurationError) as caught:
        settings_with(NO_CONFIGURATION)
    assert str(caught.value).startswith(
        f"PYTHEUS_PLUGINS has the entry '{entry}', which is neither NAME, NAME@DISTRIBUTION nor no:NAME of a plugin;"
    )


def test_a_distribution_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit@acme-audit")
    (named,) = settings_with(NO_CONFIGURATION).named
    assert (named.name, named.distribution, str(named)) == ("audit", "acme-audit", "audit@acme-audit")


def test_those_of_the_file_come_first_and_those_of_the_variable_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "zoo,bar,zoo")
    assert [named.name for named in settings_with(PLUGINS_IN_FILE).named] == ["audit", "zoo", "bar"]


@pytest.mark.parametrize("entries", ["audit,audit@acme", "audit@acme,audit@other", "audit@acme,no:audit"])
def test_one_setting_says_one_thing_about_a_name(entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entries)
    first, second = entries.split(",")
    with pytest.raises(ConfigurationError) as caught:
        settings_with(NO_CONFIGURATION)
    assert str(caught.value) == f"PYTHEUS_PLUGINS has both {first!r} and {second!r}; keep one of them"


def test_an_entry_and_its_opposite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "redis,no:redis")
    with pytest.raises(ConfigurationError) as caught:
        settings_with(NO_CONFIGURATION)
    assert str(caught.value) == "PYTHEUS_PLUGINS has both 'redis' and 'no:redis'; keep one of them"


# The settings as shown ------------------------------------------------------------------------------------------------


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
