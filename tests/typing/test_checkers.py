"""mypy and pyright see the types that a user should see, and refuse what a user should not be able to write."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
DEADLINE_SECONDS = 600


def _checkout(config: pytest.Config) -> Path:
    return config.rootpath


def _run(config: pytest.Config, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=_checkout(config),
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    # Both give 1 for code with errors and 2 or more where they could not check it.
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout


def _mypy(config: pytest.Config, file: str, cache: Path) -> set[tuple[int, str]]:
    output = _run(
        config, "mypy", "--strict", "--no-error-summary", "--output=json", f"--cache-dir={cache}", str(HERE / file)
    )
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {(error["line"], error["message"]) for error in found if error["severity"] == "error"}


def _pyright(config: pytest.Config, file: str, cache: Path) -> set[tuple[int, str]]:
    output = _run(config, "pyright", "--outputjson", "--pythonpath", sys.executable, str(HERE / file))
    found = json.loads(output[output.index("{") :])["generalDiagnostics"]
    return {(error["range"]["start"]["line"] + 1, error["message"]) for error in found if error["severity"] == "error"}


CHECKERS = {"mypy": _mypy, "pyright": _pyright}


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_is_right_is_accepted(checker: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    assert CHECKERS[checker](pytestconfig, "accepted.py", tmp_path) == set()


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_is_wrong_is_refused(checker: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    lines = (HERE / "refused.py").read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}
    errors = CHECKERS[checker](pytestconfig, "refused.py", tmp_path)
    refused = {number for number, _ in errors}
    assert {lines[number - 1] for number in expected - refused} == set(), "accepted though wrong"
    assert {(number, message) for number, message in errors if number not in expected} == set(), "refused though right"
