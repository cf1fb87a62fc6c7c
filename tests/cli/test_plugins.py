"""``pytheus plugins``: what it lists, and that it imports nothing unless it is told to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytheus import __version__
from pytheus.plugins import refresh_plugins
from tests.cli.conftest import Install, Pytheus
from tests.cli.programs import Ended, execute
from tests.plugins.conftest import Site


def listed(ended: Ended) -> dict[str, dict[str, object]]:
    return {f"{plugin['name']}@{plugin['distribution']}": plugin for plugin in ended.document["plugins"]}


def test_it_lists_what_is_installed_and_what_is_chosen(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    ended = pytheus("plugins")
    assert (ended.code, ended.err) == (0, "")
    # Whatever else is installed where the tests run is listed as well.
    table = {words[0]: words[1:] for line in ended.out.splitlines() if (words := line.split())}
    assert next(iter(table)) == "NAME"
    assert table["NAME"] == ["STATE", "DISTRIBUTION", "VERSION"]
    assert table["default"] == ["active", "pytheus", __version__, "chosen", "by", "default"]
    assert table["kitchen"] == ["available", "kitchen-dist", "1.0"]
    assert table["none"] == ["available", "pytheus", __version__]


@pytest.mark.parametrize(
    ("variable", "option", "source"),
    [("kitchen", [], "from PYTHEUS_REGISTRY"), ("none", ["--registry", "kitchen"], "as argument")],
    ids=["environment", "argument"],
)
def test_it_tells_who_chose(
    variable: str,
    option: list[str],
    source: str,
    pytheus: Pytheus,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install("kitchen")
    monkeypatch.setenv("PYTHEUS_REGISTRY", variable)
    plugin = listed(pytheus("plugins", "--json", *option))["kitchen@kitchen-dist"]
    assert (plugin["state"], plugin["selected_by"]) == ("active", source)


def test_one_that_is_blocked_tells_by_which_setting(
    pytheus: Pytheus, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:kitchen")
    plugin = listed(pytheus("plugins", "--json"))["kitchen@kitchen-dist"]
    assert (plugin["state"], plugin["reason"]) == ("blocked", "by 'no:kitchen' in PYTHEUS_PLUGINS")


def test_names_that_are_claimed_twice_or_reserved_are_told(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    install("kitchen", distribution="other-kitchen")
    install("none", distribution="foreign-none")
    plugins = listed(pytheus("plugins", "--json"))
    assert plugins["kitchen@kitchen-dist"]["state"] == plugins["kitchen@other-kitchen"]["state"] == "ambiguous"
    assert plugins["none@foreign-none"]["state"] == "reserved"
    assert plugins["none@pytheus"]["state"] == "available"
    chosen = listed(pytheus("plugins", "--json", "--registry", "kitchen@other-kitchen"))
    assert chosen["kitchen@other-kitchen"]["state"] == "active"
    assert chosen["kitchen@kitchen-dist"]["state"] == "ambiguous"


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        (
            "PYTHEUS_REGISTRY",
            "defualt",
            "registry plugin 'defualt' (from PYTHEUS_REGISTRY) is not installed; did you mean 'default'?",
        ),
        (
            "PYTHEUS_PLUGINS",
            "audit",
            "plugin 'audit' ('audit' in PYTHEUS_PLUGINS) is not installed and has no effect;",
        ),
    ],
    ids=["chosen", "named"],
)
def test_what_is_not_available_is_told_and_fails(
    variable: str, value: str, problem: str, pytheus: Pytheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ended = pytheus("plugins")
    assert ended.code == 1
    assert f"\nproblem: {problem}" in ended.out


def test_a_setting_that_makes_no_sense_is_one_line(pytheus: Pytheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:a b")
    start = "pytheus plugins: PYTHEUS_PLUGINS has the entry 'no:a b', which is neither"
    assert pytheus("plugins").refusal.startswith(start)


def test_an_option_that_is_not_there_is_one_line(pytheus: Pytheus) -> None:
    assert pytheus("plugins", "--chek").refusal.endswith("; see `pytheus plugins --help`\n")


@pytest.mark.parametrize("arguments", [[], ["--check"], ["--json"]], ids=" ".join)
def test_damage_is_listed_with_its_reason(arguments: list[str], pytheus: Pytheus, install: Install, site: Site) -> None:
    install("sound")
    install("kitchen")
    (site.folder / "kitchen_dist-1.0.dist-info" / "METADATA").write_text("Name: kitchen-dist\n")
    site.distribution("malformed", {"stove": "not a module"})
    (site.distribution("bytes", {"x": "y"}) / "entry_points.txt").write_bytes(b"[pytheus]\nx = \xff\n")
    refresh_plugins()
    ended = pytheus("plugins", *arguments)
    assert (ended.code, ended.err) == (1, "")
    assert "its METADATA has no Version" in ended.out
    assert "it names 'not a module', which is neither MODULE nor MODULE:ATTRIBUTE" in ended.out
    assert "bytes-1.0.dist-info (UnicodeDecodeError: " in ended.out
    if arguments == ["--json"]:
        states = {name: plugin["state"] for name, plugin in listed(ended).items()}
        assert states["kitchen@kitchen-dist"] == states["stove@malformed"] == "broken"
        assert states["sound@sound-dist"] == "available"


LEAVES_A_MARK = "open({mark!r}, 'w').close()\n"


@pytest.mark.parametrize("command", ["plugins", "config"])
def test_no_plugin_is_imported(command: str, install: Install, tmp_path: Path) -> None:
    install("kitchen", LEAVES_A_MARK.format(mark=str(tmp_path / "imported")))
    program = (
        "import sys; from pytheus.cli.__main__ import main; code = main(sys.argv[1:])\n"
        "print(code, {'kitchen_module', 'pluggy'} & set(sys.modules))"
    )
    ended = execute(sys.executable, "-c", program, command, "--registry", "kitchen", cwd=tmp_path)
    assert "kitchen" in ended.out
    assert ended.out.splitlines()[-1] == "0 set()", ended.err
    assert not (tmp_path / "imported").exists()


def test_check_imports_elsewhere_and_tells_the_hooks(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    assert "HOOKS" not in pytheus("plugins").out
    assert listed(pytheus("plugins", "--json"))["kitchen@kitchen-dist"]["hooks"] is None
    ended = pytheus("plugins", "--check", "--json")
    assert ended.code == 0
    assert listed(ended)["kitchen@kitchen-dist"]["hooks"] == ["pytheus_make_registry"]
    assert "kitchen_module" not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_of_ours", "raised ModuleNotFoundError: No module named 'no_such_module_of_ours'"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("import os; os._exit(7)", "its import ended the interpreter with status 7"),
        ("def pytheus_make_registry(options): ...", "not marked as an implementation of the hook"),
        ("pytheus_plugin_api = 99", "pytheus_plugin_api = 99, and this pytheus supports plugin API "),
        ("answer = 42", "it implements no hook, and the entry point gave the module kitchen_module"),
    ],
    ids=["missing", "exits", "crashes", "unmarked", "api", "empty"],
)
def test_check_tells_what_is_broken(source: str, reason: str, pytheus: Pytheus, install: Install) -> None:
    install("kitchen", source)
    install("sound")
    ended = pytheus("plugins", "--check", "--json")
    assert ended.code == 1
    plugins = listed(ended)
    broken = plugins["kitchen@kitchen-dist"]
    assert broken["state"] == "broken"
    assert reason in str(broken["reason"])
    assert plugins["sound@sound-dist"]["state"] == "available"


def test_check_is_not_misled_by_what_a_plugin_prints(pytheus: Pytheus, install: Install) -> None:
    install(
        "kitchen", "print('{}', flush=True)\nfrom pytheus import CollectorRegistry\nregistry = CollectorRegistry()\n"
    )
    install("chatty", "print('hello')\nfrom pytheus import REGISTRY\n", value="chatty_module:REGISTRY")
    plugins = listed(pytheus("plugins", "--check", "--json"))
    assert plugins["chatty@chatty-dist"]["state"] == "available"
    assert plugins["kitchen@kitchen-dist"]["state"] == "broken"


def test_check_leaves_alone_what_is_blocked(
    pytheus: Pytheus, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("kitchen", LEAVES_A_MARK.format(mark=str(tmp_path / "imported")))
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:kitchen")
    assert pytheus("plugins", "--check").code == 0
    assert not (tmp_path / "imported").exists()


OBSERVER = """
from pytheus.plugins import hookimpl


@hookimpl
def pytheus_collect_error(collector, error):
    pass
"""


def test_plugins_that_are_named_are_active(pytheus: Pytheus, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("audit", OBSERVER)
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit")
    ended = pytheus("plugins", "--check", "--json")
    plugin = listed(ended)["audit@audit-dist"]
    assert ended.code == 0
    assert (plugin["state"], plugin["selected_by"]) == ("active", "by 'audit' in PYTHEUS_PLUGINS")
    assert plugin["hooks"] == ["pytheus_collect_error"]
