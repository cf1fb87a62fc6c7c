"""``pytheus config``: what would be used, from where, without credentials and without an import."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Install, Pytheus


def test_without_any_setting_it_is_the_default(pytheus: Pytheus) -> None:
    ended = pytheus("config")
    assert (ended.code, ended.err) == (0, "")
    rows = {key: " ".join(rest) for key, *rest in (line.split() for line in ended.out.splitlines() if line)}
    assert rows["registry"] == "default"
    assert rows["chosen"] == "by default"
    assert rows["configuration"] == "no file"
    assert ended.out.endswith("\noptions: none\n")


@pytest.mark.parametrize(
    ("argument", "variable", "file", "origin", "name"),
    [
        (["--registry", "none"], "kitchen", "default", "argument", "none"),
        ([], "kitchen", "none", "environment", "kitchen"),
        ([], "", "none", "configuration", "none"),
        ([], "", "", "default", "default"),
    ],
    ids=["argument", "environment", "configuration", "default"],
)
def test_it_tells_who_decides(
    argument: list[str],
    variable: str,
    file: str,
    origin: str,
    name: str,
    pytheus: Pytheus,
    install: Install,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install("kitchen")
    monkeypatch.setenv("PYTHEUS_REGISTRY", variable)
    if file:
        (home / "pyproject.toml").write_text(f'[tool.pytheus]\nregistry = "{file}"\n', "utf-8")
    ended = pytheus("config", "--json", *argument)
    assert ended.code == 0
    registry = ended.document["registry"]
    assert (registry["origin"], registry["name"]) == (origin, name)


def test_it_tells_where_each_option_comes_from(
    pytheus: Pytheus, install: Install, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen")
    (home / "pyproject.toml").write_text(
        "[tool.pytheus.registries.kitchen]\nprefix = 'file'\nburners = 4\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHEUS_REGISTRY", "kitchen://stove:99?prefix=url")
    options = pytheus("config", "--json").document["options"]
    table = f"from [tool.pytheus.registries.kitchen] in {home / 'pyproject.toml'}"
    assert options == {
        "prefix": {"value": "url", "source": "from PYTHEUS_REGISTRY"},
        "burners": {"value": 4, "source": table},
        "host": {"value": "stove", "source": "from PYTHEUS_REGISTRY"},
        "port": {"value": 99, "source": "from PYTHEUS_REGISTRY"},
    }


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_no_credential_is_shown(
    arguments: list[str], pytheus: Pytheus, install: Install, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen")
    (home / "pyproject.toml").write_text(
        "[tool.pytheus.registries.kitchen]\napi_key = 'hush1'\nbackup = 'redis://a:hush2@h'\n"
        "inner = { password = 'hush3', urls = ['redis://b:hush4@h'] }\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHEUS_REGISTRY", "kitchen://cook:hush5@stove?token=hush6")
    ended = pytheus("config", *arguments)
    assert ended.code == 0
    assert "hush" not in ended.out + ended.err
    assert "***" in ended.out


def test_plugins_that_are_named_and_blocked_are_told(
    pytheus: Pytheus, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("audit")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit@audit-dist,no:kitchen")
    ended = pytheus("config", "--json")
    assert ended.code == 0
    assert ended.document["plugins"] == {
        "named": [{"name": "audit", "distribution": "audit-dist", "setting": "'audit@audit-dist' in PYTHEUS_PLUGINS"}],
        "blocked": {"kitchen": "'no:kitchen' in PYTHEUS_PLUGINS"},
    }


@pytest.mark.parametrize(
    ("plugins", "arguments", "line"),
    [
        (
            "audit",
            [],
            "problem: plugin 'audit' ('audit' in PYTHEUS_PLUGINS) is not installed and has no effect;",
        ),
        (
            "no:defalut",
            [],
            "warning: plugin 'defalut' ('no:defalut' in PYTHEUS_PLUGINS) is not installed, so there is",
        ),
        (
            "",
            ["--registry", "kitchen@pantry"],
            "problem: registry plugin 'kitchen@pantry' (as argument) is not installed; did you mean"
            " 'kitchen@kitchen-dist'? available: ",
        ),
    ],
    ids=["named plugin", "setting without effect", "chosen registry"],
)
def test_what_is_not_there_is_told_and_fails(
    plugins: str, arguments: list[str], line: str, pytheus: Pytheus, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen")
    monkeypatch.setenv("PYTHEUS_PLUGINS", plugins)
    ended = pytheus("config", *arguments)
    assert ended.code == 1
    assert f"\n{line}" in ended.out


def test_each_value_of_toml_is_json(pytheus: Pytheus, home: Path) -> None:
    (home / "pyproject.toml").write_text(
        "[tool.pytheus.registries.default]\na_seconds = nan\nb_seconds = -inf\nc_seconds = 2026-01-01\n"
        "d_seconds = [1, inf]\nprefix = ''\n",
        "utf-8",
    )
    options = json.loads(
        pytheus("config", "--json").out, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON")
    )["options"]
    assert [option["value"] for option in options.values()] == ["nan", "-inf", "2026-01-01", [1, "inf"], ""]


def test_layers_are_told(pytheus: Pytheus, home: Path) -> None:
    (home / "pyproject.toml").write_text('[tool.pytheus]\nwrap = [{ prefixed = "app" }, "read_only"]\n', "utf-8")
    assert "\nwrapped in       prefixed(prefix='app'), read_only()\n" in pytheus("config").out
    assert pytheus("config", "--json").document["wrap"] == [
        {"layer": "prefixed", "arguments": {"prefix": "app"}},
        {"layer": "read_only", "arguments": {}},
    ]


def test_strict_mode_is_told(pytheus: Pytheus, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pytheus("config", "--json").document["strict"] == {"value": False, "source": "by default"}
    (home / "pyproject.toml").write_text("[tool.pytheus]\nstrict = true\n", "utf-8")
    assert f"\nstrict labels    yes (from {home / 'pyproject.toml'})\n" in pytheus("config").out
    monkeypatch.setenv("PYTHEUS_STRICT", "0")
    assert pytheus("config", "--json").document["strict"] == {"value": False, "source": "from PYTHEUS_STRICT"}
    monkeypatch.setenv("PYTHEUS_STRICT", "maybe")
    assert pytheus("config").refusal.startswith("pytheus config: PYTHEUS_STRICT must be 1, 0, true or false")


def test_files_that_were_looked_at_are_told(pytheus: Pytheus, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\nfiles looked at: none\n" in pytheus("config").out
    (home / "pyproject.toml").write_text('[tool.pytheus]\nregistry = "none"\n', "utf-8")
    (home / "nearer").mkdir()
    monkeypatch.chdir(home / "nearer")
    nearer = home / "nearer" / "pyproject.toml"
    nearer.write_text("[project]\n", "utf-8")
    assert f"\nfiles looked at\n  {nearer}  decides, and has no [tool.pytheus]\n" in pytheus("config").out
    nearer.write_bytes(b"# \xff\n")
    assert pytheus("config", "--json").document["looked_at"] == [
        {"path": str(nearer), "decision": "decides, and has no [tool.pytheus], because it is not UTF-8 text"}
    ]
    nearer.write_text('[tool.pytheus]\nregistry = "none"\n', "utf-8")
    nearer.chmod(0o666)
    ended = pytheus("config")
    reason = "because it can be written by every user"
    assert f"  {nearer}  ignored, {reason}\n  {home / 'pyproject.toml'}         has [tool.pytheus]\n" in ended.out
    assert f"\nwarning: configuration file {nearer} is ignored, {reason}; to obey it, name it in" in ended.out


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("[tool.pythues]\n", "the table [tool.pythues] is not read; did you mean [tool.pytheus]?"),
        (
            "[tool.pytheus.registries.defualt]\n",
            "[tool.pytheus.registries.defualt] applies to no installed plugin; did you mean"
            " [tool.pytheus.registries.default]?",
        ),
        (
            "[tool.pytheus.registries.default]\n[tool.pytheus.registries.kitchn]\n",
            "[tool.pytheus.registries.kitchn] applies to no installed plugin; did you mean"
            " [tool.pytheus.registries.kitchen]?",
        ),
    ],
)
def test_a_misspelt_table_is_told_and_fails(
    content: str, warning: str, pytheus: Pytheus, install: Install, home: Path
) -> None:
    install("kitchen")
    (home / "pyproject.toml").write_text(content, "utf-8")
    ended = pytheus("config")
    assert warning in ended.out
    assert ended.code == 1


def test_a_table_of_a_plugin_that_is_not_installed_is_told(pytheus: Pytheus, home: Path) -> None:
    (home / "pyproject.toml").write_text("[tool.pytheus.registries.zebra]\n", "utf-8")
    ended = pytheus("config")
    assert "[tool.pytheus.registries.zebra] applies to no installed plugin; install its distribution" in ended.out
    assert ended.code == 0


def test_a_file_that_cannot_be_read_is_one_line(pytheus: Pytheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_CONFIG", "nowhere.toml")
    assert pytheus("config").refusal.startswith("pytheus config: configuration file ")
