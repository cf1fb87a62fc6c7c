"""The benchmark of the seam runs its calls in every way to keep the numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bench import seam

pytest.importorskip("prometheus_client")


@pytest.mark.parametrize("way", sorted({column.seam for column in seam.COLUMNS}))
def test_each_call_is_measured(way: str, tmp_path: Path) -> None:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if way == "none" else None
    packages = sysconfig.get_path("purelib")
    command = [sys.executable, seam.__file__, "--task", way, packages, str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert list(figures) == list(seam.CALLS)
    assert all(figure > 0 for figure in figures.values())
    assert bool(list(tmp_path.glob("*.db"))) is (way == "none")


@pytest.mark.parametrize(
    ("column", "ratio", "is_reached"),
    [(1, 1.25, True), (1, 1.26, False), (4, 0.5, True), (4, 0.51, False)],
)
def test_goals(column: int, ratio: float, is_reached: bool) -> None:
    assert seam._is_reached(seam.COLUMNS[column], ratio) is is_reached
