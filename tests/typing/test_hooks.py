"""mypy and pyright see whether a function implements a hook as it is specified."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.typing.test_checkers import CHECKERS

HERE = Path(__file__).resolve().parent
REFUSED = re.compile(r"# refused; mypy: (?P<mypy>.+); pyright: (?P<pyright>.+)$")

pytestmark = pytest.mark.parametrize("checker", CHECKERS)


def errors(checker: str, config: pytest.Config, file: Path, folder: Path) -> set[tuple[int, str]]:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    return CHECKERS[checker](config, file, folder / "cache")


def test_what_is_implemented_as_specified_is_accepted(
    checker: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    assert errors(checker, pytestconfig, HERE / "hooks_accepted.py", tmp_path) == set()


def test_what_is_implemented_otherwise_is_refused_with_its_reason(
    checker: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    file = tmp_path / "hooks_refused.py"
    text = (HERE / "hooks_refused.txt").read_text("utf-8")
    file.write_text(text, "utf-8")
    expected = {
        number: match[checker] for number, line in enumerate(text.splitlines(), 1) if (match := REFUSED.search(line))
    }
    assert len(expected) == text.count("# refused;")
    found: dict[int, str] = {}
    for number, message in errors(checker, pytestconfig, file, tmp_path):
        found[number] = found.get(number, "") + message
    assert found.keys() == expected.keys()
    assert {number: found[number] for number, part in expected.items() if part not in found[number]} == {}
