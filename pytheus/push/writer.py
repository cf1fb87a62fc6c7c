"""The background writer: a thread that reads a registry at intervals and sends the numbers to a receiver.

Rules:

- The program never waits: not for a receiver, a name, a queue or a collector. `close`, and the end of the program, wait
  at most for the stated time, with one attempt for each request.
- One thread reads and sends. A send that takes longer than the interval delays the next reading. A collector that takes
  longer than the timeout is left out, as in a scrape.
- A snapshot is encoded when it is sent, so a queue of snapshots holds little but numbers, and another version of the
  protocol can be chosen for all of them.
- The writer belongs to the process that started it. The child of a fork writes nothing, so that the numbers of a
  registry that processes share are written once. `lock_file` chooses one of several processes that all start a writer.
- A problem is logged when it begins and when it ends, and not at each attempt.
"""

from __future__ import annotations

import atexit
import os
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar

from pytheus.exceptions import InvalidReceiverError, PushError
from pytheus.interruption import is_interruption
from pytheus.lazy import logger
from pytheus.push.delivery import Delivery
from pytheus.push.leadership import Leadership
from pytheus.push.outcomes import Outcome, Verdict
from pytheus.push.snapshot import Snapshot, SnapshotReader
from pytheus.worker import Worker

__all__ = ["BackgroundWriter", "SnapshotProtocol", "Writer", "WriterStatus", "checked_seconds"]

_LEAST_INTERVAL_SECONDS: Final = 0.05
_END_SECONDS: Final = 0.1
_LOGGED_AT_MOST: Final = 20


class WriterStatus(NamedTuple):
    """The work of a writer since it was made.

    `delivered` and `dropped` count numbers and native histograms; of the latter some were refused by the receiver, and
    others did not fit into the queue. `failures` counts attempts that failed. `queued` is the number of snapshots that
    wait, and `queued_bytes` about their size. `error` is the last problem, "" after a success.
    """

    delivered: int = 0
    dropped: int = 0
    failures: int = 0
    queued: int = 0
    queued_bytes: int = 0
    error: str = ""


class Request(Protocol):
    """A part of a snapshot, as it is sent."""

    @property
    def numbers(self) -> int:
        """How many of the numbers and native histograms of the snapshot it has."""
        ...


R = TypeVar("R", bound=Request)


class SnapshotProtocol(Protocol[R]):
    """A protocol in which snapshots are sent, as requests of the type `R`. Only the writer's thread calls it."""

    @property
    def shown(self) -> str:
        """The receiver's URL without credentials."""
        ...

    def encode(self, snapshot: Snapshot) -> list[R]:
        """Return the requests, which stay valid."""
        ...

    def send(self, request: R, timeout_seconds: float) -> Outcome:
        """Send one of them. Raises `PushError` if there is no response, and `InvalidReceiverError`."""
        ...


class _Batch(Generic[R]):
    """A snapshot to send: its requests, once they are encoded, how many are done, and the numbers delivered by them.

    A batch has a problem if the receiver did not take all of it.
    """

    __slots__ = ("delivered", "done", "has_problem", "requests", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot: Final = snapshot
        self.encoded(None)

    def encoded(self, requests: list[R] | None) -> None:
        """Begin with `requests`; without them, the snapshot is to be encoded."""
        self.requests = requests
        self.done = self.delivered = 0
        self.has_problem = False


class BackgroundWriter(Generic[R]):
    """Reads `reader` every `interval_seconds` and sends the snapshots by `protocol`."""

    def __init__(
        self,
        name: str,
        protocol: SnapshotProtocol[R],
        reader: SnapshotReader,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        close_seconds: float,
        max_queue_bytes: int,
        ends_series: bool,
        lock_file: str | os.PathLike[str] | None,
    ) -> None:
        self._name: Final = name
        self._protocol: Final = protocol
        self._reader: Final = reader
        self._interval: Final = checked_seconds(interval_seconds, "interval_seconds", name, _LEAST_INTERVAL_SECONDS)
        self._timeout: Final = checked_seconds(timeout_seconds, "timeout_seconds", name)
        self._close_seconds: Final = checked_seconds(close_seconds, "close_seconds", name)
        if isinstance(max_queue_bytes, bool) or not isinstance(max_queue_bytes, int) or max_queue_bytes < 1:
            raise InvalidReceiverError(
                f"max_queue_bytes for {name} is a positive whole number but got {max_queue_bytes!r:.40}"
            )
        self._ends_series: Final = ends_series and lock_file is None
        self._leadership: Final = None if lock_file is None else Leadership(lock_file)
        self._max_queue_bytes: Final = max_queue_bytes
        self._next_reading = 0.0
        self._process = 0
        # The number of the last start, and that of the last one that was closed.
        self._started = self._closed = 0
        self._begin()
        self._worker: Final = Worker(f"pytheus-{name.replace(' ', '-')}", self._tick)

    def _begin(self) -> None:
        """Begin with an empty queue."""
        self._delivery = Delivery[_Batch[R]](self._max_queue_bytes, random.random)
        self._status = WriterStatus()
        # The problems that were logged since the last success.
        self._logged: set[str] = set()

    @property
    def _is_running(self) -> bool:
        # In a child that C code has forked, the thread of the parent seems to be alive.
        is_own = self._process == os.getpid()
        return is_own and self._closed != self._started and self._worker.is_running

    def __repr__(self) -> str:
        state = "running" if self._is_running else "not running"
        return f"<{self._name} to {self._protocol.shown}, {state}>"

    @property
    def status(self) -> WriterStatus:
        """The work so far. May be read from any thread."""
        return self._status._replace(queued=self._delivery.length, queued_bytes=self._delivery.size_bytes)

    def start(self) -> None:
        """Start the thread, unless it runs in this process; one that is late to end goes on."""
        if self._is_running:
            return
        if self._process not in (0, os.getpid()):
            # Again, because Python is not told of a fork in C code.
            self._after_fork_in_child()
            # The queue and the series are those of the parent, and perhaps half a change of them.
            self._begin()
            self._reader.forget()
        self._process = os.getpid()
        self._started += 1
        if self._leadership is not None:
            self._leadership.begin()
        # Many processes that start at once read and send at different times.
        first = self._interval * random.random()
        self._next_reading = time.monotonic() + first
        _watch(self)
        self._worker.start(first)

    def close(self) -> None:
        """Send the last numbers, with one attempt for each request, and end the thread."""
        if not self._is_running:
            return
        _unwatch(self)
        number = self._started
        end = time.monotonic() + self._close_seconds
        try:
            self._worker.submit(lambda: self._finish(number, end), self._close_seconds)
        except TimeoutError:
            logger(__name__).warning(
                "%s to %s did not send its last numbers within %g seconds; the receiver is too slow, or a collector is",
                self._name,
                self._protocol.shown,
                self._close_seconds,
            )
        self._closed = number
        self._worker.stop(min(_END_SECONDS, max(0.0, end - time.monotonic())))
        if self._leadership is not None:
            self._leadership.release()

    # In the thread ----------------------------------------------------------------------------------------------------

    def _tick(self) -> float | None:
        if self._closed == self._started:
            return None
        try:
            return self._step()
        except BaseException as error:
            if is_interruption(error):
                raise
            self._report(f"{type(error).__name__}: {error}", error)
            return self._interval

    def _step(self) -> float:
        now = time.monotonic()
        if now >= self._next_reading:
            # An interval that has passed meanwhile is skipped.
            late = (now - self._next_reading) // self._interval
            self._next_reading += self._interval * (late + 1)
            if self._leadership is None or self._leadership.acquire():
                self._read(self._timeout)
        wait = self._delivery.wait(now)
        if wait == 0.0:
            self._attempt(self._timeout)
            wait = self._delivery.wait(time.monotonic())
        until_reading = max(0.0, self._next_reading - time.monotonic())
        return until_reading if wait is None else min(wait, until_reading)

    def _read(self, seconds: float) -> None:
        self._offer(self._reader.read(seconds))

    def _offer(self, snapshot: Snapshot) -> None:
        for dropped in self._delivery.offer(_Batch(snapshot), snapshot.size_bytes):
            self._drop(dropped, "the queue is full")

    def _drop(self, batch: _Batch[R], reason: str) -> None:
        self._count(batch)
        self._report(f"numbers were dropped, because {reason}")

    def _count(self, batch: _Batch[R]) -> None:
        """Count the numbers of a batch that has left the queue."""
        status = self._status
        dropped = status.dropped + batch.snapshot.samples - batch.delivered
        self._status = status._replace(delivered=status.delivered + batch.delivered, dropped=dropped)

    def _attempt(self, timeout_seconds: float) -> bool:
        """Send the next request; return whether the receiver took or refused it."""
        batch = self._delivery.begin()
        requests: list[R] = []
        request: R | None = None
        try:
            if batch.requests is None:
                batch.encoded(self._protocol.encode(batch.snapshot))
            requests = batch.requests or []
            request = requests[batch.done] if requests else None
            outcome = Outcome(Verdict.DELIVERED)
            if request is not None:
                outcome = self._protocol.send(request, timeout_seconds)
        except (PushError, InvalidReceiverError) as error:
            outcome = Outcome(Verdict.FAILED, str(error))
        except BaseException as error:
            self._delivery.finish()  # because it would fail again
            if is_interruption(error):
                raise
            self._drop(batch, f"they could not be encoded: {type(error).__name__}: {error}")
            return True
        verdict = outcome.verdict
        if verdict is Verdict.FAILED:
            self._delivery.fail(time.monotonic(), outcome.retry_after_seconds)
            self._status = self._status._replace(failures=self._status.failures + 1)
            self._report(outcome.message)
            return False
        if verdict is Verdict.OTHER_FORM:
            batch.encoded(None)
            self._delivery.again()
            return True
        if verdict is Verdict.REFUSED:
            batch.has_problem = True
            self._report(f"numbers were dropped, because {outcome.message}")
        else:
            batch.delivered += 0 if request is None else request.numbers
            if outcome.message:
                batch.has_problem = True
                self._report(outcome.message)
        batch.done += 1
        if batch.done < len(requests):
            self._delivery.again()
            return True
        self._delivery.finish()
        self._count(batch)
        if self._status.error and not batch.has_problem:
            self._status = self._status._replace(error="")
            self._logged.clear()
            logger(__name__).info("%s to %s works again", self._name, self._protocol.shown)
        return True

    def _report(self, message: str, error: BaseException | None = None) -> None:
        self._status = self._status._replace(error=message)
        if message not in self._logged and len(self._logged) < _LOGGED_AT_MOST:
            self._logged.add(message)
            logger(__name__).warning("%s to %s: %s", self._name, self._protocol.shown, message, exc_info=error)

    def _finish(self, number: int, end: float) -> None:
        if number != self._started:
            return  # its turn came after another start
        self._closed = number
        if self._leadership is None or self._leadership.acquire():
            try:
                # Half of the time, so that the other half is left to send.
                self._read(min(self._timeout, max(0.0, end - time.monotonic()) / 2))
            except BaseException as error:
                if is_interruption(error):
                    raise
                self._report(f"{type(error).__name__}: {error}", error)
            if self._ends_series:
                self._offer(self._reader.end())
        while self._delivery.length:
            left = end - time.monotonic()
            if left <= 0 or not self._attempt(min(self._timeout, left)):
                break

    # Forks ------------------------------------------------------------------------------------------------------------

    def _before_fork(self) -> None:
        if self._process == os.getpid():
            self._worker.before_fork()

    def _after_fork_in_parent(self) -> None:
        if self._process == os.getpid():
            self._worker.after_fork_in_parent(0.0)

    def _after_fork_in_child(self) -> None:
        self._worker.after_fork_in_child()
        if self._leadership is not None:
            self._leadership.forget()


class Writer:
    """The base of `RemoteWriter` and `OtlpExporter`: how a program uses a background writer, which it owns."""

    def __init__(self, writer: BackgroundWriter[Any]) -> None:  # Any: whatever its requests are
        self._writer: Final = writer

    def __repr__(self) -> str:
        return repr(self._writer)

    @property
    def status(self) -> WriterStatus:
        """The work so far. May be read from any thread."""
        return self._writer.status

    def start(self) -> Self:
        """Start sending, unless it has started; returns the writer. Does not wait."""
        self._writer.start()
        return self

    def close(self) -> None:
        """Send the last numbers, end all series where the protocol can, and stop.

        Waits `close_seconds` at most. Idempotent.
        """
        self._writer.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


# Writers that run. A writer is kept alive by its thread, too.
_running: Final[set[BackgroundWriter[Any]]] = set()  # Any, because they have requests of several types
_is_hooked = False


def _watch(writer: BackgroundWriter[R]) -> None:
    global _is_hooked
    _running.add(writer)
    if not _is_hooked:
        _is_hooked = True
        atexit.register(_close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=lambda: _each(BackgroundWriter._before_fork),
                after_in_parent=lambda: _each(BackgroundWriter._after_fork_in_parent),
                after_in_child=_after_fork_in_child,
            )


def _unwatch(writer: BackgroundWriter[R]) -> None:
    _running.discard(writer)


def _each(call: Callable[[BackgroundWriter[Any]], None]) -> None:
    for writer in list(_running):
        call(writer)


def _after_fork_in_child() -> None:
    _each(BackgroundWriter._after_fork_in_child)
    _running.clear()


def _close_all() -> None:
    for writer in list(_running):
        writer.close()


def checked_seconds(seconds: float, argument: str, subject: str, least: float = 0.001) -> float:
    """Return `seconds` if it is a number of seconds, at least `least`; otherwise raise `InvalidReceiverError`."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not least <= seconds <= 86_400:
        raise InvalidReceiverError(
            f"{argument} for {subject} is a number of seconds from {least:g} to 86400 but got {seconds!r:.40}"
        )
    return float(seconds)
