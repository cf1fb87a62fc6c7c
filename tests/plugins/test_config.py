"""The configuration file, the environment, and which of them decides."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from pytheus.exceptions import ConfigurationError, RegistryAddressError
from pytheus.plugins import WrapLayer, implemented_hooks, plugin_settings
from pytheus.plugins.config import (
    NO_CONFIGURATION,
    NamedPlugin,
    choose,
    load_configuration,
    settings_with,
)
from pytheus.plugins.config_file import MAX_FILE_BYTES
from tests.plugins.conftest import AUDIT, FACTORY, Site

WRITE_LIMITED = "write { limited = { max_series = 10000 } }"
WRITE_FILTERED = 'write { filtered = { names = ["NAME"] } }'


def refused(act: Callable[[], object] = load_configuration) -> str:
    with pytest.raises(ConfigurationError) as caught:
        act()
    return str(caught.value)


def test_without_a_file_there_is_no_configuration() -> None:
    assert load_configuration()._replace(looked_at=()) == NO_CONFIGURATION


def test_the_table_of_the_nearest_pyproject_is_read(
    home: Path, pyproject: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject.write_text(
        '[tool.pytheus]\nregistry = "redis"\nplugins = ["no:x"]\n[tool.pytheus.registries.redis]\nnamespace = "shop"\n'
    )
    configuration = load_configuration()
    assert configuration.path == str(pyproject)
    assert configuration.registry == "redis"
    assert configuration.plugins == ("no:x",)
    assert configuration.registries["redis"]["namespace"] == "shop"
    (home / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(home / "a" / "b")
    assert load_configuration().registry == "redis"
    (home / "a" / "pyproject.toml").write_text("[project]\n")
    assert load_configuration()._replace(looked_at=()) == NO_CONFIGURATION


def test_a_folder_called_pyproject_is_no_file(pyproject: Path) -> None:
    pyproject.mkdir()
    assert load_configuration()._replace(looked_at=()) == NO_CONFIGURATION


@pytest.mark.skipif(os.name == "nt", reason="a working directory cannot be removed there")
def test_a_removed_working_directory_has_no_configuration(home: Path) -> None:
    home.rmdir()
    assert load_configuration()._replace(looked_at=()) == NO_CONFIGURATION
    home.mkdir()


def test_a_broken_pyproject_that_does_not_concern_us_is_left_alone(pyproject: Path) -> None:
    pyproject.write_text("][")
    assert load_configuration()._replace(looked_at=()) == NO_CONFIGURATION


def test_a_pyproject_that_only_depends_on_pytheus_says_nothing(pyproject: Path) -> None:
    pyproject.write_text('[project]\ndependencies = ["pytheus"]\n')
    assert load_configuration().registry is None


@pytest.mark.parametrize(
    ("value", "file", "registry"),
    [("metrics.toml", "metrics.toml", "none"), ("", "pyproject.toml", "redis"), (" ", "pyproject.toml", "redis")],
)
def test_a_variable_that_is_not_empty_names_another_file(
    value: str, file: str, registry: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "redis"\n')
    (home / "metrics.toml").write_text('[tool.pytheus]\nregistry = "none"\n')
    monkeypatch.setenv("PYTHEUS_CONFIG", value)
    configuration = load_configuration()
    assert (configuration.path, configuration.registry) == (str(home / file), registry)


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
def test_a_file_that_cannot_be_read_is_refused(pyproject: Path) -> None:
    pyproject.write_text("[tool.pytheus]\n")
    pyproject.chmod(0)
    assert f"configuration file {pyproject} cannot be read: Permission denied" in refused()


def test_a_huge_file_is_refused(pyproject: Path) -> None:
    pyproject.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert refused() == (f"configuration file {pyproject} is larger than {MAX_FILE_BYTES} bytes; name a TOML file")


@pytest.mark.parametrize(
    "content", [b"[tool.pytheus\n", b"[tool.pytheus]\nregistry = '\xff'\n", b"pytheus =" + b"[" * 9999]
)
def test_a_file_that_is_no_toml_is_refused(content: bytes, pyproject: Path) -> None:
    pyproject.write_bytes(content)
    assert refused().startswith(f"configuration file {pyproject} is not valid TOML: ")


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
            " it takes: plugins, registries, registry, strict, names, created_lines, wrap, run, lint",
        ),
        (
            "[tool.pytheus]\nzzz = 1\n",
            "[tool.pytheus] has the unknown key 'zzz'; it takes: plugins, registries, registry, strict, names,"
            " created_lines, wrap, run, lint",
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
        (
            '[tool.pytheus]\nwrap = "read_only"\n',
            "'wrap' in [tool.pytheus] must be an array of layers but is a string; write"
            ' wrap = [{ prefixed = "PREFIX" }]',
        ),
        (
            "[tool.pytheus]\nlint = 1\n",
            "'lint' in [tool.pytheus] must be a table but is an integer; write [tool.pytheus.lint]",
        ),
        (
            "[tool.pytheus.lint]\nignored = []\n",
            "[tool.pytheus.lint] has the unknown key 'ignored'; did you mean 'ignore'? it takes: fail_on, ignore,"
            " max_new_series, max_new_series_per_metric, max_series, max_series_per_metric, select",
        ),
        (
            "[tool.pytheus.lint]\nignore = [1]\n",
            "'ignore' in [tool.pytheus.lint] must be an array of strings but is an array with an integer",
        ),
        (
            '[tool.pytheus.lint]\nfail_on = "warn"\n',
            '\'fail_on\' in [tool.pytheus.lint] must be "error", "warning" or "note" but is another string',
        ),
        (
            '[tool.pytheus.lint]\nmax_series = "many"\n',
            "'max_series' in [tool.pytheus.lint] must be an integer but is a string",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_file_and_key(content: str, message: str, pyproject: Path) -> None:
    pyproject.write_text(content)
    assert refused() == f"{pyproject}: {message}"


def test_its_repr_shows_no_credential(pyproject: Path) -> None:
    pyproject.write_text('[tool.pytheus]\nregistry = "redis://:hunter2@h"\n')
    assert "hunter2" not in repr(load_configuration())


# Layers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (
            "[3]",
            " must be a layer's name, or a table that has the layer's name as its only key, but is an integer;"
            ' write "read_only" or { limited = { max_series = 10000 } }',
        ),
        (
            '[{ prefixed = "a", labelled = { b = "c" } }]',
            " must be a layer's name, or a table that has the layer's name as its only key, but is a table of 2 keys;"
            ' write "read_only" or { limited = { max_series = 10000 } }',
        ),
        (
            '["readonly"]',
            " is the unknown 'readonly'; did you mean 'read_only'? there are: expiring, filtered, labelled, limited,"
            " prefixed, read_only",
        ),
        (
            "[{ union = [] }]",
            " is the unknown 'union'; there are: expiring, filtered, labelled, limited, prefixed, read_only",
        ),
        (
            '[{ expiring = { names = ["a"] } }]',
            ", expiring, lacks an argument; write { expiring = { after_seconds = 3600 } }",
        ),
        ("[{ read_only = true }]", ', read_only, takes nothing but got a boolean; write "read_only"'),
        ('["prefixed"]', ', prefixed, takes a string but got nothing; write { prefixed = "PREFIX" }'),
        ("[{ prefixed = 3 }]", ', prefixed, takes a string but got an integer; write { prefixed = "PREFIX" }'),
        ("[{ limited = 10 }]", f", limited, takes a table of its arguments but got an integer; {WRITE_LIMITED}"),
        ("[{ limited = {} }]", f", limited, takes a table of its arguments but got an empty table; {WRITE_LIMITED}"),
        (
            "[{ limited = { max_seris = 1 } }]",
            ", limited, has the unknown key 'max_seris'; did you mean 'max_series'? it takes: max_series,"
            " max_series_per_metric, overflow",
        ),
        (
            '[{ limited = { max_series = "1" } }]',
            f", limited, takes 'max_series' as an integer but got a string; {WRITE_LIMITED}",
        ),
        (
            "[{ limited = { max_series = true } }]",
            f", limited, takes 'max_series' as an integer but got a boolean; {WRITE_LIMITED}",
        ),
        (
            "[{ limited = { max_series = 0 } }]",
            ", limited, is invalid: limited(...) takes max_series as an int from 1 up, or None, but got 0",
        ),
        (
            '[{ filtered = { names = "jobs_total" } }]',
            f", filtered, takes 'names' as an array of strings but got a string; {WRITE_FILTERED}",
        ),
        (
            "[{ filtered = { names = [1] } }]",
            f", filtered, takes 'names' as an array of strings but got an array with an integer; {WRITE_FILTERED}",
        ),
        (
            '[{ filtered = { predicate = "x" } }]',
            ", filtered, has the unknown key 'predicate'; a predicate cannot come from a file; it takes: names",
        ),
        (
            "[{ labelled = { region = 3 } }]",
            ", labelled, takes 'region' as a string but got an integer; write { labelled = { LABEL = \"VALUE\" } }",
        ),
    ],
)
def test_a_mistake_in_a_layer_is_refused_with_its_file_and_layer(wrap: str, message: str, pyproject: Path) -> None:
    pyproject.write_text(f"[tool.pytheus]\nwrap = {wrap}\n")
    assert refused() == f"{pyproject}: layer 1 of 'wrap' in [tool.pytheus]{message}"


@pytest.mark.parametrize(
    "wrap",
    [
        '[{ prefixed = "a b" }]',
        '[{ prefixed = "" }]',
        '[{ labelled = { le = "x", "a-b" = "c" } }]',
        '[{ filtered = { names = ["http_*"] } }]',
        '[{ labelled = { a = "1" } }, { labelled = { a = "2" } }]',
    ],
)
def test_what_the_function_refuses_is_refused_with_its_reason(wrap: str, pyproject: Path) -> None:
    pyproject.write_text(f"[tool.pytheus]\nwrap = {wrap}\n")
    words = r"layer [12] of 'wrap' in \[tool\.pytheus\], \w+, is invalid: "
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_configuration()
    assert caught.value.__cause__ is not None


# Which registry -------------------------------------------------------------------------------------------------------


REGISTRY_IN_FILE = NO_CONFIGURATION._replace(path="/a/pyproject.toml", registry="of_file")


@pytest.mark.parametrize(
    ("argument", "variable", "choice"),
    [
        ("of_argument", "of_variable", ("of_argument", "argument", "as argument")),
        ("", "of_variable", ("", "argument", "as argument")),
        (None, "of_variable", ("of_variable", "environment", "from PYTHEUS_REGISTRY")),
        (None, "0", ("0", "environment", "from PYTHEUS_REGISTRY")),
        (None, " redis\n", ("redis", "environment", "from PYTHEUS_REGISTRY")),
        (None, "", ("of_file", "configuration", "from /a/pyproject.toml")),
        (None, "  ", ("of_file", "configuration", "from /a/pyproject.toml")),
        (None, "\n", ("of_file", "configuration", "from /a/pyproject.toml")),
    ],
)
def test_the_argument_decides_then_the_variable_then_the_file(
    argument: str | None, variable: str, choice: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", variable)
    assert choose(argument, REGISTRY_IN_FILE) == choice


def test_without_a_setting_it_is_the_default() -> None:
    assert choose(None, REGISTRY_IN_FILE) == ("of_file", "configuration", "from /a/pyproject.toml")
    assert choose(None, NO_CONFIGURATION) == ("default", "default", "by default")


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
BLOCKED_IN_FILE = {"redis": "'no:redis' in 'plugins' in [tool.pytheus] of /a/pyproject.toml"}


def test_without_a_setting_nothing_is_switched() -> None:
    assert settings_with(NO_CONFIGURATION) == plugin_settings() == (None, (), {}, ())


def test_the_variable_blocks_and_selects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", " no:redis, audit ,,")
    switches = settings_with(NO_CONFIGURATION)
    assert switches.named == (NamedPlugin("audit", None, "'audit' in PYTHEUS_PLUGINS"),)
    assert switches.blocked == {"redis": "'no:redis' in PYTHEUS_PLUGINS"}


@pytest.mark.parametrize(
    ("variable", "named", "blocked"),
    [
        ("", ["audit"], BLOCKED_IN_FILE),
        ("redis,no:push", ["redis", "audit"], {"push": "'no:push' in PYTHEUS_PLUGINS"}),
        ("zoo,bar,zoo", ["audit", "zoo", "bar"], BLOCKED_IN_FILE),
    ],
)
def test_those_of_the_file_come_first_and_the_variable_decides(
    variable: str, named: list[str], blocked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", variable)
    switches = settings_with(PLUGINS_IN_FILE)
    assert [plugin.name for plugin in switches.named] == named
    assert switches.blocked == blocked


def test_a_distribution_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit@acme-audit")
    (named,) = settings_with(NO_CONFIGURATION).named
    assert (named.name, named.distribution, str(named)) == ("audit", "acme-audit", "audit@acme-audit")


@pytest.mark.parametrize("entry", ["no:", "no:a b", "-x", "no:redis@pytheus-redis"])
def test_an_entry_that_names_no_plugin_is_refused(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entry)
    assert refused(plugin_settings).startswith(
        f"PYTHEUS_PLUGINS has the entry '{entry}', which is neither NAME, NAME@DISTRIBUTION nor no:NAME of a plugin;"
    )


@pytest.mark.parametrize("entry", ["redis://:hunter2@h", "u:hunter2@h", "a=hunter2", "hunter2#x", "no:hunter2/x"])
def test_an_entry_that_may_be_an_address_is_not_shown(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", f"audit,{entry}")
    assert refused(plugin_settings).startswith("PYTHEUS_PLUGINS has the entry 2, which is neither NAME, NAME@DISTR")


@pytest.mark.parametrize(
    "entries", ["audit,audit@acme", "audit@acme,audit@other", "audit@acme,no:audit", "redis,no:redis"]
)
def test_one_setting_says_one_thing_about_a_name(entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", entries)
    first, second = entries.split(",")
    assert refused(plugin_settings) == f"PYTHEUS_PLUGINS has both {first!r} and {second!r}; keep one of them"


# The settings as shown ------------------------------------------------------------------------------------------------


def test_names_blocks_and_layers_are_told_with_where_they_stand(
    pyproject: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject.write_text('[tool.pytheus]\nplugins = ["audit", "no:redis"]\nwrap = [{ prefixed = "app" }]\n')
    monkeypatch.setenv("PYTHEUS_PLUGINS", "push@acme")
    settings = plugin_settings()
    in_file = f"in 'plugins' in [tool.pytheus] of {pyproject}"
    assert settings.path == str(pyproject)
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
