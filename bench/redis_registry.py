"""Measures pytheus-redis, with a redis-server of its own, and prints tables for docs/explanation/redis.md.

    python -P bench/redis_registry.py            everything: about a minute
    python -P bench/redis_registry.py --quick    fewer repetitions, and no large shards

Needs pytheus and pytheus-redis installed (-P keeps the checkout from being imported in their place), and a redis-server
on PATH. Compared values are measured in the same run:

- an increment in a registry in memory, in a registry in Redis whose thread publishes beside it, and by one round trip
  to Redis for each increment (HINCRBYFLOAT), as pytheus 0.6.1's Redis backend does;
- a scrape, beside raw redis-py reading the same bytes in one pipeline.

The processes of a scrape are copies of one shard, made by Redis's own COPY, so that this process need not be fifty.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path

import redis

if __name__ == "__main__":
    # Last, so that an installed pytheus comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

import pytheus
from bench.stopwatch import Statement, looped, shortest_run
from bench.table import print_table
from pytheus import Counter, generate_metrics
from pytheus.registry import CollectorRegistry
from pytheus.shards import ShardedRegistry
from pytheus_redis import RedisOptions, RedisStore, redis_registry
from pytheus_redis.client import RedisClient

INCREMENTS = 200_000
HEADS = ("processes", "series each", "round trips", "first scrape", "all changed", "nothing changed", "raw read")


@contextmanager
def server() -> Iterator[int]:
    """The port of a redis-server that keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("bench: there is no redis-server on PATH")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(port=port)
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
            client.close()
            yield port
        finally:
            process.kill()
            process.wait()


def registry_of(port: int, namespace: str, *, interval_seconds: float) -> tuple[ShardedRegistry, RedisStore]:
    patient = RedisOptions(
        port=port,
        namespace=namespace,
        interval_seconds=interval_seconds,
        scrape_seconds=600,
        timeout_seconds=600,
        expiry_seconds=86400,
    )
    registry = redis_registry(patient)
    store = registry.store
    assert isinstance(store, RedisStore)
    return registry, store


def increments(port: int, repetitions: int) -> list[tuple[str, float]]:
    """Nanoseconds for each increment: the best of the repetitions, which take turns."""
    memory = CollectorRegistry()
    shared, _ = registry_of(port, "increments", interval_seconds=1)
    for registry in (memory, shared):  # what there is to publish beside the one that is counted
        others = Counter("others_total", "Others.", ["of"], registry=registry)
        for number in range(1000):
            others.labels(str(number)).inc()
    client = redis.Redis(port=port)
    inc = Statement("inc()", {"inc": Counter("mine_total", "Mine.", registry=memory).inc})
    shared_inc = Statement("inc()", {"inc": Counter("mine_total", "Mine.", registry=shared).inc})
    round_trip = Statement('client.hincrbyfloat("peer", "mine_total", 1.0)', {"client": client})
    runs = {
        "in memory": (looped(inc), INCREMENTS, repetitions),
        "in Redis, published each second": (looped(shared_inc), INCREMENTS, repetitions),
        "one round trip each (HINCRBYFLOAT)": (looped(round_trip), INCREMENTS // 100, max(1, repetitions // 4)),
    }
    best = dict.fromkeys(runs, float("inf"))
    for repetition in range(repetitions):
        for name, (run, calls, turns) in runs.items():
            if repetition < turns:
                best[name] = min(best[name], run(repeat(None, calls)) / calls * 1e9)
    shared.close()
    client.close()
    return list(best.items())


class Scrapes:
    """A namespace with so many processes of so many series."""

    def __init__(self, port: int, processes: int, series: int) -> None:
        self.namespace = f"p{processes}-s{series}"
        self._client = redis.Redis(port=port, socket_timeout=600)
        source, store = registry_of(port, self.namespace, interval_seconds=3600)
        self.counter = Counter("orders_total", "Orders.", ["of"], registry=source)
        for number in range(series):
            self.counter.labels(f"label value {number}").inc(number)
        generate_metrics(source)
        token = store.publisher.identity.token
        head = f"pytheus1:{{{self.namespace}}}:"
        far = 4102444800_000  # so that none dies while it is measured
        self.tokens = [f"{number:016x}" for number in range(processes)]
        for copy in self.tokens:
            for key in ("about", "index", "numbers"):
                self._client.copy(f"{head}{key}:{token}", f"{head}{key}:{copy}")
            self._client.zadd(f"{head}shards", {copy: far})
        source.close()
        # The original is left out; the archive stays empty.
        self._client.zrem(f"{head}shards", token)
        self._head = head
        self.scraper, self.store = registry_of(port, self.namespace, interval_seconds=3600)
        self._changes = 0

    def change(self) -> None:
        """Let every process have published since."""
        self._changes += 1
        for token in self.tokens:
            self._client.hset(f"{self._head}about:{token}", "attempt", f"changed {self._changes}")

    def scrape(self) -> str:
        return generate_metrics(self.scraper)

    def read_raw(self) -> None:
        """The part of it that the network, Redis and redis-py take."""
        pipeline = self._client.pipeline(transaction=False)
        for token in self.tokens:
            pipeline.get(f"{self._head}numbers:{token}")
        pipeline.execute()

    def round_trips(self) -> int:
        client = self.store.client
        assert isinstance(client, RedisClient)
        self.scrape()
        before = client.round_trips
        self.scrape()
        return client.round_trips - before

    def close(self) -> None:
        self.scraper.close()
        self._client.flushall()
        self._client.close()


def row(port: int, processes: int, series: int, repetitions: int) -> list[str]:
    scrapes = Scrapes(port, processes, series)
    first = shortest_run(scrapes.scrape, 0.0)
    changed, unchanged, raw = [], [], []
    for _ in range(repetitions):
        changed.append(shortest_run(scrapes.scrape, 0.0, scrapes.change))
        unchanged.append(shortest_run(scrapes.scrape, 0.0))
        raw.append(shortest_run(scrapes.read_raw, 0.0))
    trips = scrapes.round_trips()
    scrapes.close()
    times = [first, *(statistics.median(each) for each in (changed, unchanged, raw))]
    return [f"{processes}", f"{series:,}", f"{trips}", *(f"{each * 1e3:,.1f} ms" for each in times)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.redis_registry", description="Measures pytheus-redis.")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and no large shards")
    quick = parser.parse_args().quick
    build = "compiled" if pytheus.COMPILED else "pure"
    print(f"pytheus {pytheus.__version__}, {build}, on CPython {sys.version.split()[0]}\n")
    with server() as port:
        counted = increments(port, 4 if quick else 20)
        base = counted[0][1]
        shown = [[name, f"{ns:,.0f} ns", f"{ns / base:.2f}x"] for name, ns in counted]
        print_table([["increment", "each", ""], *shown], markdown=True)
        print()
        sizes = [(50, 1000)]
        if not quick:
            sizes += [(processes, series) for series in (1000, 10_000, 100_000) for processes in (1, 8, 64)]
        rows = (row(port, *size, 3 if quick or size[1] > 10_000 else 10) for size in sizes)
        print_table(chain([HEADS], rows), markdown=True)


if __name__ == "__main__":
    main()
