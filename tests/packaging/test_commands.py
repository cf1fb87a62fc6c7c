"""The two commands at the top of the README are the ones that CI runs, and they can start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def commands_in(text: str) -> list[str]:
    return re.findall(r"^(?:\$ )?(python3 dev\.py \w+)", text, flags=re.MULTILINE)


def test_ci_runs_what_the_readme_shows_first(checkout: Path) -> None:
    readme = (checkout / "README.md").read_text("utf-8")
    ci = (checkout / ".ci" / "run").read_text("utf-8")
    assert commands_in(readme) == commands_in(ci) == ["python3 dev.py shop", "python3 dev.py test"]


def test_the_script_starts_with_nothing_installed(checkout: Path) -> None:
    # -I and -S: no environment variables, no site-packages.
    command = [sys.executable, "-I", "-S", str(checkout / "dev.py"), "--help"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "shop" in run.stdout


def test_a_version_that_is_not_there_is_one_clear_line(checkout: Path) -> None:
    command = [sys.executable, "-I", str(checkout / "dev.py"), "test", "--python", "3.99"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (
        1,
        "dev.py: no CPython 3.99 was found on PATH or under pyenv's versions\n",
    )
