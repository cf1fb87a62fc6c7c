"""The settings of names and start times: the variable, then the configuration file, then the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins.config import SETTINGS, configured_setting


@pytest.mark.parametrize(
    ("key", "variable", "file", "value"),
    [
        ("names", None, "", "legacy"),
        ("names", "", 'names = "utf8"', "utf8"),
        ("names", " UTF8 ", "", "utf8"),
        ("names", "legacy", 'names = "utf8"', "legacy"),
        ("created_lines", None, "", False),
        ("created_lines", None, "created_lines = true", True),
        ("created_lines", "0", "created_lines = true", False),
        ("created_lines", "true", "", True),
    ],
)
def test_the_variable_decides_over_the_file(
    key: str,
    variable: str | None,
    file: str,
    value: bool | str,
    pyproject: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pyproject.write_text(f"[tool.pytheus]\n{file}\n")
    if variable is not None:
        monkeypatch.setenv(f"PYTHEUS_{key.upper()}", variable)
    assert configured_setting(key) == value


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [("PYTHEUS_NAMES", "utf-8", "legacy or utf8"), ("PYTHEUS_CREATED_LINES", "yes", "1, 0, true or false")],
)
def test_another_text_is_refused(
    variable: str, value: str, expected: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} must be {expected} but is '{value}'$"):
        configured_setting(next(key for key in SETTINGS if key.upper() in variable))


_NAMES = '\'names\' in [tool.pytheus] must be "legacy" or "utf8" but is {}; write names = "utf8"'
_LINES = "'created_lines' in [tool.pytheus] must be true or false but is {}; write created_lines = true"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("names = true", _NAMES.format("a boolean")),
        ('names = "all"', _NAMES.format("a string")),
        ("created_lines = 1", _LINES.format("an integer")),
    ],
)
def test_another_type_or_text_in_the_file_is_refused(entry: str, message: str, pyproject: Path) -> None:
    pyproject.write_text(f"[tool.pytheus]\n{entry}\n")
    with pytest.raises(ConfigurationError) as caught:
        configured_setting("names")
    assert str(caught.value) == f"{pyproject}: {message}"
