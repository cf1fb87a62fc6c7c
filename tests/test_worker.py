"""One thread, and no other, does what the worker is asked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from pytheus.worker import Worker

PATIENCE_SECONDS: Final = 120


class Busy:
    """A worker whose thread is busy until it is let go."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._let_go = threading.Event()
        self._asking: list[threading.Thread] = []
        self.done_by: list[str] = []
        self.worker = Worker("busy", self._tick)
        self.worker.start(0.0)
        assert self._begun.wait(PATIENCE_SECONDS)

    def _tick(self) -> float:
        self._begun.set()
        self._let_go.wait(PATIENCE_SECONDS)
        return 1000.0

    def ask(self) -> None:
        """Ask from another thread, and do not wait for the answer."""
        asking = threading.Thread(
            target=lambda: self.worker.submit(
                lambda: self.done_by.append(threading.current_thread().name), PATIENCE_SECONDS
            )
        )
        asking.start()
        self._asking.append(asking)

    def let_go(self) -> None:
        self._let_go.set()

    def end(self) -> None:
        self.let_go()
        self.worker.stop(PATIENCE_SECONDS)
        for asking in self._asking:
            asking.join(PATIENCE_SECONDS)


@pytest.fixture
def busy() -> Iterator[Busy]:
    made = Busy()
    yield made
    made.end()


def test_who_asks_while_a_fork_waits_for_a_busy_thread_is_answered_by_it(
    busy: Busy, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    busy.worker.before_fork()
    busy.ask()
    wait_until(lambda: busy.done_by or len(busy.worker._tasks) == 1, "the task")
    assert busy.done_by == []
    busy.worker.after_fork_in_parent(1000.0)
    busy.let_go()
    wait_until(lambda: busy.done_by == ["busy"], "the result")


def test_who_asks_while_the_thread_rests_for_a_fork_is_answered_by_the_next_one(
    busy: Busy, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    busy.let_go()
    wait_until(lambda: busy.worker.before_fork() or not busy.worker.is_running, "the thread to rest")  # type: ignore[func-returns-value]  # done again until it rests
    busy.ask()
    wait_until(lambda: busy.done_by or len(busy.worker._tasks) == 1, "the task")
    assert busy.done_by == []
    busy.worker.after_fork_in_parent(1000.0)
    wait_until(lambda: busy.done_by == ["busy"], "the result")


def test_where_there_is_no_thread_any_more_who_asks_does_it(busy: Busy) -> None:
    busy.let_go()
    assert busy.worker.stop(PATIENCE_SECONDS)
    busy.worker.submit(lambda: busy.done_by.append(threading.current_thread().name), PATIENCE_SECONDS)
    assert busy.done_by == [threading.current_thread().name]


def test_a_thread_that_was_to_end_and_is_busy_goes_on(busy: Busy) -> None:
    assert not busy.worker.stop(0.0)
    busy.worker.start(0.0)
    busy.let_go()
    assert busy.worker.submit(lambda: threading.current_thread().name, PATIENCE_SECONDS) == "busy"
    assert busy.worker.is_running


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system has no masks of signals")
def test_the_thread_handles_no_signals(busy: Busy) -> None:
    busy.let_go()
    mask = busy.worker.submit(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()), PATIENCE_SECONDS)
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD} <= mask
    assert not mask & {signal.SIGSEGV, signal.SIGBUS}
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
