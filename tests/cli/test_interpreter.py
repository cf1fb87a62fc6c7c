"""The Python of a command: where it is found, and one warning if it has no pytheus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytheus.cli.interpreter import python_of, warning_of
from tests.cli.programs import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="commands run on POSIX systems alone")

INTERPRETER = sys.executable


def script(path: Path, head: str) -> str:
    path.write_text(head)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        [INTERPRETER, "app.py"],
        ["env", "-i", "A=python", INTERPRETER, "app.py"],
        ["timeout", "-k", "3", "10", INTERPRETER, "app.py"],
        ["nice", "-n", "3", "env", "A=1", INTERPRETER],
        ["sh", "-c", f"A=1 exec {INTERPRETER} app.py"],
        ["sh", "-ec", "-c", f"'{INTERPRETER}' app.py && true"],
    ],
    ids=" ".join,
)
def test_it_is_found_by_name(words: list[str]) -> None:
    assert python_of(words) == INTERPRETER


@pytest.mark.parametrize(
    "head",
    [f"#!{INTERPRETER}\n", f"#! {INTERPRETER} -E\n", f"#!/bin/sh\n'''exec' \"{INTERPRETER}\" \"$0\" \"$@\"\n' '''\n"],
)
def test_it_is_found_by_the_first_lines_of_a_script(head: str, tmp_path: Path) -> None:
    path = script(tmp_path / "gunicorn", head)
    assert python_of([path, "app:app"]) == INTERPRETER
    assert python_of(["env", path]) == INTERPRETER


def test_it_is_found_as_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = script(tmp_path / "python3.99", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert python_of(["python3.99"]) == python
    assert python_of([script(tmp_path / "tool", "#!/usr/bin/env -S python3.99 -u\n")]) == python


def test_a_command_of_another_kind_has_none(tmp_path: Path) -> None:
    loop = script(tmp_path / "loop", f"#!{tmp_path / 'loop'}\n")
    for words in (["echo", INTERPRETER], ["sh", "-c", "'"], ["sh"], ["env"], [loop], [], ["nowhere"], ["sh", "-c"]):
        assert python_of(words) is None, words


@pytest.fixture
def other(tmp_path: Path) -> str:
    """A Python without pytheus."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "other")], check=True)
    return str(tmp_path / "other" / "bin" / "python")


def test_a_python_without_pytheus_is_warned_of_once(other: str, tmp_path: Path) -> None:
    pytest.importorskip("pytheus_multiprocess")
    (tmp_path / "app.py").write_text("print('ran')")
    tool = script(tmp_path / "tool", f"#!{other}\nprint('ran')\n")
    for command in ([other, "app.py"], [tool], ["sh", "-c", f"{other} app.py; exit 3"]):
        ended = run(tmp_path, "--quiet", "--port", "0", "--registry", "multiprocess", "--", *command, PYTHONPATH="")
        assert ended.out == "ran\n"
        assert ended.code == (3 if command[0] == "sh" else 0)
        assert ended.err.count("\n") == 1
        assert ended.err.startswith(f"pytheus run: warning: {other} has no pytheus (1.0 or later), so no metric")


def test_a_python_with_another_pytheus_is_warned_of(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    (tmp_path / "packages" / "pytheus").mkdir(parents=True)
    (tmp_path / "packages" / "pytheus" / "__init__.py").touch()
    assert "has no pytheus (1.0 or later)" in (warning_of([other, "app.py"]) or "")
    (tmp_path / "packages" / "pytheus" / "plugins").mkdir()
    assert warning_of([other, "app.py"]) is None


def test_one_beside_the_program_counts(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    (tmp_path / "app" / "pytheus" / "plugins").mkdir(parents=True)
    (tmp_path / "app" / "pytheus" / "__init__.py").touch()
    assert warning_of([other, str(tmp_path / "app" / "app.py")]) is None


def test_this_python_is_not_started() -> None:
    assert warning_of([sys.executable, "app.py"]) is None


def test_one_that_cannot_start_is_left_to_the_command(tmp_path: Path) -> None:
    assert warning_of([script(tmp_path / "python3", "#!/bin/sh\nexit 1\n")]) is None
    assert warning_of([script(tmp_path / "python2", "#!/nowhere\n")]) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_script(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tool", 0o700)
    assert python_of([str(tmp_path / "tool")]) is None
