"""The bench writes its figures into the documents that are in the checkout, and nothing else there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.documents import CHECKOUT, SPEED, replace_part, write_results
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


def test_the_rest_of_a_document_stays_as_it_is(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("a\n<!-- bench: x -->\n\nold\n\n<!-- bench: end -->\nb\n<!-- bench: end -->\n")
    replace_part(document, "x", r"new \1")
    assert document.read_text() == "a\n<!-- bench: x -->\n\nnew \\1\n\n<!-- bench: end -->\nb\n<!-- bench: end -->\n"


def test_the_document_has_the_part_for_instructions(copy: Path) -> None:
    replace_part(copy / SPEED.relative_to(CHECKOUT), "instructions", "new")


def test_a_document_without_the_part_is_an_error(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("a\n")
    with pytest.raises(LookupError, match="has 0 parts called 'x', but expected one"):
        replace_part(document, "x", "new")
    assert document.read_text() == "a\n"
