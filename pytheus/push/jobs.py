"""A job that ends: how long it took, whether it succeeded, and its metrics, sent once at its end.

Rules:

- The program decides its own outcome: an error of the receiver is logged, and never raised into the program. The end is
  delayed by at most the limit of time.
- A run that succeeded replaces the job's metrics. One that failed replaces only those that it has in a Pushgateway, and
  all in a file but the time of the last success, so that this time stays.
- The outcome is sent, whatever the registry has: without a family that has the name of one of the job's metrics, and
  alone if the gateway refuses the others.
- Runs of a job may overlap. Each sends its own numbers, and the last one to end stays.
- One process sends: the one in which the run began. A process that it forks sends nothing, so that the metrics of a
  registry which several processes share are sent once.
- The three metrics of the job are added to those of the registry, which is left as it is.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import Final, NamedTuple, ParamSpec, Self, TypeVar, cast

from pytheus.compose.filtered import FamilyHead, filtered
from pytheus.exceptions import InvalidReceiverError, PushError, PytheusError
from pytheus.lazy import logger
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.instrument_functions import function_kind
from pytheus.names import occupied_names, shown
from pytheus.push.access import Access
from pytheus.push.deadline import Deadline, checked_seconds
from pytheus.push.gateway import TIMEOUT_SECONDS, Gateway, PushMethod, is_text
from pytheus.push.rendering import rendered
from pytheus.push.termination import Termination
from pytheus.push.textfile import replace_file
from pytheus.registry.collector_registry import CollectorRegistry
from pytheus.registry.contract import Registry
from pytheus.registry.proxy import REGISTRY
from pytheus.regular_files import read_regular_file

__all__ = ["Beginning", "JobRun", "is_success", "job"]

P = ParamSpec("P")
T = TypeVar("T")

_DURATION: Final = "batch_job_duration_seconds"
_SUCCESS: Final = "batch_job_success"
_LAST_SUCCESS: Final = "batch_job_last_success_timestamp_seconds"
_OWN: Final = frozenset({_DURATION, _SUCCESS, _LAST_SUCCESS})
_OLD_SUCCESS: Final = re.compile(rf"^{_LAST_SUCCESS}\{{job_name=(\"(?:[^\"\\]|\\.)*\")\}} (\d[0-9.e+]{{0,30}})$", re.M)
_MAX_OLD_BYTES: Final = 16 * 1024 * 1024
# The gateway refuses what it got, and may take less of it.
_REFUSED: Final = (400, 413)


class _Outcome(NamedTuple):
    """How a run ended; `last_success` is the time of the last one that succeeded, if it is known."""

    duration_seconds: float
    success: bool
    last_success: float | None

    def metrics(self, name: str) -> CollectorRegistry:
        """Return the metrics of the job `name` itself, in a registry of their own."""
        registry = CollectorRegistry()
        numbers = [
            (_DURATION, "How long the last run took.", self.duration_seconds),
            (_SUCCESS, "1 if the last run succeeded, 0 if it failed.", float(self.success)),
        ]
        # A gateway would take a family without series for one that has lost them.
        if self.last_success is not None:
            numbers.append((_LAST_SUCCESS, "When the last run that succeeded ended.", self.last_success))
        for metric, description, number in numbers:
            Gauge(metric, description, ["job_name"], registry=registry).labels(name).set(number)
        return registry


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
        # One for all runs, so that a collector that hangs is known as the same.
        self._others: Final = filtered(registry, predicate=self._is_other)
        self._left_out: set[str] = set()
        self._gateway: Final = (
            None if push is None else Gateway(push, name, grouping, access=access, timeout_seconds=timeout_seconds)
        )
        self._textfile: Final = textfile
        self._receivers: Final[list[Callable[[_Outcome], None]]] = []
        if push is not None:
            self._receivers.append(self._push)
        if textfile is not None:
            self._receivers.append(self._write)
        self._mode: Final = mode
        self._seconds: Final = checked_seconds(timeout_seconds, f"job {name!r}")
        self._last_success: float | None = None
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
        duration = time.perf_counter() - began.moment
        if success:
            self._last_success = time.time()
        outcome = _Outcome(duration, success, self._last_success)
        first: Exception | None = None
        for receiver in self._receivers:
            try:
                receiver(outcome)
            except Exception as failure:
                if first is None:
                    first = failure
                is_known = isinstance(failure, PytheusError)
                logger("pytheus.push").error(
                    "not all metrics of the job %r were sent: %s", self.name, failure, exc_info=not is_known
                )
        self._log_left_out()
        self.error = first

    def _push(self, outcome: _Outcome) -> None:
        gateway = self._gateway
        assert gateway is not None
        deadline = Deadline(self._seconds)
        own = outcome.metrics(self.name)
        try:
            method: PushMethod = "replace" if outcome.success else "merge"
            gateway.push(self._others, method=method, also=own, deadline=deadline)
        except PushError as error:
            if error.reason == "collection" or error.status in _REFUSED:
                gateway.push(own, method="merge", deadline=deadline)
            raise

    def _write(self, outcome: _Outcome) -> None:
        path = self._textfile
        assert path is not None
        if outcome.last_success is None:
            outcome = outcome._replace(last_success=self._former_success(path))
        own = outcome.metrics(self.name)
        try:
            body = rendered(self._others, self._seconds, "text", own).body
        except PushError:
            replace_file(path, rendered(own, self._seconds, "text").body, self._mode)
            raise
        replace_file(path, body, self._mode)

    def _is_other(self, family: FamilyHead) -> bool:
        is_own = not _OWN.isdisjoint(occupied_names(family.name, family.type))
        if is_own:
            self._left_out.add(family.name)
        return not is_own

    def _log_left_out(self) -> None:
        left_out, self._left_out = self._left_out, set()
        if left_out:
            logger("pytheus.push").warning(
                "the metrics of the job %r were sent without %s of the registry, because this is the name of one of the"
                " job's own metrics; rename it",
                self.name,
                " and ".join(sorted(left_out.copy())),  # a late collector may add to it
            )

    def _former_success(self, path: str | os.PathLike[str]) -> float | None:
        """Return the time of the last success in the file, which is about to be replaced, if it has one."""
        from pytheus.textformat import line_head

        own = line_head(_LAST_SUCCESS, {"job_name": self.name})
        try:
            content, _ = read_regular_file(path, _MAX_OLD_BYTES)
        except (OSError, ValueError):
            return None  # none, or one that is refused afterwards
        for found in _OLD_SUCCESS.finditer(content.decode("utf-8", "replace")):
            if found[0].startswith(own):
                try:
                    moment = float(found[2])
                except ValueError:
                    continue  # another program wrote it
                if math.isfinite(moment):
                    return moment
        return None


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
    raises an exception, which passes on, and on SIGTERM, unless the program handles that itself; the process ends by
    the signal after the last of its jobs. A run succeeds if it raises nothing, or `SystemExit` with the status 0.

    `push` is the URL of a Pushgateway, `textfile` the path of a file for node_exporter; one of them or both. `grouping`
    and `access` are those of `pytheus.push.push`, `mode` that of `write_textfile`. After a success the metrics replace
    those of the last run. After a failure they are merged with them in a Pushgateway; a file is replaced, and keeps the
    time of the last success. A family of the registry with the name of one of the three gauges is left out and logged;
    if a gateway refuses the metrics (status 400 or 413), it gets the gauges alone.

    The end of the block takes at most `timeout_seconds` longer for each of them, beside the time of the disk. An error
    is logged, never raised, and is the attribute `error`. Raises `InvalidReceiverError` for an invalid argument, and
    `NotARegistryError`.

    Each call of a decorated function is a run; an ``async`` function blocks its event loop while its metrics are sent.
    Runs of one `job` object may overlap, in several threads and tasks; the last one to end stays.

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
        # Those that are open, in all threads and tasks.
        self._blocks: Final[list[_Block]] = []

    @property
    def error(self) -> Exception | None:
        """The first error of the last sending, or None if all was sent."""
        return self._run.error

    def __enter__(self) -> Self:
        block = _Block(self._run)
        self._blocks.append(block)
        _entered.set((*_entered.get(), block))
        block.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        entered = _entered.get()
        # The last one that was entered here, unless the block ends in another thread or task than it began.
        block = ([block for block in entered if block in self._blocks] or self._blocks)[-1]
        self._blocks.remove(block)
        _entered.set(tuple([other for other in entered if other is not block]))
        block.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return `function`, each call of which is a run of the job."""
        kind = function_kind(function)
        if kind in ("generator", "async generator"):
            raise InvalidReceiverError(
                f"job {self._run.name!r} got a generator function, which runs after its call; decorate its caller"
            )
        if kind == "coroutine":
            call = cast("Callable[P, Awaitable[object]]", function)

            @wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> object:
                with _Block(self._run):
                    return await call(*args, **kwargs)

            return cast("Callable[P, T]", run_async)

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


# The blocks of this thread or task that were entered by ``with``, the last one at the end.
_entered: Final[ContextVar[tuple[_Block, ...]]] = ContextVar("pytheus_jobs", default=())
