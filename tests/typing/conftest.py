"""mypy and pyright over a file: their messages by line."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DEADLINE_SECONDS = 600

Messages = dict[int, list[str]]
"""The messages of one checker by line."""


def run(directory: Path, program: str, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": ""} | environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    # A checker gives 1 for code with errors, and 2 or more where it could not check it.
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return ended


def _mypy(root: Path, file: Path, cache: Path) -> Messages:
    found: Messages = {}
    output = run(root, "mypy", "--strict", "--output=json", f"--cache-dir={cache}", file).stdout
    for error in (json.loads(line) for line in output.splitlines() if line.startswith("{")):
        # mypy also tells of errors in the imports of the file, which are not part of this test.
        if error["severity"] == "error" and Path(error["file"]).name == file.name:
            found.setdefault(error["line"], []).append(f"{error['message']}  [{error['code']}]")
    return found


def _pyright(root: Path, file: Path, cache: Path) -> Messages:
    found: Messages = {}
    output = run(root, "pyright", "--outputjson", "--pythonpath", sys.executable, file).stdout
    for error in json.loads(output[output.index("{") :])["generalDiagnostics"]:
        if error["severity"] == "error":
            # pyright indents with spaces that do not break.
            message = error["message"].replace("\xa0", " ")
            found.setdefault(error["range"]["start"]["line"] + 1, []).append(message)
    return found


CHECKERS = {"mypy": _mypy, "pyright": _pyright}


@pytest.fixture(params=CHECKERS)
def checker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy_cache")


@pytest.fixture
def messages_of(checker: str, checkout: Path, mypy_cache: Path) -> Callable[[Path], Messages]:
    """The checker's messages about a file."""
    return lambda file: CHECKERS[checker](checkout, file, mypy_cache)
