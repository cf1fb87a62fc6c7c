"""Measures remote write and OTLP: the time to encode, beside text, and the CPU of a push, beside OpenTelemetry.

    python -P bench/writes.py
    python -P bench/writes.py --windows 50 --markdown

Needs pytheus installed, and opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http for the second table; without
them it is left out. The best of many windows counts.

- To encode is to read the numbers of a registry and to make the messages, without compression and network. All numbers
  change before each window, so that the text format has to write each of them.
- A push is one export of OTLP with gzip, with all steps, to a receiver in another process. The CPU is that of all
  threads of the program, by its own clock. It has 1,000 series, because OpenTelemetry keeps 2,000 of an instrument.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

if __name__ == "__main__":
    # Last, so that an installed pytheus comes before the checkout's.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.pushes import receiver
from bench.table import print_table
from pytheus import COMPILED, Counter, Histogram, generate_metrics
from pytheus.push.otlp import _Otlp
from pytheus.push.otlp_messages import OtlpEncoder
from pytheus.push.outcomes import Verdict
from pytheus.push.remote_messages import RemoteWriteEncoder
from pytheus.push.snapshot import SnapshotReader
from pytheus.registry import CollectorRegistry

__all__ = ["GOAL", "encoded", "main", "pushed"]

SERIES: Final = 10_000
PUSHED_SERIES: Final = 1_000
GOAL: Final = 2
"""How many times the text format's time encoding takes at most."""

PUSH_GOAL: Final = 10
"""How many times less CPU a push takes than one of OpenTelemetry."""


def best(action: Callable[[], object], clock: Callable[[], float], windows: int, before: Callable[[], object]) -> float:
    """Return the seconds of the best window."""
    found = float("inf")
    for _ in range(windows):
        before()
        begun = clock()
        action()
        found = min(found, clock() - begun)
    return found


def _read_and_encode(reader: SnapshotReader, encoder: RemoteWriteEncoder | OtlpEncoder) -> object:
    return encoder.encode(reader.read())


def encoded(count: int, windows: int) -> dict[str, dict[str, float]]:
    """Return the seconds of each format, by the metric whose series are encoded."""
    figures: dict[str, dict[str, float]] = {}
    for metric in "counter", "histogram":
        registry = CollectorRegistry()
        if metric == "counter":
            counter = Counter("http_requests_total", "Requests.", ["method", "path"], registry=registry)
            changes: list[Callable[[float], None]] = [counter.labels("GET", f"/x/{one}").inc for one in range(count)]
        else:
            latency = Histogram("http_seconds", "Latency.", ["method", "path"], registry=registry)
            series = count // (len(latency.definition.bounds) + 3)
            changes = [latency.labels("GET", f"/x/{one}").observe for one in range(series)]
        reader = SnapshotReader(registry)
        first, second, otlp = RemoteWriteEncoder("1.0"), RemoteWriteEncoder("2.0"), OtlpEncoder({"service.name": "a"})
        actions: dict[str, Callable[[], object]] = {
            "text": partial(generate_metrics, registry),
            "remote write 1.0": partial(_read_and_encode, reader, first),
            "remote write 2.0": partial(_read_and_encode, reader, second),
            "OTLP": partial(_read_and_encode, reader, otlp),
        }

        def change(changes: list[Callable[[float], None]] = changes) -> None:
            for one in changes:
                one(1.5)

        found = dict.fromkeys(actions, float("inf"))
        for _ in range(4):  # in turns
            for name, action in actions.items():
                found[name] = min(found[name], best(action, perf_counter, max(1, windows // 4), change))
        figures[metric] = found
    return figures


def pushed(library: str, count: int, windows: int) -> float:
    """Return the seconds of CPU that one export of `library`, pytheus or opentelemetry, takes."""
    paths = [f"/x/{number}" for number in range(count)]
    with receiver() as port:
        url = f"http://127.0.0.1:{port}/v1/metrics"
        push, change = (_pytheus if library == "pytheus" else _opentelemetry)(url, paths)
        push()
        return best(push, process_time, windows, change)


def _pytheus(url: str, paths: list[str]) -> tuple[Callable[[], None], Callable[[], None]]:
    registry = CollectorRegistry()
    counter = Counter("http_requests_total", "Requests.", ["method", "path"], registry=registry)
    series = [counter.labels("GET", path) for path in paths]
    reader = SnapshotReader(registry)
    protocol = _Otlp(url, None, 10.0, {"service.name": "a"}, reader, True)

    def push() -> None:
        for body in protocol.encode(reader.read()):
            assert protocol.send(body, 10.0).verdict is Verdict.DELIVERED

    def change() -> None:
        for one in series:
            one.inc()

    change()
    return push, change


def _opentelemetry(url: str, paths: list[str]) -> tuple[Callable[[], None], Callable[[], None]]:
    # Any: a type checker need not have the library.
    sdk: Any = import_module("opentelemetry.sdk.metrics")
    export: Any = import_module("opentelemetry.sdk.metrics.export")
    http: Any = import_module("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    exporter = http.OTLPMetricExporter(
        endpoint=url, compression=import_module("opentelemetry.exporter.otlp.proto.http").Compression.Gzip
    )
    reader = export.PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    counter = sdk.MeterProvider(metric_readers=[reader]).get_meter("bench").create_counter("http_requests")

    def change() -> None:
        for path in paths:
            counter.add(1, {"method": "GET", "path": path})

    change()
    return reader.collect, change


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -P bench/writes.py", description="Measures remote write and OTLP.")
    parser.add_argument("--windows", type=int, default=40, help="how many windows, 40 by default")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    figures = encoded(SERIES, options.windows)
    rows = [[f"Encode {SERIES:,} series", *figures]]
    for name in figures["counter"]:
        cells = [f"{found[name] * 1e3:.2f} ms ({found[name] / found['text']:.2f}x)" for found in figures.values()]
        rows.append([name, *cells])
    print_table(rows, markdown=options.markdown)
    print(f"\n- pytheus {'compiled' if COMPILED else 'in plain Python'}; goal: ≤ {GOAL}x the text format's time.\n")
    try:
        other = pushed("opentelemetry", PUSHED_SERIES, options.windows)
    except ImportError as error:
        print(f"LEFT OUT: the push of OpenTelemetry: {error}", file=sys.stderr)
        return
    own = pushed("pytheus", PUSHED_SERIES, options.windows)
    rows = [[f"CPU of one push by OTLP, {PUSHED_SERIES:,} counters", "CPU"]]
    rows += [["pytheus", f"{own * 1e3:.2f} ms ({other / own:.1f}x)"], ["OpenTelemetry", f"{other * 1e3:.2f} ms"]]
    print_table(rows, markdown=options.markdown)
    print(f"\n- Goal: ≥ {PUSH_GOAL}x less than OpenTelemetry.")


if __name__ == "__main__":
    main()
