"""The command itself: its table of subcommands and its ways in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytheus
from pytheus.cli.__main__ import main


def test_the_version_tells_which_build_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    build = "compiled" if pytheus.COMPILED else "pure Python"
    assert capsys.readouterr().out.startswith(f"pytheus {pytheus.__version__} ({build} build, ")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0

    assert "\n  run       run a program and serve its metrics\n" in capsys.readouterr().out


def test_an_unknown_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rum"]) == 2

    assert capsys.readouterr() == ("", "pytheus: 'rum' is no command; there is: run\n")


@pytest.mark.parametrize("module", ["pytheus", "pytheus.cli"])
def test_python_runs_it_as_a_module(module: str) -> None:
    ended = subprocess.run([sys.executable, "-P", "-m", module, "--version"], capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("pytheus ")
