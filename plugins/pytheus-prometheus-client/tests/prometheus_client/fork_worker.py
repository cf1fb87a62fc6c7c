"""Forks while other threads use metrics of prometheus_client through the seam; the children must not wait for a lock.

Run as a program with the directory of a registry of several processes and the number of forks. Prints how often the
children counted, as the registry has it, and how many of them had to be ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import prometheus_client
from prometheus_client import CollectorRegistry

from pytheus import generate_metrics
from pytheus_multiprocess import multiprocess_registry
from pytheus_prometheus_client import install

LONGEST_SECONDS = 60
SERIES = 50


def main(directory: str, forks: int) -> None:
    ours = multiprocess_registry(directory, process_metrics=False)
    install(ours)
    registries = CollectorRegistry(), CollectorRegistry()
    # The second one makes the numbers of both separate.
    counters = [prometheus_client.Counter("work", "Work.", ["by", "turn"], registry=each) for each in registries]
    histogram = prometheus_client.Histogram("wait", "Wait.", ["by"], registry=registries[0])
    over = threading.Event()

    def work(name: str) -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            for counter in counters:
                counter.labels(name, turn % SERIES).inc()
                counter.remove(name, str(turn % SERIES))
            histogram.labels(f"{name} {turn % SERIES}").observe(0.1)

    threads = [threading.Thread(target=work, args=(f"thread {number}",), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    ended = 0
    for turn in range(forks):
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST_SECONDS)
            for counter in counters:
                counter.labels("child", turn).inc()
            histogram.labels("child").observe(0.1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended += status != 0
    over.set()
    for thread in threads:
        thread.join()
    lines = [line.rsplit(" ", 1) for line in generate_metrics(ours).splitlines() if 'by="child"' in line]
    counted = sum(float(number) for name, number in lines if name.startswith(("work_total", "wait_count")))
    print(counted, ended)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
