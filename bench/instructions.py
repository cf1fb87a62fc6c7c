"""Counts the instructions of each operation with callgrind, beside those that bench/instructions.json keeps.

    python3 bench/instructions.py                  the counts, beside those of the file
    python3 bench/instructions.py --write          rewrites the file, and the table in docs/explanation/speed.md
    python3 bench/instructions.py --python PYTHON  of the build that this interpreter has, instead of the checkout's

Needs valgrind. A count does not depend on the machine or its load, but on the interpreter and the C compiler: so the
file names the interpreter, and a test compares the counts where it is the same (tests/bench/test_instructions.py).

Rules:

- One process counts everything, in some ten seconds. It calls getppid(2) before and after each run, and at each such
  call callgrind writes the count since the one before.
- An operation runs n times and 2n times, each twice; the lesser counts are used, because a table of the interpreter may
  grow in any one run. The difference divided by n is the count of the operation. That leaves out the set-up and the
  call of the run. The empty loop is subtracted from calls.
- Between the two, blocks of memory are taken that stay: an operation that takes a block and frees it needs a hundred
  instructions more where that block is the only one of its pool.
- The garbage collector is off, and strings have the same hashes in each process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from shutil import which

if __name__ == "__main__":
    # The checkout in the place of this directory; last, and with -P, if pytheus is to be the installed one.
    if "--here" not in sys.argv:
        del sys.path[0]
    sys.path.insert(len(sys.path) if "--here" in sys.argv else 0, str(Path(__file__).resolve().parent.parent))

from bench.documents import SPEED, figures_table, replace_table
from bench.environments import BENCH, Unavailable, clean_environ, provide
from bench.libraries import LIMIT
from bench.rows import FORMAT_TITLES, FORMATS, ROWS
from bench.stopwatch import EMPTY, looped
from bench.workload import Series, Workload

__all__ = ["FILE", "Counts", "count", "grown", "interpreter", "kept"]

FILE = BENCH / "instructions.json"
TOLERANCE = 1.05
"""How many times its count in the file an operation may take."""

CALLS, COUNTERS, HISTOGRAMS, SHARDS = 500, 500, 100, 2

Counts = dict[str, int]
"""Instructions by operation."""

Operation = Callable[[int], Callable[[], object]]
"""Prepares a run of as many operations."""


def operations(workload: Workload) -> Iterator[tuple[str, int, Operation]]:
    """Title, n, and the operation; the first is the empty loop."""
    titles = {row.key: row.title for row in ROWS}

    def calls(run: Callable[..., object], calls: int) -> Callable[[], object]:
        return partial(run, repeat(None, calls))

    yield "", CALLS, partial(calls, looped(EMPTY))
    for row, statement in workload.statements().items():
        yield titles[row], CALLS, partial(calls, looped(statement))
    for row in workload.first_writes():

        def first_write(count: int, row: str = row) -> Callable[[], object]:
            run = looped(workload.first_writes()[row], "path")
            return partial(run, [f"/x/{n}" for n in range(count)])

        yield titles[row], CALLS, first_write

    def scrape(make: Callable[[], Series], before: str, accept: str, count: int) -> Callable[[], object]:
        series = make()
        render = partial(series.encode, accept) if accept else series.render
        for step in before:
            if step == "w":
                series.write(count)
            else:
                render()
        return render

    states = (("the first", "w"), ("none changed since the last", "wr"), ("all changed", "wrw"))
    kinds: list[tuple[str, int, Callable[[], Series]]] = [
        ("counter", COUNTERS, partial(workload.counters, 1.0)),
        ("histogram", HISTOGRAMS, workload.histograms),
    ]
    for kind, n, make in kinds:
        for state, before in states:
            yield f"scrape, per {kind}, {state}", n, partial(scrape, make, before, "")
    for name, accept in FORMATS.items():
        for kind, n, make in kinds:
            if make().encode(accept) is not None:
                for state, before in states[1:]:
                    title = f"scrape in {FORMAT_TITLES[name]}, per {kind}, {state}"
                    yield title, n, partial(scrape, make, before, accept)

    def first_read(count: int) -> Callable[[], object]:
        read = workload.first_read(SHARDS, [f"/x/{n}" for n in range(count // SHARDS)])
        assert read is not None
        return read

    if workload.first_read(SHARDS, []) is not None:
        yield "first read of a shard, per counter", COUNTERS, first_read


def interpreter() -> str:
    """The running interpreter, as far as it has an effect on the counts."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return ", ".join(
        [
            f"{platform.python_implementation()} {platform.python_version()}",
            platform.python_compiler(),
            platform.machine(),
            "shared library" if "--enable-shared" in options else "static",
            "with profile" if "--enable-optimizations" in options else "without profile",
        ]
    )


def run_all(workload: Workload) -> list[tuple[str, int]]:
    """Run every operation between calls of getppid(2); returns titles, and n of each."""
    gc.disable()
    done = []
    kept: list[bytes] = []
    for title, n, operation in operations(workload):
        operation(10)()
        for _ in range(2):
            for count in (n, 2 * n):
                run = operation(count)
                os.getppid()
                run()
                os.getppid()
            kept += [bytes(size) for size in range(1, 480, 16)]  # one block of each size that the interpreter pools
        done.append((title, n))
    return done


def count(python: str, workload: str) -> tuple[str, Counts]:
    """The interpreter at `python`, and the counts of that workload with the package installed there."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={folder}/count"]
        command = [*valgrind, python, "-P", str(Path(__file__).resolve()), "--here", workload]
        environ = clean_environ() | {"PYTHONHASHSEED": "0"}
        run = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with status {run.returncode}:\n{run.stderr}")
        name, done = json.loads(run.stdout)
        files = [Path(folder, f"count.{number + 1}") for number in range(8 * len(done))]
        totals = [int(file.read_text().rpartition("totals: ")[2]) for file in files]
    counts = {}
    for title, n in done:
        once, twice, once_again, twice_again = totals[1:8:2]  # the others are between two runs
        counts[title] = (min(twice, twice_again) - min(once, once_again)) / n
        del totals[:8]
    empty = counts.pop("")
    calls = {row.title for row in ROWS}
    return name, {title: round(each - empty if title in calls else each) for title, each in counts.items()}


def kept() -> tuple[str, dict[str, Counts]]:
    """The interpreter that the file names, and its counts of each workload."""
    content = json.loads(FILE.read_text("utf-8"))
    return content["interpreter"], content["counts"]


def grown(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """A line for each operation that takes too many instructions now, or that only one of both has."""
    lines = [
        f"{title}: {before[title]:,} instructions before, {now[title]:,} now ({now[title] / before[title] - 1:+.1%})"
        for title in before.keys() & now.keys()
        if now[title] > before[title] * TOLERANCE
    ]
    return sorted(lines + [f"{title}: not in both" for title in before.keys() ^ now.keys()])


def as_rows(counts: Mapping[str, Counts]) -> list[Sequence[str]]:
    """The table: an operation a line, a workload a column."""
    columns = counts.values()
    lines = [(title, *(f"{c[title]:,}" if title in c else "-" for c in columns)) for title in counts["pytheus"]]
    return [("", *counts), *lines]


def write(name: str, counts: Mapping[str, Counts]) -> None:
    """Rewrite the file and the document."""
    FILE.write_text(json.dumps({"interpreter": name, "counts": counts}, indent=2) + "\n", "utf-8")
    rows = as_rows({"pytheus": counts["pytheus"], LIMIT.title: counts["limit"]})
    replace_table(SPEED, "Instructions", f"{figures_table(rows)}\n\n- {name}.")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/instructions.py", description="Counts the instructions of operations.")
    parser.add_argument("--write", action="store_true", help="rewrite the file and the document")
    parser.add_argument("--python", default="", help="an interpreter that has a compiled pytheus")
    parser.add_argument("--here", metavar="WORKLOAD", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.here:
        from bench.workloads import WORKLOADS

        print(json.dumps([interpreter(), run_all(WORKLOADS[options.here]())]))
        return 0
    if which("valgrind") is None:
        print("bench: there is no valgrind on PATH", file=sys.stderr)
        return 1
    try:
        name, ours = count(options.python or provide("compiled").program, "pytheus")
        _, limits = count(provide(LIMIT.environment).program, "limit")
    except Unavailable as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    before, counts = kept() if FILE.exists() else ("", {"pytheus": {}})
    for cells in as_rows({"pytheus": ours, "in the file": counts["pytheus"], LIMIT.title: limits}):
        print(f"{cells[0]:52}{''.join(f'{cell:>16}' for cell in cells[1:])}")
    print(f"\n{name}; the file: {before or 'none'}")
    if options.write:
        write(name, {"pytheus": ours, "limit": limits})
    return 0


if __name__ == "__main__":
    sys.exit(main())
