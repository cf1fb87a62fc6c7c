"""Measures the registry of several processes beside prometheus_client's multi-process mode, in the same run.

    python3 bench/multiprocess.py             the tables
    python3 bench/multiprocess.py --markdown  the tables as Markdown
    python3 bench/multiprocess.py --quick     without the largest ones

The first run makes the environments, see bench/environments.py. It takes about 3 GB on the temporary directory.

Rules:

- Each figure is measured in a process of its own, in turn for both libraries; the best of several windows counts.
- Workers are processes that have written all their series and stay alive; "dead" ones have ended before the first
  scrape, and started together with other workers, which are scraped in turn with those that have none behind them.
- The scrape is by a process that is not a worker and has scraped before, as it is in operation: of 20, the best one
  counts. Before each, every worker has written to each of its series once more.
- prometheus_client reads everything at each scrape, so its first scrape is like the others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    # The checkout in the place of this directory; last, behind the plugin, if pytheus is to be the installed one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if "--task" in sys.argv:
        sys.path.append(sys.path[0])
        sys.path[0] += "/plugins/pytheus-multiprocess"

from bench.environments import describe_machine, provide
from bench.stopwatch import EMPTY, Statement, shortest_call
from bench.table import print_table
from bench.workload import BOUNDS

__all__ = ["main"]

SCRAPES = 20
SCRAPES_SECONDS = 5.0


class Peer:
    """The metrics of one library in one process, which has the same names in both."""

    def __init__(self, library: str, directory: str) -> None:
        self.metrics = import_module(library)
        self.directory = directory
        if library == "pytheus":
            self.registry = import_module("pytheus_multiprocess").multiprocess_registry(
                directory, process_metrics=False
            )
        else:
            self.registry = self.metrics.CollectorRegistry()

    def increment(self, name: str) -> Callable[[float], None]:
        """The increment of a new counter."""
        inc: Callable[[float], None] = self.metrics.Counter(name, "C.", registry=self.registry).inc
        return inc

    def observation(self, name: str) -> Callable[[float], None]:
        """The observation of a new histogram."""
        histogram = self.metrics.Histogram(name, "H.", buckets=BOUNDS, registry=self.registry)
        observe: Callable[[float], None] = histogram.observe
        return observe

    def define(self, counters: int, series: int, histograms: int) -> Callable[[], None]:
        """Make counters without labels, series of one counter, and histograms; the result writes to each of them."""
        writes = [self.increment(f"counter_{number}_total") for number in range(counters)]
        if series:
            labelled = self.metrics.Counter("series_total", "S.", ["number"], registry=self.registry)
            writes += [labelled.labels(str(number)).inc for number in range(series)]
        writes += [self.observation(f"histogram_{number}") for number in range(histograms)]

        def write() -> None:
            for each in writes:
                each(0.3)

        return write

    def scraper(self) -> Callable[[], bytes]:
        """The scrape of all workers."""
        if self.metrics.__name__ == "pytheus":
            return lambda: self.metrics.generate_metrics(self.registry).encode()
        import_module("prometheus_client.multiprocess").MultiProcessCollector(self.registry, path=self.directory)
        return lambda: self.metrics.generate_latest(self.registry)


# Tasks: run in a process of their own --------------------------------------------------------------------------------


def calls(library: str, directory: str) -> list[float]:
    """Nanoseconds of an increment and an observation."""
    peer = Peer(library, directory)
    statements = (
        Statement("inc()", {"inc": peer.increment("hits_total")}),
        Statement("observe(0.3)", {"observe": peer.observation("seconds")}),
    )
    empty, *figures = (shortest_call(each, windows=40, window_seconds=0.002) for each in (EMPTY, *statements))
    return [figure - empty for figure in figures]


def scrapes(
    library: str, directory: str, live: int, dead: int, counters: int, series: int, histograms: int
) -> list[float]:
    """Milliseconds of a scrape of `live` processes, and of as many others, behind which there were `dead` ones."""
    shape = list(map(str, (counters, series, histograms)))
    groups: list[Group] = []
    try:
        for count in (0, dead) if dead else (0,):
            groups.append(Group(library, os.path.join(directory, f"behind-{count}"), live, count, shape))
        for group in groups:
            lines = counters + series + histograms * (len(BOUNDS) + 3)
            found = sum(1 for line in group.scrape().splitlines() if not line.startswith(b"#"))
            if found < lines:
                raise SystemExit(f"{library} exposes {found} samples, and {lines} are expected")
        times: list[list[float]] = [[] for _ in groups]
        until = perf_counter() + SCRAPES_SECONDS * len(groups)
        while len(times[0]) < SCRAPES and (len(times[0]) < 3 or perf_counter() < until):
            for group, taken in zip(groups, times, strict=True):
                group.write()
                start = perf_counter()
                group.scrape()
                taken.append(perf_counter() - start)
        return [min(taken) * 1000 for taken in times]
    finally:
        for group in groups:
            group.end()


class Group:
    """Workers that share a directory, and a process that scrapes them."""

    def __init__(self, library: str, directory: str, live: int, dead: int, shape: Sequence[str]) -> None:
        os.mkdir(directory)
        environ = environ_of(directory)
        program = [sys.executable, str(Path(__file__).resolve()), "--task", library, directory, "work"]
        for _ in range(0, dead, 20):
            # Twenty at a time, forked from one: starting an interpreter for each would take an hour.
            subprocess.run([*program, "20", *shape], check=True, env=environ)
        self.workers: list[subprocess.Popen[str]] = []
        try:
            for _ in range(live):
                command = [*program, "0", *shape]
                pipe = subprocess.PIPE
                self.workers.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ))
            for worker in self.workers:
                answered(worker)
        except BaseException:
            self.end()
            raise
        self.scrape = Peer(library, directory).scraper()

    def write(self) -> None:
        """Have all workers write to everything."""
        for worker in self.workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        for worker in self.workers:
            answered(worker)

    def end(self) -> None:
        """End the workers."""
        for worker in self.workers:
            worker.kill()
            worker.wait()


def answered(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    if worker.stdout.readline() != "written\n":
        raise SystemExit(f"a worker ended with {worker.wait()}")


def work(library: str, directory: str, dead: int, counters: int, series: int, histograms: int) -> None:
    """Write to all series, and again for each line of the input. Or fork `dead` children that write once and end."""
    if dead:
        if library == "pytheus":
            import_module("pytheus_multiprocess")  # so that the children need not import it
        for _ in range(dead):
            child = os.fork()
            if child == 0:
                Peer(library, directory).define(counters, series, histograms)()
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
        return
    write = Peer(library, directory).define(counters, series, histograms)
    write()
    print("written", flush=True)
    for _ in sys.stdin:
        write()
        print("written", flush=True)


def environ_of(directory: str) -> dict[str, str]:
    return os.environ | {"PROMETHEUS_MULTIPROC_DIR": directory, "PROMETHEUS_DISABLE_CREATED_SERIES": "True"}


# The tables ----------------------------------------------------------------------------------------------------------

WORKERS = (8, 1_000, 0, 100)
"""Eight live workers with 1,000 counters, no labelled series and 100 histograms each."""

DEAD = 1_000

CURVES = tuple((live, series) for series in (1_000, 10_000, 100_000) for live in (1, 8, 64))
LARGEST = 64 * 10_000
"""How many series of all processes the peer is asked for: beyond, it takes minutes and gigabytes."""


def task(program: str, library: str, *arguments: object) -> list[float]:
    """The output of a task that runs in a new directory."""
    with tempfile.TemporaryDirectory(prefix="pytheus-bench-") as directory:
        command = [program, str(Path(__file__).resolve()), "--task", library, directory, *map(str, arguments)]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environ_of(directory)).stdout
    figures: list[float] = json.loads(output)
    return figures


def rows(ours: str, peers: str, *, quick: bool) -> Iterator[Sequence[str]]:
    """The table, measured row by row with the two interpreters."""
    yield "", "pytheus", "prometheus_client", "times faster"
    figures = zip(task(ours, "pytheus", "calls"), task(peers, "prometheus_client", "calls"), strict=True)
    for title, (mine, other) in zip(("counter.inc()", "histogram.observe(0.3)"), figures, strict=True):
        yield title, f"{mine:,.0f} ns", f"{other:,.0f} ns", f"{other / mine:,.0f}x"
    cases: list[tuple[str, tuple[int, int, int, int, int]]] = [
        ("scrape of 8 x (1,000 counters + 100 histograms)", (*WORKERS[:1], 0 if quick else DEAD, *WORKERS[1:])),
        *((f"scrape of {live} x {series:,} series", (live, 0, 0, series, 0)) for live, series in CURVES),
    ]
    for title, case in cases:
        live, dead, _, series, _ = case
        if quick and live * series > 100_000:
            continue
        own = task(ours, "pytheus", "scrapes", *case)
        if live * series <= LARGEST:
            (other,) = task(peers, "prometheus_client", "scrapes", live, 0, *case[2:])
            yield title, f"{own[0]:,.1f} ms", f"{other:,.1f} ms", f"{other / own[0]:,.0f}x"
        else:
            yield title, f"{own[0]:,.1f} ms", "-", "-"
        if dead:
            # The peer would read a file for each of them at every scrape, for minutes.
            yield f"... with {dead:,} dead workers behind", f"{own[1]:,.1f} ms", "-", f"{own[1] / own[0]:.2f} of that"


def run_task(library: str, directory: str, name: str, numbers: Sequence[int]) -> None:
    if name == "work":
        work(library, directory, *numbers)
    else:
        print(json.dumps(calls(library, directory) if name == "calls" else scrapes(library, directory, *numbers)))


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--task"]:
        run_task(given[1], given[2], given[3], [int(number) for number in given[4:]])
        return 0
    parser = argparse.ArgumentParser(prog="bench/multiprocess.py", description="Measures a registry of processes.")
    parser.add_argument("--markdown", action="store_true", help="the tables as Markdown")
    parser.add_argument("--quick", action="store_true", help="without the largest cases")
    options = parser.parse_args(given)
    print(describe_machine(), flush=True)
    ours, peers = provide("compiled"), provide("peers")
    build = "compiled" if ours.compiled else "pure"
    print(f"pytheus {build}, prometheus_client {peers.versions['prometheus-client']},\n{ours.versions['python']}\n")
    print_table(rows(ours.program, peers.program, quick=options.quick), markdown=options.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
