"""Measures the HTTP servers of pytheus, prometheus_client and client_golang while many clients scrape at once.

    python3 bench/endpoint.py             the table
    python3 bench/endpoint.py --markdown  the table as Markdown
    python3 bench/endpoint.py --quick     without a million series

The first run makes the environments, see bench/environments.py. It takes a quarter of an hour, mostly that of the
slower servers.

Rules:

- Each server is a process of its own, with its library's defaults, and they take turns.
- All clients of a burst connect before the first of them reads; each asks for gzip as Prometheus does, and gives up
  after a minute. Every series is written before each burst.
- A time is from the first connection of the burst to the last byte of the response. The best of several bursts counts.
- The CPU is that of the server's process in all bursts, by the system's count.
- The memory is the largest resident size of a burst, beside that of the server before it.
- The machine's cores are also those of the clients, which are one process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final, Literal, NamedTuple

if __name__ == "__main__":
    # The checkout in the place of this directory; last for a server, whose pytheus is the installed one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if "--serve" in sys.argv:
        sys.path.append(sys.path.pop(0))

from bench.environments import Unavailable, clean_environ, describe_machine, provide
from bench.libraries import LIBRARIES, Library
from bench.served import REQUEST, text_of
from bench.table import print_table

__all__ = ["main"]

COLUMNS: Final = ("pytheus", "pytheus_pure", "prometheus_client", "go")
SERIES: Final = 10_000
CLIENTS: Final = (20, 50, 200)
ROUNDS: Final = 5
MANY_SERIES: Final = 1_000_000
MANY_CLIENTS: Final = 5
IDLE_CLIENTS: Final = 12
PATIENCE_SECONDS: Final = 60.0
MANY_PATIENCE_SECONDS: Final = 180.0


class Burst(NamedTuple):
    """Clients that scrape at once: the seconds of each that got its response, and of the server's CPU."""

    clients: int
    seconds: list[float]
    cpu_seconds: float
    peak_bytes: int
    """The largest resident size of the server meanwhile."""

    @property
    def p50(self) -> float:
        """Half of the clients have their response after it."""
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        """99 of 100 clients have their response after it."""
        return sorted(self.seconds)[-(-len(self.seconds) * 99 // 100) - 1]

    @property
    def is_complete(self) -> bool:
        """Whether every client got its response."""
        return len(self.seconds) == self.clients


class Server:
    """A library's server of `count` series, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], count: int) -> None:
        self._process: Final = process
        self._count: Final = count
        self._port: Final = int(self._line())

    def _line(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("the server has no output")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with status {self._process.wait()}")
        return line

    def write(self) -> None:
        """Write to each series."""
        if self._process.stdin is None:
            raise RuntimeError("the server has no input")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._line()

    def resident_bytes(self, *, peak: bool = False) -> int:
        """Return the resident size, or the largest since `forget_peak`."""
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["VmHWM" if peak else "VmRSS"].split()[0]) * 1024

    def _cpu_seconds(self) -> float:
        with open(f"/proc/{self._process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _forget_peak(self) -> None:
        with open(f"/proc/{self._process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak begins at the present size

    def peak_of_idle(self, clients: int, patience_seconds: float) -> int:
        """Return the largest resident size while clients scrape one after the other, and take nothing but the status.

        They do not ask for gzip, and each begins after a write to each series.
        """
        self._forget_peak()
        with contextlib.ExitStack() as stack:
            for _ in range(clients):
                self.write()
                connection = stack.enter_context(socket.socket())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(patience_seconds)
                connection.connect(("127.0.0.1", self._port))
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if b" 200 " not in connection.recv(32):
                    raise RuntimeError("expected a response with status 200 but got another one")
            return self.resident_bytes(peak=True)

    def burst(self, clients: int, patience_seconds: float) -> Burst:
        """Scrape with `clients` at once, after a write to each series."""
        self.write()
        self._forget_peak()
        cpu_seconds = self._cpu_seconds()
        seconds, answer = scrape_at_once(self._port, clients, patience_seconds)
        if seconds and text_of(answer).count(b"\n") != self._count + 2:
            raise RuntimeError(f"expected {self._count} series but got another text")
        return Burst(clients, seconds, self._cpu_seconds() - cpu_seconds, self.resident_bytes(peak=True))


def scrape_at_once(port: int, clients: int, patience_seconds: float) -> tuple[list[float], bytes]:
    """Return the seconds of each client that got a response with status 200, and one response."""
    begun = perf_counter()
    times: list[float] = []
    answer = b""
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for index in range(clients):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            # The parts of the first client are kept; those of the others only begin.
            selector.register(connection, selectors.EVENT_WRITE, (connection, index == 0, []))
        while selector.get_map() and (left := begun + patience_seconds - perf_counter()) > 0:
            for key, events in selector.select(left):
                connection, is_kept, parts = key.data
                try:
                    if events & selectors.EVENT_WRITE:
                        connection.send(REQUEST)
                        selector.modify(connection, selectors.EVENT_READ, key.data)
                        continue
                    part = connection.recv(1 << 20)
                except OSError:
                    selector.unregister(connection)  # refused or reset: a client without a response
                    continue
                if part:
                    if is_kept or not parts:
                        parts.append(part)
                    continue
                selector.unregister(connection)
                if parts and parts[0].split(b"\r\n")[0].split()[1] == b"200":
                    times.append(perf_counter() - begun)
                    answer = b"".join(parts) if is_kept else answer
    return times, answer


@contextlib.contextmanager
def started(library: Library, program: str, count: int) -> Iterator[Server]:
    """Start the server of a library, and end it."""
    command = [program, "serve", str(count)]
    if library.workload:
        command = [program, "-P", str(Path(__file__).resolve()), "--serve", library.workload, "--series", str(count)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environ()
    ) as process:
        try:
            yield Server(process, count)
        finally:
            process.kill()


def serve(workload: str, count: int) -> None:
    """Serve in this process, and write to each series for each line of the input."""
    from bench.workloads import WORKLOADS

    series = WORKLOADS[workload]().counters(1)
    series.write(count)
    server = series.serve()
    if server is None:
        raise SystemExit(f"{workload} has no server")
    print(server.port, flush=True)
    for _ in sys.stdin:
        series.write(count)
        print(flush=True)


def burst_rows(columns: Mapping[str, tuple[Library, str]]) -> list[list[str]]:
    """The rows of bursts: time and CPU by number of clients."""
    best: dict[tuple[str, int], list[Burst]] = {}
    for turn in range(ROUNDS):
        for key, (library, program) in columns.items():
            with started(library, program, SERIES) as server:
                for clients in CLIENTS:
                    bursts = best.setdefault((key, clients), [])
                    if all(burst.is_complete for burst in bursts):  # otherwise once is enough
                        say(f"round {turn + 1} of {ROUNDS}: {library.title}, {clients} clients")
                        bursts.append(server.burst(clients, PATIENCE_SECONDS))
    rows = []
    for clients in CLIENTS:
        every = [best[key, clients] for key in columns]
        rows.append([f"{clients} scrapers at once: p50", *(time_cell(bursts, "p50") for bursts in every)])
        rows.append([f"{clients} scrapers at once: p99", *(time_cell(bursts, "p99") for bursts in every)])
        rows.append([f"{clients} scrapers at once: CPU of each scrape", *map(cpu_cell, every)])
    return rows


def time_cell(bursts: Sequence[Burst], figure: Literal["p50", "p99"]) -> str:
    """Return the best `figure` of bursts, or how many clients got a response."""
    complete = [burst.p50 if figure == "p50" else burst.p99 for burst in bursts if burst.is_complete]
    if len(complete) < len(bursts):
        worst = min(bursts, key=lambda burst: len(burst.seconds))
        return f"{len(worst.seconds)} of {worst.clients} served in {PATIENCE_SECONDS:g} s"
    return f"{min(complete) * 1e3:,.1f} ms"


def cpu_cell(bursts: Sequence[Burst]) -> str:
    """Return the CPU of each scrape in all bursts, because one burst is shorter than the system's tick."""
    served = sum(len(burst.seconds) for burst in bursts)
    return f"{sum(burst.cpu_seconds for burst in bursts) / served * 1e3:,.2f} ms" if served else "-"


def memory_rows(columns: Mapping[str, tuple[Library, str]]) -> list[list[str]]:
    """The rows of a million series: the memory of one client and of several at once."""
    title = f"{MANY_SERIES:,} series"
    cells: list[list[str]] = []
    for library, program in columns.values():
        with started(library, program, MANY_SERIES) as server:
            at_rest = server.resident_bytes()
            cell = [f"{at_rest / 2**20:,.0f} MiB"]
            for clients in (1, MANY_CLIENTS):
                say(f"{title}: {library.title}, {clients} clients")
                burst = server.burst(clients, MANY_PATIENCE_SECONDS)
                time = (
                    f"{max(burst.seconds):.1f} s" if burst.is_complete else f"{len(burst.seconds)} of {clients} served"
                )
                cell += [f"{burst.peak_bytes / 2**20:,.0f} MiB", time]
            say(f"{title}: {library.title}, {IDLE_CLIENTS} clients that take nothing")
            cell.append(f"{server.peak_of_idle(IDLE_CLIENTS, MANY_PATIENCE_SECONDS) / 2**20:,.0f} MiB")
            cells.append(cell)
    heads = [f"{title}: resident before a scrape"]
    for scrapers in ("1 scraper", f"{MANY_CLIENTS} scrapers at once"):
        heads += [f"{title}, {scrapers}: peak", f"{title}, {scrapers}: the last response"]
    heads.append(f"{title}, {IDLE_CLIENTS} scrapers that take nothing, without gzip: peak")
    return [[head, *(cell[index] for cell in cells)] for index, head in enumerate(heads)]


def say(line: str) -> None:
    """Report progress."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python3 bench/endpoint.py", description="Measures servers under load.")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--quick", action="store_true", help="leave out the million series")
    parser.add_argument("--serve", metavar="WORKLOAD", help=argparse.SUPPRESS)
    parser.add_argument("--series", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.series)
        return
    machine = describe_machine()
    columns: dict[str, tuple[Library, str]] = {}
    versions: list[str] = []
    for library in LIBRARIES:
        if library.key in COLUMNS:
            try:
                environment = provide(library.environment)
            except Unavailable as reason:
                say(f"LEFT OUT: {library.title}: {reason}")
                continue
            columns[library.key] = library, environment.program
            version = environment.versions.get(library.distribution or "client_golang", "")
            versions.append(f"{library.title} {version}")
    rows = [["", *(library.title for library, _ in columns.values())], *burst_rows(columns)]
    if not options.quick:
        rows += memory_rows(columns)
    print_table(rows, markdown=options.markdown)
    print(f"\n- Machine: {machine}.\n- Versions: {', '.join(versions)}.")


if __name__ == "__main__":
    main()
