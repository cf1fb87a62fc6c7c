"""Processes that count, fork, scrape and are killed at random; see test_driven.py.

Run as a program with a directory, a seed and how many kills there are to be. Every process reports each thing that it
did, after it did it, as a byte in a pipe; what this process finds in its scrapes is held against that. Prints one line
of JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter as Tally
from collections.abc import Callable
from contextlib import suppress

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.native_buckets import NativeBuckets
from pytheus.shards import ShardedRegistry
from pytheus_multiprocess import multiprocess_registry

AT_ONCE = 4
LONGEST_LIFE_SECONDS = 0.06
LONGEST_SECONDS = 60
PATIENCE_SECONDS = 60


class Metrics:
    """What every process counts."""

    def __init__(self, directory: str) -> None:
        self.registry: ShardedRegistry = multiprocess_registry(directory, process_metrics=False)
        self.jobs = Counter("jobs_total", "Jobs.", ["worker"], registry=self.registry)
        self.seconds = Histogram("seconds", "Seconds.", buckets=[1, 2], registry=self.registry)
        # With few buckets, so that each process widens them at times of its own.
        native = NativeBuckets(growth=1.1, max_buckets=6, max_zero_threshold=0.01)
        self.sizes = Histogram("sizes", "Sizes.", native=native, buckets=(), registry=self.registry)
        self.depth = Gauge("depth", "Depth.", registry=self.registry)
        self.passing = Gauge("passing", "Comes and goes.", ["number"], registry=self.registry)

    def half_observed(self, found: dict[str, float]) -> float:
        """The observations that kills cut in half, because each is counted first."""
        return found["seconds_count"] - found["seconds_sum"] / 1.5

    def scrape(self) -> dict[str, float]:
        text = generate_metrics(self.registry)
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}


def rising(found: dict[str, float]) -> dict[str, float]:
    """What may never fall."""
    return {name: value for name, value in found.items() if name.startswith(("jobs_total", "seconds_", "sizes_count"))}


def fallen(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [f"{name}: {value} then {after.get(name)}" for name, value in before.items() if after.get(name, 0.0) < value]


def work(metrics: Metrics, name: str, seed: int, report: int, *, may_fork: bool = True) -> None:
    """Count, until it is killed or has nothing left to do.

    At most one child is forked, which forks none itself, so that there are never more than twice `AT_ONCE` processes.
    """
    chance = random.Random(seed)
    signal.alarm(LONGEST_SECONDS)  # whatever goes wrong elsewhere, this one ends
    before: dict[str, float] = {}
    mine = metrics.jobs.labels(name)
    for turn in range(chance.randrange(20, 400)):
        what = chance.random()
        if what < 0.45:
            mine.inc()
            os.write(report, b"m")
        elif what < 0.6:
            metrics.jobs.labels("all").inc()
            os.write(report, b"a")
        elif what < 0.75:
            metrics.seconds.observe(1.5)
            os.write(report, b"s")
        elif what < 0.9:
            metrics.sizes.observe(chance.lognormvariate(0, 3))
            os.write(report, b"n")
        elif what < 0.95:
            metrics.passing.labels(str(turn)).set(turn)
            if chance.random() < 0.5:
                metrics.passing.remove(str(turn))
            metrics.depth.inc()
        elif what < 0.98:
            after = rising(metrics.scrape())
            if fallen(before, after):
                os.write(report, b"!")
            before = after
        elif may_fork:
            may_fork = False
            if os.fork() == 0:
                work(metrics, name, chance.randrange(1 << 30), report, may_fork=False)
                os._exit(0)


class Storm:
    def __init__(self, metrics: Metrics, directory: str, seed: int, kills: int, program: str) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.kills = kills
        self.metrics = metrics
        self.program = program
        self.done: dict[str, Tally[str]] = {}
        self.pipes: dict[int, str] = {}
        self.lives: dict[int, float] = {}
        self.killed = 0
        self.wrong: list[str] = []
        self.seen: dict[str, float] = {}
        self.scrapes = 0

    def begin_worker(self) -> None:
        name = f"w{len(self.done)}"
        seed = self.chance.randrange(1 << 30)
        reader, writer = os.pipe()
        is_fresh = self.chance.random() < 0.04
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reader)
                for other in self.pipes:
                    os.close(other)
                if is_fresh:  # an interpreter of its own, as a restarted worker has
                    os.set_inheritable(writer, True)
                    arguments = [sys.executable, "-P", self.program, self.directory, name, str(seed), str(writer)]
                    os.execv(sys.executable, arguments)
                work(self.metrics, name, seed, writer)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        self.done[name] = Tally()
        self.pipes[reader] = name
        self.lives[child] = time.monotonic() + self.chance.random() * LONGEST_LIFE_SECONDS * (10 if is_fresh else 1)

    def listen(self, seconds: float) -> None:
        """Read what the workers report."""
        for reader in select.select(list(self.pipes), [], [], seconds)[0]:
            words = os.read(reader, 1 << 16)
            name = self.pipes[reader]
            if not words:
                os.close(reader)
                del self.pipes[reader]
            self.done[name].update(words.decode())

    def end_some(self) -> None:
        now = time.monotonic()
        for child, until in list(self.lives.items()):
            if now > until:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                del self.lives[child]
                code = os.waitstatus_to_exitcode(status)
                self.killed += code == -signal.SIGKILL
                if code not in (0, -signal.SIGKILL):
                    self.wrong.append(f"a worker ended with {code}")

    def scrape(self) -> dict[str, float]:
        found = self.metrics.scrape()
        self.scrapes += 1
        after = rising(found)
        self.wrong += fallen(self.seen, after)
        self.seen = after
        for name, value in found.items():
            if name.startswith(("pytheus_shard", "pytheus_multiprocess_unshared")) and value:
                self.wrong.append(f"{name} is {value}")
        return found

    def run(self) -> None:
        while self.killed < self.kills:
            while len(self.lives) < AT_ONCE:
                self.begin_worker()
            self.listen(0.002)
            self.end_some()
            if self.chance.random() < 0.3:
                self.scrape()
        while self.lives:
            self.listen(0.01)
            self.end_some()
        while self.pipes:  # children of those that were killed may go on for a while
            self.listen(1.0)

    def left(self) -> set[str]:
        """The shards that there are, but for this process's own."""
        own = f"{self.metrics.registry.store.identity.token}.shard"
        return set(os.listdir(self.directory)) - {"archive", "archive.lock", own}

    def compare(self) -> None:
        found = self.scrape()
        # A process that has closed its pipe may take a moment to end, and counts as alive until then.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.01)
            found = self.scrape()
        reported: Tally[str] = Tally()
        cut_off = 0.0
        for name, done in self.done.items():
            reported.update(done)
            series = f'jobs_total{{worker="{name}"}}'
            more = found.get(series, 0.0) - done["m"]
            # Its children report as it does, but only it is killed: at most one thing was not told of.
            if more not in (0.0, 1.0):
                self.wrong.append(f"{series} is {found.get(series)}, and {done['m']} were reported")
            cut_off += more
        for series, kind in (('jobs_total{worker="all"}', "a"), ("seconds_count", "s"), ("sizes_count", "n")):
            more = found[series] - reported[kind]
            if more < 0:
                self.wrong.append(f"{series} is {found[series]}, and {reported[kind]} were reported")
            cut_off += more
        if reported["!"]:
            self.wrong.append(f"{reported['!']} scrapes of workers show less than the one before")
        if cut_off > self.killed:
            self.wrong.append(f"{cut_off} more was found than was reported, with {self.killed} kills")
        if not 0 <= self.metrics.half_observed(found) <= self.killed:
            self.wrong.append(f"seconds: {found['seconds_count']} add up to {found['seconds_sum']}")
        if found["depth"] != 0.0:
            self.wrong.append(f"depth is {found['depth']}, but no process is left")
        if left := self.left():
            self.wrong.append(f"left behind: {sorted(left)}")
        print(json.dumps({"wrong": self.wrong[:20], "killed": self.killed, "scrapes": self.scrapes}))


def main(program: str, arguments: list[str], make: Callable[[str], Metrics] = Metrics) -> None:
    """Be a worker, or the storm, as `arguments` say; `program` starts new workers."""
    if len(arguments) == 4:
        directory, name, seed, report = arguments
        work(make(directory), name, int(seed), int(report))
        return
    directory, seed, kills = arguments
    storm = Storm(make(directory), directory, int(seed), int(kills), program)
    try:
        storm.run()
    finally:
        for child in storm.lives:
            os.kill(child, signal.SIGKILL)
    storm.compare()


if __name__ == "__main__":
    main(__file__, sys.argv[1:])
