"""Three processes that write metrics of prometheus_client, one of which ends; prints the exposition of a fourth.

Run as a program with PROMETHEUS_MULTIPROC_DIR set, and with the URL of a registry of pytheus in which the seam is
installed, or none. A process id in the text is replaced by the number of the process.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import prometheus_client
from prometheus_client import CollectorRegistry, multiprocess

MODES: Final = sorted(prometheus_client.Gauge._MULTIPROC_MODES)


def write(registry: CollectorRegistry, number: int) -> None:
    """Write the metrics of one process, whose values tell its number."""
    for mode in MODES:
        options: dict[str, Any] = {"registry": registry, "multiprocess_mode": mode}
        prometheus_client.Gauge(f"plain_{mode}", "Plain.", **options).set(10 + number)
        labelled = prometheus_client.Gauge(f"labelled_{mode}", "Labelled.", ["queue", "code"], **options)
        labelled.labels("mail", 1).set(20 - number)
        if not mode.endswith("mostrecent"):  # which can only be set
            labelled.labels("print", 2).inc(number + 1)
            labelled.labels("print", 2).dec(0.5)
        labelled.labels(queue="gone", code="3").set(1)
        if number < 2:
            labelled.labels("only", 4).set(number - 7)
    counter = prometheus_client.Counter("jobs", "Jobs.", ["queue"], registry=registry)
    counter.labels("mail").inc(number)
    prometheus_client.Counter("loose", "Loose.", registry=None).inc(number)
    loose = prometheus_client.Histogram("loose_wait", "Loose.", ["queue"], buckets=[1], registry=None)
    loose.labels("mail").observe(number)
    summary = prometheus_client.Summary("size", "Size.", registry=registry)
    summary.observe(number + 0.5)
    histogram = prometheus_client.Histogram("wait", "Wait.", ["queue"], buckets=[1, 2], registry=registry)
    histogram.labels("mail").observe(number)


def main(url: str) -> None:
    """Let three processes write one after the other, end the last one, and print the exposition."""
    if url:
        from pytheus.plugins import resolve_registry
        from pytheus_prometheus_client import install

        install(resolve_registry(url))
    children: list[int] = []
    ends: list[int] = []
    for number in range(3):
        told, tell = os.pipe()
        held, hold = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hold)
            for end in ends:
                os.close(end)
            metrics = CollectorRegistry()
            write(metrics, number)
            os.write(tell, b"1")
            os.read(held, 1)  # until the parent closes it, or has ended
            os._exit(0)
        os.close(tell)
        os.close(held)
        assert os.read(told, 1) == b"1"
        children.append(child)
        ends.append(hold)
    os.close(ends.pop())
    os.waitpid(children[-1], 0)
    multiprocess.mark_process_dead(children[-1])  # type: ignore[no-untyped-call]  # theirs has no types here
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # theirs has no types here
    text = prometheus_client.generate_latest(registry).decode()
    for number, child in enumerate(children):
        text = text.replace(f'pid="{child}"', f'pid="{number}"')
    print(text, end="")
    for end in ends:
        os.close(end)
    for child in children[:-1]:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1])
