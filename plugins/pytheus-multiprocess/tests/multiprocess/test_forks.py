"""Forked processes: each child has a shard of its own, and holds nothing of its parent's."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytheus_multiprocess import forks, multiprocess_registry
from pytheus_multiprocess.store import MultiprocessStore

if TYPE_CHECKING:
    from tests.multiprocess.conftest import Scrape, Shards, Start, Worker


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


def test_a_child_has_the_limit_of_series_for_itself(worker: Start) -> None:
    one = worker()
    code = one.do("""
from pytheus import Counter
from pytheus.compose import limited
visits = Counter('visits_total', 'Visits.', ['who'], registry=limited(registry, max_series_per_metric=2))
for who in 'abcd':
    visits.labels(who).inc()
def write():
    for who in 'abcde':
        visits.labels(who).inc()
    assert visits.series_count == 3, visits.series_count
answer = forked(write)
""")
    assert code == 0


def child_that_stays(parent: Worker, work: str) -> int:
    """The id of a child of the process, which does `work` and then nothing more."""
    child = parent.do(f"""
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.close(0), os.close(1)
    {work}
    os.write(writer, b'x')
    time.sleep(600)
os.read(reader, 1)
answer = child
""")
    assert isinstance(child, int)
    return child


def test_a_child_does_not_keep_its_parent_alive(worker: Start, scrape: Scrape, shards: Shards) -> None:
    one = worker()
    one.do("jobs.labels('mail').inc(); depth.set(3)")
    child = child_that_stays(one, "jobs.labels('mail').inc()")
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
    one.do("assert registry.store._system.lock(registry.store._archive._lock_descriptor)")
    child = child_that_stays(one, "pass")
    one.end()
    try:
        scrape()
        assert len(shards()) == 1  # the child's
    finally:
        os.kill(child, signal.SIGKILL)


def test_forks_while_threads_make_series(worker: Start, scrape: Scrape) -> None:
    threads = 4
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
    assert found.get("pytheus_shards_skipped", 0.0) == 0.0


def test_forks_in_two_threads_at_once_let_go_of_what_is_their_own(
    directory: Path, monkeypatch: pytest.MonkeyPatch, together: Callable[..., None]
) -> None:
    registry = multiprocess_registry(directory, process_metrics=False)
    store = registry.store
    assert isinstance(store, MultiprocessStore)
    lock = store.lock_shard()
    lock.release()
    monkeypatch.setattr(forks, "_stores", {id(store): weakref.ref(store)})
    is_locked, is_locked_again, is_done = threading.Event(), threading.Event(), threading.Event()

    class Lock:
        """The store's, which the other thread has as soon as the first one lets go of it."""

        def __init__(self) -> None:
            lock.acquire()

        def release(self) -> None:
            lock.release()
            assert is_locked_again.wait(60)

    monkeypatch.setattr(store, "lock_shard", Lock)

    def first() -> None:
        forks._before_fork()
        is_locked.set()
        forks._after_in_parent()
        is_done.set()

    def second() -> None:
        assert is_locked.wait(60)
        forks._before_fork()
        is_locked_again.set()
        is_done.wait(60)
        forks._after_in_parent()

    together(first, second)
    assert lock.acquire(timeout=60)
    lock.release()
    monkeypatch.undo()
    registry.close()


def test_a_registry_that_was_closed_is_closed_in_the_child_as_well(worker: Start) -> None:
    one = worker()
    one.do("registry.close()")
    assert one.do("answer = forked(lambda: jobs.labels('mail').inc())") == 0
