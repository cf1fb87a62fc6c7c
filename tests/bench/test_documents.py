"""The bench writes its figures into the documents that are in the checkout, and nothing else there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.documents import CHECKOUT, SPEED, replace_table, write_results
from bench.libraries import LIBRARIES
from bench.results import Results

COLUMNS = [library for library in LIBRARIES if library.key in ("pytheus", "prometheus_client")]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with copies of the documents."""
    for document in (CHECKOUT / "README.md", SPEED):
        target = tmp_path / document.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(document, target)
    return tmp_path


def test_figures_of_a_run_are_in_both_documents(copy: Path) -> None:
    results = Results()
    results.add("pytheus", {"inc": 20.0, "empty": 10.0})
    results.add("prometheus_client", {"inc": 210.0, "empty": 10.0})
    write_results(results, COLUMNS, copy)
    assert "| `counter.inc()` | 10.0 ns | - | 200 ns |" in (copy / "README.md").read_text("utf-8").splitlines()
    assert "| counter.inc() | ns | 10.0 (20.0x) | 200 |" in (copy / SPEED.relative_to(CHECKOUT)).read_text("utf-8")


DOCUMENT = "## X\n\nText.\n\n| a |\n| --- |\n| 1 |\n\n- A note.\n- Another.\n\n## Y\n\n| b |\n| --- |\n"


def test_the_rest_of_a_document_stays_as_it_is(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(DOCUMENT)
    replace_table(document, "X", r"| \1 |")
    assert document.read_text() == "## X\n\nText.\n\n| \\1 |\n\n## Y\n\n| b |\n| --- |\n"


def test_the_document_has_the_table_of_instructions(copy: Path) -> None:
    replace_table(copy / SPEED.relative_to(CHECKOUT), "Instructions", "| new |")


@pytest.mark.parametrize("section", ["Z", "Text."])
def test_a_section_without_a_table_is_an_error(tmp_path: Path, section: str) -> None:
    document = tmp_path / "document.md"
    document.write_text(DOCUMENT)
    with pytest.raises(LookupError, match=f"has 0 sections '{section}' with a table, but expected one"):
        replace_table(document, section, "new")
    assert document.read_text() == DOCUMENT
