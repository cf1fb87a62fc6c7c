"""Measures the metrics of prometheus_client with their numbers in pytheus beside the same metrics without it.

    python3 bench/seam.py             the table
    python3 bench/seam.py --markdown  the table as Markdown

The first run makes the environments, see bench/environments.py. It takes about a minute. The status is 1 if a goal is
not reached.

Rules:

- Every column runs the same calls of prometheus_client, of the same version.
- Each figure is the best of several windows of several processes, which take turns.
- "in memory" is beside the plain library: at most 1.25 times its time. "processes" is the registry of several processes
  beside the library's own mode for them (PROMETHEUS_MULTIPROC_DIR): at least twice as fast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

if __name__ == "__main__":
    # The checkout in the place of this directory; last, if pytheus is to be the installed one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if "--task" in sys.argv:
        sys.path.append(sys.path[0])
        sys.path[0] += "/plugins/pytheus-multiprocess"
        sys.path.insert(0, sys.path[0].replace("multiprocess", "prometheus-client"))

from bench.environments import clean_environ, describe_machine, provide
from bench.stopwatch import EMPTY, Statement, shortest_call
from bench.table import print_table

__all__ = ["main"]

CALLS: Final = {
    "counter.inc()": "counter.inc()",
    "histogram.observe(0.3)": "histogram.observe(0.3)",
    'labels("GET", "200").inc()': 'labelled.labels("GET", "200").inc()',
    'labels(method="GET", code="200").inc()': 'labelled.labels(method="GET", code="200").inc()',
    "gauge.set(1.5)": "gauge.set(1.5)",
    "summary.observe(0.3)": "summary.observe(0.3)",
}
ROUNDS: Final = 6
WINDOWS: Final = 30
WINDOW_SECONDS: Final = 0.002

MOST_IN_MEMORY: Final = 1.25
LEAST_FOR_PROCESSES: Final = 2.0


class Column(NamedTuple):
    """A way to keep the numbers; `against` is the column that it is compared with."""

    title: str
    environment: str
    seam: str = ""
    against: int | None = None


COLUMNS: Final = (
    Column("plain", "peers"),
    Column("seam, memory", "compiled", "memory", 0),
    Column("pure, memory", "pure", "memory", 0),
    Column("plain processes", "peers", "none"),
    Column("seam, processes", "compiled", "processes", 3),
    Column("pure, processes", "pure", "processes", 3),
)


def calls(seam: str, peers: str, directory: str) -> dict[str, float]:
    """Nanoseconds of each call, in this process, which imports prometheus_client from `peers`."""
    sys.path.append(peers)
    metrics: Any = import_module("prometheus_client")
    if seam in ("memory", "processes"):
        if seam == "memory":
            ours = import_module("pytheus.registry").CollectorRegistry()
        else:
            ours = import_module("pytheus_multiprocess").multiprocess_registry(directory, process_metrics=False)
        import_module("pytheus_prometheus_client").install(ours)
    registry = metrics.CollectorRegistry()
    names: dict[str, object] = {
        "counter": metrics.Counter("hits", "C.", registry=registry),
        "histogram": metrics.Histogram("seconds", "H.", registry=registry),
        "labelled": metrics.Counter("requests", "C.", ["method", "code"], registry=registry),
        "gauge": metrics.Gauge("level", "G.", registry=registry),
        "summary": metrics.Summary("size", "S.", registry=registry),
    }
    empty = shortest_call(EMPTY, WINDOWS, WINDOW_SECONDS)
    return {
        title: shortest_call(Statement(source, names), WINDOWS, WINDOW_SECONDS) - empty
        for title, source in CALLS.items()
    }


def turn(column: Column, program: str, peers: str) -> Mapping[str, float]:
    """The figures of one process."""
    with tempfile.TemporaryDirectory(prefix="pytheus-bench-") as directory:
        environ = clean_environ() | ({"PROMETHEUS_MULTIPROC_DIR": directory} if column.seam == "none" else {})
        command = [program, str(Path(__file__).resolve()), "--task", column.seam, peers, directory]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout
    figures: Mapping[str, float] = json.loads(output)
    return figures


def rows(best: Sequence[Mapping[str, float]]) -> Iterator[Sequence[str]]:
    """The table, with each figure's part of the one that it is compared with."""
    yield "", *(column.title for column in COLUMNS)
    for call in CALLS:
        yield call, *(_cell(column, number, call, best) for number, column in enumerate(COLUMNS))


def _cell(column: Column, number: int, call: str, best: Sequence[Mapping[str, float]]) -> str:
    figure = f"{best[number][call]:,.0f} ns"
    if column.against is None:
        return figure
    ratio = best[number][call] / best[column.against][call]
    return f"{figure} ({ratio:.2f}) {'✓' if _is_reached(column, ratio) else '✗'}"


def _is_reached(column: Column, ratio: float) -> bool:
    return ratio <= (MOST_IN_MEMORY if column.seam == "memory" else 1 / LEAST_FOR_PROCESSES)


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--task"]:
        print(json.dumps(calls(*given[1:])))
        return 0
    parser = argparse.ArgumentParser(prog="bench/seam.py", description="Measures the seam beside prometheus_client.")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = parser.parse_args(given)
    print(describe_machine(), flush=True)
    environments = {name: provide(name) for name in dict.fromkeys(column.environment for column in COLUMNS)}
    peers = environments["peers"]
    print(f"prometheus_client {peers.versions['prometheus-client']}, {peers.versions['python']}\n")
    source = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([peers.program, "-I", "-c", source], check=True, capture_output=True, text=True).stdout
    best: list[dict[str, float]] = [{} for _ in COLUMNS]
    for _ in range(ROUNDS):
        for column, figures in zip(COLUMNS, best, strict=True):
            found = turn(column, environments[column.environment].program, packages.strip())
            figures.update({call: min(figure, figures.get(call, figure)) for call, figure in found.items()})
    print_table(rows(best), markdown=options.markdown)
    reached = (
        _is_reached(column, best[number][call] / best[column.against][call])
        for number, column in enumerate(COLUMNS)
        if column.against is not None
        for call in CALLS
    )
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
