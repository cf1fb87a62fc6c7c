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
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

CHECKOUT = Path(__file__).resolve().parent.parent
PLUGIN = CHECKOUT / "plugins" / "pytheus-multiprocess"

if __name__ == "__main__":
    # The checkout in the place of this directory, unless pytheus is to be the installed one.
    if "--task" in sys.argv:
        sys.path[0] = str(PLUGIN)
    else:
        sys.path[0] = str(CHECKOUT)

__all__ = ["main"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WINDOWS, CALLS = 40, 20_000
SCRAPES = 20
SCRAPES_SECONDS = 5.0

Write = Callable[[], None]


class Peer:
    """The metrics of one library in one process; `write` adds to each series."""

    def __init__(self, library: str, directory: str) -> None:
        self.library = library
        self.directory = directory
        if library == "pytheus":
            from pytheus_multiprocess import multiprocess_registry

            self.registry = multiprocess_registry(directory, process_metrics=False)

    def define(self, counters: int, series: int, histograms: int) -> Write:
        """So many counters without labels, series of one counter, and histograms."""
        writes: list[Callable[[float], None]] = []
        if self.library == "pytheus":
            from pytheus import Counter, Histogram

            for number in range(counters):
                writes.append(Counter(f"counter_{number}_total", "C.", registry=self.registry).inc)
            if series:
                labelled = Counter("series_total", "S.", ["number"], registry=self.registry)
                writes += [labelled.labels(str(number)).inc for number in range(series)]
            for number in range(histograms):
                writes.append(Histogram(f"histogram_{number}", "H.", buckets=BUCKETS, registry=self.registry).observe)
        else:
            import prometheus_client

            own = prometheus_client.CollectorRegistry()
            for number in range(counters):
                writes.append(prometheus_client.Counter(f"counter_{number}", "C.", registry=own).inc)
            if series:
                peers = prometheus_client.Counter("series", "S.", ["number"], registry=own)
                writes += [peers.labels(str(number)).inc for number in range(series)]
            for number in range(histograms):
                writes.append(
                    prometheus_client.Histogram(f"histogram_{number}", "H.", buckets=BUCKETS, registry=own).observe
                )

        def write() -> None:
            for each in writes:
                each(0.3)

        return write

    def scraper(self) -> Callable[[], bytes]:
        """The process that scrapes all workers."""
        if self.library == "pytheus":
            from pytheus import generate_metrics

            return lambda: generate_metrics(self.registry).encode()
        import prometheus_client
        from prometheus_client.multiprocess import MultiProcessCollector

        gathering = prometheus_client.CollectorRegistry()
        MultiProcessCollector(gathering, path=self.directory)  # type: ignore[no-untyped-call]  # it has no types
        return lambda: prometheus_client.generate_latest(gathering)


# Tasks: run in a process of their own --------------------------------------------------------------------------------


def calls(library: str, directory: str) -> dict[str, float]:
    """Nanoseconds of an increment and an observation."""
    peer = Peer(library, directory)
    if library == "pytheus":
        from pytheus import Counter, Histogram

        inc: Write = Counter("hits_total", "H.", registry=peer.registry).inc
        observe: Callable[[float], None] = Histogram("seconds", "S.", buckets=BUCKETS, registry=peer.registry).observe
    else:
        import prometheus_client

        inc = prometheus_client.Counter("hits", "H.").inc
        observe = prometheus_client.Histogram("seconds", "S.", buckets=BUCKETS).observe

    def empty() -> float:
        start = perf_counter()
        for _ in range(CALLS):
            pass
        return perf_counter() - start

    def incremented() -> float:
        start = perf_counter()
        for _ in range(CALLS):
            inc()
        return perf_counter() - start

    def observed() -> float:
        start = perf_counter()
        for _ in range(CALLS):
            observe(0.3)
        return perf_counter() - start

    loop = min(empty() for _ in range(WINDOWS))
    return {
        "inc": (min(incremented() for _ in range(WINDOWS)) - loop) / CALLS * 1e9,
        "observe": (min(observed() for _ in range(WINDOWS)) - loop) / CALLS * 1e9,
    }


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
            lines = counters + series + histograms * (len(BUCKETS) + 3)
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
            import pytheus_multiprocess  # noqa: F401  # so that the children need not import it
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


def task(program: str, library: str, *arguments: object) -> list[float] | dict[str, float]:
    """The output of a task that runs in a new directory."""
    with tempfile.TemporaryDirectory(prefix="pytheus-bench-") as directory:
        command = [program, str(Path(__file__).resolve()), "--task", library, directory, *map(str, arguments)]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environ_of(directory)).stdout
    figures: list[float] | dict[str, float] = json.loads(output)
    return figures


def print_row(cells: Sequence[str], *, markdown: bool) -> None:
    if markdown:
        print(f"| {' | '.join(cells)} |", flush=True)
    else:
        print(f"{cells[0]:52}{''.join(f'{cell:>20}' for cell in cells[1:])}", flush=True)


def print_tables(*, markdown: bool, quick: bool) -> None:
    from bench.environments import provide

    ours, peers = provide("compiled"), provide("peers")
    print(
        f"pytheus {'compiled' if ours.compiled else 'pure'}, prometheus_client {peers.versions['prometheus-client']},"
    )
    print(f"{ours.versions['python']}\n")
    print_row(("", "pytheus", "prometheus_client", "times faster"), markdown=markdown)
    if markdown:
        print("| --- | --- | --- | --- |")
    mine, others = task(ours.program, "pytheus", "calls"), task(peers.program, "prometheus_client", "calls")
    assert isinstance(mine, dict)
    assert isinstance(others, dict)
    for name, title in (("inc", "counter.inc()"), ("observe", "histogram.observe(0.3)")):
        cells = (title, f"{mine[name]:,.0f} ns", f"{others[name]:,.0f} ns", f"{others[name] / mine[name]:,.0f}x")
        print_row(cells, markdown=markdown)
    cases: list[tuple[str, tuple[int, int, int, int, int]]] = [
        ("scrape of 8 x (1,000 counters + 100 histograms)", (*WORKERS[:1], 0 if quick else DEAD, *WORKERS[1:])),
        *((f"scrape of {live} x {series:,} series", (live, 0, 0, series, 0)) for live, series in CURVES),
    ]
    for title, case in cases:
        live, dead, _, series, _ = case
        if quick and live * series > 100_000:
            continue
        own = task(ours.program, "pytheus", "scrapes", *case)
        assert isinstance(own, list)
        cells = (title, f"{own[0]:,.1f} ms", "-", "-")
        if live * series <= LARGEST:
            other = task(peers.program, "prometheus_client", "scrapes", live, 0, *case[2:])
            assert isinstance(other, list)
            cells = (*cells[:2], f"{other[0]:,.1f} ms", f"{other[0] / own[0]:,.0f}x")
        print_row(cells, markdown=markdown)
        if dead:
            # The peer would read a file for each of them at every scrape, for minutes.
            times = f"{own[1] / own[0]:.2f} of that"
            print_row((f"... with {dead:,} dead workers behind", f"{own[1]:,.1f} ms", "-", times), markdown=markdown)


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
    from bench.machine import describe_machine

    print(describe_machine(), flush=True)
    print_tables(markdown=options.markdown, quick=options.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
