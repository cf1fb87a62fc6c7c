from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.config import MAX_FILE_BYTES, NO_CONFIGURATION, load_configuration


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
