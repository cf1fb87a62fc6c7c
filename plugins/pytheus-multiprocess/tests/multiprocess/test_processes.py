"""Several processes show as one, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus import Counter, generate_metrics
from pytheus.registry import Registry
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess import store as store_module
from pytheus_multiprocess.store import MultiprocessStore

if TYPE_CHECKING:
    from tests.multiprocess.conftest import Worker

Start = Callable[[], "Worker"]
Scrape = Callable[[], dict[str, float]]
Shards = Callable[[], list[str]]

# Merging -------------------------------------------------------------------------------------------------------------


def test_counters_add_up(worker: Start, scrape: Scrape) -> None:
    for amount in (1, 2):
        worker().do(f"jobs.labels('mail').inc({amount})")
    assert scrape()['jobs_total{kind="mail"}'] == 3.0


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


def test_an_info_that_changes_again_and_again_takes_no_more_room(
    worker: Start, scrape: Scrape, registry: Registry
) -> None:
    one = worker()
    for number in range(5):
        begin = number * 400
        one.do(f"[build.info({{'version': str(n), 'note': 'x' * 500}}) for n in range({begin}, {begin + 400})]")
    size = one.do("answer = registry.store._shard.file.size_bytes")
    (only,) = [name for name in scrape() if name.startswith("build_info")]
    assert 'version="1999"' in only
    assert isinstance(size, int)
    assert size < 1 << 20


def test_series_that_come_and_go_take_no_more_room(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("jobs.labels('stays').inc()")
    one.do("for n in range(5000): jobs.labels(f'kind{n}').inc(); jobs.remove(f'kind{n}')")
    assert scrape() == one.scrape()
    assert [name for name in scrape() if name.startswith("jobs")] == ['jobs_total{kind="stays"}']
    size = one.do("answer = registry.store._shard.file.size_bytes")
    assert isinstance(size, int)
    assert size < 1 << 19


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
    from pytheus.shards import ShardedRegistry

    one = worker()
    one.do("for n in range(3): jobs.labels('mail').inc(exemplar={'trace_id': f't{n}'})")
    assert isinstance(registry, ShardedRegistry)
    (snapshot,) = registry.store.read().snapshots
    exemplars = [exemplar for of_slot in snapshot.layout.exemplars.values() for exemplar in of_slot.values()]
    assert [dict(exemplar.labels) for exemplar in exemplars] == [{"trace_id": "t2"}]


def test_exemplars_without_end_take_no_more_room(worker: Start) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(exemplar={'trace_id': 'a'})")
    size = one.do("answer = registry.store._shard.file.size_bytes")
    one.do("for n in range(2000): jobs.labels('mail').inc(exemplar={'trace_id': f't{n}'})")
    assert one.do("answer = registry.store._shard.file.size_bytes") == size


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


def test_a_stopped_folder_stops_nobody(worker: Start, scrape: Scrape, shards: Shards) -> None:
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


# Forks ---------------------------------------------------------------------------------------------------------------


def test_a_forked_child_begins_at_zero_in_a_shard_of_its_own(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(10); seconds.observe(1); depth.set(5); mail = jobs.labels('mail')")
    assert one.do("answer = forked(lambda: (mail.inc(), seconds.observe(2), depth.set(1)) and None)") == 0
    found = scrape()
    assert found['jobs_total{kind="mail"}'] == 11.0
    assert (found["seconds_sum"], found["seconds_count"]) == (3.0, 2.0)
    assert found["depth"] == 5.0  # the child is gone


def test_children_of_children_count_too(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    one.do("""
def deeper(level):
    jobs.labels('mail').inc()
    if level:
        assert forked(lambda: deeper(level - 1)) == 0
answer = forked(lambda: deeper(3))
assert answer == 0
""")
    assert scrape()['jobs_total{kind="mail"}'] == 5.0


def test_a_child_does_not_keep_its_parent_alive(worker: Start, scrape: Scrape, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(); depth.set(3)")
    one.do("""
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.close(0), os.close(1)
    jobs.labels('mail').inc()
    os.write(writer, b'x')
    time.sleep(600)
os.read(reader, 1)
answer = child
""")
    child = one.do("answer = child")
    assert isinstance(child, int)
    one.end()
    try:
        found = scrape()
        assert (found['jobs_total{kind="mail"}'], found["depth"]) == (2.0, 0.0)
        assert len(shards()) == 1
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_is_forked_during_a_fold_does_not_keep_the_lock(
    worker: Start, scrape: Scrape, shards: Shards
) -> None:
    one = worker()
    one.do("""
assert registry.store._system.lock(registry.store._archive._lock_descriptor)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.close(0), os.close(1)
    os.write(writer, b'x')
    time.sleep(600)
os.read(reader, 1)
answer = child
""")
    child = one.do("answer = child")
    assert isinstance(child, int)
    one.end()
    try:
        scrape()
        assert len(shards()) == 1  # the child's
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("threads", [4])
def test_forks_while_threads_make_series(worker: Start, scrape: Scrape, threads: int) -> None:
    one = worker()
    one.do(f"""
import warnings
warnings.simplefilter('ignore', DeprecationWarning)  # of forks in a process with threads
stop = False
done = [0] * {threads}
def make(number):
    while not stop:
        jobs.labels(f'kind{{number}}-{{done[number] % 500}}').inc()
        done[number] += 1
        if done[number] % 100 == 0:
            jobs.remove(f'kind{{number}}-{{(done[number] - 1) % 500}}')
            done[number] -= 1
            jobs.labels('removed').inc(0)
makers = [threading.Thread(target=make, args=(n,)) for n in range({threads})]
for maker in makers: maker.start()
def count():
    jobs.labels('forked').inc()
    jobs.labels(f'fork{{os.getpid()}}').inc()
answer = [forked(count) for _ in range(30)]
stop = True
for maker in makers: maker.join()
assert answer == [0] * 30, answer
""")
    found = scrape()
    assert found['jobs_total{kind="forked"}'] == 30.0
    assert one.scrape() == found
    assert found.get("pytheus_shard_problems", 0.0) == 0.0


def test_forks_in_two_threads_at_once_let_go_of_what_is_their_own(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = multiprocess_registry(directory, process_metrics=False)
    store = registry.store
    assert isinstance(store, MultiprocessStore)
    lock = store.hold()
    lock.release()
    monkeypatch.setattr(store_module, "_stores", {id(store): weakref.ref(store)})
    is_held, is_held_again = threading.Event(), threading.Event()

    class Lock:
        """The store's, which the other thread has as soon as the first one lets go of it."""

        def __init__(self) -> None:
            lock.acquire()

        def release(self) -> None:
            lock.release()
            assert is_held_again.wait(60)

    monkeypatch.setattr(store, "hold", Lock)

    def first() -> None:
        store_module._before_fork()
        is_held.set()
        store_module._after_in_parent()

    def second() -> None:
        assert is_held.wait(60)
        store_module._before_fork()
        is_held_again.set()
        forking.join(60)
        store_module._after_in_parent()

    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    forking, other = threading.Thread(target=first, daemon=True), threading.Thread(target=second, daemon=True)
    for thread in (forking, other):
        thread.start()
    for thread in (forking, other):
        thread.join(120)
    assert raised == []
    assert lock.acquire(timeout=60)
    lock.release()
    monkeypatch.undo()
    registry.close()


def test_a_registry_that_was_closed_is_closed_in_the_child_as_well(worker: Start) -> None:
    one = worker()
    one.do("registry.close()")
    assert one.do("answer = forked(lambda: jobs.labels('mail').inc())") == 0


# Problems ------------------------------------------------------------------------------------------------------------


def test_what_is_no_shard_is_left_out_logged_once_and_counted(
    worker: Start, scrape: Scrape, directory: Path, caplog: pytest.LogCaptureFixture, registry: Registry
) -> None:
    worker().do("jobs.labels('mail').inc()")
    (directory / "0123456789abcdef.shard").write_bytes(b"not of ours" * 1000)
    for _ in range(3):
        found = scrape()
        assert found['jobs_total{kind="mail"}'] == 1.0
        assert sum(value for name, value in found.items() if name.startswith("pytheus_shard_problems")) == 1.0
    assert len([record for record in caplog.records if "0123456789abcdef" in record.getMessage()]) == 1


def test_a_shard_that_was_cut_short_is_left_out(worker: Start, scrape: Scrape, directory: Path, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    one.end()
    (name,) = shards()
    os.truncate(directory / name, 5000)
    found = scrape()
    assert not any(series.startswith("jobs") for series in found)
    assert sum(value for name, value in found.items() if name.startswith("pytheus_shard_problems")) == 1.0


def test_a_live_shard_that_could_not_be_read_is_looked_at_again(
    worker: Start, scrape: Scrape, directory: Path, shards: Shards
) -> None:
    worker().do("jobs.labels('mail').inc()")
    (name,) = shards()
    status = os.stat(directory / name)
    # As its owner would write it, whose stores in the mapping show in no time of change.
    with open(directory / name, "r+b") as file:
        begun = os.pread(file.fileno(), 8, 4096)
        os.pwrite(file.fileno(), (77).to_bytes(8, "little"), 4096)
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        assert scrape()["pytheus_shard_problems"] == 1.0
        os.pwrite(file.fileno(), begun, 4096)
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    found = scrape()
    assert (found['jobs_total{kind="mail"}'], found["pytheus_shard_problems"]) == (1.0, 0.0)


def test_shards_that_a_process_has_no_descriptors_for_are_read_when_it_has(worker: Start) -> None:
    for _ in range(3):
        worker().do("jobs.labels('mail').inc()")
    one = worker()
    # Two that are free are enough to list the directory, but each shard keeps one at least.
    one.do("""
import logging, resource  # both while there are descriptors to load them with
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
taken = []
try:
    while True: taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    os.close(taken.pop()), os.close(taken.pop())
generate_metrics(registry)
for descriptor in taken: os.close(descriptor)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
""")
    assert one.scrape()['jobs_total{kind="mail"}'] == 3.0


def test_a_process_whose_file_was_removed_is_told(worker: Start, directory: Path, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    assert "pytheus_shard_problems" not in one.scrape()
    for name in shards():
        (directory / name).unlink()
    assert one.scrape()["pytheus_shard_problems"] == 1.0


def test_a_program_that_closes_all_descriptors_has_its_own_files_left_alone(worker: Start, tmp_path: Path) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc()")
    source = f"""
def closing():
    os.closerange(3, 256)
    files = [open(f"{tmp_path}/{{n}}", "w+b", buffering=0) for n in range(20)]
    for n in range(3000): jobs.labels(f'kind{{n}}').inc()
    assert [file.seek(0, os.SEEK_END) for file in files] == [0] * 20
    for file in files: file.close()
answer = forked(closing)
"""
    assert one.do(source) == 0


def test_a_child_of_a_program_that_closed_all_descriptors_is_seen(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("""
def closing():
    os.closerange(3, 256)
    files = [open(os.devnull) for n in range(20)]
    assert forked(lambda: (jobs.labels('mail').inc(), files[10].read()) and None) == 0
answer = forked(closing)
assert answer == 0
""")
    assert scrape()['jobs_total{kind="mail"}'] == 1.0


def test_series_that_find_no_room_show_in_their_own_process(worker: Start, scrape: Scrape) -> None:
    one = worker()
    one.do("""
registry = multiprocess_registry(sys.argv[1], process_metrics=False, max_size_bytes=1 << 16)
jobs = Counter("small_total", "S.", ["kind"], registry=registry)
for n in range(10_000): jobs.labels(f'kind{n}').inc()
""")
    own = one.scrape()
    assert len([name for name in own if name.startswith("small")]) == 10_000
    assert sum(value for name, value in own.items() if name.startswith("small")) == 10_000.0
    seen = scrape()
    shared = len([name for name in seen if name.startswith("small")])
    assert 100 < shared < 10_000
    assert seen["pytheus_multiprocess_unshared_series"] == 10_000 - shared


def test_a_disk_that_is_full_ends_nobody(worker: Start, scrape: Scrape) -> None:
    one = worker()
    # The kernel refuses to let a file grow any further, as it does where no block is free.
    one.do("""
import resource
jobs.labels('early').inc()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, resource.RLIM_INFINITY))
for n in range(20_000): jobs.labels(f'kind{n}').inc()
jobs.labels('early').inc()
""")
    own, seen = one.scrape(), scrape()
    assert own['jobs_total{kind="early"}'] == seen['jobs_total{kind="early"}'] == 2.0
    assert sum(value for name, value in own.items() if name.startswith("jobs")) == 20_002.0
    assert seen["pytheus_multiprocess_unshared_series"] > 1000
    one.do("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))")
    one.do("jobs.labels('late').inc()")
    assert scrape()['jobs_total{kind="late"}'] == 1.0


def test_series_that_nobody_adds_to_can_go_after_a_while(
    worker: Start, directory: Path, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    registry = multiprocess_registry(directory, process_metrics=False, retention_seconds=0.2)
    living, one = worker(), worker()
    living.do("jobs.labels('living').inc()")
    one.do("jobs.labels('old').inc(); jobs.labels('living').inc()")
    one.end()
    assert 'jobs_total{kind="old"} 1.0' in generate_metrics(registry)

    def is_gone() -> bool:
        other = worker()
        other.do("jobs.labels('new').inc()")
        other.end()
        return 'kind="old"' not in generate_metrics(registry)

    wait_until(is_gone, "the series to expire")
    assert 'jobs_total{kind="living"} 2.0' in generate_metrics(registry)
    registry.close()


def test_series_go_also_while_nobody_dies(
    worker: Start, directory: Path, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    living, one = worker(), worker()
    living.do("jobs.labels('living').inc()")
    one.do("jobs.labels('old').inc(); jobs.labels('living').inc()")
    one.end()
    registry = multiprocess_registry(directory, process_metrics=False, retention_seconds=0.2)
    assert 'jobs_total{kind="old"} 1.0' in generate_metrics(registry)
    wait_until(lambda: 'kind="old"' not in generate_metrics(registry), "the series to expire")
    assert 'jobs_total{kind="living"} 2.0' in generate_metrics(registry)
    registry.close()


def test_series_that_found_no_room_can_be_removed(worker: Start) -> None:
    one = worker()
    one.do("""
registry = multiprocess_registry(sys.argv[1], process_metrics=False, max_size_bytes=1 << 16)
jobs = Counter("small_total", "S.", ["kind"], registry=registry)
for n in range(10_000): jobs.labels(f'kind{n}').inc()
for n in range(10_000): jobs.remove(f'kind{n}')
jobs.labels('one').inc()
""")
    assert {name: value for name, value in one.scrape().items() if name.startswith("small")} == {
        'small_total{kind="one"}': 1.0
    }


def test_a_scrape_reads_what_a_scraping_process_counts_itself(registry: Registry) -> None:
    mine = Counter("mine_total", "M.", registry=registry)
    mine.inc(3)
    assert "mine_total 3.0" in generate_metrics(registry)
