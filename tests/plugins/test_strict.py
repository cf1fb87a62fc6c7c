"""Strict mode as the settings choose it: ``PYTHEUS_STRICT``, then the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytheus.exceptions import ConfigurationError
from pytheus.plugins import configured_strict


def refused() -> str:
    with pytest.raises(ConfigurationError) as caught:
        configured_strict()
    return str(caught.value)


@pytest.mark.parametrize(
    ("variable", "file", "strict"),
    [
        (None, "", False),
        ("", "", False),
        (" ", "strict = true", True),
        (None, "strict = true", True),
        ("0", "strict = true", False),
        ("false", "strict = true", False),
        ("1", "strict = false", True),
        ("True", "", True),
        (" TRUE ", "", True),
    ],
)
def test_the_variable_decides_over_the_file_about_strict_mode(
    variable: str | None, file: str, strict: bool, pyproject: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject.write_text(f"[tool.pytheus]\n{file}\n")
    if variable is not None:
        monkeypatch.setenv("PYTHEUS_STRICT", variable)
    assert configured_strict() is strict


@pytest.mark.parametrize("variable", ["yes", "on", "2", "-1", "truee", "1 1", "none"])
def test_another_text_for_strict_mode_is_refused(variable: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHEUS_STRICT", variable)
    assert refused() == f"PYTHEUS_STRICT must be 1, 0, true or false but is {variable!r}"


@pytest.mark.parametrize(
    ("value", "kind"), [("1", "an integer"), ('"true"', "a string"), ("[]", "an array"), ("1.0", "a float")]
)
def test_strict_of_another_type_is_refused(value: str, kind: str, pyproject: Path) -> None:
    pyproject.write_text(f"[tool.pytheus]\nstrict = {value}\n")
    assert refused() == (
        f"{pyproject}: 'strict' in [tool.pytheus] must be true or false but is {kind}; write strict = true"
    )
