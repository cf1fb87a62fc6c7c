"""The variant with locks, for interpreters without the GIL, passes the same tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pytheus
from pytheus.atomic import LOCKED

DEADLINE_SECONDS = 1800


@pytest.mark.skipif(LOCKED, reason="the tests run with locks already")
@pytest.mark.skipif(pytheus.COMPILED, reason="native code chose when it was compiled")
def test_the_tests_pass_with_locks_too(pytestconfig: pytest.Config) -> None:
    tests = Path(__file__).resolve().parent
    tested = [str(tests / name) for name in ("metrics", "registry", "exposition", "test_atomic.py", "test_locked.py")]
    paths = [str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "force_locked", "-p", "no:cacheprovider", "-W", "error"]
    ended = subprocess.run(
        [*command, "--rootdir", str(tests.parent), *tested],
        cwd=tests.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-8000:]
    assert "the tests run with locks already" in ended.stdout
