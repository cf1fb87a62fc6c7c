from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_it_starts_with_nothing_installed(checkout: Path) -> None:
    # -I and -S: no environment variables, no site-packages.
    command = [sys.executable, "-I", "-S", str(checkout / "bench" / "run.py"), "--help"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "--quick" in run.stdout


def test_a_library_that_it_does_not_know_is_one_clear_line(checkout: Path) -> None:
    command = [sys.executable, "-I", "-S", str(checkout / "bench" / "run.py"), "--only", "statsd"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "invalid choice: 'statsd'" in run.stderr
