from __future__ import annotations

import json

import pytest

from bench.libraries import LIBRARIES
from bench.results import Results
from bench.table import as_json, as_markdown, as_text

COLUMNS = [library for library in LIBRARIES if library.key in ("pytheus", "limit", "prometheus_client")]


@pytest.fixture
def results() -> Results:
    results = Results()
    results.add("pytheus", {"inc": 20.0, "empty": 10.0, "import": 25.0, "threads": 15.0})
    results.add("prometheus_client", {"inc": 210.0, "empty": 10.0, "import": 60.0, "threads": 15.0})
    results.add("limit", {"inc": 18.0, "empty": 10.0})
    results.notes.append("Measured by hand.")
    return results


def line(text: str, title: str) -> str:
    (found,) = [each for each in text.splitlines() if title in each]
    return found


def test_a_figure_has_its_ratio(results: Results) -> None:
    assert "10.0 (20.0x)" in line(as_text(results, COLUMNS), "counter.inc()  ")


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [
        ("import,", 5, "60.0"),
        ("import,", 4, "-"),
        ("import,", 2, "ms"),
        ("counter.inc() |", 6, "≥ 20x ✓, pure ≥ 5x ?, ≤ 1.5x limit ✓"),
    ],
    ids=["the reference has no ratio", "a library lacks it", "unit", "goals that are reached"],
)
def test_a_cell_of_the_markdown_is(results: Results, row: str, column: int, cell: str) -> None:
    assert line(as_markdown(results, COLUMNS), row).split("|")[column].strip() == cell


def test_a_goal_that_is_missed_says_by_how_much(results: Results) -> None:
    results.add("prometheus_client", {"inc": 60.0})
    results.add("limit", {"inc": 12.0})
    goals = line(as_markdown(results, COLUMNS), "counter.inc() |").split("|")[6].strip()
    assert goals == "≥ 20x ✗ 5.00x, pure ≥ 5x ?, ≤ 1.5x limit ✗ 5.00x"


def test_a_row_without_a_figure_is_left_out(results: Results) -> None:
    assert "gauge" not in as_text(results, COLUMNS)


def test_notes_stand_below(results: Results) -> None:
    assert as_text(results, COLUMNS).endswith("\n\nMeasured by hand.\n")
    assert as_markdown(results, COLUMNS).endswith("\n\n- Measured by hand.\n")


def test_columns_are_aligned(results: Results) -> None:
    head, rule, *lines = as_text(results, COLUMNS).split("\n\n")[0].splitlines()
    start = head.index("goal")
    assert rule[start - 2 : start] == "  "
    assert all(each[start - 2 : start] in ("  ", "") for each in lines)


def test_json_has_every_figure_unrounded(results: Results) -> None:
    results.add("pytheus", {"import": 12.3456789})
    whole = json.loads(as_json(results, COLUMNS))
    (row,) = [row for row in whole["rows"] if row["row"] == "import"]
    assert row["figures"] == {"pytheus": 12.3456789, "prometheus_client": 60.0, "limit": None}
    assert [goal["reached"] for goal in row["goals"]] == [True, None]
