"""No command shows a credential, wherever in an address it is."""

from __future__ import annotations

import os
import sys

import pytest

from tests.cli.conftest import Files, Install, Pytheus
from tests.plugins.secret_places import SECRET, TEMPLATES, assert_hidden

# `leaky` is not installed, so that nothing is created, checked or served.
ADDRESSES = [template.replace("redis", "leaky").format(SECRET) for template in TEMPLATES if "\udc80" not in template]
ARGUMENTS = [
    ["config", "--registry"],
    ["config", "--json", "--registry"],
    ["plugins", "--registry"],
    ["plugins", "--json", "--registry"],
    ["check"],
    ["check", "--json"],
    ["check", "--conformance", "none.py:None"],
    ["run", "--registry"],
    ["run"],
    ["run", "--"],
    ["run", "--quiet"],
    ["new", "registry"],
]
# An unknown option of each command, or one argument too many.
JOINED = [["config", "--regsitry={}"], ["run", "--regsitry={}", "app.py"], ["config", "{}"], ["plugins", "{}"], ["{}"]]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_a_command_shows_no_secret(arguments: list[str], pytheus: Pytheus) -> None:
    for address in ADDRESSES:
        if arguments[0] != "config" and arguments[-1] != "--registry" and "://" not in address:
            continue  # it is taken for the name of a file, a command or an object
        ended = pytheus(*arguments, address, *(["app.py"] if arguments[0] == "run" else []))
        assert_hidden(ended.out + ended.err)
        assert ended.code == 2 or arguments[0] in ("config", "plugins")


@pytest.mark.parametrize("arguments", JOINED, ids=" ".join)
def test_a_misused_command_shows_no_secret(arguments: list[str], pytheus: Pytheus) -> None:
    for address in ADDRESSES:
        if "://" in address:
            ended = pytheus(*(argument.format(address) for argument in arguments))
            assert_hidden(ended.out + ended.err)
            assert ended.code == 2


@pytest.mark.parametrize(
    "command", [["config"], ["config", "--json"], ["plugins"], ["plugins", "--json"]], ids=" ".join
)
def test_a_setting_of_an_installed_plugin_shows_no_secret(
    command: list[str], pytheus: Pytheus, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("leaky")
    for address in ADDRESSES:
        monkeypatch.setitem(os.environ, "PYTHEUS_REGISTRY", address)
        ended = pytheus(*command)
        assert_hidden(ended.out + ended.err)


LEAKING = """
from pytheus.plugins import hookimpl

@hookimpl
def pytheus_make_registry(options):
    print(options)
    raise ConnectionError(f"cannot connect with {options.password} {dict(options.values)} {options.path}")
"""


@pytest.mark.parametrize("address", ["leaky://u:{}@h/0", "leaky://h?foo={}", "leaky:///u:{}@h"])
def test_an_error_of_a_plugin_shows_no_secret(
    address: str, pytheus: Pytheus, install: Install, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mypy", None)
    install("leaky", LEAKING)
    files({"app.py": "print('it runs')\n"})
    chosen = address.format(SECRET)
    for arguments in (["check", chosen], ["run", "--registry", chosen, "app.py"]):
        ended = pytheus(*arguments)
        assert "cannot connect with" in ended.out + ended.err
        assert_hidden(ended.out + ended.err)
