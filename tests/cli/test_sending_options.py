"""The options of the receivers of ``pytheus run``: from flags, the environment and the configuration file alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytheus.cli.__main__ import main
from pytheus.cli.sending_options import SENDING_FLAGS, SENDING_VARIABLES, SendingOptions, sending_options
from pytheus.exceptions import ConfigurationError
from tests.cli.programs import refused

VALUES = {
    "push_gateway": ("http://gateway:9091", "http://gateway:9091"),
    "job": ("nightly", "nightly"),
    "grouping": ("instance=db1, zone=a", {"instance": "db1", "zone": "a"}),
    "textfile": ("/run/a.prom", "/run/a.prom"),
    "push_timeout_seconds": ("2.5", 2.5),
    "push_token_file": ("/run/token", "/run/token"),
    "push_ca_file": ("/run/ca.pem", "/run/ca.pem"),
    "push_cert_file": ("/run/cert.pem", "/run/cert.pem"),
    "push_key_file": ("/run/key.pem", "/run/key.pem"),
}
OTHER = {"push_gateway": "http://other:1", "grouping": "a=b", "push_timeout_seconds": "1"}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable in SENDING_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def write(directory: Path, **options: str) -> None:
    lines = [f"{name} = {text if text[0].isdigit() else repr(text)}" for name, text in options.items()]
    (directory / "pyproject.toml").write_text("\n".join(["[tool.pytheus.run]", *lines, ""]))


def test_each_option_has_a_case() -> None:
    assert set(VALUES) == set(SENDING_FLAGS.values()) == set(SendingOptions._fields)
    assert sending_options({}) == SendingOptions()


@pytest.mark.parametrize("name", VALUES)
def test_a_flag_decides_over_a_variable_and_that_over_the_file(
    name: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = VALUES[name]
    needed = {} if name == "job" else {"job": "nightly"}

    def chosen(flags: dict[str, str]) -> object:
        return getattr(sending_options(needed | flags), name)

    assert chosen({name: text}) == value
    write(directory, **{name: text})
    assert chosen({}) == value
    monkeypatch.setenv(f"PYTHEUS_RUN_{name.upper()}", OTHER.get(name, "/other"))
    assert chosen({}) != value
    assert chosen({name: text}) == value


def test_a_file_starts_in_the_directory_of_the_configuration(directory: Path) -> None:
    write(directory, textfile="a.prom", push_token_file="token", job="nightly")
    options = sending_options({})
    assert (options.textfile, options.push_token_file) == (str(directory / "a.prom"), str(directory / "token"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("push_gateway", "gateway:9091", "the URL of the Pushgateway begins with http:// or https://"),
        ("push_gateway", "http://a:hunter2@b/ c", "contains a character that a URL cannot have"),
        ("grouping", "hunter2", "takes labels, each once, as in instance=db1,zone=a"),
        ("grouping", "a=1,a=2", "takes labels, each once"),
        ("push_timeout_seconds", "0", "takes a positive number of seconds but got '0'"),
        ("push_timeout_seconds", "soon", "takes a positive number of seconds but got 'soon'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_source(
    name: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sending_options({name: text, "job": "nightly"})
    assert str(caught.value).startswith(f"--{name.replace('_', '-')}")
    assert message in str(caught.value)
    monkeypatch.setenv(f"PYTHEUS_RUN_{name.upper()}", text)
    with pytest.raises(ConfigurationError, match=f"^PYTHEUS_RUN_{name.upper()}") as caught:
        sending_options({})
    assert "hunter2" not in str(caught.value).replace("'hunter2'", "")


@pytest.mark.parametrize("name", ["push_gateway", "textfile"])
def test_a_receiver_needs_a_job(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"--{name.replace('_', '-')} needs the job's name, too; add --job NAME"
    ):
        sending_options({name: VALUES[name][0]})


def test_a_refusal_is_one_line_without_credentials(directory: Path) -> None:
    (directory / "program.py").touch()
    line = refused(directory, "--job", "a", "--push-gateway", "http://a:hunter2@b:70000", "program.py")
    assert line.startswith("--push-gateway: the URL of the Pushgateway does not have the form http://HOST")
    assert "hunter2" not in line
    line = refused(directory, "--job", "a", "--push-gateway", "http://a:hunter2@b/metrics/job/a", "program.py")
    assert "ends before /metrics but got http://a:***@b/metrics/job/a" in line


def test_config_shows_no_credentials(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(directory, push_gateway="http://a:hunter2@b", job="nightly")
    assert main(["config"]) == 0
    assert main(["config", "--json"]) == 0
    printed = capsys.readouterr()
    assert "hunter2" not in printed.out + printed.err
