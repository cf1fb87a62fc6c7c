"""The type checkers say what docs/how-to/check-labels.md shows, where they are installed."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytheus
from tests.typing.conftest import run

_BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>\w+)\n(?P<source>.*?)^```", re.M | re.S)


def test_the_checker_says_what_the_document_shows(checker: str, checkout: Path, tmp_path: Path) -> None:
    document = (checkout / "docs" / "how-to" / "check-labels.md").read_text(encoding="utf-8")
    shown = 0
    for block in _BLOCK.finditer(document):
        if block["file"] is not None:
            (tmp_path / block["file"]).write_text(block["source"], encoding="utf-8")
        elif block["source"].startswith(f"$ {checker} "):
            command, _, expected = block["source"].partition("\n")
            assert re.fullmatch(_pattern(expected), _output(command.removeprefix("$ ").split(), tmp_path), re.S)
            shown += 1
    assert shown == {"mypy": 2, "pyright": 1}[checker]


def _pattern(expected: str) -> str:
    return ".*".join(map(re.escape, expected.split("...")))


def _output(command: list[str], directory: Path) -> str:
    package = Path(pytheus.__file__).resolve().parent.parent
    environ: dict[str, str] = {}
    if command[0] == "pyright":
        command = [*command, "--pythonpath", sys.executable]
    if not package.is_relative_to(sys.prefix):
        # The tests are about the checkout, which no checker would find by itself.
        environ = {"PYTHONPATH": str(package), "MYPYPATH": str(package)}
        (directory / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(package)]}))
    ended = run(directory, *command, **environ)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    # pyright indents with spaces that do not break.
    return ended.stdout.replace("\xa0", " ")
