"""The threads in which foreign code runs for scrapes, and the foreign code that has not returned.

Rules:

- The threads are daemonic and never belong to a pool of the program, so that a collector that hangs keeps neither the
  program from its work nor from ending. Their number is limited.
- Foreign code that was given up is not called again until it has returned.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Sequence
from operator import length_hint
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from pytheus.background_threads import start_without_signals
from pytheus.foreign_calls import Call, NotReturnedError, call_one

__all__ = [
    "STALL_SECONDS",
    "STUCK_THREADS",
    "Work",
    "call_each_until",
    "hanging",
    "start",
    "threads_are_scarce",
    "wait_for_ended",
]

STALL_SECONDS: Final = 0.1
"""After this time, another thread goes on with the next calls."""

STUCK_THREADS: Final = 64

_lock = threading.RLock()  # re-entrant, because a signal handler may close a server
_threads: Final[WeakKeyDictionary[threading.Thread, Work]] = WeakKeyDictionary()

hanging: Final[dict[object, object]] = {}
"""Objects whose foreign code was given up and has not returned, by their id, because they need not be hashable."""


class Work(NamedTuple):
    """The work of a thread, whether its collection has ended, and whether the collection goes on without the thread."""

    run: Callable[[], object]
    has_ended: Callable[[], bool]
    is_stuck: Callable[[], bool]


def start(work: Work, context: contextvars.Context) -> None:
    """Do `work` in a thread, and in a copy of `context`; in this thread if no thread can be started."""
    run = context.copy().run
    thread = threading.Thread(target=run, args=(work.run,), name="pytheus-collect", daemon=True)
    with _lock:
        _threads[thread] = work
    try:
        start_without_signals(thread)
    except RuntimeError:  # the limit of the system, or the interpreter is about to end
        run(work.run)


def threads_are_scarce() -> bool:
    """Return whether foreign code keeps so many threads that no more of it should be called."""
    with _lock:
        if len(_threads) < STUCK_THREADS:
            return False
        return sum(thread.is_alive() and work.is_stuck() for thread, work in _threads.items()) >= STUCK_THREADS


def wait_for_ended(seconds: float) -> None:
    """Wait at most `seconds` for threads whose collections have ended, but not for those that foreign code keeps."""
    deadline = time.monotonic() + seconds
    with _lock:
        threads = list(_threads.items())
    for thread, work in threads:
        is_joinable = thread.ident is not None and thread is not threading.current_thread()
        if is_joinable and work.has_ended() and not work.is_stuck():
            thread.join(max(deadline - time.monotonic(), 0))


def call_each_until(deadline: Callable[[], float], calls: Sequence[Call]) -> list[BaseException | None]:
    """Make each call in other threads until `deadline`, a time of `time.monotonic`; see `foreign_calls.call_each`."""
    running = _Calls(calls)
    while not running.woken.wait(min(max(deadline() - time.monotonic(), 0.001), STALL_SECONDS)):
        if time.monotonic() >= deadline() or not running.go_on():
            break
    return running.end()


class _Calls:
    """Calls that one thread makes after the other, or several threads if one does not return."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.woken: Final = threading.Event()
        self._calls: Final = calls
        self._lock: Final = threading.Lock()
        self._context: Final = contextvars.copy_context()
        unfinished = NotReturnedError("it takes longer than a scrape, or the time was over before its turn")
        self._errors: Final[list[BaseException | None]] = [unfinished] * len(calls)
        self._remaining: Final = iter(range(len(calls)))
        # The place of the call that each thread makes; the last thread is the only one that begins more.
        self._current: Final[dict[int, int]] = {}
        self._thread = 0
        self._seen: int | None = None
        self._has_ended = False
        self._start()

    def _start(self) -> None:
        thread = self._thread
        work = Work(
            run=lambda: self._work(thread),
            has_ended=lambda: self._has_ended,
            is_stuck=lambda: thread in self._current and (self._has_ended or thread != self._thread),
        )
        start(work, self._context)

    def go_on(self) -> bool:
        """Start another thread if the last one makes the same call as at the last look.

        Returns False if there are too many threads for that.
        """
        with self._lock:
            place = self._current.get(self._thread)
            if place is None or place != self._seen or not length_hint(self._remaining):
                self._seen = place
                return True
            if threads_are_scarce():
                return False
            self._thread += 1
            self._seen = None
        self._start()
        return True

    def end(self) -> list[BaseException | None]:
        """Give up the calls that have not returned; returns the error of each call."""
        with self._lock:
            self._has_ended = True
            for place in self._current.values():
                subject = self._calls[place][0]
                hanging[id(subject)] = subject
            return list(self._errors)

    def _work(self, thread: int) -> None:
        while True:
            with self._lock:
                place = None if self._has_ended or thread != self._thread else next(self._remaining, None)
                if place is None:
                    break
                subject, call = self._calls[place]
                if id(subject) in hanging:
                    continue
                self._current[thread] = place
            error: BaseException | None
            try:
                error = call_one(call)
            except BaseException as interruption:  # of a thread of pytheus, which does not end the program
                error = interruption
            with self._lock:
                del self._current[thread]
                if self._has_ended:
                    hanging.pop(id(subject), None)
                else:
                    self._errors[place] = error
        with self._lock:
            if not self._current and not length_hint(self._remaining):
                self.woken.set()


def _after_fork_in_child() -> None:
    """Forget the threads, which do not exist in this process."""
    global _lock
    _lock = threading.RLock()
    _threads.clear()
    hanging.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
