"""Measures pytheus and its peers side by side, in one run, and prints one table.

    python3 bench/run.py                the whole run, about a quarter of an hour
    python3 bench/run.py --quick        a rough one, in a minute or two
    python3 bench/run.py --markdown     the table as Markdown, --json FILE also every figure unrounded
    python3 bench/run.py --write        the whole run, then all figures in README.md and docs/explanation/speed.md
    python3 bench/run.py --only pytheus --only prometheus_client
    python3 bench/run.py --only pytheus --base main~20    two revisions of this project

The first run makes the environments, see bench/environments.py; it takes Python 3.11 or later, and for client_golang
root on a Debian or its two packages. How the figures come about: docs/explanation/speed.md.

Rules:

- Each library is measured in processes of its own, and they take turns, so that a busy minute hits all of them alike.
- Of each figure the best counts, over all windows of all turns.
- Progress goes to stderr; the table alone goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    # The checkout in the place of this directory: no module here may shadow another of the same name.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import instructions
from bench.documents import write_results
from bench.environments import BENCH, Environment, Unavailable, clean_environ, describe_machine, provide
from bench.libraries import GO, LIBRARIES, REFERENCE, Library, base_of
from bench.results import Results
from bench.rows import QUICK, WHOLE, Plan
from bench.table import as_json, as_markdown, as_text

__all__ = ["main"]

OLDEST = (3, 11)

TIMEOUT_SECONDS = 900
"""For one turn of one library: it bounds a hang, and measures nothing."""


def environments(libraries: Sequence[Library], results: Results, base: str = "") -> dict[str, Environment]:
    """Every available environment by name; the others are noted with the reason."""
    found: dict[str, Environment] = {}
    for name in dict.fromkeys(library.environment for library in libraries):
        try:
            found[name] = provide(name, base)
        except Unavailable as reason:
            say(str(reason))
            note(results, f"LEFT OUT: {name}: {str(reason).splitlines()[0]}")
    return found


def measured(libraries: Sequence[Library], found: dict[str, Environment], results: Results) -> list[Library]:
    """The libraries that can be measured here."""
    columns = []
    for library in libraries:
        environment = found.get(library.environment)
        if environment is None:
            continue
        if library.key == "pytheus" and not environment.compiled:
            note(results, "LEFT OUT: the compiled build: there is no C compiler here")
            continue
        columns.append(library)
    return columns


def turn(library: Library, environment: Environment, task: str, plan: Plan, results: Results) -> None:
    """Run one process of one library; failures are noted, and the other libraries go on."""
    arguments = [task, json.dumps(plan._asdict())]
    if library.workload:
        command = [environment.program, "-P", str(BENCH / "worker.py"), library.workload, *arguments]
    else:
        command = [environment.program, *arguments]
    try:
        run = subprocess.run(
            command, env=clean_environ(), cwd=BENCH, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return note(results, f"FAILED: {library.title}, {task}: not done in {TIMEOUT_SECONDS} s")
    if run.returncode != 0:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        return note(results, f"FAILED: {library.title}, {task}: status {run.returncode}: {reason}")
    results.add(library.key, json.loads(run.stdout))


def time_imports(columns: Sequence[Library], found: dict[str, Environment], plan: Plan, results: Results) -> None:
    """How long an interpreter takes that imports a library and ends, and one that only ends."""
    for _ in range(plan.imports + 1):  # the first may have to write bytecode, and is never the best
        for library in columns:
            if library.imports:
                python = found[library.environment].program
                for row, code in (("import", library.imports), ("bare", "pass")):
                    start = perf_counter()
                    subprocess.run([python, "-I", "-c", code], env=clean_environ(), cwd=BENCH, check=True)
                    results.add(library.key, {row: (perf_counter() - start) * 1e3})


def measure(columns: Sequence[Library], found: dict[str, Environment], plan: Plan, results: Results) -> None:
    """Everything, in turns."""
    for number in range(plan.rounds):
        say(f"calls and scrapes, round {number + 1} of {plan.rounds}")
        # There and back, so that no library always runs after the same one.
        for library in columns if number % 2 == 0 else reversed(columns):
            turn(library, found[library.environment], "calls", plan, results)
    say("imports")
    time_imports(columns, found, plan, results)
    for task, title in (("footprints", "memory"), ("biggest", f"scrapes of up to {plan.largest:,} series")):
        say(title)
        for library in columns:
            turn(library, found[library.environment], task, plan, results)


def annotate(
    columns: Sequence[Library], found: dict[str, Environment], plan: Plan, machine: str, results: Results
) -> None:
    """Notes below the table that explain the figures."""
    pythons = {found[column.environment].versions.get("python", "") for column in columns} - {""}
    libraries = []
    for column in columns:
        versions = found[column.environment].versions
        if column == GO:
            libraries.append(f"{column.title} {versions['client_golang']} (Go {versions['go']})")
        elif column.distribution:
            libraries.append(
                f"{column.title} {versions[column.distribution]}" if column.key != "pytheus_published" else column.title
            )
    best, worst = results.empty_loop()
    losers = [
        f"{column.title} lost {results.lost[column.key] / results.added[column.key]:.1%}"
        for column in columns
        if results.lost.get(column.key)
    ]
    lost = f"{', '.join(losers)}, the other libraries none" if losers else "none was lost"
    results.notes += [
        f"Machine: {machine}; {', '.join(sorted(pythons))}.",
        f"Versions: {', '.join(libraries)}.",
        f"In brackets: how many times as good as {REFERENCE}. Each figure is the best of {plan.rounds} rounds in which"
        " the libraries took turns, each in a process of its own; ✓ and ✗ say whether the goal is reached.",
        f"Calls are shown without the empty loop, which took {best:.1f} ns at best and {worst:.1f} ns at best in the"
        " noisiest round.",
        f"The pause is that of a thread that reads the clock in a loop while {plan.largest:,} series are rendered.",
        f"Of the increments of 8 threads, {lost}.",
    ]


def note(results: Results, problem: str) -> None:
    results.problems.append(problem)
    say(problem)


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Measures pytheus and its peers side by side.")
    parser.add_argument("--quick", action="store_true", help="a rough run")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument(
        "--write", action="store_true", help="put the figures, and counts of instructions, in the documents"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every figure to FILE")
    keys = [library.key for library in LIBRARIES]
    parser.add_argument(
        "--only", action="append", choices=keys, metavar="KEY", help=f"one of {', '.join(keys)}; repeatable"
    )
    parser.add_argument("--base", metavar="REVISION", default="", help="measure this git revision as well, compiled")
    options = parser.parse_args(arguments)
    if sys.version_info < OLDEST:
        say(f"Python 3.11 or later is needed, but this is {sys.version.split()[0]}")
        return 1
    plan = QUICK if options.quick else WHOLE
    results = Results()
    libraries = [library for library in LIBRARIES if not options.only or library.key in options.only]
    if options.base:
        libraries.insert(1, base_of(options.base))
    found = environments(libraries, results, options.base)
    columns = measured(libraries, found, results)
    if not columns:
        say("nothing could be measured")
        return 1
    machine = describe_machine()
    start = perf_counter()
    measure(columns, found, plan, results)
    say(f"measured in {perf_counter() - start:.0f} s")
    annotate(columns, found, plan, machine, results)
    print(as_markdown(results, columns) if options.markdown else as_text(results, columns), end="")
    if options.json:
        options.json.write_text(as_json(results, columns), "utf-8")
    if options.write:
        write_results(results, columns)
        say("counting instructions")
        return instructions.main(["--write"]) or bool(results.problems)
    return 1 if results.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
