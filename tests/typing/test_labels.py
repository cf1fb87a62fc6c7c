"""mypy and pyright find mistakes in labels that a class declares, say so where they are, and find none elsewhere."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
DEADLINE_SECONDS = 600

# The messages of one checker by line, each in one line of text.
Messages = dict[int, list[str]]


def _run(root: Path, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    # Both give 1 for code with errors and 2 or more where they could not check it.
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended.stdout


def _mypy(root: Path, file: Path, cache: Path) -> Messages:
    found: Messages = {}
    for line in _run(root, "mypy", "--strict", "--output=json", f"--cache-dir={cache}", str(file)).splitlines():
        if line.startswith("{"):
            error = json.loads(line)
            # mypy also tells of errors in what the file imports, which are not this test's matter.
            if error["severity"] == "error" and Path(error["file"]).name == file.name:
                found.setdefault(error["line"], []).append(f"{error['message']}  [{error['code']}]")
    return found


def _pyright(root: Path, file: Path, cache: Path) -> Messages:
    output = _run(root, "pyright", "--outputjson", "--pythonpath", sys.executable, str(file))
    found: Messages = {}
    for error in json.loads(output[output.index("{") :])["generalDiagnostics"]:
        if error["severity"] == "error":
            line = error["range"]["start"]["line"] + 1
            found.setdefault(line, []).append(error["message"].splitlines()[0].replace("\xa0", " "))
    return found


CHECKERS: dict[str, Callable[[Path, Path, Path], Messages]] = {"mypy": _mypy, "pyright": _pyright}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=CHECKERS)
def checker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def _expected(text: str, checker: str) -> Messages:
    """What the comments before each line expect: ``# mypy says: how the message begins``."""
    expected: Messages = {}
    pending: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.fullmatch(r"\s*# (mypy|pyright) says: (.*)", line)
        if comment is None:
            if pending:
                expected[number] = pending
            pending = []
        elif comment[1] == checker:
            pending.append(comment[2])
    return expected


def _differences(found: Messages, expected: Messages, text: str) -> str:
    lines = text.splitlines()
    report: list[str] = []
    for number in sorted(found.keys() | expected.keys()):
        got, wanted = sorted(found.get(number, [])), sorted(expected.get(number, []))
        if len(got) != len(wanted) or not all(map(str.startswith, got, wanted)):
            report += [f"line {number}: {lines[number - 1]}", *(f"  wanted {message}" for message in wanted)]
            report += [f"  got    {message}" for message in got]
    return "\n".join(report)


def test_right_labels_are_accepted(checker: str, checkout: Path, cache: Path) -> None:
    assert CHECKERS[checker](checkout, HERE / "labels_accepted.py", cache) == {}


def test_wrong_labels_are_refused_with_these_words(checker: str, checkout: Path, cache: Path, tmp_path: Path) -> None:
    text = (HERE / "labels_refused.txt").read_text(encoding="utf-8")
    file = tmp_path / "labels_refused.py"
    file.write_text(text, encoding="utf-8")
    assert _differences(CHECKERS[checker](checkout, file, cache), _expected(text, checker), text) == ""
