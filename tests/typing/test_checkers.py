"""mypy and pyright see the types that a user should see, refuse wrong code with its reason, and refuse nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.typing.conftest import Messages

HERE = Path(__file__).resolve().parent

# A line with an error, and a part of each checker's messages about it.
REFUSED = re.compile(r"# refused(; mypy: (?P<mypy>.+); pyright: (?P<pyright>.+))?$")

# Before a line: the beginnings of all the messages of a checker about it.
SAYS = re.compile(r"\s*# (?P<checker>mypy|pyright) says: (?P<message>.*)")

# Behind a line, two messages that are expected often.
LACKS = re.compile(r"# (?P<metric>\w+ '\w+') with (?P<labels>\(.+\)) lacks (?P<missing>.+)$")
NOT_YET = re.compile(r"# (?P<type>\S+) has no (?P<member>\w+) yet$")


def expanded(line: str, checker: str) -> list[str]:
    """Return the full message for a comment behind the line."""
    if lacks := LACKS.search(line):
        names = lacks["missing"].split(", ")
        missing, completion = ", ".join(map(repr, names)), ", ".join(f"{name}=..." for name in names)
        return [
            f"{lacks['metric']} takes labels {lacks['labels']} but lacks {missing}: complete it with"
            f" .labels({completion}) before it counts  [pytheus-label]"
        ]
    if not_yet := NOT_YET.search(line):
        name, member = not_yet.groups()
        if checker == "mypy":
            return [f'Invalid self argument "{name}" to attribute function "{member}"']
        return [f'Cannot access attribute "{member}" for class "{name}"']
    return []


def differences(found: Messages, text: str, checker: str) -> list[str]:
    """Compare the messages with those that the comments of the text expect."""
    report: list[str] = []
    wanted: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        got = sorted(found.get(number, []))
        if says := SAYS.fullmatch(line):
            wanted += [says["message"]] if says["checker"] == checker else []
            right = not got
        elif refused := REFUSED.search(line):
            right = got != [] and (refused[checker] or "") in "".join(got)
        else:
            wanted += expanded(line, checker)
            right = len(got) == len(wanted) and all(map(str.startswith, got, sorted(wanted)))
            report += [] if right else [f"  wanted {message}" for message in wanted]
            wanted = []
        if not right:
            report += [f"line {number}: {line}", *(f"  got    {message}" for message in got)]
    return report


@pytest.mark.parametrize("file", ["accepted.py", "hooks_accepted.py", "labels_accepted.py"])
def test_right_code_is_accepted(messages_of: Callable[[Path], Messages], file: str) -> None:
    assert messages_of(HERE / file) == {}


@pytest.mark.parametrize("name", ["refused", "hooks_refused", "labels_refused"])
def test_wrong_code_is_refused_with_these_words(
    messages_of: Callable[[Path], Messages], checker: str, name: str, tmp_path: Path
) -> None:
    text = (HERE / f"{name}.txt").read_text("utf-8")
    file = tmp_path / f"{name}.py"
    file.write_text(text, "utf-8")
    assert differences(messages_of(file), text, checker) == []
