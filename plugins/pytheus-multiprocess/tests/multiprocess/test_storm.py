"""A storm of processes that are killed at random moments, while others fork, are restarted, and scrape.

PYTHEUS_STORM_KILLS says how many kills there are to be, and PYTHEUS_STORM_SEED begins another storm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

KILLS = int(os.environ.get("PYTHEUS_STORM_KILLS") or 250)
SEED = int(os.environ.get("PYTHEUS_STORM_SEED") or 20)


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
