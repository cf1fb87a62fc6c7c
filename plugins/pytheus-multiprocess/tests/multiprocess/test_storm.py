"""A storm of processes that are killed at random moments, while others fork, are restarted, and scrape.

PYTHEUS_STORM_KILLS says how many kills there are to be, and PYTHEUS_STORM_SEED begins another storm. In the matrix,
where PYTHEUS_TEST_FULL is set, it is a larger one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("PYTHEUS_STORM_KILLS") or (250 if os.environ.get("PYTHEUS_TEST_FULL") else 60))
SEED = int(os.environ.get("PYTHEUS_STORM_SEED") or 20)


@pytest.mark.timeout(600 + KILLS)  # each process that is killed is waited for
def test_after_a_storm_everything_that_was_done_is_counted_once(tmp_path: Path) -> None:
    driver = Path(__file__).with_name("storm.py")
    done = subprocess.run(
        [sys.executable, "-P", str(driver), str(tmp_path / "shards"), str(SEED), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=600 + KILLS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["wrong"] == [], report
    assert report["killed"] >= KILLS
    assert report["scrapes"] > 10
