"""A process that is killed between any two steps loses nothing that it had counted, and nothing counts twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("operation", "least_steps"),
    [
        pytest.param("growing", 100, id="beginning, growing and rewriting a file"),
        pytest.param("churning", 20, id="removing series and reusing their room"),
        pytest.param("folding", 15, id="folding dead shards into the archive"),
    ],
)
def test_a_kill_before_any_step_neither_loses_nor_doubles(operation: str, least_steps: int, tmp_path: Path) -> None:
    # In a program of its own, for it forks, and a process with threads had better not.
    driver = Path(__file__).with_name("crash_points.py")
    done = subprocess.run(
        [sys.executable, "-P", str(driver), operation, str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["steps"] >= least_steps
