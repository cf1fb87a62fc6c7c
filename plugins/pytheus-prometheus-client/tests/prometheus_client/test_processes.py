"""Several processes with metrics of prometheus_client: their sums and gauges, copies, forks, and kills."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FULL = "PYTHEUS_TEST_FULL" in os.environ
KILLS = 250 if FULL else 40
FORKS = 200 if FULL else 30
PATIENCE_SECONDS = 300

WaitUntil = Callable[[Callable[[], object], str], None]


def run(program: str, *arguments: object, **variables: str) -> str:
    """The output of a program beside this file."""
    command = [sys.executable, "-P", str(HERE / program), *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def three_processes(directory: Path, url: str) -> list[str]:
    """The lines that a program with three processes shows over the registry at `url`, or without the seam for ""."""
    directory.mkdir()
    lines = run("three_processes.py", url, PROMETHEUS_MULTIPROC_DIR=str(directory)).splitlines()
    assert bool(url) is not bool(list(directory.iterdir()))  # nothing is written there with the seam
    return sorted(lines)


def test_every_gauge_mode_shows_the_lines_that_the_peers_own_processes_show(tmp_path: Path) -> None:
    peer = three_processes(tmp_path / "peer", "")
    ours = three_processes(tmp_path / "seam", f"multiprocess://{tmp_path / 'numbers'}?process_metrics=false")
    assert ours == peer
    assert len(peer) == 125


def test_after_a_storm_of_kills_everything_that_was_done_is_counted_once(tmp_path: Path) -> None:
    report = json.loads(run("peer_storm.py", tmp_path / "shards", 20, KILLS))
    assert report["wrong"] == [], report
    assert report["killed"] >= KILLS
    assert report["scrapes"] > 10


@pytest.mark.threads
def test_a_fork_waits_for_no_lock_of_another_thread(tmp_path: Path) -> None:
    counted, ended = run("fork_worker.py", tmp_path / "shards", FORKS).split()
    assert (float(counted), int(ended)) == (3.0 * FORKS, 0)


@pytest.mark.parametrize("way", ["exit", "unregister", "multiprocessing", "kill"])
def test_copies_of_processes_that_have_ended_count_once(way: str, tmp_path: Path) -> None:
    assert run("copies_worker.py", tmp_path / "shards", way, 4).splitlines() == ["jobs_total 24.0"] * 2


def test_a_kill_loses_no_copy(tmp_path: Path) -> None:
    children = KILLS // 4
    reported, *shown = run("copies_worker.py", tmp_path / "shards", "storm", children).splitlines()
    for line in shown:
        # The parent has counted one job before each fork, and a child may be killed before it reports its last one.
        assert 0 <= float(line.split()[1]) - children - int(reported) <= children


_LIVE_SUM = """
import os, sys
import prometheus_client
from prometheus_client import CollectorRegistry, multiprocess
from pytheus.plugins import resolve_registry
from pytheus_prometheus_client import install

install(resolve_registry(sys.argv[1]))
gauge = prometheus_client.Gauge("depth", "Depth.", multiprocess_mode="livesum")
endpoint = CollectorRegistry()
multiprocess.MultiProcessCollector(endpoint)
gauge.set(1)
held, hold = os.pipe()
child = os.fork()
if child == 0:
    gauge.set(5)
    os.read(held, 1)
    os._exit(0)  # without saying so
for line in sys.stdin:
    if line.strip() == "end":
        os.write(hold, b"1")
        os.waitpid(child, 0)
    print(endpoint.get_sample_value("depth"), flush=True)
"""


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server (apt-get install redis-server)")
def test_a_live_sum_in_redis_loses_a_child_when_its_heartbeat_expires(
    unused_port: Callable[[], int], tmp_path: Path, wait_until: WaitUntil
) -> None:
    port = unused_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    url = f"redis://127.0.0.1:{port}/0?interval_seconds=0.1&expiry_seconds=2"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            program = [sys.executable, "-P", "-c", _LIVE_SUM, url]
            environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
            with subprocess.Popen(
                program, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:

                def shown(word: str) -> float:
                    assert process.stdin is not None
                    assert process.stdout is not None
                    process.stdin.write(f"{word}\n")
                    process.stdin.flush()
                    return float(process.stdout.readline())

                wait_until(lambda: shown("read") == 6.0, "the child's number")
                shown("end")
                wait_until(lambda: shown("read") == 1.0, "the sum without the child")
        finally:
            server.kill()
