"""The commands at the top of the README are those that CI runs, and they can start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def commands_in(text: str) -> list[str]:
    return re.findall(r"^(?:\$ )?(python3 dev\.py \w+(?: --\w+)*)", text, flags=re.MULTILINE)


def test_ci_runs_what_the_readme_shows_first_and_then_the_rest(checkout: Path) -> None:
    readme = commands_in((checkout / "README.md").read_text("utf-8"))
    assert readme == ["python3 dev.py shop", "python3 dev.py test"]
    ci = commands_in((checkout / ".ci" / "run").read_text("utf-8"))
    assert ci == [*readme, "python3 dev.py test --rest"]


def test_a_module_with_two_sizes_has_the_name_by_which_the_rest_runs_it_again(checkout: Path) -> None:
    modules = [*checkout.glob("tests/**/test_*.py"), *checkout.glob("plugins/*/tests/**/test_*.py")]
    texts = {path: path.read_text("utf-8") for path in modules if path != Path(__file__)}
    found = {path for path, text in texts.items() if re.search(r'"PYTHEUS_TEST_FULL"|import FULL', text)}
    assert found
    assert {path for path in found if not re.search(r"^FULL\b|import FULL", texts[path], re.MULTILINE)} == set()


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_script_starts_with_nothing_installed(checkout: Path, arguments: list[str]) -> None:
    # -I and -S: no environment variables, no site-packages.
    command = [sys.executable, "-I", "-S", str(checkout / "dev.py"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "python3 dev.py shop" in run.stdout


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Debian's parts are for Unix systems")
def test_without_apt_it_says_what_is_left_out_and_goes_on(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(checkout / "tools" / "debian_parts.py")]
    run = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "LEFT OUT: no prometheus, no promtool, no prometheus-node-exporter, no prometheus-pushgateway, no curl,"
        " no redis-server, no tmux, no valgrind, no chromium, no protoc"
        " (installing them needs apt-get and root); the tests that need them will be skipped\n"
    )
