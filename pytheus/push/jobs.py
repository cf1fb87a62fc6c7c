"""A job that ends: how long it took, whether it succeeded, and its metrics, sent once at its end.

Rules:

- The program decides its own outcome: an error of the receiver is logged, and never raised into the program. The end is
  delayed by at most the limit of time.
- A run that succeeded replaces the job's metrics. One that failed replaces only those that it has, so that the time of
  the last success stays.
- One process sends: the one in which the run began. A process that it forks sends nothing, so that the metrics of a
  registry which several processes share are sent once.
- The three metrics of the job are added to those of the registry, which is left as it is.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, Final, NamedTuple, ParamSpec, Self, TypeVar, cast

from pytheus.exceptions import InvalidReceiverError, PushError, PytheusError
from pytheus.lazy import logger
from pytheus.metrics.gauge import Gauge
from pytheus.names import shown
from pytheus.push.access import Access
from pytheus.push.deadline import Deadline, checked_seconds
from pytheus.push.gateway import TIMEOUT_SECONDS, Gateway, is_text
from pytheus.push.rendering import rendered
from pytheus.push.termination import Termination
from pytheus.push.textfile import replace_file
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY

__all__ = ["Beginning", "JobRun", "is_success", "job"]

P = ParamSpec("P")
T = TypeVar("T")

_LAST_SUCCESS: Final = "batch_job_last_success_timestamp_seconds"
_OLD_SUCCESS: Final = re.compile(rf"^{_LAST_SUCCESS}\{{job_name=(\"(?:[^\"\\]|\\.)*\")\}} (\d[0-9.e+]{{0,30}})$", re.M)
_MAX_OLD_BYTES: Final = 16 * 1024 * 1024


class _JobMetrics:
    """The metrics of a job itself, in a registry of their own."""

    def __init__(self, name: str) -> None:
        self.registry: Final = CollectorRegistry()
        self._name: Final = name
        self._duration: Final = self._gauge("batch_job_duration_seconds", "How long the last run took.")
        self._success: Final = self._gauge("batch_job_success", "1 if the last run succeeded, 0 if it failed.")
        # A gateway would take a family without series for one that has lost them.
        self._last_success: Gauge | None = None

    def _gauge(self, name: str, description: str) -> Gauge:
        return Gauge(name, description, ["job_name"], registry=self.registry)

    def record(self, duration_seconds: float, *, success: bool) -> None:
        self._duration.labels(self._name).set(duration_seconds)
        self._success.labels(self._name).set(1 if success else 0)
        if success:
            self.set_last_success(time.time())

    @property
    def has_succeeded(self) -> bool:
        return self._last_success is not None

    def set_last_success(self, moment: float) -> None:
        gauge = self._last_success
        if gauge is None:
            gauge = self._last_success = self._gauge(_LAST_SUCCESS, "When the last run that succeeded ended.")
        gauge.labels(self._name).set(moment)


class Beginning(NamedTuple):
    """When a run began, as `time.perf_counter` has it, and in which process."""

    moment: float
    pid: int


def is_success(error: BaseException | None) -> bool:
    """Return whether a program that ended with `error`, or with None, succeeded."""
    return error is None or (isinstance(error, SystemExit) and error.code in (None, 0))


class JobRun:
    """Runs of one job; see `job` for the parameters. `start` begins a run, and `finish` ends it and sends."""

    def __init__(
        self,
        name: str,
        registry: Registry = REGISTRY,
        *,
        push: str | None = None,
        textfile: str | os.PathLike[str] | None = None,
        grouping: Mapping[str, str] | None = None,
        access: Access | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        mode: int = 0o644,
    ) -> None:
        if not is_text(name) or not name:
            raise InvalidReceiverError(f"a job's name is text that is not empty but got {shown(name)}; name the job")
        if push is None and textfile is None:
            raise InvalidReceiverError(
                f"job {name!r} has no receiver; pass push=URL of a Pushgateway, or textfile=PATH"
            )
        self.name: Final = name
        self._registry: Final = registry
        self._gateway: Final = (
            None if push is None else Gateway(push, name, grouping, access=access, timeout_seconds=timeout_seconds)
        )
        self._textfile: Final = textfile
        self._receivers: Final[list[Callable[[bool], None]]] = []
        if push is not None:
            self._receivers.append(self._push)
        if textfile is not None:
            self._receivers.append(self._write)
        self._mode: Final = mode
        self._seconds: Final = checked_seconds(timeout_seconds, f"job {name!r}")
        self._metrics: Final = _JobMetrics(name)
        self.error: Exception | None = None
        """The first error of the last sending, or None."""

    def start(self) -> Beginning:
        """Return the beginning of a run, for `finish`."""
        return Beginning(time.perf_counter(), os.getpid())

    @property
    def longest_seconds(self) -> float:
        """How long `finish` takes at most, beside the time of the disk."""
        return len(self._receivers) * self._seconds

    def finish(self, began: Beginning, *, success: bool) -> None:
        """End the run that `began`, and send its metrics with its outcome. Raises no `Exception`.

        In a process that was forked since the beginning, nothing happens.
        """
        if began.pid != os.getpid():
            return
        self._metrics.record(time.perf_counter() - began.moment, success=success)
        self.error = None
        for receiver in self._receivers:
            try:
                receiver(success)
            except Exception as failure:
                if self.error is None:
                    self.error = failure
                is_known = isinstance(failure, PytheusError)
                logger("pytheus.push").error(
                    "not all metrics of the job %r were sent: %s", self.name, failure, exc_info=not is_known
                )

    def _push(self, success: bool) -> None:
        gateway = self._gateway
        assert gateway is not None
        deadline = Deadline(self._seconds)
        own = self._metrics.registry
        try:
            gateway.push(self._registry, method="replace" if success else "merge", also=own, deadline=deadline)
        except PushError as error:
            if error.reason == "collection":
                gateway.push(own, method="merge", deadline=deadline)
            raise

    def _write(self, success: bool) -> None:
        path = self._textfile
        assert path is not None
        own = self._metrics.registry
        if not success and not self._metrics.has_succeeded:
            self._keep_last_success(path)
        try:
            body = rendered(self._registry, self._seconds, "text", own).body
        except PushError:
            replace_file(path, rendered(own, self._seconds, "text").body, self._mode)
            raise
        replace_file(path, body, self._mode)

    def _keep_last_success(self, path: str | os.PathLike[str]) -> None:
        """Take the time of the last success from the file, which is about to be replaced."""
        if not os.path.isfile(path):
            return  # this run is the first; a pipe is not waited for, and refused afterwards
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                content = file.read(_MAX_OLD_BYTES)
        except OSError:
            return
        from pytheus.textformat import line_head

        own = line_head(_LAST_SUCCESS, {"job_name": self.name})
        for found in _OLD_SUCCESS.finditer(content):
            if found[0].startswith(own):
                self._metrics.set_last_success(float(found[2]))


class job:
    """Measures a job and sends its metrics once, at its end. A context manager, and a decorator of functions.

        >>> import pathlib, tempfile
        >>> from pytheus import Counter
        >>> from pytheus.registry import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> rows = Counter("rows_copied_total", "Rows copied.", registry=registry)
        >>> path = pathlib.Path(tempfile.mkdtemp(), "nightly.prom")
        >>> with job("nightly", registry, textfile=path):
        ...     rows.inc(500)
        >>> 'batch_job_success{job_name="nightly"} 1.0' in path.read_text()
        True

    Sends the metrics of `registry`, and three gauges with the label ``job_name``: ``batch_job_duration_seconds``,
    ``batch_job_success`` (1 or 0) and ``batch_job_last_success_timestamp_seconds``. They are sent also if the block
    raises an exception, which passes on, and on SIGTERM, unless the program handles that itself; the process then ends
    by the signal. A run succeeds if it raises nothing, or `SystemExit` with the status 0.

    `push` is the URL of a Pushgateway, `textfile` the path of a file for node_exporter; one of them or both. `grouping`
    and `access` are those of `pytheus.push.push`, `mode` that of `write_textfile`. After a success the metrics replace
    those of the last run; after a failure they are merged with them, so that the time of the last success stays.

    The end of the block takes at most `timeout_seconds` longer for each of them, beside the time of the disk. An error
    is logged, never raised, and is the attribute `error`. Raises `InvalidReceiverError` for an invalid argument.

    Each call of a decorated function is a run; an ``async`` function blocks its event loop while its metrics are sent.
    One `job` object measures one block at a time.

    Of a registry that several processes share, the process in which the block began sends the metrics of all of them,
    once; a process that was forked in the block sends nothing at its end.
    """

    def __init__(
        self,
        name: str,
        registry: Registry = REGISTRY,
        *,
        push: str | None = None,
        textfile: str | os.PathLike[str] | None = None,
        grouping: Mapping[str, str] | None = None,
        access: Access | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        mode: int = 0o644,
    ) -> None:
        self._run: Final = JobRun(
            name,
            registry,
            push=push,
            textfile=textfile,
            grouping=grouping,
            access=access,
            timeout_seconds=timeout_seconds,
            mode=mode,
        )
        self._blocks: Final[list[_Block]] = []

    @property
    def error(self) -> Exception | None:
        """The first error of the last sending, or None if all was sent."""
        return self._run.error

    def __enter__(self) -> Self:
        block = _Block(self._run)
        self._blocks.append(block)
        block.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._blocks.pop().__exit__(kind, error, traceback)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return `function`, each call of which is a run of the job."""
        import inspect

        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidReceiverError(
                f"job {self._run.name!r} got a generator function, which runs after its call; decorate its caller"
            )
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # Any: the awaited result of T
                with _Block(self._run):
                    return await function(*args, **kwargs)

            return cast(Callable[P, T], run_async)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            with _Block(self._run):
                return function(*args, **kwargs)

        return run


class _Block:
    """One run, of which several of a decorated function may be under way."""

    def __init__(self, run: JobRun) -> None:
        self._run: Final = run
        self._termination: Final = Termination()

    def __enter__(self) -> None:
        self._began = self._run.start()
        self._termination.install()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._termination.defer()
        try:
            self._run.finish(self._began, success=is_success(error))
        finally:
            self._termination.end()
