"""The processes of a check of stores: each has a store on the place that all share, a registry and metrics.

A process of a store that processes share is a real one, the child of a fork, which is really killed. A store in one
process's memory is checked within this process, where its author simulates the death of a process.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Protocol, cast

from pytheus.metrics.counter import Counter
from pytheus.metrics.gauge import Gauge
from pytheus.metrics.histogram import Histogram
from pytheus.metrics.metric import Metric
from pytheus.native_buckets import NativeBuckets
from pytheus.registry.capabilities import HasRows
from pytheus.registry.contract import Collector
from pytheus.registry.traversal import flatten
from pytheus.samples import Family
from pytheus.shards.registry import ShardedRegistry
from pytheus.shards.snapshot import ShardIdentity
from pytheus.shards.store import ShardStore
from pytheus.testing.checks.children import fork, readable
from pytheus.testing.checks.scrape import one_of_each
from pytheus.testing.checks.scraped_families import encoded

__all__ = ["ForkedProcess", "LocalProcess", "Operations", "StoreProcess"]


_LIFE_SECONDS: Final = 300


_FAILURES: Final = ("pytheus_shard_failures_total", "pytheus_shards_skipped")


class _Killed(BaseException):
    """Ends an operation of a process whose death is simulated."""


class Operations:
    """The operations of one process. Their arguments and results are JSON values."""

    def __init__(self, registry: ShardedRegistry) -> None:
        self.registry = registry
        self.store: ShardStore = registry.store
        self._hits: Counter | None = None
        self._sizes: Histogram | None = None
        self._alive: Gauge | None = None
        self._others: list[Metric] = []
        self._failures = 0.0
        self._child: int | None = None
        self._hold = -1

    def identity(self) -> list[object]:
        """Return the identity of the process's shard."""
        return list(self.store.identity)

    def count(self, kind: str, by: float) -> None:
        """Count, and publish."""
        self._counter().labels(kind).inc(by)
        self.publish()

    def _counter(self) -> Counter:
        if self._hits is None:
            self._hits = Counter("kit_hits_total", "Hits.", ["kind"], registry=self.registry)
        return self._hits

    def observe(self, values: Sequence[float]) -> None:
        """Observe values in a histogram with native buckets, which are wider the more they are, and publish."""
        if self._sizes is None:
            native = NativeBuckets(growth=1.1, max_buckets=4)
            self._sizes = Histogram("kit_sizes", "Sizes.", native=native, buckets=(), registry=self.registry)
        for value in values:
            self._sizes.observe(value)
        self.publish()

    def native(self) -> list[object]:
        """Return the histogram of a scrape: schema, zero threshold, counts by index of either sign, of zero and NaN."""
        for family in self.registry.collect():
            if isinstance(family, HasRows) and family.definition.name == "kit_sizes":
                for row in family.rows():
                    native = row.native
                    if native is not None:
                        counts = (sorted(native.positive.items()), sorted(native.negative.items()))
                        return [native.schema, native.zero_threshold, *counts, native.zero_count, native.nan_count]
        return []

    def start_time(self, kind: str, is_own: bool) -> float | None:
        """Return when a series of the counter began: that of this process, or the one that a scrape shows."""
        collectors: Iterable[Collector] = [self._counter()] if is_own else self.registry.collect()
        for family in collectors:
            if isinstance(family, HasRows) and family.definition.name == "kit_hits_total":
                return next((row.created for row in family.rows() if row.labels == (kind,)), None)
        return None

    def live(self) -> None:
        """Set a gauge that is only to count while the process lives."""
        if self._alive is None:
            self._alive = Gauge("kit_alive", "Processes.", registry=self.registry)
        self._alive.set(1.0)
        self.publish()

    def fill(self, times: int) -> None:
        """Register a metric of each type, with values; counted `times` times."""
        for _ in range(times):
            self._others += one_of_each("kit_each", self.registry)
        self.publish()

    def count_in_threads(self, threads: int, times: int) -> None:
        """Count 1 in each of several threads, many times each."""
        series = self._counter().labels("threads")

        def work() -> None:
            for _ in range(times):
                series.inc()

        started = [threading.Thread(target=work) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        self.publish()

    def remove(self, kind: str) -> None:
        """Remove a series of the counter."""
        self._counter().remove(kind)
        self.publish()

    def unregister(self) -> None:
        """Unregister the counter, which takes its numbers with it."""
        self.registry.unregister(self._counter())
        self.publish()

    def publish(self) -> None:
        """Make the current numbers visible to the others."""
        self.store.publish(self.registry.shared_metrics())

    def read(self) -> None:
        """Publish and read, as each scrape does."""
        self.publish()
        self.store.read()

    def scrape(self) -> list[object]:
        """Return the families of a scrape. Raises the errors of the store, which a registry only counts."""
        families = [family for collector in self.registry.collect() for family in flatten(collector)]
        self._raise_failures(families)
        return [encoded(family) for family in families if family.name.startswith("kit_")]

    def _raise_failures(self, families: list[Family]) -> None:
        failures = sum(sample.value for family in families if family.name in _FAILURES for sample in family.samples)
        if failures != self._failures:
            self._failures = failures
            self.read()  # which says why, unless it works by now
            told = [str(sample.labels) for family in families if family.name in _FAILURES for sample in family.samples]
            raise RuntimeError(f"the scrape could not use the store, or skipped a shard: {', '.join(told)}")

    def shard_tokens(self) -> list[str]:
        """Return the tokens of all shards of a reading."""
        self.publish()
        return [snapshot.identity.token for snapshot in self.store.read().snapshots]

    def close(self) -> None:
        """Close the registry, and with it the store."""
        self.registry.close()

    def close_store(self) -> None:
        """Close the store once more."""
        self.store.close()

    # Forks ------------------------------------------------------------------------------------------------------------

    def fork(self, kind: str, by: float) -> list[object]:
        """Fork a child that counts, and stays; return its identity, and a scrape of it."""
        self._counter().labels(kind)  # there before the fork, so that the child has it too
        reader, writer = os.pipe()
        waiting, self._hold = os.pipe()
        pid = fork()
        if pid == 0:
            try:
                _end_by_itself()
                os.close(self._hold)
                self.count(kind, by)
                _write(writer, [self.identity(), self.scrape()])
                os.read(waiting, 1)  # until the parent ends
            except BaseException as error:
                _write(writer, f"{type(error).__name__}: {error}")
            finally:
                os._exit(0)
        os.close(writer)
        os.close(waiting)
        self._child = pid
        with os.fdopen(reader, "rb") as answers:
            told: object = json.loads(answers.readline() or b'"it ended without an answer"')
        if not isinstance(told, list):
            raise RuntimeError(f"the child of a fork: {told}")
        return told

    def end_child(self) -> None:
        """Kill the child."""
        child, self._child = self._child, None
        if child is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(self._hold)

    # Steps ------------------------------------------------------------------------------------------------------------

    def steps(self, operation: str, arguments: Sequence[object]) -> list[int]:
        """Return in how many steps an operation runs: calls of functions in C, and those of them that reach outside."""
        with _at_step((0, 0), lambda: None) as seen:
            getattr(self, operation)(*arguments)
        return seen

    def die_at(self, step: tuple[int, int], operation: str, arguments: Sequence[object]) -> None:
        """Begin an operation, and be killed before a step: the number of either kind, or 0."""

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        with _at_step(step, die):
            getattr(self, operation)(*arguments)

    def stop_at(self, step: tuple[int, int], operation: str, arguments: Sequence[object]) -> None:
        """Begin an operation, and leave it before its step `step`, as far as that is possible within a process."""

        def stop() -> None:
            raise _Killed

        with suppress(_Killed), _at_step(step, stop):
            getattr(self, operation)(*arguments)


# Modules whose functions and objects stay within the memory of their process.
_IN_MEMORY: Final = frozenset(
    (
        *("_abc", "_collections", "_functools", "_json", "_operator", "_random", "_sre", "_struct", "_thread"),
        *("_weakref", "array", "builtins", "collections", "functools", "gc", "itertools", "json", "math", "msgspec"),
        *("msgspec._core", "re", "sys", "time", "zlib"),
    )
)


def _reaches_outside(function: object) -> bool:
    owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
    return owner not in _IN_MEMORY


@contextmanager
def _at_step(step: tuple[int, int], act: Callable[[], None]) -> Iterator[list[int]]:
    seen = [0, 0]
    is_within = True

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call" and is_within:
            seen[0] += 1
            outside = _reaches_outside(argument)
            seen[1] += outside
            if seen[0] == step[0] or (outside and seen[1] == step[1]):
                act()

    before = sys.getprofile()
    # A collection runs functions at steps that do not belong to the operation.
    collects = gc.isenabled()
    gc.disable()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield seen
    finally:
        is_within = False  # otherwise the calls below are steps, too, and the act may prevent the rest of them
        sys.setprofile(before)
        threading.setprofile(before)
        if collects:
            gc.enable()


def _end_by_itself() -> None:
    """Let this process be killed after some minutes, whatever it waits for."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_LIFE_SECONDS)


def _write(descriptor: int, value: object) -> None:
    data = json.dumps(value).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


# Processes ------------------------------------------------------------------------------------------------------------


class StoreProcess(Protocol):
    """A process of a check."""

    def do(self, operation: str, *arguments: object) -> object:
        """Run one of `Operations`, and return its result; `AssertionError` with its error."""
        ...

    def die(self) -> None:
        """Die as by SIGKILL."""
        ...

    def die_at(self, step: tuple[int, int], operation: str, *arguments: object) -> None:
        """Die before a step of an operation, see `Operations.die_at`."""
        ...

    def end(self) -> None:
        """End after the check, in whatever state."""
        ...


class LocalProcess:
    """A process that is simulated within this one."""

    def __init__(self, make: Callable[[], ShardedRegistry], kill: Callable[[ShardStore], None]) -> None:
        self._operations = Operations(make())
        self._kill = kill

    def do(self, operation: str, *arguments: object) -> object:
        return cast(object, getattr(self._operations, operation)(*arguments))

    def die(self) -> None:
        self._kill(self._operations.store)

    def die_at(self, step: tuple[int, int], operation: str, *arguments: object) -> None:
        self._operations.stop_at(step, operation, arguments)
        self.die()

    def end(self) -> None:
        self._operations.end_child()
        with suppress(Exception):  # a separate check covers errors of close()
            self._operations.close()


class ForkedProcess:
    """A child of this process, which makes its store by itself and runs operations."""

    def __init__(
        self,
        make: Callable[[], ShardedRegistry],
        notice_death: Callable[[ShardIdentity], None],
        patience_seconds: float,
    ) -> None:
        self._notice_death = notice_death
        self._patience_seconds = patience_seconds
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._pending = b""
        self._pid: int | None = fork()
        if self._pid == 0:
            try:
                _end_by_itself()
                os.close(self._commands)
                os.close(self._answers)
                _serve(make, commands, answers)
            finally:
                os._exit(0)
        os.close(commands)
        os.close(answers)
        try:
            self._identity = self._answer()
        except BaseException:
            self.end()
            raise

    def do(self, operation: str, *arguments: object) -> object:
        if operation == "close":
            self._identity = self.do("identity")
        _write(self._commands, [operation, arguments])
        return self._answer()

    def _answer(self) -> object:
        while b"\n" not in self._pending:
            if not readable(self._answers, self._patience_seconds):
                self._reap()
                raise AssertionError(f"a process did not answer within {self._patience_seconds:g} s")
            data = os.read(self._answers, 1 << 16)
            if not data:
                self._reap()
                raise EOFError("a process ended without an answer")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        told = json.loads(line)
        if "error" in told:
            raise AssertionError(told["error"])
        return cast(object, told["result"])

    def die(self) -> None:
        with suppress(AssertionError):
            self._identity = self.do("identity")
        self._die()

    def _die(self) -> None:
        self._reap()
        self._notice_death(ShardIdentity(*cast("tuple[str, int, int, str]", self._identity)))

    def die_at(self, step: tuple[int, int], operation: str, *arguments: object) -> None:
        self._identity = self.do("identity")
        with suppress(EOFError, AssertionError):
            self.do("die_at", step, operation, arguments)
        self._die()

    def _reap(self) -> None:
        pid, self._pid = self._pid, None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(self._commands)
            os.close(self._answers)

    def end(self) -> None:
        if self._pid is not None:
            with suppress(AssertionError, EOFError, OSError):
                self.do("end_child")
        self._reap()


def _serve(make: Callable[[], ShardedRegistry], commands: int, answers: int) -> None:
    """Run the commands of the parent until it ends or kills this process."""
    operations: Operations | None = None
    with os.fdopen(commands, "rb") as lines:
        line: bytes | None = None
        while line != b"":
            try:
                if operations is None:
                    operations = Operations(make())
                    result: object = operations.identity()
                else:
                    operation, arguments = json.loads(line or b"")
                    result = getattr(operations, operation)(*arguments)
            except Exception as error:
                told: dict[str, object] = {"error": f"raised {type(error).__name__}: {error}"}
            else:
                told = {"result": result}
            _write(answers, told)
            line = lines.readline()
