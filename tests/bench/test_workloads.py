"""The work that is measured is the intended work, with each library that is installed here."""

from __future__ import annotations

from itertools import repeat

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.rows import ROWS
from bench.stopwatch import looped
from bench.workload import OBSERVED, Workload
from bench.workloads import prometheus_client as peer
from bench.workloads import pytheus as ours

both = pytest.mark.parametrize("workload", [ours, peer], ids=["pytheus", "prometheus_client"])


@both
def test_every_statement_is_a_row_of_the_table(workload: Workload) -> None:
    assert set(workload.statements()) <= {row.key for row in ROWS}


@both
def test_every_statement_runs(workload: Workload) -> None:
    for statement in workload.statements().values():
        assert looped(statement)(repeat(None, 3)) > 0


def test_the_statements_are_the_same_for_both() -> None:
    sources = [{row: each.source for row, each in workload.statements().items()} for workload in (ours, peer)]
    assert sources[0] == sources[1]


@both
def test_each_write_changes_every_counter(workload: Workload) -> None:
    counters = workload.counters(1.5)
    counters.write(3)
    counters.write(3)
    (family,) = text_string_to_metric_families((counters.render() or b"").decode())
    assert [(sample.name, dict(sample.labels), sample.value) for sample in family.samples] == [
        ("http_requests_total", {"method": "GET", "path": f"/x/{n}"}, 3.0) for n in range(3)
    ]


@both
def test_each_write_reaches_every_bucket(workload: Workload) -> None:
    histograms = workload.histograms()
    histograms.write(1)
    (family,) = text_string_to_metric_families((histograms.render() or b"").decode())
    counts = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
    assert counts == [float(n + 1) for n in range(len(OBSERVED))]


@both
def test_the_shared_counter_reads_what_was_added(workload: Workload) -> None:
    shared = workload.shared_counter()
    looped(shared.increment)(repeat(None, 5))
    assert shared.read() == 5.0


@both
def test_a_first_write_makes_a_series(workload: Workload) -> None:
    assert looped(workload.first_write(), "path")(["/a", "/b"]) > 0
