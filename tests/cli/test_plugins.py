"""``pytheus plugins``: what it lists, and that it imports nothing unless it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from pytheus import __version__

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Pytheus: TypeAlias = "Callable[..., Ended]"
Install: TypeAlias = Callable[..., None]


def listed(ended: Ended) -> dict[str, dict[str, object]]:
    document: Mapping[str, list[dict[str, object]]] = json.loads(ended.out)
    return {f"{plugin['name']}@{plugin['distribution']}": plugin for plugin in document["plugins"]}


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
    ("variable", "argument", "source"),
    [("kitchen", None, "from PYTHEUS_REGISTRY"), ("none", "kitchen", "as argument")],
    ids=["environment", "argument"],
)
def test_it_tells_who_chose(
    variable: str,
    argument: str | None,
    source: str,
    pytheus: Pytheus,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install("kitchen")
    monkeypatch.setenv("PYTHEUS_REGISTRY", variable)
    ended = pytheus("plugins", "--json", *(["--registry", argument] if argument else []))
    plugin = listed(ended)["kitchen@kitchen-dist"]
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
    assert plugins["kitchen@kitchen-dist"]["state"] == "ambiguous"
    assert plugins["none@foreign-none"]["state"] == "reserved"
    assert plugins["none@pytheus"]["state"] == "available"


def test_a_choice_among_several_makes_one_active(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    install("kitchen", distribution="other-kitchen")
    plugins = listed(pytheus("plugins", "--json", "--registry", "kitchen@other-kitchen"))
    assert plugins["kitchen@other-kitchen"]["state"] == "active"
    assert plugins["kitchen@kitchen-dist"]["state"] == "ambiguous"


def test_a_choice_that_cannot_be_had_is_told_and_fails(pytheus: Pytheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_REGISTRY", "defualt")
    ended = pytheus("plugins")
    assert ended.code == 1
    assert (
        "\nproblem: registry plugin 'defualt' (from PYTHEUS_REGISTRY) is not installed; did you mean 'default'?"
        in ended.out
    )


def test_a_setting_that_makes_no_sense_is_one_line(pytheus: Pytheus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:a b")
    ended = pytheus("plugins")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("pytheus plugins: PYTHEUS_PLUGINS has the entry 'no:a b', which is neither")


def test_an_option_that_is_not_there_is_one_line(pytheus: Pytheus) -> None:
    ended = pytheus("plugins", "--chek")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.endswith("; see `pytheus plugins --help`\n")


LEAVES_A_MARK = "open({mark!r}, 'w').close()\n"


def test_it_imports_no_plugin(install: Install, tmp_path: Path) -> None:
    install("kitchen", LEAVES_A_MARK.format(mark=str(tmp_path / "imported")))
    program = (
        "import sys; from pytheus.cli.__main__ import main; main(['plugins', '--registry', 'kitchen'])\n"
        "print({'kitchen_module', 'pluggy'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert "kitchen" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "set()", ended.stderr
    assert not (tmp_path / "imported").exists()


def test_it_says_that_hooks_are_not_known(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    assert "HOOKS" not in pytheus("plugins").out
    assert listed(pytheus("plugins", "--json"))["kitchen@kitchen-dist"]["hooks"] is None


def test_check_tells_the_hooks(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    ended = pytheus("plugins", "--check", "--json")
    assert ended.code == 0
    assert listed(ended)["kitchen@kitchen-dist"]["hooks"] == ["pytheus_make_registry"]


def test_check_imports_elsewhere(pytheus: Pytheus, install: Install) -> None:
    install("kitchen")
    pytheus("plugins", "--check")
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


def test_a_plugin_that_is_named_and_not_there_is_told_and_fails(
    pytheus: Pytheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "audit")
    ended = pytheus("plugins")
    assert ended.code == 1
    assert "\nproblem: plugin 'audit' ('audit' in PYTHEUS_PLUGINS) is not installed and has no effect;" in ended.out
