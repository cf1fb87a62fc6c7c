"""Four gunicorn workers, a counted load, workers that are killed and reloaded, and a real Prometheus."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.multiprocess.conftest import WaitUntil

    from tests.conftest import Prometheus, Start

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs prometheus (Debian: apt-get install prometheus)"
)

APP = """
import os
from pytheus import Counter, Gauge, Histogram

ORDERS = Counter("orders_total", "Orders.", ["status"])
ITEMS = Histogram("items", "Items of an order.", buckets=[1, 2, 5])
BUSY = Gauge("busy", "Requests in progress.", mode="each")

def app(environ, start_response):
    with BUSY.track_inprogress():
        items = int(environ["PATH_INFO"].strip("/"))
        ORDERS.labels("paid" if items % 2 else "declined").inc()
        ITEMS.observe(items)
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
"""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str) -> str:
    with _opener.open(url, timeout=60) as response:
        text: str = response.read().decode()
        return text


class Load:
    """Sends orders, and keeps books."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: list[int] = []
        self.workers: set[str] = set()

    def send(self, count: int) -> None:
        for _ in range(count):
            items = len(self.sent) * 7 % 8
            self.workers.add(get(f"{self.url}/{items}"))
            self.sent.append(items)


def test_promql_sums_are_exact_over_workers_and_their_restarts(
    tmp_path: Path, start: Start, start_prometheus: Callable[..., Prometheus], wait_until: WaitUntil
) -> None:
    (tmp_path / "app.py").write_text(APP)
    run = (sys.executable, "-P", "-m", "pytheus", "run", "--registry", "multiprocess", "--port", "0", "--")
    server = (sys.executable, "-m", "gunicorn", "app:app", "-w", "4", "-b", "127.0.0.1:0")
    program = start(*run, *server, cwd=tmp_path)
    metrics_url = program.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]
    prometheus = start_prometheus(start, tmp_path, shop=urlsplit(metrics_url).netloc)

    def is_gone(pid: str) -> bool:
        return f'process_cpu_seconds_total{{pid="{pid}"}}' not in get(metrics_url)

    def workers() -> set[str]:
        return set(re.findall(r'^busy\{pid="(\d+)"\}', get(metrics_url), re.MULTILINE))

    load = Load(program.wait_for(r"Listening at: (http://\S+)")[1])

    def met_workers() -> set[str]:
        # A gauge that its process never set has no series.
        load.send(4)
        return workers()

    load.send(150)
    for _ in range(3):
        victim = load.workers.pop()
        os.kill(int(victim), signal.SIGKILL)
        wait_until(lambda victim=victim: is_gone(victim), "the worker to be gone")  # type: ignore[misc]  # pid is a str
        load.send(60)
        load.workers = {pid for pid in load.workers if not is_gone(pid)}
    # Not only those that the load has met before: a worker that is slow to begin, or to end, counts as well.
    wait_until(lambda: len(met_workers()) == 4, "the last one to be replaced")
    former = workers()
    program.process.send_signal(signal.SIGHUP)  # by way of `pytheus run`: gunicorn replaces all workers
    wait_until(
        lambda: len(met_workers()) == 4 and former.isdisjoint(workers()), "four others in the place of the former"
    )
    load.send(100)

    at = prometheus.next_scrape("orders_total")

    def query(promql: str) -> dict[str, float]:
        """What Prometheus answers, by the value of the one label that matters, or ""."""
        own = {"status", "le", "pid"}
        return {
            "".join(value for label, value in labels.items() if label in own): number
            for labels, number in prometheus.query(promql, at)
        }

    paid = sum(items % 2 for items in load.sent)
    assert query("orders_total") == {"paid": paid, "declined": len(load.sent) - paid}
    assert query("sum(orders_total)") == {"": len(load.sent)}
    assert query("items_count") == {"": len(load.sent)}
    assert query("items_sum") == {"": sum(load.sent)}
    assert query('items_bucket{le="2.0"}') == {"2.0": sum(items <= 2 for items in load.sent)}
    assert query("count(busy)") == {"": 4.0}
    assert query("sum(busy)") == {"": 0.0}
    assert query("sum(resets(orders_total[1h]))") == {"": 0.0}
    assert program.end() == 0
