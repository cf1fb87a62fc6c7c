"""Processes whose custom collector is copied, and which end in several ways; prints the sum of all.

Run as a program with the directory of the registry, the way in which the processes end, and how many there are. The
parent counts as well, before it forks, and each child has the parent's numbers from then. In a storm it prints first
how many jobs the children have reported as copied.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

import prometheus_client
from prometheus_client.core import CounterMetricFamily

from pytheus import generate_metrics
from pytheus_multiprocess import multiprocess_registry
from pytheus_prometheus_client import CollectorCopies, install, with_copies

LONGEST_SECONDS: Final = 60


class Jobs:
    """A collector with a number of its own, as that of OpenTelemetry."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0

    def add(self, count: int) -> None:
        """Count jobs."""
        with self.lock:
            self.count += count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the number."""
        with self.lock:
            yield CounterMetricFamily("jobs", "Jobs.", self.count)


def child(way: str, jobs: Jobs, copies: CollectorCopies) -> None:
    """Count five jobs, and end."""
    signal.alarm(LONGEST_SECONDS)
    jobs.add(5)
    if way == "kill":  # after a copy, and before the next one
        copies.copy()
        jobs.add(100)
        os.kill(os.getpid(), signal.SIGKILL)
    elif way == "unregister":  # as OpenTelemetry does at the end of the interpreter
        prometheus_client.REGISTRY.unregister(jobs)


def main(directory: str, way: str, children: int) -> None:
    """Let children count, and print the sum when all have ended."""
    registry = with_copies(multiprocess_registry(directory, process_metrics=False))
    install(registry)
    jobs = Jobs()
    prometheus_client.REGISTRY.register(jobs)
    copies = CollectorCopies(prometheus_client.REGISTRY, registry, interval_seconds=LONGEST_SECONDS)
    if way == "storm":
        print(sum(reported(jobs, copies) for _ in range(children)))
    else:
        run = start if way == "multiprocessing" else fork
        for _ in range(children):
            jobs.add(1)
            run(way, jobs, copies)
    for text in (generate_metrics(registry), prometheus_client.generate_latest().decode()):
        print(next(line for line in text.splitlines() if line.startswith("jobs_total ")))


def fork(way: str, jobs: Jobs, copies: CollectorCopies) -> int:
    """Run a child that ends with the interpreter's exit functions, unless it is killed."""
    pid = os.fork()
    if pid == 0:
        child(way, jobs, copies)
        sys.exit()
    return os.waitpid(pid, 0)[1]


def reported(jobs: Jobs, copies: CollectorCopies) -> int:
    """Kill a child that copies each job that it counts; return how many it has reported."""
    jobs.add(1)
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(LONGEST_SECONDS)
        while True:
            jobs.add(1)
            copies.copy()
            os.write(tell, b".")
    os.close(tell)
    found = len(os.read(told, 1))
    time.sleep(random.uniform(0, 0.02))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(told, 65536):
        found += len(more)
    os.close(told)
    return found


def start(way: str, jobs: Jobs, copies: CollectorCopies) -> int:
    """Run a child of `multiprocessing`, which has finalizers of its own."""
    process = multiprocessing.get_context("fork").Process(target=child, args=(way, jobs, copies))
    process.start()
    process.join()
    return process.exitcode or 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
