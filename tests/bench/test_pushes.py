"""The benchmark of pushes: each library's rows are measured, against a receiver that reads everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import pushes


@pytest.mark.parametrize(
    ("workload", "rows"),
    [("pytheus", set(pushes.ROWS)), ("prometheus_client", {"unchanged", "changed", "file"})],
)
def test_each_row_is_measured(workload: str, rows: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pushes.receiver() as port:
        figures = pushes.measured(workload, port, 50, 0)
    assert set(figures) == rows
    assert all(seconds > 0 for seconds in figures.values())
    assert (tmp_path / f"pushes-{workload}.prom").read_text().count("\nhttp_requests_total{") == 50


def test_a_cell_has_the_ratio_to_the_reference() -> None:
    best = {"pytheus": {"changed": 0.001}, "prometheus_client": {"changed": 0.02}}
    assert pushes.cell(best, "pytheus", "changed") == "1.00 ms (20.0x)"
    assert pushes.cell(best, "prometheus_client", "changed") == "20.00 ms"
    assert pushes.cell(best, "pytheus", "gzip") == "-"
