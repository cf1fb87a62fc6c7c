"""A storm: processes are killed, stopped, forked and cut off at random moments, and so is Redis, while others scrape.

Seeded, and so repeatable as far as an operating system allows. Each worker tells through a pipe what it counts, before
it does, so that what must have been counted is known without the library:

- A worker that is alive in the end, however often it was stopped or cut off, is counted exactly.
- Of one that was killed, everything counts that Redis had acknowledged. What it did since then may be missing: at most
  what it did in the last interval, or since an outage began. Nothing counts twice.
- While Redis keeps its data, no counter that a scrape sees ever decreases.

``PYTHEUS_STORM_SECONDS`` makes it longer, as does ``PYTHEUS_TEST_FULL`` in the matrix; ``PYTHEUS_STORM_SEED`` makes
another one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import pytest

from pytheus import generate_metrics
from pytheus.shards import ShardedRegistry
from pytheus_redis import RedisOptions, redis_registry

if TYPE_CHECKING:
    from tests.redis.conftest import Proxy, Server, Servers

FULL: Final = "PYTHEUS_TEST_FULL" in os.environ
SECONDS: Final = float(os.environ.get("PYTHEUS_STORM_SECONDS") or ("4" if FULL else "1.5"))
SEED: Final = int(os.environ.get("PYTHEUS_STORM_SEED", "20261122"))
WORKERS: Final = 6
PATIENCE_SECONDS: Final = 120

QUICK: Final = {
    "interval_seconds": 0.02,
    "expiry_seconds": 0.3,
    "timeout_seconds": 0.3,
    "retry_seconds": 0.1,
    "scrape_seconds": 0.5,
    "exit_seconds": 0.5,
}

# Forks a worker for each line that it reads. Workers write lines, so short that each is whole: "c PID N", about to
# count up to N; "p PID N", N were counted and Redis acknowledged that; "d PID N", N were counted and no more will be.
MOTHER: Final = """\
import gc, os, random, signal, sys, warnings
warnings.simplefilter("ignore")
import time
from pytheus import Counter, Histogram, generate_metrics
from pytheus.native_buckets import NativeBuckets
from pytheus_redis import RedisOptions, redis_registry

port, namespace, quick = int(sys.argv[1]), sys.argv[2], eval(sys.argv[3])
if sys.argv[4] == "together":
    sys.setswitchinterval(3600.0)
    gc.disable()  # a finalizer may wait
registry = redis_registry(RedisOptions(port=port, namespace=namespace, **quick))
total = Counter("work_total", "Work.", registry=registry)
by_worker = Counter("work_by_worker_total", "Work.", ["worker"], registry=registry)
by_kind = Counter("work_by_kind_total", "Work.", ["kind"], registry=registry)  # its series end now and then
few = NativeBuckets(growth=1.1, max_buckets=4)  # so that each worker widens them at a time of its own
sizes = Histogram("work_sizes", "Work.", ["size"], native=few, buckets=(), registry=registry)  # so do these

def tell(what, count):
    os.write(1, b"%s %d %d\\n" % (what, os.getpid(), count))

def failures(text):
    return [line for line in text.splitlines() if line.startswith("pytheus_shard_failures") and '"publish"' in line]

def work(seed):
    chance, told, failed = random.Random(seed), [], None
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    mine, done = by_worker.labels(str(os.getpid())), 0
    while not told:
        done += 1
        tell(b"c", done)
        total.inc()
        mine.inc()
        by_kind.labels("kind %d" % (done % 2)).inc()
        sizes.labels("size %d" % (done % 2)).observe(1.5 ** (done % 30))
        if chance.random() < 0.03:
            by_kind.expire_series(0.001, time.monotonic())
            sizes.expire_series(0.001, time.monotonic())
        if done % 10 == 0:
            time.sleep(chance.random() * 0.02)
        if chance.random() < 0.005:
            text = generate_metrics(registry)
            former, failed = failed, failures(text)
            # The gauge is of the last attempt that ended; one that took too long for the scrape counts as a failure.
            if failed == former and "pytheus_redis_up 0.0" not in text:
                tell(b"p", done)
    tell(b"d", done)
    while True:
        time.sleep(60)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        os.close(0)
        work(int(line))
"""


class Books:
    """What the workers told."""

    def __init__(self, stream: int) -> None:
        self.counted: dict[int, int] = {}
        self.published: dict[int, int] = {}
        self.done: dict[int, int] = {}
        self._stream = stream
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with os.fdopen(self._stream, "rb") as lines:
            for line in lines:
                what, pid, count = line.split()
                book = {b"c": self.counted, b"p": self.published, b"d": self.done}[what]
                book[int(pid)] = int(count)


class Storm:
    """Workers in two groups, each with a way to Redis of its own, and one that watches."""

    def __init__(self, server: Server, proxies: list[Proxy], namespace: str, *, is_together: bool) -> None:
        self.server, self.proxies, self.namespace = server, proxies, namespace
        self.chance = random.Random(SEED)
        read, write = os.pipe()
        self.books = Books(read)
        self.mothers: list[subprocess.Popen[str]] = []
        for proxy in proxies:
            command = [sys.executable, "-c", MOTHER, str(proxy.port), namespace, repr(QUICK)]
            command.append("together" if is_together else "apart")
            # A session of their own, so that whatever becomes of them, all can be ended.
            self.mothers.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=write, text=True, start_new_session=True)
            )
        os.close(write)
        self.alive: set[int] = set()
        self.stopped: set[int] = set()
        self.killed: set[int] = set()
        self._asked = 0
        make = cast(Callable[..., RedisOptions], RedisOptions)
        self.watcher: ShardedRegistry = redis_registry(make(port=server.port, namespace=namespace, **QUICK))
        self.seen: dict[str, float] = {}
        self.keeps_data = True
        self.is_together = is_together
        """Whether each publication has all metrics of one moment, because threads change where one waits alone.

        Then the sums of metrics that count the same are equal, also of a worker that was killed after it.
        """

    def meet(self) -> None:
        """Learn of workers that began."""
        self.alive |= self.books.counted.keys() - self.killed

    def begin(self) -> None:
        """Let there be another worker."""
        self._asked += 1
        stdin = self.chance.choice(self.mothers).stdin
        assert stdin is not None
        stdin.write(f"{self.chance.randrange(10**9)}\n")
        stdin.flush()

    def kill(self) -> None:
        """Kill a worker, without a word."""
        if self.alive:
            worker = self.chance.choice(sorted(self.alive))
            os.kill(worker, signal.SIGKILL)
            self.alive.discard(worker)
            self.stopped.discard(worker)
            self.killed.add(worker)

    def stop_or_go_on(self) -> None:
        """Let a worker hang, for longer than its heartbeat may be missing; or end that."""
        if self.stopped and self.chance.random() < 0.6:
            worker = self.chance.choice(sorted(self.stopped))
            self.stopped.discard(worker)
            os.kill(worker, signal.SIGCONT)
        elif self.alive:
            worker = self.chance.choice(sorted(self.alive))
            self.stopped.add(worker)
            os.kill(worker, signal.SIGSTOP)

    def disturb(self) -> None:
        """Cut a group off, slow it down, lose answers, or let what it sent arrive again; or end that."""
        proxy = self.chance.choice(self.proxies)
        proxy.cut = self.chance.random() < 0.2
        proxy.swallow_replies = self.chance.random() < 0.2
        proxy.delay_seconds = self.chance.choice([0.0, 0.0, 0.05])
        proxy.replay = self.chance.random() < 0.5
        if self.chance.random() < 0.7:
            proxy.drop_all()

    def hang(self) -> None:
        """Let Redis hang for a moment."""
        self.server.pause()
        time.sleep(self.chance.random() * 0.5)
        self.server.resume()

    def watch(self) -> dict[str, float]:
        """Scrape; while Redis keeps its data, nothing that was seen has become less."""
        seen: dict[str, float] = {}
        for line in generate_metrics(self.watcher).splitlines():
            # The bounds of native buckets in this format depend on those of all processes.
            if line.startswith("work_") and not line.startswith(("work_sizes_bucket", "work_sizes_sum")):
                name, _, value = line.rpartition(" ")
                seen[name.partition('"')[2].rstrip('"}') or "total"] = float(value)
        if self.keeps_data:
            less = {name: (value, seen.get(name)) for name, value in self.seen.items() if seen.get(name, 0) < value}
            assert not less, f"counters went back: {less}"
        self.seen = seen
        return seen

    def blow(self, actions: Sequence[tuple[float, Callable[[], object]]], least_kills: int) -> None:
        """Do one after the other of `actions`, at random, by weight, until enough was done."""
        begun = time.monotonic()
        weights = [weight for weight, _ in actions]
        while (elapsed := time.monotonic() - begun) < SECONDS or len(self.killed) < least_kills:
            assert elapsed < SECONDS + PATIENCE_SECONDS, f"only {len(self.killed)} workers were killed"
            self.meet()
            if self._asked - len(self.killed) < WORKERS:
                self.begin()
            ((_, act),) = self.chance.choices(actions, weights)
            act()
            self.watch()
            time.sleep(self.chance.random() * 0.03)

    def calm_down(self) -> None:
        """Let everything be well again, and the workers finish."""
        for proxy in self.proxies:
            proxy.cut = proxy.swallow_replies = proxy.replay = False
            proxy.delay_seconds = 0.0
            proxy.drop_all()
        for worker in self.stopped:
            os.kill(worker, signal.SIGCONT)
        self._until(lambda: len(self.alive) == self._asked - len(self.killed), "all workers to have begun")
        for worker in self.alive:
            os.kill(worker, signal.SIGTERM)
        self._until(lambda: self.alive <= self.books.done.keys(), "the workers to have finished")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self.meet()
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.02)

    def check(self) -> None:
        """Every worker is counted as it should be."""
        books = self.books
        expected = {str(worker): float(books.done[worker]) for worker in self.alive}
        self._until(lambda: expected.items() <= self.watch().items(), "the living to be counted exactly")
        for worker in self.killed:
            counted = self.seen.get(str(worker), 0.0)
            assert counted <= books.counted.get(worker, 0), f"{worker} is counted twice"
            if self.keeps_data:
                assert counted >= books.published.get(worker, 0), f"{worker} has lost what was acknowledged"
        total = self.seen["total"]
        kinds = {name for name in self.seen if name.startswith("kind")}
        sizes = {name for name in self.seen if name.startswith("size")}
        others = self.seen.keys() - kinds - sizes - {"total"}
        sums = [sum(self.seen[name] for name in names) for names in (others, kinds, sizes)]
        if not self.keeps_data:
            del sums[1:]
        if self.is_together:
            assert [total] * len(sums) == sums
        elif self.keeps_data:
            least, most = (
                sum(expected.values()) + sum(book.get(worker, 0) for worker in self.killed)
                for book in (books.published, books.counted)
            )
            assert all(least <= each <= most for each in (total, *sums))

    def end(self) -> None:
        for mother in self.mothers:
            assert mother.stdin is not None
            mother.stdin.close()
            with suppress(ProcessLookupError):
                os.killpg(mother.pid, signal.SIGKILL)
            mother.wait()
        self.watcher.close()


@pytest.fixture
def storm(
    request: pytest.FixtureRequest, servers: Servers, make_proxy: Callable[[Server], Proxy], namespace: str
) -> Iterator[Storm]:
    """A storm whose publications have all metrics of one moment, or not (a parameter)."""
    server = servers()
    made = Storm(server, [make_proxy(server), make_proxy(server)], namespace, is_together=request.param)
    yield made
    made.end()
    server.kill()


@pytest.mark.parametrize("storm", [False, True], indirect=True, ids=["apart", "together"])
def test_a_storm_while_redis_keeps_its_data(storm: Storm) -> None:
    actions = [(6.0, storm.kill), (4.0, storm.stop_or_go_on), (3.0, storm.disturb), (1.0, storm.hang)]
    storm.blow([*actions, (1.0, lambda: storm.server.command("SCRIPT", "FLUSH"))], least_kills=10)
    storm.calm_down()
    storm.check()
    for worker in list(storm.alive):  # now they die, and everything must stay
        os.kill(worker, signal.SIGKILL)
    before = storm.seen
    storm._until(lambda: shards_left(storm) == 3, "the dead to be folded")  # two mothers and the watcher
    assert storm.watch() == before


@pytest.mark.parametrize("storm", [True], indirect=True, ids=["together"])
def test_a_storm_in_which_redis_loses_its_data(storm: Storm) -> None:
    storm.keeps_data = False

    def restart() -> None:
        storm.server.kill()
        time.sleep(storm.chance.random() * 0.2)
        storm.server.start()

    actions = [(4.0, storm.kill), (4.0, storm.stop_or_go_on), (3.0, storm.disturb), (1.0, restart)]
    storm.blow([*actions, (1.0, lambda: storm.server.command("FLUSHALL"))], least_kills=5)
    storm.calm_down()
    storm.check()


def shards_left(storm: Storm) -> int:
    storm.watch()
    count = storm.server.command("ZCARD", f"pytheus1:{{{storm.namespace}}}:shards")
    assert isinstance(count, int)
    return count
