"""The one thread that talks to Redis, so that no other ever has to wait for it.

Rules:

- The thread calls a function at once when it is asked to, and else whenever that said that it wants to be called again.
- Who asks waits for an answer for a limited time only, and then goes on without one.
- The thread is a daemon: it never keeps a process from ending.
- A fork finds it at rest if it comes to rest in time, and the child begins one of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Worker"]

T = TypeVar("T")

_FORK_WAIT_SECONDS: Final = 0.1


class _Question(Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self.done = threading.Event()
        self.answer: T | None = None
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            self.answer = self._function()
        except BaseException as error:
            self.error = error
        self.done.set()


class Worker:
    """Calls `tick` in a thread of its own; what that gives is the pause in seconds until the next call, None to end.

    >>> ticked = threading.Event()
    >>> worker = Worker("example", lambda: ticked.set())
    >>> worker.start(0.0)
    >>> ticked.wait(60)
    True
    """

    def __init__(self, name: str, tick: Callable[[], float | None]) -> None:
        self._name: Final = name
        self._tick: Final = tick
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._questions: list[_Question[object]] = []
        self._pause: float | None = None
        self._resting = False
        # Whether questions are answered by the thread: until it has ended, also while it comes to rest, and during a
        # fork, for it will be there again. Else two threads would do at once what is meant for one.
        self._answering = False
        self._forking = False

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, pause: float) -> None:
        """Begin, with the first call after `pause` seconds. Nothing happens if it has begun."""
        with self._condition:
            if self.running:
                return
            self._pause = pause
            self._resting = False
            self._answering = True
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def ask(self, function: Callable[[], T], seconds: float) -> T:
        """What `function` gives or raises in the worker's thread; `TimeoutError` if it takes longer than `seconds`.

        It is not called at all where its turn comes too late. Where there is no thread, it is called in this one.
        """
        question = _Question(function)
        with self._condition:
            answering = self._forking or (self._answering and self.running)
            if answering:
                self._questions.append(question)  # type: ignore[arg-type]  # what it answers is known here only
                self._condition.notify_all()
        if not answering:
            question.work()
        if not question.done.wait(seconds):
            with self._condition:
                if question in self._questions:
                    self._questions.remove(question)  # type: ignore[arg-type]  # as above
            if not question.done.is_set():
                raise TimeoutError(f"no answer within {seconds:g} s")
        if question.error is not None:
            raise question.error
        return question.answer  # type: ignore[return-value]  # set where there was no error

    def stop(self, seconds: float) -> bool:
        """End the thread, and wait for that so long at most; whether it has ended."""
        with self._condition:
            thread = self._thread
            self._pause = None
            self._resting = True
            self._condition.notify_all()
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(seconds)
        return not thread.is_alive()

    def _run(self) -> None:
        condition = self._condition
        due = time.monotonic() + (self._pause or 0.0)
        while True:
            with condition:
                while not self._questions and not self._resting and time.monotonic() < due:
                    condition.wait(max(0.0, due - time.monotonic()))
                if self._questions:
                    question = self._questions.pop(0)
                elif self._resting:
                    self._answering = False
                    return
                else:
                    question = None
            if question is not None:
                question.work()
                del question  # or it would keep what it was about alive until the next one
                continue
            pause = self._tick()
            if pause is None:
                with condition:
                    if not self._questions:
                        self._answering = False
                        return
                pause = 0.0
            due = time.monotonic() + pause

    # Forks ------------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Let the thread come to rest, so that the child inherits nothing half done, and few threads."""
        if self.running:
            self._forking = True
            self.stop(_FORK_WAIT_SECONDS)

    def after_fork_in_parent(self, pause: float) -> None:
        """Go on."""
        thread = self._thread
        if thread is None:
            return
        with self._condition:
            self._forking = False
            if self._answering:
                self._resting = False
                return  # it was busy, and goes on as if nothing had been
        # It has nothing more to do than to end, if it has not.
        thread.join()
        self._thread = None
        self.start(pause)

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread, and everything that it may have held."""
        self._begin_anew()
