"""Measures how shards are merged and rendered, by how many there are and how many series each has.

    python3 bench/shards.py             the table
    python3 bench/shards.py --markdown  the table as Markdown

It is the core's part of a scrape of many processes: the time that a store takes to read them is
measured with each store. The first run makes the environment, see bench/environments.py.

Rules:

- "All changed" gives every number of every shard another value before each scrape, "none changed" the same again. "The
  first" is that of a process that has not seen any of the shards before.
- Of each figure the best of several rounds counts, but for the first scrape, of which there is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    # The checkout in the place of this directory; last, if pytheus is to be the installed one.
    del sys.path[0]
    sys.path.insert(len(sys.path) if "--here" in sys.argv else 0, str(Path(__file__).resolve().parent.parent))

from bench.environments import describe_machine, provide
from bench.stopwatch import shortest_run
from bench.table import print_table

__all__ = ["main"]

ROUNDS_SECONDS = 1.5
BUCKETS = 11


class Case(NamedTuple):
    """So many shards, each with counters without labels, series of one counter with a label, and histograms."""

    shards: int
    counters: int
    series: int = 0
    histograms: int = 0

    @property
    def title(self) -> str:
        parts = [f"{self.counters:,} counters"] if self.counters else []
        parts += [f"{self.series:,} series"] if self.series else []
        parts += [f"{self.histograms:,} histograms"] if self.histograms else []
        return f"{self.shards} x ({' + '.join(parts)})" if len(parts) > 1 else f"{self.shards} x {parts[0]}"


CASES = (
    Case(8, 1_000, histograms=100),
    *(Case(shards, 0, series) for series in (1_000, 10_000, 100_000) for shards in (1, 8, 64)),
)


def measured(case: Case) -> tuple[float, float, float]:
    """Seconds: the first scrape, one in which nothing has changed, one in which everything has."""
    from pytheus.definitions import Definition
    from pytheus.exposition import generate_metrics
    from pytheus.registry import Collector, NullRegistry
    from pytheus.shards import Archive, Layout, Merger, ShardIdentity, Snapshot

    bounds = tuple(float(bound) for bound in range(BUCKETS - 1))

    class Merged(NullRegistry):
        """A registry that merges the same snapshots at each scrape."""

        def __init__(self) -> None:
            super().__init__()
            self.snapshots: list[Snapshot] = []
            self.merger = Merger()
            self.archive = Archive()

        def collect(self) -> tuple[Collector, ...]:
            return tuple(self.merger.merge(self.snapshots, self.archive))

    registry = Merged()
    for number in range(case.shards):
        layout = Layout()
        for counter in range(case.counters):
            layout.add_series(
                layout.add_definition(Definition(f"counter_{counter}_total", "counter", "C.")), (), layout.size
            )
        if case.series:
            definition = layout.add_definition(Definition("series_total", "counter", "S.", ("number",)))
            for series in range(case.series):
                layout.add_series(definition, (str(series),), layout.size)
        for histogram in range(case.histograms):
            definition = layout.add_definition(Definition(f"histogram_{histogram}", "histogram", "H.", bounds=bounds))
            layout.add_series(definition, (), layout.size)
        identity = ShardIdentity("bench", number, number, f"{number:016x}")
        registry.snapshots.append(Snapshot(identity, True, layout, [float(number)] * layout.size))

    def change() -> None:
        registry.snapshots = [
            snapshot._replace(numbers=[number + 1.5 for number in snapshot.numbers]) for snapshot in registry.snapshots
        ]

    def scrape() -> None:
        generate_metrics(registry)

    return shortest_run(scrape, 0.0), best(scrape), best(scrape, change)


def best(work: Callable[[], None], before: Callable[[], None] | None = None) -> float:
    """The shortest time that `work` took, over so many rounds as fit, and two at least."""
    return min(shortest_run(work, ROUNDS_SECONDS / 2, before) for _ in range(2))


def rows() -> Iterator[Sequence[str]]:
    """The table, measured row by row."""
    yield "shards", "first ms", "none changed ms", "all changed ms"
    for case in CASES:
        yield case.title, *(f"{seconds * 1000:,.1f}" for seconds in measured(case))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/shards.py", description="Measures how shards are merged and rendered.")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--here", action="store_true", help="with the pytheus that this interpreter has installed")
    options = parser.parse_args(arguments)
    if options.here:
        from pytheus import COMPILED, __version__

        print(f"pytheus {__version__}, {'compiled' if COMPILED else 'pure'}, Python {sys.version.split()[0]}\n")
        print_table(rows(), markdown=options.markdown)
        return 0
    print(describe_machine(), flush=True)
    program = provide("compiled").program
    command = [program, str(Path(__file__).resolve()), "--here", *(["--markdown"] if options.markdown else [])]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
