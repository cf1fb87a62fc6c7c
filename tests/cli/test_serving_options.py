"""The options of the server of ``pytheus run``: from flags, the environment and the configuration file alike."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus.cli.serving_options import FLAGS, VARIABLES, ServingOptions, serving_options
from pytheus.exceptions import ConfigurationError
from tests.cli.programs import PATIENCE_SECONDS, refused, run

if TYPE_CHECKING:
    from tests.conftest import Start

VALUES = {
    "port": ("9999", 9999),
    "addr": ("::1", "::1"),
    "path": ("/shop/metrics", "/shop/metrics"),
    "max_scrapes": ("7", 7),
    "timeout_seconds": ("2.5", 2.5),
    "web_config": ("/etc/web.yml", "/etc/web.yml"),
    "no_page": ("true", True),
    "quiet": ("true", True),
    "instrument": ("auto", "auto"),
}
WRONG = {
    "port": ["-1", "65536", "http", "9" * 5000, "\u0663"],
    "path": ["metrics", "/a b", "/a?b", "/\u00e9"],
    "max_scrapes": ["0", "-1", "1.5", "many", "1000000", "\u0661"],
    "timeout_seconds": ["0", "-1", "inf", "nan", "1e9", "soon"],
    "no_page": ["maybe"],
    "quiet": ["maybe"],
    "instrument": ["everything", "flask=otle", "auto,"],
}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ServingOptions._fields:
        monkeypatch.delenv(VARIABLES[name], raising=False)
    return tmp_path


def write(directory: Path, **options: str) -> None:
    lines = [
        f"{name} = {text if text[0].isdigit() or text == 'true' else repr(text)}" for name, text in options.items()
    ]
    (directory / "pyproject.toml").write_text("\n".join(["[tool.pytheus.run]", *lines, ""]))


def test_each_option_has_a_case() -> None:
    assert set(VALUES) == set(FLAGS.values()) == set(ServingOptions._fields)
    assert serving_options({}) == ServingOptions()


@pytest.mark.parametrize("name", VALUES)
def test_a_flag_decides_over_a_variable_and_that_over_the_file(
    name: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = VALUES[name]
    numbers = dict.fromkeys(("port", "max_scrapes", "timeout_seconds"), "1")
    other = {**numbers, "no_page": "0", "quiet": "0", "instrument": "flask"}.get(name, "/other")

    def chosen(flags: dict[str, str]) -> object:
        return getattr(serving_options(flags), name)

    assert chosen({name: text}) == value
    write(directory, **{name: text})
    assert chosen({}) == value
    monkeypatch.setenv(VARIABLES[name], other)
    assert chosen({}) != value
    assert chosen({name: text}) == value
    monkeypatch.setenv(VARIABLES[name], " ")
    assert chosen({}) == value
    (directory / "pyproject.toml").unlink()
    monkeypatch.setenv(VARIABLES[name], text)
    assert chosen({}) == value


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_an_error_names_the_source(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=rf"^--{name.replace('_', '-')} takes .* but got "):
        serving_options({name: text})
    monkeypatch.setenv(VARIABLES[name], text)
    with pytest.raises(ConfigurationError, match=rf"^{VARIABLES[name]} takes .* but got "):
        serving_options({})


def test_a_url_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"but got another text$"):
        serving_options({"port": "redis://:hunter2@h"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "port = 70000",
            r"'port' in \[tool.pytheus.run\] of .*pyproject.toml takes a number from 0 .* but got '70000'",
        ),
        ("port = '1'", r"'port' in \[tool.pytheus.run\] must be an integer but is a string"),
        ("quiet = 1", r"'quiet' in \[tool.pytheus.run\] must be true or false but is an integer"),
        ("addr = ''", r"'addr' in .* takes a value but got an empty one; leave it out for the default"),
        (
            "prot = 1",
            r"\[tool.pytheus.run\] has the unknown key 'prot'; did you mean 'port'\? it takes: addr, grouping,",
        ),
    ],
)
def test_errors_in_the_file(directory: Path, line: str, words: str) -> None:
    (directory / "pyproject.toml").write_text(f"[tool.pytheus.run]\n{line}\n")
    with pytest.raises(ConfigurationError, match=words):
        serving_options({})


def test_a_path_in_the_file_starts_there(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(directory, web_config="web.yml")
    (directory / "inner").mkdir()
    monkeypatch.chdir(directory / "inner")
    assert serving_options({}).web_config == str(directory / "web.yml")
    assert serving_options({"web_config": "web.yml"}).web_config == "web.yml"


@pytest.mark.parametrize("command", [["program.py"], ["--", "true"]], ids=["program", "command"])
def test_the_command_line_refuses_a_web_configuration_that_is_not_valid(directory: Path, command: list[str]) -> None:
    pytest.importorskip("yaml")
    (directory / "program.py").write_text("print('ran')")
    (directory / "web.yml").write_text("basic_auth_users: [hunter2]")
    registry = [] if len(command) == 1 else ["--registry", "multiprocess"]
    if registry:
        pytest.importorskip("pytheus_multiprocess")
    line = refused(directory, "--port", "0", "--web-config", "web.yml", *registry, *command)
    assert (
        line == f"{directory / 'web.yml'} line 1: basic_auth_users must be a mapping of keys to values but is a list\n"
    )


@pytest.mark.parametrize("command", [["program.py"], ["--", sys.executable, "program.py"]], ids=["program", "command"])
def test_a_program_is_served_with_them(directory: Path, start: Start, command: list[str]) -> None:
    pytest.importorskip("yaml")
    if command[0] == "--":
        pytest.importorskip("pytheus_multiprocess")
    (directory / "program.py").write_text(f"import time; time.sleep({PATIENCE_SECONDS})")
    (directory / "token").write_text("the-token")
    (directory / "web.yml").write_text("bearer_token_files: [token]")
    write(directory, path="/shop", web_config="web.yml")
    environ = {"PYTHEUS_RUN_PORT": "0"} | ({"PYTHEUS_REGISTRY": "multiprocess"} if command[0] == "--" else {})
    program = start(sys.executable, "-P", "-m", "pytheus", "run", *command, cwd=directory, **environ)
    url = program.wait_for(r"pytheus: serving metrics at (http://127\.0\.0\.1:\d+/shop)$")[1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    with pytest.raises(urllib.error.HTTPError, match=r"401") as refused:
        opener.open(url, timeout=PATIENCE_SECONDS)
    refused.value.close()
    request = urllib.request.Request(url, headers={"Authorization": "Bearer the-token"})
    with opener.open(request, timeout=PATIENCE_SECONDS) as response:
        assert response.status == 200


@pytest.mark.parametrize(("options", "kind"), [([], "text/html"), (["--no-page"], "text/plain")], ids=str)
def test_a_browser_gets_a_page_unless_it_is_switched_off(tmp_path: Path, options: list[str], kind: str) -> None:
    source = """
import sys, urllib.request
url = sys.argv[1]
request = urllib.request.Request(url, headers={"Accept": "text/html"})
print(urllib.request.urlopen(request).headers.get_content_type())
"""
    (tmp_path / "program.py").write_text(source)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/metrics"
    assert run(tmp_path, "--quiet", "--port", str(port), *options, "program.py", url).out == f"{kind}\n"
