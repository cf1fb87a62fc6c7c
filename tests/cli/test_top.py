"""``pytheus top`` without a screen: plain text, targets and errors."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytheus import Counter, Gauge, Histogram
from pytheus.exposition import start_http_server
from pytheus.exposition.server import MetricsServer
from pytheus.registry import CollectorRegistry
from pytheus.top.terminal import is_unicode
from tests.cli.conftest import Pytheus
from tests.cli.programs import execute
from tests.conftest import Start

SERVES = """
import sys, time
from pytheus import Counter, start_http_server
Counter("hits_total", "Hits.").inc(7)
print("url", start_http_server(0).url, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("hits_total", "Hits.", ["path"], registry=registry).labels(path="/\x1b[2J").inc(7)
    Gauge("size_bytes", "Size.", registry=registry).set(3 << 20)
    histogram = Histogram("seconds", "Seconds.", native=True, registry=registry)
    for number in range(100):
        histogram.observe(number / 100)
    return registry


@pytest.fixture
def server(registry: CollectorRegistry) -> Iterator[MetricsServer]:
    with start_http_server(0, registry=registry) as server:
        yield server


def rows(text: str) -> dict[str, list[str]]:
    """The numbers of each line, by its series."""
    return {(fields := line.split(maxsplit=5))[5]: fields[:5] for line in text.splitlines()}


def test_a_pipe_gets_plain_text_once(pytheus: Pytheus, server: MetricsServer) -> None:
    ended = pytheus("top", server.url)
    assert (ended.code, ended.err) == (0, "")
    found = rows(ended.out)
    assert found["SERIES"] == ["VALUE", "RATE/s", "P50", "P90", "P99"]
    assert found['hits_total{path="/\\e[2J"}'] == ["7", "-", "-", "-", "-"]
    assert found["size_bytes"][0] == "3.00MiB"
    value, _, median, *_ = found["seconds"]
    assert value == "100"
    assert re.fullmatch(r"4\d\d\.?\d?ms|5\d\d\.?\d?ms", median)


def test_rates_need_a_second_reading(pytheus: Pytheus, server: MetricsServer) -> None:
    ended = pytheus("top", server.url, "--rates", "--interval", "0.1")
    assert rows(ended.out)['hits_total{path="/\\e[2J"}'][1] == "0"


def test_rows_are_filtered_and_sorted(pytheus: Pytheus, server: MetricsServer) -> None:
    ended = pytheus("top", server.url, "--once", "--sort", "value", "--filter", "s !hits")
    assert list(rows(ended.out)) == ["SERIES", "size_bytes", "seconds"]


def test_a_file_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "node.prom").write_text("# TYPE x gauge\nx 3\n")
    ended = execute(sys.executable, "-m", "pytheus", "top", "node.prom", cwd=tmp_path)
    assert rows(ended.out)["x"][0] == "3"
    ended = execute(sys.executable, "-m", "pytheus", "top", "-", cwd=tmp_path, stdin="x 4\n")
    assert rows(ended.out)["x"][0] == "4"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("http://127.0.0.1:9/metrics",), "cannot be reached"),
        (("-", "--rates"), "standard input can be read once"),
        (("http://[/",), "does not have the form http:"),
        (("missing.prom",), "there is no file 'missing.prom'"),
        (("4194305",), "there is no process 4194305; .*; a port is written as :4194305"),
        (("http://me:hunter2@127.0.0.1:9/",), "cannot be reached"),
    ],
)
def test_what_cannot_be_read(pytheus: Pytheus, arguments: tuple[str, ...], reason: str) -> None:
    line = pytheus("top", *arguments).refusal
    assert re.search(reason, line), line
    assert line.startswith("pytheus top: ")
    assert "hunter2" not in line


def test_a_target_that_is_not_an_exposition(pytheus: Pytheus, tmp_path: Path) -> None:
    file = tmp_path / "page.prom"
    file.write_text("x is three\n")
    assert "not an exposition" in pytheus("top", str(file)).refusal


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc of Linux")


@linux
def test_a_process_that_serves_metrics(pytheus: Pytheus, start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-c", SERVES, cwd=tmp_path)
    program.wait_for("url")
    assert rows(pytheus("top", str(program.process.pid)).out)["hits_total"][0] == "7"


@linux
def test_a_process_of_pytheus_run(pytheus: Pytheus, start: Start, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(1000)\n")
    program = start(sys.executable, "-m", "pytheus", "run", "--port", "0", "app.py", cwd=tmp_path)
    program.wait_for("begun")
    assert "python_info" in pytheus("top", str(program.process.pid)).out


@linux
def test_a_process_without_metrics(pytheus: Pytheus, start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(1000)", cwd=tmp_path)
    program.wait_for("begun")
    line = pytheus("top", str(program.process.pid)).refusal
    assert "listen at no TCP port" in line
    assert "start the program with `pytheus run`" in line


@linux
def test_a_process_that_serves_something_else(pytheus: Pytheus, start: Start, tmp_path: Path) -> None:
    program = start(sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", cwd=tmp_path)
    program.wait_for("Serving HTTP")
    line = pytheus("top", str(program.process.pid)).refusal
    assert "serves no metrics at /metrics" in line
    assert "404" in line


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "C.utf8"}, True),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "C"}, True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        ({"LANG": "C"}, False),
        ({}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),  # as Python sets it
        ({"LANG": "de_DE.ISO-8859-1"}, False),
    ],
)
def test_utf8_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: bool) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert is_unicode() is expected


def test_credentials_of_the_url_are_passed_on(pytheus: Pytheus, server: MetricsServer) -> None:
    address = server.url.replace("http://", "http://me:hunter2@")
    assert "size_bytes" in pytheus("top", address).out
