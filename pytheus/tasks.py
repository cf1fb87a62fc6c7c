"""Measures tasks, the work that a program does outside of requests: of a queue, a schedule, a stream of messages.

`pytheus.contrib.celery` does so for Celery, by its signals. docs/how-to/queues.md has other queues.

Rules:

- Each run of a task counts once, when it ends. A task that is run three times, twice because of a retry, counts thrice.
- A name that a message brought, and that the program does not know, is one value, so that a client cannot make series.
- Runs in progress are those of running processes: a registry of several processes leaves out those of a killed one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, get_args

from pytheus.metrics import Counter, Gauge, Histogram
from pytheus.metrics.number import Number
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import REGISTRY, Registry

__all__ = ["TASK_BUCKETS", "TaskMetrics", "TaskRun", "TaskState"]

TaskState: TypeAlias = Literal["success", "failure", "retry", "ignored", "rejected", "revoked", "cancelled"]
"""How a run of a task ends, or how a task ends that never runs."""

TASK_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
"""The upper bounds of the buckets of durations, in seconds: 5 ms to an hour."""

OTHER: Final = "_OTHER"
"""The name of tasks that the program does not know."""

_STATES: Final = frozenset(get_args(TaskState))


class TaskMetrics:
    """The metrics of the tasks of one system, whose names begin with `system`.

        >>> from pytheus.registry import CollectorRegistry
        >>> metrics = TaskMetrics("mail", registry=CollectorRegistry())
        >>> with metrics.start("send_invoice"):
        ...     pass
        >>> metrics.finished.labels("send_invoice", "success", "").value
        1.0

    ============================== ========= ===================================
    ``mail_tasks_published_total`` counter   `task`
    ``mail_tasks_received_total``  counter   `task`
    ``mail_task_queue_seconds``    histogram `task`
    ``mail_tasks_in_progress``     gauge     `task`
    ``mail_task_duration_seconds`` histogram `task`, `state`
    ``mail_tasks_finished_total``  counter   `task`, `state`, `error_type`
    ============================== ========= ===================================

    A name for which `is_known` returns False, and each new name after `max_names` of them, is the task ``_OTHER``.
    `buckets` and `native` apply to both histograms. All methods may be called from any thread, greenlet or event loop.

    Raises `ConflictError` if another metric of `registry` has one of the names, and `MetricNameError` for a `system`
    that cannot begin one.
    """

    def __init__(
        self,
        system: str,
        *,
        registry: Registry | None = REGISTRY,
        is_known: Callable[[str], bool] | None = None,
        max_names: int = 1000,
        buckets: Iterable[Number] = TASK_BUCKETS,
        native: NativeBuckets | bool = False,
    ) -> None:
        bounds = tuple(buckets)
        self.published: Final = Counter(
            f"{system}_tasks_published_total", "Tasks that this program published.", ["task"], registry=registry
        )
        self.received: Final = Counter(
            f"{system}_tasks_received_total", "Tasks that workers took from their queue.", ["task"], registry=registry
        )
        self.queue: Final = Histogram(
            f"{system}_task_queue_seconds",
            "Time from when a task may run until it is started.",
            ["task"],
            buckets=bounds,
            native=native,
            registry=registry,
        )
        self.in_progress: Final = Gauge(
            f"{system}_tasks_in_progress", "Tasks that run now.", ["task"], registry=registry
        )
        self.duration: Final = Histogram(
            f"{system}_task_duration_seconds",
            "Duration of each run of a task.",
            ["task", "state"],
            buckets=bounds,
            native=native,
            registry=registry,
        )
        self.finished: Final = Counter(
            f"{system}_tasks_finished_total",
            "Runs of tasks that ended, and tasks that ended without one.",
            ["task", "state", "error_type"],
            registry=registry,
        )
        self._is_known: Final = is_known
        self._max_names: Final = max_names
        self._names: Final[set[str]] = set()

    def start(self, task: str, *, queued_at: float | None = None) -> TaskRun:
        """Start to measure a run of `task`; to be ended, or used as a context manager.

        `queued_at` is when the task could have run at the earliest, in seconds since the Unix epoch: when it was
        published, or when its delay was over. The clock of another machine may be ahead, then the time is 0.
        """
        label = self.label(task)
        if queued_at is not None:
            self.queue.labels(label).observe(max(0.0, time.time() - queued_at))
        return TaskRun(self, label)

    def count(self, task: str, state: TaskState, error: BaseException | type[BaseException] | str = "") -> None:
        """Count a task that ended in `state` without a run here, such as one that was revoked."""
        self.finished.labels(self.label(task), _checked(state), _error_type(error)).inc()

    def count_published(self, task: str) -> None:
        """Count a task that this program publishes."""
        self.published.labels(self.label(task)).inc()

    def count_received(self, task: str) -> None:
        """Count a task that this program took from a queue, to run it later."""
        self.received.labels(self.label(task)).inc()

    def label(self, task: str) -> str:
        """Return the label of `task`: its name, or ``_OTHER``."""
        names = self._names
        if task in names:
            return task
        if len(names) >= self._max_names or not (self._is_known is None or self._is_known(task)):
            return OTHER
        names.add(task)
        return task


class TaskRun:
    """A run of a task, from `TaskMetrics.start` until `end`.

    As a context manager, also in coroutines, it ends with the block: in the state ``failure`` with an exception,
    ``cancelled`` with another `BaseException`, such as `asyncio.CancelledError`, and ``success`` otherwise. A state
    of its own is set by `end` within the block.

        >>> from pytheus.registry import CollectorRegistry
        >>> metrics = TaskMetrics("mail", registry=CollectorRegistry())
        >>> with metrics.start("send_invoice") as run:
        ...     run.end("retry", TimeoutError)
        >>> metrics.finished.labels("send_invoice", "retry", "TimeoutError").value
        1.0
    """

    __slots__ = ("_active", "_began", "_label", "_metrics", "has_ended")

    def __init__(self, metrics: TaskMetrics, label: str) -> None:
        self.has_ended: bool = False
        self._metrics: Final = metrics
        self._label: Final = label
        self._active: Final = metrics.in_progress.labels(label)
        self._active.inc()
        self._began: Final = time.perf_counter()

    def end(self, state: TaskState = "success", error: BaseException | type[BaseException] | str = "") -> None:
        """End the run, once: a second call does nothing. `error` is the exception, or a word, that is its cause."""
        seconds = time.perf_counter() - self._began
        if self.has_ended:
            return
        _checked(state)
        self.abandon()
        metrics, label = self._metrics, self._label
        metrics.duration.labels(label, state).observe(seconds)
        metrics.finished.labels(label, state, _error_type(error)).inc()

    def abandon(self) -> None:
        """End the run without counting it, because its end is counted elsewhere."""
        if not self.has_ended:
            self.has_ended = True
            self._active.dec()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()
        else:
            self.end("failure" if issubclass(kind, Exception) else "cancelled", kind)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _checked(state: TaskState) -> TaskState:
    if state not in _STATES:
        raise ValueError(f"a task ends in a state of {', '.join(map(repr, get_args(TaskState)))} but got {state!r}")
    return state


def _error_type(error: BaseException | type[BaseException] | str) -> str:
    if isinstance(error, str):
        return error
    return (error if isinstance(error, type) else type(error)).__name__
