"""Custom collectors and functions of gauges that no scrape shows, under ``pytheus run -- COMMAND``: one warning."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.programs import run

pytest.importorskip("pytheus_multiprocess", reason="needs the plugin pytheus-multiprocess, which shares a registry")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="commands need the processes of POSIX")

SHARED = ("--registry", "multiprocess", "--port", "0")

_REGISTERS = """
import os, sys
from pytheus import REGISTRY, Counter, Gauge
from pytheus.collectors import ProcessCollector, register_runtime_collectors
from pytheus.samples import Family, Sample

class Queue:
    name = "queue"
    def collect(self):
        yield Family("queue_length", "gauge", "Jobs waiting.", [Sample("", {}, 3.0)])

Counter("orders_total", "Orders placed.").inc()
"""
_IN_TWO_WORKERS = """
for _ in range(2):
    if os.fork() == 0:
        REGISTRY.register(Queue())
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize(
    ("then", "name"),
    [
        pytest.param("REGISTRY.register(Queue())", "queue", id="registered"),
        pytest.param("REGISTRY.register(Queue()); register_runtime_collectors()", "queue", id="two"),
        pytest.param("register_runtime_collectors()", "python_gc", id="runtime collectors"),
        pytest.param(_IN_TWO_WORKERS, "queue", id="in workers"),
        pytest.param(
            "import subprocess\nif len(sys.argv) == 1: subprocess.run([sys.executable, __file__, 'again'])\n"
            "else: REGISTRY.register(Queue())",
            "queue",
            id="in a child that was executed",
        ),
    ],
)
def test_a_collector_that_no_scrape_shows_is_warned_of_once(then: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_REGISTERS + then)
    ended = run(tmp_path, "--quiet", *SHARED, "--", sys.executable, "app.py")
    [warning] = re.findall("PytheusWarning: (.*)", ended.err)
    assert re.match(rf"collector '{name}' of process \d+ is not in the scrapes of the server of `pytheus run`", warning)


def test_a_function_that_no_scrape_calls_is_warned_of_once(tmp_path: Path) -> None:
    then = "for name in 'ab': Gauge(name, 'Jobs.', ['kind']).labels('mail').set_function(lambda: 1)"
    (tmp_path / "app.py").write_text(_REGISTERS + then)
    ended = run(tmp_path, "--quiet", *SHARED, "--", sys.executable, "app.py")
    [warning] = re.findall("PytheusWarning: (.*)", ended.err)
    assert re.match(r"gauge 'a' of process \d+ takes its number from a function, which the server of", warning)
    shared = f"multiprocess://{quote(str(tmp_path))}/shards"
    assert run(tmp_path, "--quiet", "--port", "0", "--registry", shared, "app.py").err == ""


@pytest.mark.parametrize("then", ["", "REGISTRY.register(ProcessCollector())", "Gauge('depth', 'Jobs.').set(1)"])
def test_metrics_and_what_the_store_shows_itself_are_not_warned_of(then: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_REGISTERS + then)
    assert run(tmp_path, "--quiet", *SHARED, "--", sys.executable, "app.py").err == ""


def test_a_collector_of_the_process_that_is_scraped_is_not_warned_of(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(_REGISTERS + "REGISTRY.register(Queue()); register_runtime_collectors()")
    shared = f"multiprocess://{quote(str(tmp_path))}/shards"
    assert run(tmp_path, "--quiet", "--port", "0", "--registry", shared, "app.py").err == ""
