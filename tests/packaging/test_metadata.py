"""What the distributions say of themselves agrees with each other, with the changelogs, and with what is tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
KINDS_OF_CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
"""Of https://keepachangelog.com/en/1.1.0/."""


def settings(directory: Path) -> dict[str, Any]:
    return tomllib.loads((directory / "pyproject.toml").read_text("utf-8"))


def versions(directory: Path) -> list[str]:
    """The minor versions of Python in the classifiers."""
    prefix = "Programming Language :: Python :: 3."
    return [each.rpartition(" ")[2] for each in settings(directory)["project"]["classifiers"] if prefix in each]


@pytest.fixture(params=DISTRIBUTIONS, ids=lambda directory: str(directory.name if directory != ROOT else "pytheus"))
def distribution(request: pytest.FixtureRequest) -> Path:
    directory: Path = request.param
    return directory


def test_the_classifiers_are_of_the_versions_that_the_matrix_tests(distribution: Path) -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    tested = re.findall(r"^ {12}(3\.\d+)$", workflow, flags=re.MULTILINE)
    wheels = settings(ROOT)["tool"]["cibuildwheel"]["build"].split()
    assert versions(distribution) == sorted(tested)
    assert [f"cp{version.replace('.', '')}-*" for version in versions(distribution)] == wheels


def test_the_oldest_version_is_the_required_one(distribution: Path) -> None:
    assert settings(distribution)["project"]["requires-python"] == f">={versions(distribution)[0]}"


def test_the_changelog_has_the_form_of_keep_a_changelog(distribution: Path) -> None:
    text = (distribution / "CHANGELOG.md").read_text("utf-8")
    releases = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert releases
    for release in releases:
        assert re.fullmatch(r"\[?\d+\.\d+\.\d+\]?(, | - )(unreleased|\d{4}-\d\d-\d\d)", release, flags=re.IGNORECASE)
    assert set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE)) <= KINDS_OF_CHANGES


def test_the_changelog_begins_with_the_version_that_is_built(distribution: Path) -> None:
    text = (distribution / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", text, flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == settings(distribution)["project"]["version"]
