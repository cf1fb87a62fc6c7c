"""Programs that run in an interpreter of their own, whose environment names frameworks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[list[str], list[str]]]

_COUNTS = """
def counts():
    import pytheus
    for line in pytheus.generate_metrics().splitlines():
        if "_count{" in line or "_requests_total{" in line:
            print(line)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Call it with a program, which may call ``counts()``, and variables; gives the lines of stdout and of stderr."""

    def run(program: str, instrument: str = "auto", **environ: str) -> tuple[list[str], list[str]]:
        (tmp_path / "program.py").write_text(_COUNTS + program)
        done = subprocess.run(
            [sys.executable, "-W", "error", "program.py"],
            cwd=tmp_path,
            env=os.environ | {"PYTHEUS_INSTRUMENT": instrument} | environ,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(), done.stderr.splitlines()

    return run
