"""The page of a program of several processes shows their sums, and each process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.chromium import Tab
from tests.page.reading import row, until_details

if TYPE_CHECKING:
    from tests.conftest import Start

pytest.importorskip("pytheus_multiprocess")

PROGRAM = """
import os, sys, time
from pytheus import Counter, Gauge, start_http_server

jobs = Counter("jobs_total", "Jobs done.", ["kind"])
busy = Gauge("busy_workers", "Workers at work.", mode="each")
children = []
for number in range(3):
    child = os.fork()
    if not child:
        jobs.labels("mail").inc(10)
        busy.set(number)
        if number == 2:
            os._exit(0)
        time.sleep(600)
    children.append(child)
os.waitpid(children[2], 0)
jobs.labels("mail").inc(1)
print(start_http_server(0).url, flush=True)
time.sleep(600)
"""


def test_the_page_shows_the_sums_and_the_processes(tab: Tab, start: Start, tmp_path: Path) -> None:
    address = f"multiprocess://{tmp_path}/shards"
    program = start(sys.executable, "-c", PROGRAM, cwd=tmp_path, PYTHEUS_REGISTRY=address)
    url = program.wait_for(r"http://\S+")[0]
    tab.open(url)
    until_details(tab, "3 alive")
    until_details(tab, "from PYTHEUS_REGISTRY")
    tab.wait_for(lambda: "counter Jobs done. 1 31" in row(tab, "jobs_total"), "the sum of all processes")
    tab.run("openFamily(page.families.get('busy_workers'))")
    tab.wait("detail.grid.items.length >= 2")
    assert str(tmp_path) not in tab.run("document.body.innerText").replace(address, "")
