"""Measures a process with very many series that all change, published to Redis with the default options.

    python -P bench/redis_heartbeat.py                  700,000 series for two minutes
    python -P bench/redis_heartbeat.py --series 50000 --seconds 30

Needs pytheus and pytheus-redis installed, and a redis-server on PATH. One process owns the series and changes all of
them in turn; this one scrapes once a second, and so folds whatever it takes for dead. Prints:

- how often the process was missing in a scrape, and the longest time between two of its heartbeats, by Redis's clock
- how many series the readings saw: all of them, because a publication is seen whole
- the time of `inc()` on a metric of its own in memory, and the time of the same on a series that is published
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import redis

if __name__ == "__main__":
    # Last, so that an installed pytheus comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.redis_registry import server
from bench.table import print_table
from pytheus import COMPILED
from pytheus_redis import RedisOptions
from pytheus_redis.client import RedisClient
from pytheus_redis.keys import Keys
from pytheus_redis.reader import Reader

# Prints a line of figures for each half second: nanoseconds for an inc() of the loop, and the longest one.
OWNER = """
import os, sys, time
from time import perf_counter_ns
from pytheus import Counter
from pytheus.registry import CollectorRegistry
from pytheus_redis import RedisOptions, redis_registry

port, series, seconds, shared = (int(word) for word in sys.argv[1:])
registry = redis_registry(RedisOptions(port=port, namespace="bench")) if shared else CollectorRegistry()
counter = Counter("changing_total", "Changing.", ["of"], registry=registry)
incs = [counter.labels(f"label value {number}").inc for number in range(series)]
print("ready", flush=True)
end = time.monotonic() + seconds
spent = longest = calls = turns = 0
while time.monotonic() < end:
    turns += 1
    for first in range(0, series, 1000):
        begun = perf_counter_ns()
        for inc in incs[first : first + 1000]:
            inc()
        took = perf_counter_ns() - begun
        spent += took
        calls += 1000
        longest = max(longest, took)
        time.sleep(0.0005)
print(f"{spent / calls:.1f} {longest / 1e6:.1f} {turns}", flush=True)
os._exit(0)
"""


def owner(port: int, series: int, seconds: int, *, shared: bool) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", OWNER, str(port), str(series), str(seconds), str(int(shared))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def figures(process: subprocess.Popen[str]) -> tuple[str, str, str]:
    assert process.stdout is not None
    mean, longest, turns = process.stdout.readline().split()
    process.wait()
    return mean, longest, turns


class Watcher:
    """Reads as a scrape does, and looks at the heartbeat."""

    def __init__(self, port: int) -> None:
        options = RedisOptions(port=port, namespace="bench", timeout_seconds=60)
        keys = Keys(options.namespace)
        self._keys = keys
        self._redis = redis.Redis(port=port)
        self._client = RedisClient(options)
        self._reader = Reader(self._client, keys, options)
        self.missing = self.reads = self.folded = 0
        self.longest_gap_ms = self.longest_age_ms = 0.0
        self._heard_ms = 0.0
        self.sizes: set[int] = set()

    def look(self) -> None:
        """See how old the heartbeat is."""
        seconds, microseconds = self._redis.time()
        now = seconds * 1000 + microseconds / 1000
        members = self._redis.zrange(self._keys.shards, -1, -1, withscores=True)
        for _, score in cast("list[tuple[bytes, float]]", members):
            if self._heard_ms and score > self._heard_ms:
                self.longest_gap_ms = max(self.longest_gap_ms, score - self._heard_ms)
            self._heard_ms = max(self._heard_ms, score)
            self.longest_age_ms = max(self.longest_age_ms, now - score)

    def read(self) -> None:
        """Read and fold, as a scrape does."""
        view = self._reader.take(self._reader.fetch(()))
        self.reads += 1
        live = [snapshot for snapshot in view.snapshots if snapshot.live]
        self.missing += not live
        for snapshot in live:
            self.sizes.add(len(snapshot.layout))
        folding = self._reader.folding(view)
        if folding is not None:
            self.folded += folding.shards
            self._reader.folded(folding, self._client.run(folding.call))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.redis_heartbeat", description="Measures very many series.")
    parser.add_argument("--series", type=int, default=700_000)
    parser.add_argument("--seconds", type=int, default=120)
    arguments = parser.parse_args()
    series, seconds = arguments.series, arguments.seconds
    defaults = RedisOptions()
    print(f"pytheus, {'compiled' if COMPILED else 'pure'}, CPython {sys.version.split()[0]}, {os.cpu_count()} cores\n")
    with server() as port:
        alone = figures(owner(port, series, max(10, seconds // 6), shared=False))
        process = owner(port, series, seconds, shared=True)
        watcher = Watcher(port)
        begun = time.monotonic()
        first = 0.0
        next_read = 0.0
        while process.poll() is None and time.monotonic() < begun + seconds - 0.5:
            watcher.look()
            if watcher.sizes and not first:
                first = time.monotonic() - begun
                watcher.missing = 0
            if time.monotonic() > next_read:
                watcher.read()
                next_read = time.monotonic() + 1
            time.sleep(0.05)
        shared = figures(process)
    rows = [
        ["series, all of which change", f"{series:,}"],
        ["seconds", f"{seconds}"],
        ["seconds until the first publication is seen", f"{first:.1f}"],
        ["readings after that", f"{watcher.reads}"],
        ["readings in which the process was dead or missing", f"{watcher.missing}"],
        ["times that it was folded", f"{watcher.folded}"],
        ["numbers of series that were seen", ", ".join(map(str, sorted(watcher.sizes)))],
        ["longest time between two heartbeats", f"{watcher.longest_gap_ms / 1e3:.1f} s"],
        ["oldest heartbeat seen", f"{watcher.longest_age_ms / 1e3:.1f} s"],
        ["a third of expiry_seconds", f"{defaults.expiry_seconds / 3:.1f} s"],
        ["inc() in memory, and the longest 1,000", f"{alone[0]} ns, {alone[1]} ms"],
        ["inc() in Redis, and the longest 1,000", f"{shared[0]} ns, {shared[1]} ms"],
    ]
    print_table([["measured", ""], *rows], markdown=True)


if __name__ == "__main__":
    main()
