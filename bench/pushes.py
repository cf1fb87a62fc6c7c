"""Measures the CPU that a push to a Pushgateway takes of the program: pytheus beside prometheus_client.

    python3 bench/pushes.py             the table
    python3 bench/pushes.py --markdown  the table as Markdown

The first run makes the environments, see bench/environments.py. The rest takes some seconds.

Rules:

- A push is `push` of pytheus, and `push_to_gateway` of prometheus_client, with their defaults.
- The receiver is another process, which reads the request and stores nothing.
- The CPU is that of all threads of the program, by its own clock. The best of many pushes counts, of several turns that
  the libraries take one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

if __name__ == "__main__":
    # The checkout in the place of this directory; last for a library, whose pytheus is the installed one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if "--measure" in sys.argv:
        sys.path.append(sys.path.pop(0))

from bench.environments import Unavailable, clean_environ, describe_machine, provide
from bench.libraries import LIBRARIES, REFERENCE
from bench.stopwatch import Statement, looped
from bench.table import print_table
from bench.workloads import WORKLOADS

__all__ = ["ROWS", "main", "measured", "receiver"]

COLUMNS: Final = ("pytheus", "pytheus_pure", "prometheus_client")
SERIES: Final = 10_000
ROUNDS: Final = 3
BUDGET_SECONDS: Final = 1.0
GOAL: Final = 10
"""How many times less CPU a push takes than one of prometheus_client."""

ROWS: Final = {
    "unchanged": f"push, {SERIES:,} counters, none changed since the last",
    "changed": f"push, {SERIES:,} counters, all changed",
    "protobuf": f"push, {SERIES:,} counters, all changed, in protobuf",
    "gzip": f"push, {SERIES:,} counters, all changed, in gzip",
    "file": f"file for node_exporter, {SERIES:,} counters, all changed",
}


def receive() -> None:
    """Answer pushes in this process, until it is killed; prints the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                size = 0
                while line := stream.readline().strip().lower():
                    if line.startswith(b"content-length:"):
                        size = int(line.partition(b":")[2])
                stream.read(size)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def receiver() -> Iterator[int]:
    """Give the port of a receiver in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--receive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environ()) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measured(workload: str, port: int, count: int, budget_seconds: float) -> dict[str, float]:
    """Return the seconds of CPU of each row that the library has, measured in this process."""
    library = WORKLOADS[workload]()
    registry = library.registry()
    counter = library.make("Counter", "http_requests_total", registry, "method", "path")
    write_to = looped(Statement(library.add, {"counter": counter, "amount": 1.0}), "path")
    paths = [f"/x/{number}" for number in range(count)]
    write_to(paths)

    def cpu_of(action: Callable[[], object], *, changes: bool = True) -> float:
        best = float("inf")
        end = perf_counter() + budget_seconds
        while perf_counter() < end or best == float("inf"):
            if changes:
                write_to(paths)
            begun = process_time()
            action()
            best = min(best, process_time() - begun)
        return best

    if workload == REFERENCE:
        exposition: Any = import_module("prometheus_client.exposition")  # a type checker knows only one library
        push = partial(exposition.push_to_gateway, f"127.0.0.1:{port}", "bench", registry)
        write = partial(exposition.write_to_textfile, f"pushes-{workload}.prom", registry)
        others: dict[str, Callable[[], object]] = {}
    else:
        ours: Any = import_module("pytheus.push")
        push = partial(ours.push, f"http://127.0.0.1:{port}", "bench", registry)
        write = partial(ours.write_textfile, f"pushes-{workload}.prom", registry)
        others = {"protobuf": partial(push, format="protobuf"), "gzip": partial(push, gzip=True)}
    push()
    figures = {"unchanged": cpu_of(push, changes=False), "changed": cpu_of(push)}
    return figures | {row: cpu_of(other) for row, other in others.items()} | {"file": cpu_of(write)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python3 bench/pushes.py", description="Measures pushes to a Pushgateway.")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, metavar=("WORKLOAD", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        receive()
    if options.measure:
        print(json.dumps(measured(options.measure[0], int(options.measure[1]), SERIES, BUDGET_SECONDS)))
        return
    machine = describe_machine()
    programs: dict[str, tuple[str, str]] = {}
    versions: list[str] = []
    titles: list[str] = []
    for library in LIBRARIES:
        if library.key in COLUMNS:
            try:
                environment = provide(library.environment)
            except Unavailable as reason:
                print(f"LEFT OUT: {library.title}: {reason}", file=sys.stderr)
                continue
            programs[library.key] = environment.program, library.workload
            titles.append(library.title)
            versions.append(f"{library.title} {environment.versions.get(library.distribution, '')}")
    best: dict[str, dict[str, float]] = {key: {} for key in programs}
    with receiver() as port:
        for _ in range(ROUNDS):
            for key, (program, workload) in programs.items():
                command = [program, "-P", str(Path(__file__).resolve()), "--measure", workload, str(port)]
                run = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=clean_environ())
                for row, seconds in json.loads(run.stdout).items():
                    best[key][row] = min(seconds, best[key].get(row, seconds))
    rows = [["CPU of the program", *titles]]
    rows += [[title, *(cell(best, key, row) for key in programs)] for row, title in ROWS.items()]
    print_table(rows, markdown=options.markdown)
    print(
        f"\n- Goal: ≥ {GOAL}x less than prometheus_client.\n- Machine: {machine}.\n- Versions: {', '.join(versions)}."
    )


def cell(best: dict[str, dict[str, float]], key: str, row: str) -> str:
    """Return the milliseconds, and how many times as good as prometheus_client's they are."""
    seconds = best[key].get(row)
    reference = best.get(REFERENCE, {}).get(row)
    if seconds is None:
        return "-"
    ratio = "" if reference is None or key == REFERENCE else f" ({reference / seconds:.1f}x)"
    return f"{seconds * 1e3:,.2f} ms{ratio}"


if __name__ == "__main__":
    main()
