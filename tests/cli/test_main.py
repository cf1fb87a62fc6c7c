"""The command itself: its table of subcommands and its ways in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import pytheus
from pytheus.cli.__main__ import main
from tests.cli.programs import execute


def test_the_version_tells_which_build_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    build = "compiled" if pytheus.COMPILED else "pure Python"
    assert capsys.readouterr().out.startswith(f"pytheus {pytheus.__version__} ({build} build, ")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0

    shown = capsys.readouterr().out
    assert "\n  run         run a program and serve its metrics\n" in shown
    commands = (
        "config",
        "plugins",
        "check",
        "scrape",
        "diff",
        "lint",
        "dashboard",
        "push",
        "migrate",
        "new",
        "completion",
    )
    for name in commands:
        assert f"\n  {name} " in shown


def test_an_unknown_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rum"]) == 2

    assert capsys.readouterr() == (
        "",
        "pytheus: unknown command 'rum';"
        " the commands are: run, config, plugins, check, scrape, diff, lint, dashboard, top, push, migrate, new,"
        " completion\n",
    )


@pytest.mark.parametrize("module", ["pytheus", "pytheus.cli"])
def test_python_runs_it_as_a_module(module: str) -> None:
    ended = execute(sys.executable, "-P", "-m", module, "--version")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("pytheus ")


WITHOUT_CLICK = "import sys; sys.modules['click'] = None; from pytheus.cli.__main__ import main; sys.exit(main())"


@pytest.mark.parametrize(
    "name", ["config", "plugins", "check", "scrape", "diff", "dashboard", "push", "migrate", "new", "completion"]
)
def test_without_click_a_command_says_how_to_install_it(name: str) -> None:
    assert execute(sys.executable, "-c", WITHOUT_CLICK, name).refusal == (
        f"pytheus {name}: click is not installed, which every command but `pytheus run` needs;"
        " pip install 'pytheus[cli]'\n"
    )


def test_run_does_without_click(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys\nprint(sys.modules.get('click'))\n", "utf-8")
    command = (sys.executable, "-c", WITHOUT_CLICK, "run", "--quiet", "--port", "0", "program.py")

    assert execute(*command, cwd=tmp_path) == (0, "None\n", "")
