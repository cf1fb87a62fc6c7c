"""A process that is killed between any two steps loses nothing that it had counted, and nothing counts twice.

Every third step is tried, and each one in the matrix, where PYTHEUS_TEST_FULL is set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STRIDE = 1 if os.environ.get("PYTHEUS_TEST_FULL") else 3


@pytest.mark.parametrize(
    ("operation", "least_steps"),
    [
        pytest.param("growing", 100, id="beginning, growing and rewriting a file"),
        pytest.param("churning", 20, id="removing series and reusing their numbers"),
        pytest.param("folding", 15, id="folding dead shards into the archive"),
    ],
)
def test_a_kill_before_any_step_neither_loses_nor_doubles(operation: str, least_steps: int, tmp_path: Path) -> None:
    # In a program of its own, because it forks, which a process with threads should not.
    driver = Path(__file__).with_name("crash_points.py")
    command = [sys.executable, "-P", str(driver), operation, str(tmp_path), str(STRIDE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["steps"] >= least_steps
