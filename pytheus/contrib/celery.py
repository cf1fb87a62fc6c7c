"""Measures the tasks of Celery, by its own signals: in clients, in workers, and in the processes of their pools.

Beside the application::

    app = Celery("shop", broker=...)
    measure_tasks(app)

Rules:

- A run counts where it runs, when `task_postrun` says its state. If its process does not live to say so (killed, time
  limit, revoked while it runs), the main process of the worker says it, and counts.
- Each publication stamps the message with its time, so that the worker knows how long it waited. A retry is published
  again. A message from a client that does not measure has no stamp, and is left out of the time in the queue.

https://docs.celeryq.dev/en/stable/userguide/signals.html
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Iterable, MutableMapping
from datetime import UTC, datetime
from threading import get_ident
from time import time
from typing import TYPE_CHECKING, Final

from celery import signals

from pytheus.metrics.number import Number
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import REGISTRY, Registry
from pytheus.tasks import OTHER, TASK_BUCKETS, TaskMetrics, TaskRun, TaskState

if TYPE_CHECKING:
    from celery import Celery
    from celery.app.task import Context, Task
    from celery.worker.request import Request

__all__ = ["is_measured", "measure_tasks"]

STAMP: Final = "pytheus_published_at"
"""The header of a message with the time of its publication, in seconds since the Unix epoch."""

_STATES: Final[dict[str, TaskState]] = {
    "IGNORED": "ignored",
    "REJECTED": "rejected",
}
"""The states of runs without an exception to name. https://docs.celeryq.dev/en/stable/reference/celery.states.html"""


def measure_tasks(
    app: Celery,
    *,
    registry: Registry = REGISTRY,
    known: Collection[str] = (),
    buckets: Iterable[Number] = TASK_BUCKETS,
    native: NativeBuckets | bool = False,
) -> TaskMetrics:
    """Measure the tasks that this process, and those that it forks, publish and run; returns the metrics.

    A task is labelled by its name in `app`, or in `known`, for names that other programs register and this one
    publishes; other names are the task ``_OTHER``. A second call with the same registry adds the names of its `app`,
    and returns the metrics of the first, whose options stay.

    Raises as `TaskMetrics` does.
    """
    receivers = _receivers.get(id(registry))
    if receivers is None:
        receivers = _receivers[id(registry)] = _Receivers(registry, buckets, native)
        receivers.connect()
    receivers.known.update(known)
    if app not in receivers.apps:
        receivers.apps.append(app)
    return receivers.metrics


def is_measured(app: Celery) -> bool:
    """Return whether `measure_tasks` was called for `app`, with any registry."""
    return any(app in receivers.apps for receivers in _receivers.values())


class _Receivers:
    """The receivers of Celery's signals that count in one registry."""

    def __init__(self, registry: Registry, buckets: Iterable[Number], native: NativeBuckets | bool) -> None:
        self.apps: Final[list[Celery]] = []
        self.known: Final[set[str]] = set()
        self.metrics: Final = TaskMetrics(
            "celery", registry=registry, is_known=self._is_known, buckets=buckets, native=native
        )
        self._registry: Final = registry  # whose id is the key
        # The latest is last: an eager task runs the one that replaces it within its own run, with the same id.
        self._runs: Final[dict[tuple[str, int], list[TaskRun]]] = {}
        self._timed_out: Final[deque[tuple[str, bool]]] = deque(maxlen=100)

    def connect(self) -> None:
        """Connect each receiver to its signal."""
        signals.before_task_publish.connect(self._published, weak=False)
        signals.task_received.connect(self._received, weak=False)
        signals.task_prerun.connect(self._started, weak=False)
        signals.task_success.connect(self._succeeded, weak=False)
        signals.task_postrun.connect(self._ended, weak=False)
        signals.task_failure.connect(self._failed, weak=False)
        signals.task_retry.connect(self._retried, weak=False)
        signals.task_revoked.connect(self._revoked, weak=False)
        signals.task_unknown.connect(self._unknown, weak=False)
        signals.task_rejected.connect(self._rejected, weak=False)

    def _is_known(self, name: str) -> bool:
        return name in self.known or any(name in app.tasks for app in self.apps)

    def _published(self, *, sender: str, headers: MutableMapping[str, object], **named: object) -> None:
        headers[STAMP] = time()
        self.metrics.count_published(sender)

    def _received(self, *, request: Request, **named: object) -> None:
        self.metrics.count_received(request.name)

    def _started(self, *, task: Task, task_id: str, **named: object) -> None:
        run = self.metrics.start(task.name, queued_at=_queued_at(task.request))
        self._runs.setdefault((task_id, get_ident()), []).append(run)

    def _succeeded(self, *, sender: Task, **named: object) -> None:
        runs = self._runs.get((sender.request.id, get_ident()))
        if runs is not None:
            runs[-1].end("success")

    def _ended(self, *, task_id: str, state: str | None, retval: object, **named: object) -> None:
        key = task_id, get_ident()
        runs = self._runs.get(key)
        if runs is None:
            return
        run = runs.pop()
        if not runs:
            del self._runs[key]
        if run.has_ended:
            return
        if state == "FAILURE":
            run.end("failure", retval if isinstance(retval, BaseException) else "")
        elif state == "RETRY":
            run.end("retry", _cause_of(retval))
        elif state in _STATES:
            run.end(_STATES[state])
        else:
            # Without a state, an exception passes: of an eager task to its caller, or one that ends the process, of
            # which the worker tells. A success without task_success is a result that could not be stored, a failure.
            error = sys.exc_info()[1] if state is None else None
            if isinstance(error, Exception):
                run.end("failure", error)
            run.abandon()

    def _failed(self, *, sender: Task, task_id: str, exception: BaseException, **named: object) -> None:
        # In the main process, because the process of the run was lost, or after the run. A rejection has counted.
        error_type = type(exception).__name__
        if (task_id, get_ident()) in self._runs or error_type == "Reject":
            return
        if error_type == "TimeLimitExceeded":
            # Celery 5.7 tells of it twice, with and without the request; other versions and pools tell of it once.
            has_request = sender.request.id == task_id
            if (task_id, not has_request) in self._timed_out:
                self._timed_out.remove((task_id, not has_request))
                return
            self._timed_out.append((task_id, has_request))
        self.metrics.count(sender.name, "failure", exception)

    def _retried(self, *, sender: Task, request: Context, reason: object = None, **named: object) -> None:
        if (request.id, get_ident()) not in self._runs:
            self.metrics.count(sender.name, "retry", _cause_of(reason))

    def _revoked(self, *, sender: Task, terminated: bool, expired: bool, **named: object) -> None:
        self.metrics.count(sender.name, "revoked", "expired" if expired else "terminated" if terminated else "")

    def _unknown(self, **named: object) -> None:
        self.metrics.count(OTHER, "rejected", "NotRegistered")

    def _rejected(self, *, exc: BaseException | None, **named: object) -> None:
        self.metrics.count(OTHER, "rejected", "InvalidMessage" if exc is None else exc)


_receivers: Final[dict[int, _Receivers]] = {}


def _cause_of(retry: object) -> BaseException | str:
    """Return the exception because of which a task asks for a retry, if there is one."""
    cause: object = getattr(retry, "exc", None)
    return cause if isinstance(cause, BaseException) else ""


def _queued_at(request: Context) -> float | None:
    """Return when the task of `request` could have run at the earliest; None if its client does not measure."""
    stamp: object = request.__dict__.get(STAMP)
    if not (isinstance(stamp, float) and stamp > 0):
        return None
    eta = request.eta
    if eta is not None:
        try:
            at = datetime.fromisoformat(eta)
            return max(stamp, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
        except ValueError:
            pass  # another client's format
    return stamp
