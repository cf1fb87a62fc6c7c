"""Measures the CPU of an open page in the program that it shows, with the pytheus that is installed.

    python3 bench/page_polling.py                        a minute each
    python3 bench/page_polling.py --seconds 10 --series 10000

Rules:

- The program is a process of its own that serves the series and does nothing else. Each second, it writes all of them.
- The client is like the page: each second it reads the families on the screen by `name[]`, 40 series for each
  name, as protobuf, and every five seconds the overview. It asks for gzip, as browsers do, on a new connection.
- The CPU is that of the program's process, by the system's count, less that of the same time without a client.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

if __name__ == "__main__":
    # The checkout in the place of this directory, at the end, because the installed pytheus is measured.
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).resolve().parent.parent))

__all__ = ["main"]

_SERIES_OF_FAMILY: Final = 40
_OVERVIEW_SECONDS: Final = 5
_NAMES_AT_ONCE: Final = 100
_PROTOBUF: Final = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8"
)
_OVERVIEW: Final = "application/vnd.pytheus.overview+json"


def serve(count: int) -> None:
    """Serve `count` series; a line of the input is answered by the CPU seconds until then."""
    import threading

    from pytheus import Counter, Gauge, Histogram, start_http_server

    kinds = (Counter, Gauge, Histogram, Counter)
    writes = []
    for number in range(count // _SERIES_OF_FAMILY):
        kind = kinds[number % len(kinds)]
        name = f"family_{number}_total" if kind is Counter else f"family_{number}"
        metric = kind(name, f"Family number {number}.", ["route"])
        for route in range(_SERIES_OF_FAMILY):
            child = metric.labels(f"/orders/{route}")
            writes.append(child.observe if isinstance(child, Histogram) else child.inc)

    def write() -> None:
        while True:
            for one in writes:
                one(1.5)
            time.sleep(1)

    server = start_http_server(0)
    threading.Thread(target=write, daemon=True).start()
    print(server.port, flush=True)
    for _ in sys.stdin:
        print(time.process_time(), flush=True)


class _Program:
    def __init__(self, count: int) -> None:
        command = [sys.executable, "-P", __file__, "--serve", "--series", str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url: Final = f"http://127.0.0.1:{self._answer()}/metrics"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def cpu_seconds(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _read(url: str, accept: str) -> int:
    request = urllib.request.Request(url, headers={"Accept": accept, "Accept-Encoding": "gzip, deflate, br"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return len(response.read())


def _look(url: str, queries: list[str], seconds: int) -> tuple[int, int]:
    """Look at the metrics for `seconds`; returns the bytes of the numbers and of the overview at once."""
    numbers = facts = 0
    begin = time.monotonic()
    for second in range(seconds):
        time.sleep(max(begin + second - time.monotonic(), 0))
        if second % _OVERVIEW_SECONDS == 0:
            facts = _read(url, _OVERVIEW)
        numbers = sum(_read(f"{url}?{query}", _PROTOBUF) for query in queries)
    return numbers, facts


def main() -> None:
    """Print the share of a core, for each number of series."""
    parser = argparse.ArgumentParser(
        prog="python3 bench/page_polling.py", description="Measures the CPU of an open page."
    )
    parser.add_argument("--series", type=int, action="append", help="1000 and 10000 by default")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    counts: list[int] = chosen.series or [1000, 10_000]
    if chosen.serve:
        serve(counts[0])
        return
    seconds: int = chosen.seconds
    for count in counts:
        program = _Program(count)
        try:
            names = [
                f"family_{number}_total" if number % 4 in (0, 3) else f"family_{number}"
                for number in range(count // _SERIES_OF_FAMILY)
            ]
            queries = [
                urlencode([("name[]", name) for name in names[start : start + _NAMES_AT_ONCE]])
                for start in range(0, len(names), _NAMES_AT_ONCE)
            ]
            _look(program.url, queries, 2)
            start = program.cpu_seconds()
            time.sleep(seconds)
            alone = program.cpu_seconds() - start
            start = program.cpu_seconds()
            numbers, facts = _look(program.url, queries, seconds)
            looked_at = program.cpu_seconds() - start
        finally:
            program.close()
        share = (looked_at - alone) / seconds
        print(
            f"{count} series: {share:.2%} of a core for a page, {alone / seconds:.2%} without it;"
            f" {numbers / 1000:.1f} kB each second, {facts / 1000:.1f} kB of overview"
        )


if __name__ == "__main__":
    main()
