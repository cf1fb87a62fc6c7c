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


def _run(config: pytest.Config, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=config.rootpath,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    # Both give 1 for code with errors and 2 or more where they could not check it.
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout


def _mypy(config: pytest.Config, file: Path, cache: Path) -> set[tuple[int, str]]:
    output = _run(config, "mypy", "--strict", "--output=json", f"--cache-dir={cache}", str(file))
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {(error["line"], error["message"]) for error in found if _is_in(file, error)}


def _is_in(file: Path, error: dict[str, str]) -> bool:
    # mypy also tells of errors in what the file imports, which are not this test's matter.
    return error["severity"] == "error" and Path(error["file"]).name == file.name


def _pyright(config: pytest.Config, file: Path, cache: Path) -> set[tuple[int, str]]:
    output = _run(config, "pyright", "--outputjson", "--pythonpath", sys.executable, str(file))
    found = json.loads(output[output.index("{") :])["generalDiagnostics"]
    return {(error["range"]["start"]["line"] + 1, error["message"]) for error in found if error["severity"] == "error"}


CHECKERS = {"mypy": _mypy, "pyright": _pyright}


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_is_right_is_accepted(checker: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    assert CHECKERS[checker](pytestconfig, HERE / "accepted.py", tmp_path / "cache") == set()


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_is_wrong_is_refused(checker: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    refused = tmp_path / "refused.py"
    refused.write_bytes((HERE / "refused.txt").read_bytes())
    lines = refused.read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}
    errors = CHECKERS[checker](pytestconfig, refused, tmp_path / "cache")
    found = {number for number, _ in errors}
    assert {lines[number - 1] for number in expected - found} == set(), "accepted though wrong"
    assert {(number, message) for number, message in errors if number not in expected} == set(), "refused though right"
