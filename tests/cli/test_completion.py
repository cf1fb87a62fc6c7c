"""Completion, as the shells' scripts ask for it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Install, Pytheus
from tests.cli.programs import execute


def completed(shell: str, *words: str) -> list[str]:
    """What is offered for the last of `words`."""
    environ = {
        "_PYTHEUS_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(["pytheus", *words] if shell == "bash" else ["pytheus", *words[:-1]]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    ended = execute(sys.executable, "-P", "-m", "pytheus", cwd=None, stdin="", **environ)
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


def test_commands_are_completed() -> None:
    commands = (
        "check",
        "completion",
        "config",
        "dashboard",
        "diff",
        "migrate",
        "new",
        "plugins",
        "push",
        "run",
        "scrape",
    )
    assert completed("bash", "") == [f"plain,{command}" for command in commands]


@pytest.mark.parametrize(
    "words", [["check", "ki"], ["run", "--registry", "ki"], ["config", "--registry", "ki"]], ids=lambda words: words[0]
)
def test_names_of_registries_are_completed(words: list[str], install: Install) -> None:
    install("kitchen", "raise RuntimeError('imported')")
    assert completed("bash", *words) == ["plain,kitchen"]


def test_blocked_names_are_not_offered(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("kitchen")
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:kitchen")
    assert completed("bash", "check", "ki") == [""]
    offered = completed("bash", "check", "")
    assert {"plain,default", "plain,none"} <= set(offered)
    assert "plain,kitchen" not in offered


def test_a_setting_that_makes_no_sense_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_PLUGINS", "no:a b")
    assert completed("bash", "check", "") == [""]


def test_fish_and_zsh_are_answered_in_their_own_ways() -> None:
    assert "plain,--verbose" in completed("fish", "check", "--verb")[0]
    assert completed("zsh", "check", "def")[:2] == ["plain", "default"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(shell: str, pytheus: Pytheus) -> None:
    ended = pytheus("completion", shell)
    assert ended.code == 0
    assert f"_PYTHEUS_COMPLETE={shell}_complete" in ended.out


def test_another_shell_is_refused_in_one_line(pytheus: Pytheus) -> None:
    assert pytheus("completion", "tcsh").refusal


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_the_script(tmp_path: Path, pytheus: Pytheus) -> None:
    command = tmp_path / "bin" / "pytheus"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m pytheus "$@"\n', "utf-8")
    command.chmod(0o755)
    script = (
        'eval "$(pytheus completion bash)"\n'
        "COMP_WORDS=(pytheus check def); COMP_CWORD=2; COMPREPLY=()\n"
        "_pytheus_completion pytheus\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    ended = execute("bash", "-c", script, PATH=f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    assert (ended.code, ended.out) == (0, "default\n"), ended.err
