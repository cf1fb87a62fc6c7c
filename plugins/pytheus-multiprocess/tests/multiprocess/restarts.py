"""Workers that count and end, one after the other, with scrapes in between; see test_driven.py.

Run as a program with a directory and how many workers there are to be. Prints one line of JSON: what scrapes cost, in
work and not in time, after some of the workers.
"""

from __future__ import annotations

import json
import os
import sys

from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus_multiprocess import multiprocess_registry
from pytheus_multiprocess.store import MultiprocessStore
from pytheus_multiprocess.system import System

SERIES = 20


class Counting(System):
    """A system that counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, what: str) -> None:
        self.steps += 1


def sizes(directory: str) -> list[int]:
    return [os.stat(os.path.join(directory, name)).st_size for name in os.listdir(directory)]


def main(directory: str, workers: int) -> None:
    registry = multiprocess_registry(directory, process_metrics=False)
    jobs = Counter("jobs_total", "Jobs.", ["kind"], registry=registry)
    seconds = Histogram("seconds", "Seconds.", registry=registry)
    depth = Gauge("depth", "Depth.", mode="max", processes="all", registry=registry)
    mine = Gauge("mine", "By process.", mode="each", registry=registry)
    counting = Counting()
    store = registry.store
    assert isinstance(store, MultiprocessStore)
    store._system = store._archive._system = counting
    measured: list[dict[str, float]] = []
    for number in range(1, workers + 1):
        child = os.fork()
        if child == 0:
            for kind in range(SERIES):
                jobs.labels(str(kind)).inc()
            seconds.observe(0.1)
            depth.set(number)
            mine.set(number)
            os._exit(0)
        os.waitpid(child, 0)
        if number % 10 == 0:
            generate_metrics(registry)  # which folds
        if number % (workers // 10) == 0:
            generate_metrics(registry)
            before = counting.steps
            text = generate_metrics(registry)
            (value,) = [line.split()[1] for line in text.splitlines() if line.startswith('jobs_total{kind="7"}')]
            measured.append(
                {
                    "workers": number,
                    "counted": float(value),
                    "steps": counting.steps - before,
                    "files": len(os.listdir(directory)),
                    "bytes": sum(sizes(directory)),
                    "lines": len(text.splitlines()),
                    "descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
                }
            )
    print(json.dumps(measured))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
