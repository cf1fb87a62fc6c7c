"""Many processes that are killed, restarted and forked, each time by a program of its own beside this file.

Of its own, because it forks, which a process with threads should not. In the matrix, where PYTHEUS_TEST_FULL is set,
the storm is larger, there are more restarts, and a kill is tried at every step, not at every third one.
PYTHEUS_STORM_KILLS and PYTHEUS_RESTARTS say how many there are to be, and PYTHEUS_STORM_SEED begins another storm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FULL = "PYTHEUS_TEST_FULL" in os.environ
KILLS = int(os.environ.get("PYTHEUS_STORM_KILLS") or (250 if FULL else 60))
RESTARTS = int(os.environ.get("PYTHEUS_RESTARTS") or (300 if FULL else 100))
SEED = int(os.environ.get("PYTHEUS_STORM_SEED") or 20)
STRIDE = 1 if FULL else 3


def report_of(driver: str, *arguments: object) -> Any:
    """The report that a program prints, as one line of JSON."""
    command = [sys.executable, "-P", str(Path(__file__).with_name(driver)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600 + KILLS + RESTARTS)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.timeout(600 + KILLS)  # each process that is killed is waited for
def test_after_a_storm_of_kills_everything_that_was_done_is_counted_once(tmp_path: Path) -> None:
    report = report_of("storm.py", tmp_path / "shards", SEED, KILLS)
    assert report["wrong"] == [], report
    assert report["killed"] >= KILLS
    assert report["scrapes"] > 10


@pytest.mark.parametrize(
    ("operation", "least_steps"),
    [
        pytest.param("growing", 100, id="beginning, growing and rewriting a file"),
        pytest.param("churning", 20, id="removing series and reusing their numbers"),
        pytest.param("folding", 15, id="folding dead shards into the archive"),
        pytest.param("observing", 60, id="adding native buckets, and ending a histogram's series"),
    ],
)
def test_a_kill_before_any_step_neither_loses_nor_doubles(operation: str, least_steps: int, tmp_path: Path) -> None:
    report = report_of("crash_points.py", operation, tmp_path, STRIDE)
    assert report["wrong"] == []
    assert report["steps"] >= least_steps


@pytest.mark.timeout(600 + RESTARTS)  # one worker after the other
def test_disk_use_and_the_work_of_a_scrape_do_not_grow_with_the_number_of_workers(tmp_path: Path) -> None:
    measured = report_of("restarts.py", tmp_path / "shards", RESTARTS)
    assert [each["counted"] for each in measured] == [each["workers"] for each in measured]
    first, last = measured[0], measured[-1]
    assert last["steps"] == first["steps"]
    assert last["files"] == first["files"] == 3  # this process's shard, the archive and its lock
    assert last["descriptors"] == first["descriptors"]
    assert last["lines"] == first["lines"]
    assert last["bytes"] < first["bytes"] + 1000  # sums have more digits


def test_workers_do_not_pile_up_without_scrapes(tmp_path: Path) -> None:
    count = """
import os, sys
from pytheus import Counter
from pytheus_multiprocess import multiprocess_registry
registry = multiprocess_registry(sys.argv[1])
for number in range(250):
    if os.fork() == 0:
        Counter("jobs_total", "Jobs.", registry=registry).inc()
        os._exit(0)
    os.wait()
"""
    directory = tmp_path / "shards"
    subprocess.run([sys.executable, "-P", "-c", count, str(directory)], check=True, timeout=600)
    assert len(os.listdir(directory)) < 150
