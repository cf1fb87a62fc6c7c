"""The work that is measured is the intended work, with each library that is installed here."""

from __future__ import annotations

import gzip
import subprocess
import sys
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.environments import build_limit
from bench.rows import ROWS
from bench.served import request, text_of
from bench.stopwatch import looped
from bench.workload import OBSERVED, Workload
from bench.workloads import WORKLOADS

BOTH = {name: WORKLOADS[name]() for name in ("pytheus", "prometheus_client")}
both = pytest.mark.parametrize("workload", BOTH.values(), ids=BOTH)


@both
def test_every_statement_is_a_row_of_the_table(workload: Workload) -> None:
    assert set(workload.statements()) <= {row.key for row in ROWS}


@both
def test_every_statement_runs(workload: Workload) -> None:
    for statement in workload.statements().values():
        assert looped(statement)(repeat(None, 3)) > 0


def test_the_statements_are_the_same_for_both() -> None:
    sources = [{row: each.source for row, each in workload.statements().items()} for workload in BOTH.values()]
    # prometheus_client has no native histograms.
    sources[0].pop("observe_native", None)
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
    for statement in workload.first_writes().values():
        assert looped(statement, "path")(["/a", "/b"]) > 0


@pytest.fixture
def _limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module `limit` for this interpreter."""
    try:
        file = build_limit(sys.executable, tmp_path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"bench/limit.c cannot be built here: {error}")
    monkeypatch.syspath_prepend(file.parent)


@pytest.mark.usefixtures("_limit")
def test_the_limit_exposes_the_same_text() -> None:
    limit = WORKLOADS["limit"]()
    for make in (partial(Workload.counters, amount=0.1), Workload.histograms):
        ours, theirs = make(BOTH["pytheus"]), make(limit)
        for paths in (["/a", 'é"\\\n'], [f"/{n}" for n in range(100)], ["/a"]):
            ours.write_to(paths)
            theirs.write_to(paths)
            assert theirs.render() == ours.render()
        assert gzip.decompress(theirs.compressed() or b"") == ours.render()


@pytest.mark.usefixtures("_limit")
def test_every_statement_runs_with_the_limit() -> None:
    limit = WORKLOADS["limit"]()
    assert limit.statements().keys() == BOTH["pytheus"].statements().keys() - {"observe_native"}
    for statement in limit.statements().values():
        assert looped(statement)(repeat(None, 3)) > 0


@both
def test_a_scrape_in_gzip_has_the_same_series(workload: Workload) -> None:
    counters = workload.counters(1.0)
    counters.write(1000)
    assert gzip.decompress(counters.compressed() or b"") == counters.render()


@both
def test_a_scrape_over_a_socket_has_the_same_series(workload: Workload) -> None:
    counters = workload.counters(1.0)
    counters.write(1000)
    server = counters.serve()
    assert server is not None
    try:
        scrape = request(server.port)
    finally:
        server.close()
    assert text_of(scrape.answer) == counters.render()
    assert scrape.seconds > 0


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\nx 1.0\n", b""], ids=["not compressed", "closed"])
def test_an_answer_that_is_not_in_gzip_is_refused(answer: bytes) -> None:
    with pytest.raises(RuntimeError, match="expected an answer in gzip"):
        text_of(answer)


def test_a_first_read_merges_all_shards() -> None:
    read = BOTH["pytheus"].first_read(3, ["/a", "/b"])
    assert read is not None
    ((family,),) = (each.collect() for each in read())
    assert [(sample.labels["path"], sample.value) for sample in family.samples] == [("/a", 3.0), ("/b", 3.0)]
