"""Several processes show as one, whatever becomes of them."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, generate_metrics
from pytheus.collectors import register_runtime_collectors
from pytheus.compose import labelled, union
from pytheus.registry import CollectorRegistry, CollectorRegistryProxy, HasProcesses, ProcessInfo, Registry
from pytheus.shards import ShardedRegistry
from pytheus_multiprocess import multiprocess_registry

if TYPE_CHECKING:
    from tests.multiprocess.conftest import Scrape, Shards, Start, Worker


# Merging -------------------------------------------------------------------------------------------------------------


def test_counters_add_up(worker: Start, scrape: Scrape) -> None:
    for amount in (1, 2):
        worker().do(f"jobs.labels('mail').inc({amount})")
    assert scrape()['jobs_total{kind="mail"}'] == 3.0


def test_series_that_a_part_of_the_labels_removes_are_gone_everywhere(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do(
        "calls = Counter('calls_total', 'Calls.', ['tenant', 'code'], registry=registry);"
        "[calls.labels(tenant, code).inc() for tenant in 'abc' for code in (200, 500)]"
    )
    assert len([name for name in scrape() if name.startswith("calls_total")]) == 6
    assert one.do("answer = calls.remove(tenant='a')") is True
    one.do("calls.labels(code=500).clear()")
    assert [name for name in scrape() if name.startswith("calls_total")] == [
        'calls_total{tenant="b",code="200"}',
        'calls_total{tenant="c",code="200"}',
    ]


def test_every_process_shows_the_same(worker: Start) -> None:
    one, other = worker(), worker()
    one.do("jobs.labels('mail').inc(2); seconds.observe(3); sizes.observe(7); build.info({'version': '1'})")
    other.do("jobs.labels('sms').inc(3); seconds.observe(9); state.state('up')")
    assert one.scrape() == other.scrape()


def test_histograms_and_summaries_add_up(worker: Start, scrape: Scrape) -> None:
    worker().do("seconds.observe(0.5); sizes.observe(10)")
    worker().do("seconds.observe(3); seconds.observe(30); sizes.observe(1)")
    found = scrape()
    assert found['seconds_bucket{le="1.0"}'] == 1.0
    assert found['seconds_bucket{le="5.0"}'] == 2.0
    assert found['seconds_bucket{le="+Inf"}'] == found["seconds_count"] == 3.0
    assert found["seconds_sum"] == 33.5
    assert (found["sizes_sum"], found["sizes_count"]) == (11.0, 2.0)


def test_gauges_follow_their_modes(worker: Start, scrape: Scrape) -> None:
    one, other = worker(), worker()
    other.do("depth.set(2); lag.set(5); oldest.set(8); seen.set(1)")
    one.do("depth.set(3); lag.set(4); oldest.set(7); seen.set(2)")
    found = scrape()
    assert [found[name] for name in ("depth", "lag", "oldest", "seen")] == [5.0, 5.0, 7.0, 2.0]


def test_infos_and_states_show_what_any_process_has(worker: Start, scrape: Scrape) -> None:
    worker().do("build.info({'version': '1'}); state.state('down')")
    worker().do("build.info({'version': '2'})")
    found = scrape()
    assert found['build_info{version="1"}'] == found['build_info{version="2"}'] == 1.0
    assert found['state{state="down"}'] == 1.0


def size_of_file(one: Worker) -> int:
    size = one.do("answer = registry.store._shard.file.size_bytes")
    assert isinstance(size, int)
    return size


@pytest.mark.parametrize(
    ("source", "left", "most_bytes"),
    [
        pytest.param(
            "for n in range(2000): build.info({'version': str(n), 'note': 'x' * 500})",
            'build_info{version="1999"',
            1 << 20,
            id="an info",
        ),
        pytest.param(
            "for n in range(5000): jobs.labels(f'kind{n}').inc(); jobs.remove(f'kind{n}')",
            'jobs_total{kind="stays"}',
            1 << 19,
            id="series",
        ),
        pytest.param(
            "for n in range(2000): jobs.labels('stays').inc(0, exemplar={'trace_id': f't{n}'})",
            'jobs_total{kind="stays"}',
            0,
            id="exemplars",
        ),
    ],
)
def test_changes_without_end_take_no_more_memory(
    worker: Start, scrape: Scrape, source: str, left: str, most_bytes: int
) -> None:
    one = worker()
    one.do("jobs.labels('stays').inc(exemplar={'trace_id': 'a'})")
    before = size_of_file(one)
    one.do(source)
    found = scrape()
    assert found == one.scrape()
    (only,) = [name for name in found if name.startswith(left.partition("{")[0])]
    assert only.startswith(left)
    assert size_of_file(one) < max(before + 1, most_bytes)


def test_what_is_removed_is_gone_for_all_and_begins_at_zero(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(5); jobs.labels('sms').inc(6)")
    assert scrape()['jobs_total{kind="mail"}'] == 5.0
    one.do("jobs.remove('mail')")
    assert 'jobs_total{kind="mail"}' not in scrape()
    one.do("jobs.labels('mail').inc()")
    found = scrape()
    assert found['jobs_total{kind="mail"}'] == 1.0
    assert found['jobs_total{kind="sms"}'] == 6.0


def test_a_function_is_asked_by_its_own_process_at_its_own_scrape(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("length = 4; depth.set_function(lambda: length)")
    assert scrape()["depth"] == 0.0
    assert one.scrape()["depth"] == 4.0
    assert scrape()["depth"] == 4.0


def test_the_latest_exemplar_is_kept(worker: Start, registry: Registry) -> None:
    one = worker()
    one.do("for n in range(3): jobs.labels('mail').inc(exemplar={'trace_id': f't{n}'})")
    assert isinstance(registry, ShardedRegistry)
    (snapshot,) = registry.store.read().snapshots
    exemplars = [exemplar for of_slot in snapshot.layout.exemplars.values() for exemplar in of_slot.values()]
    assert [dict(exemplar.labels) for exemplar in exemplars] == [{"trace_id": "t2"}]


# Ends ----------------------------------------------------------------------------------------------------------------


def test_a_kill_loses_nothing(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("for n in range(1000): jobs.labels('mail').inc(); seconds.observe(2)")
    one.end()
    found = scrape()
    assert found['jobs_total{kind="mail"}'] == found["seconds_count"] == 1000.0
    assert found["seconds_sum"] == 2000.0


def test_a_dead_process_is_folded_once(worker: Start, scrape: Scrape, shards: Shards) -> None:
    for _ in range(3):
        one = worker()
        one.do("jobs.labels('mail').inc(2)")
        one.end()
    for _ in range(3):
        assert scrape()['jobs_total{kind="mail"}'] == 6.0
        assert shards() == []


def test_gauges_of_the_dead_count_where_their_author_says_so(worker: Start, scrape: Scrape) -> None:
    one, other = worker(), worker()
    one.do("depth.set(9); lag.set(9); oldest.set(-9)")
    one.end()
    other.do("depth.set(1); lag.set(1); oldest.set(1)")
    found = scrape()
    assert [found[name] for name in ("depth", "lag", "oldest")] == [1.0, 1.0, -9.0]


def test_a_process_that_ends_in_order_leaves_its_counts(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(2); registry.close(); jobs.labels('mail').inc()")
    assert one.do("answer = jobs.labels('mail').value") == 3.0
    assert scrape()['jobs_total{kind="mail"}'] == 2.0


def test_a_stopped_process_counts_as_alive(worker: Start, scrape: Scrape, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(2); depth.set(3)")
    os.kill(one.process.pid, signal.SIGSTOP)
    try:
        found = scrape()
        assert (found['jobs_total{kind="mail"}'], found["depth"]) == (2.0, 3.0)
        assert len(shards()) == 1
    finally:
        os.kill(one.process.pid, signal.SIGCONT)


def test_a_process_that_is_stopped_while_it_folds_stops_no_other(worker: Start, scrape: Scrape, shards: Shards) -> None:
    holder, one = worker(), worker()
    one.do("jobs.labels('mail').inc(2)")
    one.end()
    holder.do("assert registry.store._system.lock(registry.store._archive._lock_descriptor)")
    os.kill(holder.process.pid, signal.SIGSTOP)
    assert scrape()['jobs_total{kind="mail"}'] == 2.0
    assert len(shards()) == 2  # the one folds as soon as the other is gone
    holder.end()
    assert scrape()['jobs_total{kind="mail"}'] == 2.0
    assert shards() == []


def test_metrics_that_were_made_before_the_registry_was_chosen_take_their_counts_along(
    worker: Start, scrape: Scrape
) -> None:
    one = worker()
    one.do("early = Counter('early_total', 'E.'); early.inc(4); REGISTRY.set_registry(registry); early.inc()")
    assert scrape()["early_total"] == 5.0


def test_metrics_that_leave_the_registry_take_their_counts_along(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(4); registry.unregister(jobs); jobs.labels('mail').inc()")
    assert not any(name.startswith("jobs") for name in scrape())
    assert one.do("answer = jobs.labels('mail').value") == 5.0
    one.do("registry.register(jobs)")
    assert scrape()['jobs_total{kind="mail"}'] == 5.0


# Who describes the process -------------------------------------------------------------------------------------------


def _register(registry: Registry) -> Registry:
    register_runtime_collectors(registry)
    return registry


def _move(registry: Registry) -> Registry:
    proxy = CollectorRegistryProxy(CollectorRegistry())
    register_runtime_collectors(proxy)
    proxy.set_registry(registry)
    return proxy


def _unite(registry: Registry) -> Registry:
    return union(_register(CollectorRegistry()), registry)


@pytest.mark.parametrize("combine", [_register, _move, _unite])
@pytest.mark.parametrize("layer", [lambda registry: registry, lambda registry: labelled(registry, shop="1")])
def test_every_process_is_shown_once_beside_the_runtime_collectors(
    combine: Callable[[Registry], Registry], layer: Callable[[Registry], Registry], worker: Start, directory: Path
) -> None:
    other = worker()
    registry = multiprocess_registry(directory)
    Counter("orders_total", "Orders placed.", registry=registry).inc()
    text = generate_metrics(layer(combine(registry)), strict=True)
    registry.close()
    pids = re.findall(r'^process_open_fds\{.*pid="(\d+)"', text, re.M)
    assert sorted(pids) == sorted(map(str, [os.getpid(), other.process.pid]))
    assert not re.search(r"^process_\w+(\{shop=\"1\"\})? ", text, re.M)
    assert "python_gc_collections_total{" in text
    assert "pytheus_collector_errors_total" not in text


def test_without_process_metrics_the_runtime_collectors_describe_the_process(directory: Path) -> None:
    registry = multiprocess_registry(directory, process_metrics=False)
    text = generate_metrics(_register(registry), strict=True)
    registry.close()
    assert re.search(r"^process_open_fds \d", text, re.M)


# Who they are --------------------------------------------------------------------------------------------------------


def test_a_scrape_tells_which_processes_it_shows(worker: Start, registry: Registry) -> None:
    one, other = worker(), worker()
    for each in one, other:
        each.do("jobs.labels('mail').inc(); jobs.labels('sms').inc()")
    own = {one.process.pid, other.process.pid}

    def told() -> list[ProcessInfo]:
        generate_metrics(registry)
        assert isinstance(registry, HasProcesses)
        return [process for process in registry.processes() if process.pid != os.getpid()]

    processes = told()
    assert {process.pid for process in processes} == own
    assert {(process.state, process.host) for process in processes} == {("alive", socket.gethostname())}
    assert len({process.series for process in processes}) == 1

    other.end()
    processes = told()
    assert [(process.pid, process.state) for process in processes] == [
        (one.process.pid, "alive"),
        (None, "archive"),
    ]
    assert processes[1].series >= 2
