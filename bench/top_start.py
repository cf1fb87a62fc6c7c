"""How soon `pytheus top` shows metrics, and how long an update takes: `python bench/top_start.py [--runs N]`.

- Starts are of a process in a terminal of tmux, from the key Enter to the first screen with a series, and those of
  the interpreter that prints a line. The time that reading the screen takes is part of both.
- Imports are those of packages for the terminal that are installed for `--python`, without a terminal.
- Updates are the parts of one reading of 10,000 series, in this process.

All of one kind are measured in turn, so that a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from pytheus import Counter, Histogram
from pytheus.exposition import expose, start_http_server
from pytheus.registry import CollectorRegistry
from pytheus.top.history import History
from pytheus.top.polling import Format, Response, Target
from pytheus.top.screen import Screen, Status
from pytheus.top.state import State
from pytheus.top.table import Table

PEERS = {
    "interpreter alone": "",
    "ANSI sequences and termios": "import select, signal, termios, tty, unicodedata",
    "curses": "import curses",
    "textual": "from textual.app import App; from textual.widgets import DataTable, Footer, Input",
    "prompt_toolkit": "from prompt_toolkit import Application; from prompt_toolkit.layout import Layout",
    "blessed": "import blessed",
    "urwid": "import urwid",
    "rich": "from rich.live import Live; from rich.table import Table",
}
SHOWN = "shown_total"
ACCEPT = {
    "text": "text/plain;version=0.0.4",
    "protobuf": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}


def registry_of(series: int, *, native: bool = False) -> CollectorRegistry:
    registry = CollectorRegistry()
    counter = Counter("a_shown_total", "Shown.", ["path", "code"], registry=registry)
    for number in range(series - 20):
        counter.labels(path=f"/orders/{number // 4}", code=str(200 + number % 4)).inc(number)
    histogram = Histogram("wait_seconds", "Times.", ["path"], native=native, registry=registry)
    for number in range(20):
        histogram.labels(path=f"/{number}").observe(number / 10)
    return registry


class Terminal:
    """A terminal of tmux with a shell."""

    def __init__(self) -> None:
        self._name = f"pytheus-bench-{os.getpid()}"
        self.tmux("-f", os.devnull, "-u", "new-session", "-d", "-x", "80", "-y", "24", "exec env 'PS1=$ ' sh -i")

    def tmux(self, *arguments: str) -> str:
        environ = os.environ | {"LC_ALL": "C.UTF-8"}
        command = ["tmux", "-L", self._name, *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout

    def seconds_until_shown(self, command: str, end: str) -> float:
        self.tmux("send-keys", "-l", f"clear; {command}")
        time.sleep(0.1)
        begun = time.perf_counter()
        self.tmux("send-keys", "Enter")
        while SHOWN not in self.tmux("capture-pane", "-p").replace("clear;", "", 1):
            if time.perf_counter() - begun > 30:
                raise TimeoutError(self.tmux("capture-pane", "-p"))
        seconds = time.perf_counter() - begun
        self.tmux("send-keys", end)
        time.sleep(0.2)
        self.tmux("send-keys", "-l", "clear")
        self.tmux("send-keys", "Enter")
        time.sleep(0.2)
        return seconds


def starts(runs: int) -> None:
    terminal = Terminal()
    python = shlex.quote(sys.executable)
    # The text is not in the command, which is on the screen as well.
    show = "print('shown_' + 'total')"
    cases = {"interpreter alone": (f'{python} -c "{show}"', "")}
    servers = [start_http_server(0, registry=registry_of(series)) for series in (100, 1_000, 10_000)]
    for series, server in zip(("100", "1,000", "10,000"), servers, strict=True):
        cases[f"pytheus top, {series} series"] = (f"{python} -m pytheus top :{server.port}", "q")
    found: dict[str, list[float]] = {name: [] for name in cases}
    try:
        for number in range(runs + 1):
            for name, (command, end) in cases.items():
                seconds = terminal.seconds_until_shown(command, end)
                if number:  # the first one fills caches
                    found[name].append(seconds)
    finally:
        terminal.tmux("kill-server")
        for server in servers:
            server.close()
    show_times("starts in tmux", found)


def show_times(title: str, found: dict[str, list[float]]) -> None:
    print(f"{title}:")
    for name, times in found.items():
        print(f"  {name:30} best {min(times) * 1000:5.0f} ms, median {statistics.median(times) * 1000:5.0f} ms")


def imports(python: str, runs: int) -> None:
    found: dict[str, list[float]] = {}
    for number in range(runs + 1):
        for name, code in PEERS.items():
            begun = time.perf_counter()
            done = subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL)
            seconds = time.perf_counter() - begun
            if number and not done.returncode:
                found.setdefault(name, []).append(seconds)
    show_times("imports", found)


def updates(native: bool) -> None:
    registry = registry_of(10_000, native=native)
    counter = Counter("a_shown_total", "Shown.", ["path", "code"], registry=registry)
    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        begun = time.process_time()
        work()
        spent.setdefault(name, []).append(time.process_time() - begun)

    def read(names: tuple[str, ...], format_: Format) -> Response:
        begun = time.process_time()
        body, content_type, _ = expose(registry, ACCEPT[format_])
        spent.setdefault("exposition, in the server", []).append(time.process_time() - begun)
        return Response(body, content_type)

    target, history = Target(read), History()
    state = State(sort="rate")
    screen = Screen(state, Table(history))
    for number in range(12):
        for index in range(0, 9_980, 10 if number % 2 else 1):
            counter.labels(path=f"/orders/{index // 4}", code=str(200 + index % 4)).inc()
        begun = time.process_time()
        reading = target.read()
        spent.setdefault("parsing", []).append(time.process_time() - begun - spent["exposition, in the server"][-1])
        timed("history", lambda reading=reading, at=number: history.add(float(at), reading.snapshot))  # type: ignore[misc]
        timed("screen, sorted by rate", lambda: screen.lines(80, 24, Status("target")))
    print(f"an update of 10,000 series, {'protobuf' if native else 'text'}:")
    for name, times in spent.items():
        print(f"  {name:30} first {times[0] * 1000:5.1f} ms, then median {statistics.median(times[2:]) * 1000:5.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose packages are imported")
    arguments = parser.parse_args()
    runs: int = arguments.runs
    with tempfile.TemporaryDirectory() as directory:
        # As an installed package, whose modules are compiled.
        os.environ["PYTHONPYCACHEPREFIX"] = directory
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        starts(runs)
        imports(arguments.python, runs)
    for native in (False, True):
        updates(native)


if __name__ == "__main__":
    main()
