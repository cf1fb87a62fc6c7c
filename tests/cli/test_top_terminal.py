"""``pytheus top`` in a real terminal: keys are typed, and the screen is read."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, Histogram
from pytheus.exposition import start_http_server
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from tests.cli.terminals import TmuxTerminal, needs_tmux

pytestmark = [pytest.mark.once, needs_tmux]

Open = Callable[..., TmuxTerminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    """Call it with columns, lines and environment variables; gives a terminal."""
    opened: list[TmuxTerminal] = []

    def open_terminal(columns: int = 80, lines: int = 24, **environ: str) -> TmuxTerminal:
        opened.append(TmuxTerminal(tmp_path, columns, lines, **environ))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.end()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    hits = Counter("hits_total", "Hits of pages.", ["path"], registry=registry)
    for path in ("/", "/cart", "/\x1b]2;changed\x07\x1b[2J", "/中文"):
        hits.labels(path=path).inc(5)
    Gauge("size_bytes", "Size.", registry=registry).set(3 << 20)
    histogram = Histogram("wait_seconds", "Times.", native=True, registry=registry)
    for number in range(100):
        histogram.observe(number / 100)
    return registry


@pytest.fixture
def server(registry: CollectorRegistry) -> Iterator[MetricsServer]:
    with start_http_server(0, registry=registry) as server:
        yield server


@pytest.fixture
def traffic(registry: CollectorRegistry) -> Iterator[None]:
    """The counter of "/cart" rises while the test runs."""
    ended = threading.Event()
    hits = Counter("hits_total", "Hits of pages.", ["path"], registry=registry).labels(path="/cart")

    def run() -> None:
        while not ended.wait(0.01):
            hits.inc()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_eighty_columns(terminal: Open, server: MetricsServer, traffic: None) -> None:
    screen = terminal()
    screen.top(server.url, "--interval", "0.1")
    screen.wait_for("hits_total")
    assert screen.is_on_other_screen
    head = screen.rows[2]
    assert head.split() == ["SERIES▲", "VALUE", "RATE/s", "P50", "P99"]
    screen.wait_while(lambda: not re.search(r'path="/cart"\} +\d+ +[1-9]\d*\.', screen.screen))
    # No sequence in a label has reached the terminal.
    assert 'hits_total{path="/\\e]2;changed\\x07\\e[2J"}' in screen.screen
    assert "changed" not in screen.title
    assert "3.00MiB" in screen.screen
    screen.press("q")
    screen.wait_while(lambda: screen.is_on_other_screen)


def test_keys_change_the_screen(terminal: Open, server: MetricsServer) -> None:
    screen = terminal()
    screen.top(server.url, "--interval", "0.2")
    screen.wait_for("hits_total")
    screen.press("Down", "Down")
    screen.wait_for('>hits_total{path="/cart"}')
    screen.press("k")
    screen.wait_for('>hits_total{path="/\\e')
    screen.press("End")
    screen.wait_for(">wait_seconds")
    screen.press("Home", "/")
    screen.wait_for("filter: _")
    screen.type("wait")
    screen.press("Enter")
    screen.wait_for("filter wait: 1 of 6")
    screen.press("Enter")
    details = screen.wait_for("observations since its start")
    assert "wait_seconds  histogram" in details
    assert "Times." in details
    screen.press("Escape")
    screen.wait_for("filter wait: 1 of 6")
    screen.press("Escape")
    screen.wait_for("filter wait", gone=True)
    screen.press("Tab")
    screen.wait_for("FAMILY")
    screen.press("Enter")
    screen.wait_for("labels and their values: path (4)")
    screen.press("?")
    screen.wait_for("this help")
    screen.press("x", "Escape", "Tab", "s")
    screen.wait_for("VALUE▼")
    screen.press("p")
    screen.wait_for("PAUSED")
    screen.press("p", "+")
    screen.wait_for("every 0.5s")
    screen.press("w")
    screen.wait_for("window 1m")


@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (200, 50), (20, 5), (5, 2)])
def test_other_sizes(terminal: Open, server: MetricsServer, columns: int, lines: int) -> None:
    screen = terminal(columns, lines)
    screen.top(server.url, "--interval", "0.2")
    screen.wait_while(lambda: not screen.is_on_other_screen)
    screen.wait_for("hits" if columns > 10 else "…")
    assert len(screen.rows) <= lines + 1
    screen.press("Enter", "Escape", "Tab", "Enter", "?", "q")
    screen.wait_while(lambda: screen.is_on_other_screen)


def test_the_size_may_change(terminal: Open, server: MetricsServer) -> None:
    screen = terminal(40, 12)
    screen.top(server.url, "--interval", "0.2")
    screen.wait_for("RATE/s")
    assert "P99" not in screen.screen
    screen.resize(120, 30)
    screen.wait_for("TREND")
    screen.resize(30, 6)
    screen.wait_for("TREND", gone=True)
    screen.wait_for("VALUE")


def test_no_colour(terminal: Open, server: MetricsServer) -> None:
    screen = terminal(NO_COLOR="1")
    screen.top(server.url, "--interval", "0.2")
    screen.wait_for("hits_total")
    screen.press("Enter")
    screen.wait_for("path =")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.styled)


def test_colour(terminal: Open, server: MetricsServer) -> None:
    screen = terminal()
    screen.top(server.url, "--interval", "0.2")
    screen.wait_for("hits_total")
    screen.press("Enter")
    screen.wait_for("path =")
    assert re.search(r"\x1b\[[0-9;]*36m", screen.styled)


def test_a_locale_without_utf8_gets_ascii(terminal: Open, server: MetricsServer) -> None:
    screen = terminal(100, 24)
    screen.top(server.url, "--interval", "0.2", LC_ALL="C")
    screen.wait_for("TREND")
    assert screen.screen.isascii()
    assert "/\\u4e2d\\u6587" in screen.screen


def test_a_dumb_terminal_gets_plain_text_once(terminal: Open, server: MetricsServer) -> None:
    screen = terminal()
    screen.top(server.url, TERM="dumb")
    screen.wait_for("size_bytes")
    assert not screen.is_on_other_screen
    screen.wait_for("$")


@pytest.mark.parametrize(("name", "code"), [("C-c", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_terminal_is_as_before_after_a_signal(terminal: Open, server: MetricsServer, name: str, code: int) -> None:
    screen = terminal()
    screen.run(["stty", "-a"])
    before = screen.wait_for("icanon")
    screen.top(server.url)
    screen.wait_for("hits_total")
    if name == "C-c":
        screen.press(name)
    else:
        os.kill(_child(screen), signal.Signals[name])
    screen.wait_while(lambda: screen.is_on_other_screen)
    screen.type("echo code $?")
    screen.press("Enter")
    screen.wait_for(f"code {code}")
    screen.run(["stty", "-a"])
    assert _settings(screen.wait_for("icanon")) == _settings(before)


def _child(screen: TmuxTerminal) -> int:
    """The process of the command that the shell runs."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(screen.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    return int(found[0])


def _settings(text: str) -> list[str]:
    return re.findall(r"-?(?:icanon|echo|isig|ixon|icrnl|opost|iexten)\b", text)


def test_it_can_be_stopped_and_continued(terminal: Open, server: MetricsServer) -> None:
    screen = terminal()
    screen.top(server.url, "--interval", "0.2")
    screen.wait_for("hits_total")
    screen.press("C-z")
    screen.wait_for("Stopped")
    assert not screen.is_on_other_screen
    screen.type("stty -a; fg")
    screen.press("Enter")
    screen.wait_for("hits_total")
    screen.wait_while(lambda: not screen.is_on_other_screen)
    screen.press("q")
    screen.wait_for(" icanon")


def test_a_target_that_dies_and_comes_back(
    terminal: Open, registry: CollectorRegistry, unused_port: Callable[[], int]
) -> None:
    port = unused_port()
    screen = terminal()
    with start_http_server(port, registry=registry):
        screen.top(f":{port}", "--interval", "0.2")
        screen.wait_for("hits_total")
    screen.wait_for("DOWN")
    text = screen.wait_for("reading again in")
    assert "connection refused" in " ".join(text.split())
    assert "hits_total" in text
    with start_http_server(port, registry=registry):
        screen.wait_for("DOWN", gone=True)
        screen.wait_for("every 0.2s")


def test_a_target_that_is_not_there_yet(terminal: Open, unused_port: Callable[[], int]) -> None:
    screen = terminal()
    screen.top(f":{unused_port()}")
    screen.wait_for("connection refused")
    screen.press("Down", "Enter", "Tab", "/", "x", "Enter", "Escape", "q")
    screen.wait_while(lambda: screen.is_on_other_screen)


ANSWERS = {
    "401": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "text/html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "line 1": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nx \x1b[31mthree\n",
    "did not answer": b"",
}


@pytest.mark.parametrize("told", ANSWERS)
def test_a_target_that_sends_something_else(terminal: Open, told: str) -> None:
    ended = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            connections: list[socket.socket] = []
            while not ended.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connections.append(connection)
                if ANSWERS[told]:
                    connection.recv(10_000)
                    connection.sendall(ANSWERS[told])
                    connection.close()
            for connection in connections:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            screen = terminal(120, 20)
            screen.top(f":{listener.getsockname()[1]}", "--timeout-seconds", "0.3")
            screen.wait_for("DOWN")
            screen.wait_for(told)
            assert "\x1b[31mthree" not in screen.styled
        finally:
            ended.set()
            thread.join()


def test_a_process_that_serves_metrics(terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import time\ntime.sleep(1000)\n")
    screen = terminal()
    screen.type(f"{sys.executable} -m pytheus run --port 0 app.py &")
    screen.press("Enter")
    screen.wait_for("serving metrics at")
    screen.type(f"{sys.executable} -m pytheus top $!")
    screen.press("Enter")
    screen.wait_for("python_info")
    assert "(process" in screen.rows[0]
    screen.press("q")
    screen.wait_while(lambda: screen.is_on_other_screen)
    screen.type("kill $!; wait $!; echo code $?")
    screen.press("Enter")
    screen.wait_for("code 143")
