"""Processes that count, and what a scrape finds."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytheus import generate_metrics
from pytheus.registry import Registry
from pytheus_multiprocess import multiprocess_registry

PATIENCE_SECONDS = 300


class Worker:
    """A process that shares the directory, and does what it is told."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "error", str(Path(__file__).with_name("worker.py")), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._answer()

    def _answer(self) -> object:
        assert self.process.stdout is not None
        # It gives a line for a line, so nothing is left in the stream's buffer that this would not see.
        answered, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        assert answered, f"the worker did not answer within {PATIENCE_SECONDS} s"
        line = self.process.stdout.readline()
        assert line, f"the worker ended with {self.process.wait()}"
        reply = json.loads(line)
        assert "error" not in reply, reply["error"]
        return reply["answer"]

    def do(self, source: str) -> object:
        """Run `source`, and give what it assigned to `answer`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(source) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def scrape(self) -> dict[str, float]:
        """What a scrape of this process shows, by name and labels."""
        return series(str(self.do("answer = generate_metrics(registry)")))

    def end(self, how: int = signal.SIGKILL) -> None:
        """Let it end by a signal, SIGKILL by default, and wait until it has."""
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


Start = Callable[[], Worker]
Scrape = Callable[[], dict[str, float]]
Shards = Callable[[], list[str]]
WaitUntil = Callable[[Callable[[], object], str], None]


def series(text: str) -> dict[str, float]:
    """The samples of an exposition."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the processes of a test meet."""
    return tmp_path / "shards"


@pytest.fixture
def worker(directory: Path) -> Iterator[Start]:
    """Starts a worker each time it is called."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(directory))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def registry(directory: Path) -> Iterator[Registry]:
    """A registry that only scrapes."""
    registry = multiprocess_registry(directory, process_metrics=False)
    yield registry
    registry.close()


@pytest.fixture
def scrape(registry: Registry) -> Scrape:
    """What a scrape from outside of the workers shows."""
    return lambda: series(generate_metrics(registry))


@pytest.fixture
def shards(directory: Path) -> Shards:
    """The names of the files of shards that there are."""
    return lambda: [name for name in os.listdir(directory) if re.fullmatch(r"[0-9a-f]+\.shard", name)]
