"""What the disk holds, and what a scrape has to do, does not grow with the number of workers that there have been.

PYTHEUS_RESTARTS says how many workers there are to be. In the matrix, where PYTHEUS_TEST_FULL is set, there are more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RESTARTS = int(os.environ.get("PYTHEUS_RESTARTS") or (300 if os.environ.get("PYTHEUS_TEST_FULL") else 100))


@pytest.mark.timeout(600 + RESTARTS)  # one worker after the other
def test_disk_use_and_the_work_of_a_scrape_stay_bounded(tmp_path: Path) -> None:
    driver = Path(__file__).with_name("restarts.py")
    done = subprocess.run(
        [sys.executable, "-P", str(driver), str(tmp_path / "shards"), str(RESTARTS)],
        capture_output=True,
        text=True,
        timeout=600 + RESTARTS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    measured = json.loads(done.stdout)
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
