"""Two groups of gunicorn workers meet in Redis, and a real Prometheus server scrapes one worker of each.

A counted load goes to both, workers are restarted meanwhile, one is killed, and what Prometheus answers to PromQL is
exactly what was done.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from tests.redis.conftest import Server, WaitUntil

    from tests.conftest import Program, Prometheus, Start

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs prometheus (Debian: apt-get install prometheus)"
)

APP = """\
import os
from urllib.parse import parse_qs

from pytheus import Counter, Gauge, Histogram, make_wsgi_app

orders = Counter("orders_total", "Orders.", ["group"])
items = Histogram("basket_items", "Items in a basket.", buckets=[1, 2, 5])
workers = Gauge("workers", "Workers that live.")
workers.set(1)
metrics = make_wsgi_app()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return metrics(environ, start_response)
    count = int(parse_qs(environ["QUERY_STRING"])["items"][0])
    orders.labels(os.environ["GROUP"]).inc()
    items.observe(count)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

GROUPS = ("north", "south")
CLIENTS, ORDERS = 3, 60


class Scene(NamedTuple):
    prometheus: Prometheus
    orders: int
    at: float

    def query(self, promql: str) -> dict[str, float]:
        """What Prometheus answers, by the group that was scraped."""
        return query(self.prometheus, promql, self.at)


def query(prometheus: Prometheus, promql: str, at: float | None = None) -> dict[str, float]:
    return {labels.get("job", ""): value for labels, value in prometheus.query(promql, at)}


def order(url: str, count: int) -> int:
    with urlopen(f"{url}/?items={count}", timeout=60) as response:
        return int(response.read())


@pytest.fixture(scope="module")
def scene(
    servers: Callable[..., Server],
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    start_prometheus: Callable[..., Prometheus],
    wait_until: WaitUntil,
) -> Scene:
    home = tmp_path_factory.mktemp("groups")
    (home / "app.py").write_text(APP)
    redis_url = (
        f"redis://127.0.0.1:{servers().port}?namespace=shop&interval_seconds=0.1&expiry_seconds=2&timeout_seconds=20"
        "&scrape_seconds=60&exit_seconds=20"
    )
    groups: dict[str, Program] = {}
    urls: dict[str, str] = {}
    for group in GROUPS:
        # Preloaded, so that the workers of the one are forks of a process that has the registry, and those of the
        # other make it themselves.
        command = [sys.executable, "-m", "gunicorn", "app:app", "-w", "2", "-b", "127.0.0.1:0", "--timeout", "120"]
        command += ["--preload"] if group == "north" else []
        groups[group] = start_for_module(*command, cwd=home, PYTHEUS_REGISTRY=redis_url, GROUP=group)
        urls[group] = groups[group].wait_for(r"Listening at: (http://\S+)")[1]
    targets = {group: url.removeprefix("http://") for group, url in urls.items()}
    prometheus = start_prometheus(start_for_module, home, **targets)

    done: list[int] = []

    def client(number: int) -> None:
        for count in range(ORDERS):
            order(urls[GROUPS[(number + count) % 2]], count % 7)
            done.append(count % 7)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    # Meanwhile the workers of both groups are replaced, as a deployment does it: they finish what they began.
    wait_until(lambda: len(done) > CLIENTS * ORDERS // 3, "a third of the load")
    for group in GROUPS:
        groups[group].process.send_signal(signal.SIGHUP)
    for thread in clients:
        thread.join()
    assert len(done) == CLIENTS * ORDERS
    for each in groups.values():
        wait_until(lambda each=each: each.output.count("Worker exiting") == 2, "the old workers to end")  # type: ignore[misc]  # a default binds
    # One that has published everything is killed; gunicorn replaces it.
    victim = order(urls["south"], 1)
    done.append(1)
    wait_until(lambda: total(prometheus) == len(done), "everything to be published")
    os.kill(victim, signal.SIGKILL)

    # The dead count as workers no more: the south has two, the north the one that they are forks of.
    at = prometheus.next_scrape("workers", lambda at: set(query(prometheus, "workers", at).values()) == {3.0})
    return Scene(prometheus, len(done), at)


def total(prometheus: Prometheus) -> float:
    return min(query(prometheus, "sum by (job) (orders_total)").values(), default=0)


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_shows_what_both_did(scene: Scene, group: str) -> None:
    assert scene.query("sum by (job) (orders_total)")[group] == scene.orders
    assert scene.query("basket_items_count")[group] == scene.orders


def test_both_groups_did_something(scene: Scene) -> None:
    assert all(scene.query(f'sum by (job) (orders_total{{group="{group}"}})')["north"] > 50 for group in GROUPS)


def test_histograms_are_exact(scene: Scene) -> None:
    counts = [count % 7 for _ in range(CLIENTS) for count in range(ORDERS)]
    counts += [1] * (scene.orders - len(counts))
    assert scene.query("basket_items_sum") == dict.fromkeys(GROUPS, sum(counts))
    for bound in (1, 2, 5):
        below = sum(count <= bound for count in counts)
        assert scene.query(f'basket_items_bucket{{le=~"{bound}(.0)?"}}') == dict.fromkeys(GROUPS, below)


def test_no_counter_was_ever_reset(scene: Scene) -> None:
    assert set(scene.query("max by (job) (resets(orders_total[1h]))").values()) == {0.0}
    assert set(scene.query("resets(basket_items_count[1h])").values()) == {0.0}


def test_prometheus_dropped_nothing(scene: Scene) -> None:
    assert scene.query("scrape_samples_scraped - scrape_samples_post_metric_relabeling") == dict.fromkeys(GROUPS, 0.0)
