"""Puts small defects into copies of the package, one at a time, and tells which tests notice.

    python3 dev.py mutants                       all of the table, two at a time
    python3 dev.py mutants NAME ...              these
    python3 dev.py mutants --list                what there is
    python3 dev.py mutants --sweep FILE ...      every mechanical defect of these files of the package, such as
                                                 registry/proxy.py; without FILE, of all that the table is about

What it is for and how it stands: mutation/README.md. Exits with 1 if a mutant survives that nothing explains.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

if __name__ == "__main__":
    # The checkout in the place of this directory: no module here may stand in for another of the same name.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from mutation.mutant import Mutant, Rotten
from mutation.mutants import MUTANTS
from mutation.report import line, summary, unexpected
from mutation.sweep import SWEPT, sweep
from mutation.workbench import CHECKOUT, Outcome, Unsound, Workbench

__all__ = ["main"]

FAILURES_AT_MOST = 3
"""With so many tests that notice, a mutant is done with: the next one waits."""


def chosen(names: Sequence[str]) -> list[Mutant]:
    """The mutants of those names, or all."""
    known = {mutant.name: mutant for mutant in MUTANTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Rotten(f"there is no mutant {', '.join(unknown)}; --list tells which there are")
    return [known[name] for name in names] if names else list(MUTANTS)


def judged(mutants: Sequence[Mutant], benches: Sequence[Workbench], tell: Callable[[str], None]) -> list[Outcome]:
    """What became of each, told as it comes."""
    for mutant in mutants:
        mutant.applied(CHECKOUT / "pytheus")  # all of them before the first, which takes longer
    outcomes: list[Outcome] = []
    free: SimpleQueue[Workbench] = SimpleQueue()

    def judge(mutant: Mutant) -> Outcome:
        bench = free.get()
        try:
            return bench.judge(mutant)
        finally:
            free.put(bench)

    with ExitStack() as entered:
        for bench in benches:
            free.put(entered.enter_context(bench))
        for locked in (False, True):
            suites = list(dict.fromkeys(mutant.suite for mutant in mutants if mutant.locked is locked))
            if suites:
                benches[0].prove_sound(suites, locked=locked)
        with ThreadPoolExecutor(len(benches)) as pool:
            try:
                for future in as_completed([pool.submit(judge, mutant) for mutant in mutants]):
                    outcomes.append(future.result())
                    tell(line(outcomes[-1]))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dev.py mutants", description="Do the tests notice small defects?")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants; with --sweep, only these files")
    parser.add_argument("--sweep", action="store_true", help="mechanical defects in place of those of the table")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--quick", action="store_true", help="only the tests meant for each; survivors may be none")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    options = parser.parse_args(arguments)

    def tell(text: str) -> None:
        print(text, flush=True)

    # As Ctrl-C: what is running ends first, and nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = monotonic()
    try:
        mutants = list(sweep(options.names or SWEPT)) if options.sweep else chosen(options.names)
        if options.list:
            for mutant in mutants:
                tell(f"{mutant.name:<44} {mutant.file:<32} {mutant.what}")
            return 0
        at_most = 1 if options.sweep else FAILURES_AT_MOST
        benches = [Workbench(failures_at_most=at_most, quick=options.quick) for _ in range(options.jobs)]
        outcomes = judged(mutants, benches, tell)
    except (Rotten, Unsound) as error:
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        return 2
    tell(f"{summary(outcomes)}; {monotonic() - begun:.0f} s")
    return 1 if unexpected(outcomes) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
