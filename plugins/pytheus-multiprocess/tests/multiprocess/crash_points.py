"""Kills a process before its first step, its second, ... until the operation completes; see test_driven.py.

Run as a program with the name of an operation, a directory, and the stride from one step to the next. This process
reads the files that each killed process left. Prints one line of JSON: how many steps there were, and the errors.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import traceback
from array import array
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from pytheus import Histogram
from pytheus.definitions import Definition
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import HasRows, NumberStorage
from pytheus.samples import Exemplar
from pytheus.shards import Archive, Reading, ShardedRegistry, Snapshot
from pytheus_multiprocess.options import MultiprocessOptions
from pytheus_multiprocess.store import MultiprocessStore
from pytheus_multiprocess.system import System

JOBS = Definition("jobs_total", "counter", "Jobs.", ("kind",))
INFO = Definition("build", "info", "Build.", ("part",))

Totals = dict[str, float]
Report = Callable[[str], object]


class KilledAt(System):
    """A system in which the process is killed before a certain step."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def step(self, what: str) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def store_in(directory: Path, system: System | None = None) -> MultiprocessStore:
    """The smallest steps there are, so that files grow often."""
    options = MultiprocessOptions(str(directory), index_step_bytes=4096, numbers_step_bytes=4096)
    return MultiprocessStore(options, system)


def storage(store: MultiprocessStore, definition: Definition) -> NumberStorage:
    memory = store.storage(definition)
    assert memory is not None
    return memory


def totals(reading: Reading) -> Totals:
    """The sum of each series over everything that was read."""
    sums: Totals = {}
    parts: list[Snapshot | Archive] = [*reading.snapshots, reading.archive]
    for part in parts:
        for _, slot in part.layout.entries():
            if slot.size == 1:
                sums[slot.labels[0]] = sums.get(slot.labels[0], 0.0) + part.numbers[slot.offset]
    return sums


def found_in(directory: Path) -> tuple[Totals, Sequence[object]]:
    """What a process finds there, with the problems that it has with it; nothing of it stays open."""
    with closing(store_in(directory)) as store:
        reading = store.read()
        return totals(reading), reading.skipped


def in_child(function: Callable[[Report], None]) -> tuple[list[str], int]:
    """Run `function` in a forked child; gives the words that it reported, and the status it ended with."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            function(lambda word: os.write(writer, f"{word}\n".encode()))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as stream:
        words = stream.read().split()
    return words, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def leave_dead(directory: Path, count: int, amount: float) -> None:
    """Let `count` processes count something, and be killed."""

    def work(number: int, report: Report) -> None:
        memory = storage(store_in(directory), JOBS)
        for kind in ("all", f"kind{number}"):
            memory.buffer((kind,), array("d", [0.0]))[0] += amount
        os.kill(os.getpid(), signal.SIGKILL)

    for number in range(count):
        in_child(partial(work, number))


# Operations: what is there before, what the child does, and what must be there afterwards ---------------------------

Wrong = str | None


def growing(directory: Path, at: int) -> tuple[int, Wrong]:
    """A process begins a shard, and fills it until it has grown several times and was rewritten."""

    def work(report: Report) -> None:
        store = store_in(directory, KilledAt(at))
        memory, info = storage(store, JOBS), storage(store, INFO)
        for number in range(70):
            kind = f"kind{number % 50}"
            labels = (f"{kind}-{'x' * 200}",)
            memory.buffer(labels, array("d", [0.0]))[0] += 1.0
            report(kind)
            if number % 10 == 9:
                info.set_info(("a",), {"version": "1" * 20_000, "at": str(number)})
                memory.set_exemplar(labels, 0, Exemplar({"trace": "abc"}, 1.0, 2.0))
        file = store._shard.file
        assert file is not None
        assert file.generation > 0, "the index was never rewritten"
        assert len(file._chunks) > 4, "the file never grew"

    words, status = in_child(work)
    done = {kind: words.count(kind) for kind in set(words)}
    all_found, problems = found_in(directory)
    found = {labels.partition("-")[0]: value for labels, value in all_found.items()}
    if problems:
        return status, f"{problems}"
    # One more may have been counted than was reported.
    more = {kind: found.get(kind, 0.0) - done.get(kind, 0) for kind in {*found, *done}}
    if any(value not in (0.0, 1.0) for value in more.values()) or sum(more.values()) > 1:
        return status, f"{ {kind: value for kind, value in more.items() if value} }"
    return status, None


def churning(directory: Path, at: int) -> tuple[int, Wrong]:
    """A process removes series, and others use their numbers again."""

    def work(report: Report) -> None:
        memory = storage(store_in(directory, KilledAt(at)), JOBS)
        memory.buffer(("stays-",), array("d", [0.0]))[0] = 5.0
        report("begun")
        for number in range(3):
            labels = (f"kind{number}",)
            memory.buffer(labels, array("d", [0.0]))[0] = 7.0
            report(f"made{number}")
            memory.release(labels)
            report(f"forgotten{number}")

    words, status = in_child(work)
    found, problems = found_in(directory)
    if problems:
        return status, f"{problems}"
    if "begun" in words and found.pop("stays-", None) != 5.0:
        return status, "the series that stays is not as it was"
    found.pop("stays-", None)
    for kind, value in found.items():
        number = kind.removeprefix("kind")
        if value not in (0.0, 7.0) or f"forgotten{number}" in words:
            return status, f"{kind} is {value} after {words}"
        if value == 0.0 and f"made{number}" in words:
            return status, f"{kind} is lost after {words}"
    return status, None


def observing(directory: Path, at: int) -> tuple[int, Wrong]:
    """A process observes values in a histogram whose native buckets get wider, and ends one of its series."""
    values = [1.5**exponent for exponent in range(12)]
    native = NativeBuckets(growth=1.1, max_buckets=3)

    def sizes(registry: ShardedRegistry) -> Histogram:
        return Histogram("sizes", "Sizes.", ["kind"], native=native, buckets=(), registry=registry)

    def work(report: Report) -> None:
        registry = ShardedRegistry(store_in(directory, KilledAt(at)))
        histogram = sizes(registry)
        for value in values:
            histogram.labels("stays").observe(value)
            report("stays")
            histogram.labels("ends").observe(value)
            report("ends")
        now = time.monotonic()
        histogram.expire_series(1.0, now)
        histogram.labels("stays").observe(1.0)
        report("stays")
        histogram.expire_series(1.0, now + 2.0)
        histogram.labels("ends").observe(1.0)
        report("ends")

    words, status = in_child(work)
    registry = ShardedRegistry(store_in(directory))
    try:
        for _ in range(2):
            # One more may have been counted than was reported.
            wrong = _wrong_rows(registry, {kind: words.count(kind) for kind in ("stays", "ends")}, [*values, 1.0])
            if wrong:
                return status, f"{wrong} after {words}"
    finally:
        registry.close()
    return status, None


def _wrong_rows(registry: ShardedRegistry, least: dict[str, int], values: Sequence[float]) -> Wrong:
    """In which point the merged rows are not those of a process that observed the first of `values`."""
    collectors = list(registry.collect())
    found = {
        row.labels[0]: row
        for each in collectors
        if isinstance(each, HasRows) and each.definition.name == "sizes"
        for row in each.rows()
    }
    names = [each.definition.name for each in collectors if isinstance(each, HasRows)]
    problems = [name for name in names if name.startswith("pytheus_shard")]
    if problems:
        return f"{problems}"
    for kind, count in least.items():
        row = found.get(kind)
        if row is None or row.native is None:
            if count:
                return f"{kind} is lost"
            continue
        native, observed = row.native, int(row.numbers[1])
        if observed - count not in (0, 1) or native.total != observed:
            return f"{kind} has {native.total} in its buckets, and {observed} in all, instead of {count}"
        expected = Tally(bucket_index(value, native.schema) for value in values[:observed])
        if dict(native.positive) != dict(expected):
            return f"{kind} has {native} instead of {expected}"
        if not row.created or abs(row.created - time.time()) > 600:
            return f"{kind} began at {row.created}"
    return None


def folding(directory: Path, at: int) -> tuple[int, Wrong]:
    """A process folds dead shards into an archive in which others are already; a third one goes on afterwards."""
    leave_dead(directory, 2, 1.5)
    found_in(directory)  # which folds them
    leave_dead(directory, 3, 0.25)
    expected = {"all": 3.75, "kind0": 1.75, "kind1": 1.75, "kind2": 0.25}

    def work(report: Report) -> None:
        store = store_in(directory)
        # What comes before does not change anything.
        store._system = store._archive._system = KilledAt(at)
        store.read()
        store.read()

    _, status = in_child(work)

    def look(report: Report) -> None:
        # As a scrape sees it that cannot fold, because a process that was stopped has the lock.
        holder = store_in(directory)
        assert System().lock(holder._archive._lock_descriptor)
        report(json.dumps(totals(store_in(directory).read())).replace(" ", ""))

    seen = json.loads("".join(in_child(look)[0]))
    if seen != expected:
        return status, f"before anybody goes on folding: {seen}"
    leave_dead(directory, 1, 2.0)
    expected |= {"all": 5.75, "kind0": 3.75}
    for _ in range(2):
        found, problems = found_in(directory)
        if found != expected or problems:
            return status, f"after folding goes on: {found}, {problems}"
    leave_dead(directory, 1, 1.0)
    found, _ = found_in(directory)
    expected |= {"all": 6.75, "kind0": 4.75}
    if found != expected:
        return status, f"after folding once more: {found}"
    left = sorted(os.listdir(directory))
    if left != ["archive", "archive.lock"]:
        return status, f"left behind: {left}"
    return status, None


OPERATIONS = {"growing": growing, "churning": churning, "folding": folding, "observing": observing}


def main(name: str, directory: Path, stride: int) -> None:
    """Kill a process before its first step, and before every `stride`-th step after it, until one has fewer steps."""
    wrong: list[str] = []
    at = 1
    while True:
        once = directory / str(at)
        once.mkdir(mode=0o700)
        status, error = OPERATIONS[name](once, at)
        shutil.rmtree(once)
        if error is not None:
            wrong.append(f"killed before step {at}: {error}")
        if status == 0:
            break
        if status != -signal.SIGKILL:
            wrong.append(f"with step {at}, the process ended with {status}")
            break
        at += stride
    print(json.dumps({"steps": at - 1, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
