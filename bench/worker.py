"""Measures one library, in this process and nothing else in it; prints the figures as JSON.

    python -P bench/worker.py WORKLOAD TASK PLAN

TASK is one of `TASKS`, PLAN a `Plan` as JSON. Started by bench/run.py with the interpreter of the library's
environment. Keys of the answer are rows of bench/rows.py, with "empty" for the empty loop, "added" for how often
eight threads added 1, and "lost" for how much of that is missing.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from math import isclose
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    # Last, so that an installed pytheus comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.counts import bytes_per_series
from bench.rows import FORMATS, HISTOGRAMS, SCALES, SCRAPED, SHARDS, Plan
from bench.served import served
from bench.stopwatch import EMPTY, longest_pause, longest_pause_of_nothing, looped, shortest_call, shortest_run
from bench.workload import Series, Workload
from bench.workloads import WORKLOADS

__all__ = ["TASKS", "check_exposition"]

THREADS = 8
NEW_SERIES = 2_000

Figures = dict[str, float]


def calls(workload: Workload, plan: Plan) -> Figures:
    """Measure single calls and quick scrapes."""
    figures = {"empty": shortest_call(EMPTY, plan.windows, plan.window_seconds)}
    for row, statement in workload.statements().items():
        figures[row] = shortest_call(statement, plan.windows, plan.window_seconds)
    figures |= _first_writes(workload, max(3, plan.windows // 5))
    figures |= _threads(workload, plan)
    figures |= _first_read(workload, plan.scrape_seconds)
    counters = workload.counters(1.0)
    counters.write(SCRAPED)
    if counters.render() is None:
        return figures
    figures["scrape_unchanged"] = shortest_run(counters.render, plan.scrape_seconds) * 1e3
    figures["scrape_first"] = _first_scrape(lambda: workload.counters(1.0), SCRAPED, plan.scrape_seconds) * 1e3
    figures |= _histograms(workload, plan.scrape_seconds)
    if counters.compressed() is not None:
        changed = partial(counters.write, SCRAPED)
        figures["scrape_gzip"] = shortest_run(counters.compressed, plan.scrape_seconds, changed) * 1e3
        figures |= served(counters, plan.scrape_seconds, changed)
    for key, count, make in (
        ("scrape", SCRAPED, partial(workload.counters, 1.0)),
        ("histograms", HISTOGRAMS, workload.histograms),
    ):
        for name, accept in FORMATS.items():
            figures |= _in_format(make(), count, accept, plan.scrape_seconds, f"{key}_{{}}_{name}")
    for row, amount in (("scrape_changed", 1.0), ("scrape_fractional", 0.1)):
        figures[row] = _changed_scrape(workload, SCRAPED, amount, plan.scrape_seconds) * 1e3
    for row, count in SCALES.items():
        if count < SCRAPED:
            figures[row] = _changed_scrape(workload, count, 1.0, plan.scrape_seconds / 5) / count * 1e9
        elif count == SCRAPED:
            figures[row] = figures["scrape_changed"] * 1e6 / count
    return figures


def biggest(workload: Workload, plan: Plan) -> Figures:
    """Measure scrapes of very many series, and how long they block other threads."""
    figures: Figures = {}
    for row, count in plan.scales().items():
        if count <= SCRAPED:
            continue
        counters = Written(workload.counters(1.0), 1.0, count)
        counters.write()
        if counters.render() is None:
            return {}
        counters.check()
        seconds = shortest_run(counters.render, plan.biggest_seconds, counters.write)
        figures[row] = seconds / count * 1e9
        if count == plan.largest:
            figures |= _pauses(counters, plan.biggest_seconds, min(seconds, 1.0))
    return figures


def footprints(workload: Workload, plan: Plan) -> Figures:
    """Measure the memory of a series."""
    figures: Figures = {}
    for row, make in (("counter", lambda: workload.counters(1.0)), ("histogram", workload.histograms)):
        footprint = bytes_per_series(make, plan.footprints)
        figures[f"{row}_fresh"] = footprint.fresh
        if footprint.scraped is not None:
            figures[f"{row}_scraped"] = footprint.scraped
    if workload.natives() is not None:

        def natives() -> Series:
            series = workload.natives()
            assert series is not None
            return series._replace(render=partial(series.encode, FORMATS["protobuf"]))

        footprint = bytes_per_series(natives, plan.footprints)
        figures["native_fresh"] = footprint.fresh
        if footprint.scraped is not None:
            figures["native_scraped"] = footprint.scraped
    return figures


TASKS: dict[str, Callable[[Workload, Plan], Figures]] = {"calls": calls, "biggest": biggest, "footprints": footprints}


class Written:
    """Series that remember the writes, to check a scrape."""

    def __init__(self, series: Series, amount: float, count: int) -> None:
        self.series = series
        self.amount = amount
        self.count = count
        self.value = 0.0

    def write(self) -> None:
        self.series.write(self.count)
        self.value += self.amount

    def render(self) -> bytes | None:
        return self.series.render()

    def check(self) -> None:
        check_exposition(self.series.render() or b"", self.count, self.value)


def check_exposition(text: bytes, count: int, value: float) -> None:
    """Raise unless `text` has `count` lines of ``http_requests_total``, the last of which says `value`."""
    lines = [line for line in text.splitlines() if line.startswith(b"http_requests_total{")]
    if len(lines) != count or not isclose(float(lines[-1].split()[-1]), value):
        raise RuntimeError(f"expected {count} series at {value} but got {len(lines)}, the last of them {lines[-1:]!r}")


def _changed_scrape(workload: Workload, count: int, amount: float, budget_seconds: float) -> float:
    counters = Written(workload.counters(amount), amount, count)
    counters.write()
    counters.render()
    best = shortest_run(counters.render, budget_seconds, counters.write)
    counters.check()
    return best


def _pauses(counters: Written, budget_seconds: float, idle_seconds: float) -> Figures:
    during: list[float] = []
    alone: list[float] = []
    end = perf_counter() + budget_seconds
    while not during or perf_counter() < end:
        counters.write()
        during.append(longest_pause(counters.series.answer))
        alone.append(longest_pause_of_nothing(idle_seconds))
    return {"pause": min(during) * 1e3, "pause_of_nothing": min(alone) * 1e3}


def _first_writes(workload: Workload, windows: int) -> Figures:
    figures: Figures = {}
    for _ in range(windows):
        for row, statement in workload.first_writes().items():
            paths = [f"/x/{n}" for n in range(NEW_SERIES)]
            seconds = looped(statement, "path")(paths)
            figures[row] = min(seconds / NEW_SERIES * 1e9, figures.get(row, float("inf")))
    return figures


def _first_scrape(make: Callable[[], Series], count: int, budget_seconds: float) -> float:
    series: Series

    def renew() -> None:
        nonlocal series
        series = make()
        series.write(count)

    return shortest_run(lambda: series.render(), budget_seconds, renew)


def _histograms(workload: Workload, budget_seconds: float) -> Figures:
    histograms = workload.histograms()
    change = partial(histograms.write, HISTOGRAMS)
    change()
    histograms.render()
    return {
        "histograms_first": _first_scrape(workload.histograms, HISTOGRAMS, budget_seconds) * 1e3,
        "histograms_unchanged": shortest_run(histograms.render, budget_seconds) * 1e3,
        "histograms_changed": shortest_run(histograms.render, budget_seconds, change) * 1e3,
    }


def _in_format(series: Series, count: int, accept: str, budget_seconds: float, key: str) -> Figures:
    """Scrapes in the format of `accept`; `key` is that of the rows, with braces in place of the state."""
    encode = partial(series.encode, accept)
    change = partial(series.write, count)
    change()
    body = encode()
    if body is None:
        return {}
    # Every path is in each series once: a line of text has it, and so has a message.
    if len(set(re.findall(rb"/x/\d+", body))) != count:
        raise RuntimeError(f"expected {count} series in {accept} but got {body[-300:]!r} at the end")
    return {
        key.format("unchanged"): shortest_run(encode, budget_seconds) * 1e3,
        key.format("changed"): shortest_run(encode, budget_seconds, change) * 1e3,
    }


def _first_read(workload: Workload, budget_seconds: float) -> Figures:
    if workload.first_read(SHARDS, []) is None:
        return {}
    read: Callable[[], object] | None
    reads = 0

    def renew() -> None:
        nonlocal read, reads
        reads += 1  # other paths each time, so that no read finds what one before it has kept
        read = workload.first_read(SHARDS, [f"/x/{reads}/{n}" for n in range(SCRAPED)])

    def run() -> object:
        assert read is not None
        return read()

    return {"first_read": shortest_run(run, budget_seconds, renew) / (SHARDS * SCRAPED) * 1e9}


def _threads(workload: Workload, plan: Plan) -> Figures:
    best = float("inf")
    shared = workload.shared_counter()
    run = looped(shared.increment)
    done = 1000
    each = int(done * plan.scrape_seconds / THREADS / run(repeat(None, done))) + 1
    for _ in range(3):
        best = min(best, _together(run, each) / (THREADS * each))
        done += THREADS * each
    return {"threads": best * 1e9, "added": done, "lost": done - shared.read()}


def _together(run: Callable[[Iterable[object]], float], each: int) -> float:
    """Seconds from the moment that all threads begin until the last has ended."""
    barrier = threading.Barrier(THREADS + 1)

    def work() -> None:
        barrier.wait()
        run(repeat(None, each))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = perf_counter()
    for thread in threads:
        thread.join()
    return perf_counter() - start


def main(workload: str, task: str, plan: str) -> None:
    print(json.dumps(TASKS[task](WORKLOADS[workload](), Plan(**json.loads(plan)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
