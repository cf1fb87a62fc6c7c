"""Tasks of any system: what each run counts, and which names and states there are."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import cast

import pytest

from pytheus import Gauge
from pytheus.exceptions import ConflictError, PytheusError
from pytheus.registry import CollectorRegistry
from pytheus.tasks import TaskMetrics, TaskState
from pytheus.testing import sample_value


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> TaskMetrics:
    return TaskMetrics("mail", registry=registry)


def finished(metrics: TaskMetrics) -> dict[tuple[str, ...], float]:
    """How often each task ended in each state, with its cause."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.finished.collect()
        for sample in family.samples
    }


def test_a_run_counts_once_when_it_ends(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    with metrics.start("send") as run:
        assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 1
        assert finished(metrics) == {}
    run.end("failure")
    run.abandon()

    assert finished(metrics) == {("send", "success", ""): 1}
    assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 0
    assert sample_value(registry, "mail_task_duration_seconds_count", {"task": "send", "state": "success"}) == 1
    assert sample_value(registry, "mail_task_queue_seconds_count", {"task": "send"}) is None


def test_an_exception_is_the_cause_and_passes(metrics: TaskMetrics) -> None:
    with pytest.raises(KeyError), metrics.start("send"):
        raise KeyError("of a task")
    with pytest.raises(SystemExit), metrics.start("send"):
        raise SystemExit

    assert finished(metrics) == {("send", "failure", "KeyError"): 1, ("send", "cancelled", "SystemExit"): 1}


def test_coroutines(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    started = asyncio.Event()

    async def send(name: str) -> None:
        async with metrics.start(name):
            started.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(send("send"))
        await started.wait()
        async with metrics.start("other"):
            pass
        assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert finished(metrics) == {("other", "success", ""): 1, ("send", "cancelled", "CancelledError"): 1}
    assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 0


def test_a_state_of_its_own(metrics: TaskMetrics) -> None:
    with metrics.start("send") as run:
        run.end("retry", TimeoutError("of a server"))
    metrics.count("send", "revoked", "expired")
    metrics.count("send", "rejected", ValueError)

    assert finished(metrics) == {
        ("send", "retry", "TimeoutError"): 1,
        ("send", "revoked", "expired"): 1,
        ("send", "rejected", "ValueError"): 1,
    }


def test_an_unknown_state_changes_nothing(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    run = metrics.start("send")
    unknown = cast("TaskState", "done")
    with pytest.raises(ValueError, match="'cancelled' but got 'done'"):
        run.end(unknown)
    with pytest.raises(ValueError, match="'cancelled' but got 'done'"):
        metrics.count("send", unknown)

    assert finished(metrics) == {}
    assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 1


def test_an_abandoned_run_is_not_counted(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    run = metrics.start("send")
    run.abandon()
    run.end()

    assert finished(metrics) == {}
    assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 0


def test_the_time_in_the_queue(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    metrics.start("send", queued_at=time.time() - 100)
    assert (sample_value(registry, "mail_task_queue_seconds_sum", {"task": "send"}) or 0) >= 100
    metrics.start("early", queued_at=time.time() + 1000)  # the clock of another machine is ahead
    assert sample_value(registry, "mail_task_queue_seconds_sum", {"task": "early"}) == 0


def test_unknown_names_are_one_value(registry: CollectorRegistry) -> None:
    metrics = TaskMetrics("mail", registry=registry, is_known={"send", "fetch"}.__contains__)
    for name in ("send", "sned", "x" * 1000):
        metrics.count_published(name)
        metrics.count_received(name)

    for kind in ("published", "received"):
        values = {
            task: sample_value(registry, f"mail_tasks_{kind}_total", {"task": task}) for task in ("send", "_OTHER")
        }
        assert values == {"send": 1, "_OTHER": 2}


def test_names_are_bounded(registry: CollectorRegistry) -> None:
    metrics = TaskMetrics("mail", registry=registry, max_names=2)
    for number in range(10):
        metrics.count(f"task {number}", "ignored")
        metrics.count("task 1", "ignored")

    assert finished(metrics) == {
        ("task 0", "ignored", ""): 1,
        ("task 1", "ignored", ""): 11,
        ("_OTHER", "ignored", ""): 8,
    }


def test_the_same_system_shares_its_numbers(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    again = TaskMetrics("mail", registry=registry)
    with metrics.start("send"), again.start("send"):
        assert sample_value(registry, "mail_tasks_in_progress", {"task": "send"}) == 2
    assert finished(again) == {("send", "success", ""): 2}


def test_a_conflict_of_names(registry: CollectorRegistry) -> None:
    Gauge("mail_tasks_in_progress", "Of another library.", registry=registry)
    with pytest.raises(ConflictError, match="mail_tasks_in_progress"):
        TaskMetrics("mail", registry=registry)
    with pytest.raises(PytheusError, match="0mail"):
        TaskMetrics("0mail", registry=registry)


@pytest.mark.threads
def test_threads(registry: CollectorRegistry, metrics: TaskMetrics) -> None:
    def work() -> None:
        for number in range(500):
            with metrics.start(f"task {number % 3}", queued_at=0):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(finished(metrics).values()) == 2000
    assert {sample_value(registry, "mail_tasks_in_progress", {"task": f"task {n}"}) for n in range(3)} == {0}
