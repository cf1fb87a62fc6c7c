"""The one thread that talks to Redis, so that no other waits for the network.

Rules:

- The thread calls a submitted function at once, and `tick` whenever its last call said.
- A thread that submits a function waits for the result for a limited time, and then continues without it.
- The thread handles no signals, which are for the main thread.
- The thread is a daemon: it never keeps a process from ending.
- A fork waits a moment for the thread to stop; the child starts a thread of its own.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Worker"]

T = TypeVar("T")

_FORK_WAIT_SECONDS: Final = 0.1

# Signals that an instruction of the thread itself raises.
_OF_THE_THREAD: Final = frozenset(
    getattr(signal, name) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT") if hasattr(signal, name)
)


class _Task(Generic[T]):
    """A submitted function, and its result."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._function()
        except BaseException as error:
            self.error = error
        self.done.set()


class Worker:
    """Calls `tick` in a thread, after the seconds that it returned; None ends it.

    >>> ticked = threading.Event()
    >>> worker = Worker("example", lambda: ticked.set())
    >>> worker.start(0.0)
    >>> ticked.wait(60)
    True
    """

    def __init__(self, name: str, tick: Callable[[], float | None]) -> None:
        self._name: Final = name
        self._tick: Final = tick
        self._reset()

    def _reset(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        # Not `Thread.is_alive`: where C code forks, the child may have started the thread before Python is told, which
        # then takes all other threads for those of the parent.
        self._ended = threading.Event()
        self._tasks: list[_Task[object]] = []
        self._stopping = False
        # Whether the thread runs the tasks: until it has ended, also while it is stopping, and during a fork, after
        # which it runs again. Otherwise two threads could run at once the tasks that are meant for one.
        self._serving = False
        self._forking = False

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and not self._ended.is_set()

    def start(self, pause: float) -> None:
        """Start the thread, with the first `tick` after `pause` seconds, unless it runs.

        One that was to end and is still busy goes on.
        """
        with self._condition:
            if self._serving and self.is_running:
                if not self._forking:
                    self._stopping = False
                return
            self._stopping = False
            self._serving = True
            self._ended = threading.Event()
            arguments = (pause, self._ended, threading.get_native_id())
            self._thread = threading.Thread(target=self._run, args=arguments, name=self._name, daemon=True)
            self._thread.start()

    def submit(self, function: Callable[[], T], seconds: float) -> T:
        """The result of `function` in the worker's thread; `TimeoutError` after `seconds`.

        A function whose turn comes later than that is not called. If there is no thread, it is called in this one.
        """
        task = _Task(function)
        with self._condition:
            serving = self._forking or (self._serving and self.is_running)
            if serving:
                self._tasks.append(task)  # type: ignore[arg-type]  # the type of its result is known here only
                self._condition.notify_all()
        if not serving:
            task.run()
        if not task.done.wait(seconds):
            with self._condition:
                if task in self._tasks:
                    self._tasks.remove(task)  # type: ignore[arg-type]  # as above
            if not task.done.is_set():
                raise TimeoutError(f"no result within {seconds:g} s")
        if task.error is not None:
            raise task.error
        return task.result  # type: ignore[return-value]  # set where there was no error

    def stop(self, seconds: float) -> bool:
        """End the thread, and wait for that `seconds` at most; whether it has ended."""
        with self._condition:
            thread, ended = self._thread, self._ended
            self._stopping = True
            self._condition.notify_all()
        if thread is None or thread.ident == threading.get_ident():
            return True
        if not ended.wait(seconds):
            return False
        thread.join(seconds)  # it only has to return
        return True

    def _run(self, pause: float, ended: threading.Event, started_by: int) -> None:
        # A handler in C, such as uWSGI's that ends a worker, relies on the main thread. A greenlet is not a thread.
        if threading.get_native_id() != started_by and hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OF_THE_THREAD)
        try:
            self._serve(pause)
        finally:
            ended.set()

    def _serve(self, pause: float) -> None:
        condition = self._condition
        due = time.monotonic() + pause
        while True:
            with condition:
                while not self._tasks and not self._stopping and time.monotonic() < due:
                    condition.wait(max(0.0, due - time.monotonic()))
                if self._tasks:
                    task = self._tasks.pop(0)
                elif self._stopping:
                    self._serving = False
                    return
                else:
                    task = None
            if task is not None:
                task.run()
                del task  # which would keep the objects of its function alive until the next one
                continue
            wait = self._tick()
            if wait is None:
                with condition:
                    if not self._tasks:
                        self._serving = False
                        return
            due = time.monotonic() + (wait or 0.0)

    # Forks ------------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Stop the thread, so that the child inherits no half-done work."""
        if self.is_running:
            self._forking = True
            self.stop(_FORK_WAIT_SECONDS)

    def after_fork_in_parent(self, pause: float) -> None:
        """Let the thread continue."""
        thread = self._thread
        if thread is None:
            return
        with self._condition:
            self._forking = False
            if self._serving:
                self._stopping = False
                return  # it was busy and did not stop
        thread.join()  # which only has to return
        self._thread = None
        self.start(pause)

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread, and the lock that it may hold."""
        self._reset()
