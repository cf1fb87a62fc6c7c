"""The shop runs under `pytheus run`, several clients send it a counted load, and a real Prometheus server scrapes it.

What that server answers to PromQL is compared with the books that the load generator keeps of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from tests.conftest import Prometheus, Start

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs prometheus and promtool (Debian: apt-get install prometheus)",
)

CLIENTS, ORDERS = 4, 40

Labels = frozenset[tuple[str, str]]
Expected = dict[str, dict[Labels, float]]


class Scene(NamedTuple):
    metrics_url: str
    prometheus: Prometheus
    expected: Expected
    """By name, then by labels, what the load generator says that each series should be."""
    at: float | None
    """The scrape to ask about, in seconds since the Unix epoch; None for the latest one."""

    def query(self, promql: str) -> dict[Labels, float]:
        """The instant vector that Prometheus answers, by labels; those that say who was scraped are left out."""
        # Whatever a later scrape may run into on a busy machine changes nothing about this one.
        return {own_labels(labels): value for labels, value in self.prometheus.query(promql, self.at)}


def own_labels(labels: dict[str, str]) -> Labels:
    """The labels that the application gave."""
    own = {label: value for label, value in labels.items() if label not in ("__name__", "instance", "job")}
    if "le" in own:
        own["le"] = repr(float(own["le"]))
    return frozenset(own.items())


@pytest.fixture(scope="module")
def scene(
    checkout: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    start_prometheus: Callable[..., Prometheus],
    wait_until: Callable[[Callable[[], object], str], None],
) -> Scene:
    """The shop after its load, as a Prometheus server has seen it."""
    example, home = checkout / "examples" / "shop", tmp_path_factory.mktemp("shop")
    # Through the interpreter with -P, so that it is this environment's pytheus, whatever is on PATH.
    run = (sys.executable, "-P", "-m", "pytheus", "run", "--port", "0", str(example / "app.py"), "--port", "0")
    shop = start_for_module(*run, cwd=home)
    metrics_url = shop.wait_for(r"pytheus: serving metrics at (http://\S+)")[1]
    shop_url = shop.wait_for(r"shop: serving at (http://\S+)")[1]

    prometheus = start_prometheus(start_for_module, home, shop=urlsplit(metrics_url).netloc)
    idle = Scene(metrics_url, prometheus, {}, None)
    wait_until(lambda: idle.query("up") == {frozenset(): 1.0}, "the first scrape")

    load = [sys.executable, str(example / "load.py"), shop_url, "--json"]
    load += ["--clients", str(CLIENTS), "--orders", str(ORDERS), "--seed", "7"]
    report = json.loads(subprocess.run(load, check=True, capture_output=True, text=True, cwd=home).stdout)
    expected: Expected = {}
    for series in report["series"]:
        expected.setdefault(series["name"], {})[own_labels(series["labels"])] = series["value"]
    return Scene(metrics_url, prometheus, expected, prometheus.next_scrape("revenue_euros_total"))


@pytest.mark.parametrize(
    "name",
    [
        "orders_total",
        "revenue_euros_total",
        "products_sold_total",
        "baskets_open",
        "basket_items_bucket",
        "basket_items_sum",
        "basket_items_count",
        "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_sum",
        "http_request_duration_seconds_count",
    ],
)
def test_every_series_is_exactly_what_the_clients_did(scene: Scene, name: str) -> None:
    assert scene.query(name) == scene.expected[name]


def test_the_load_knows_every_series_of_the_shop(scene: Scene) -> None:
    # By sample name; those that the load cannot know are named.
    of_the_shop = (
        'label_replace({__name__=~"(orders|revenue|products|basket|http)s?_.*"}, "name", "$1", "__name__", "(.*)")'
    )
    names = {dict(labels)["name"] for labels in scene.query(f"count by (name) ({of_the_shop})")}
    assert names - {"http_requests_in_progress"} == set(scene.expected)


def test_the_load_reached_every_kind_of_series(scene: Scene) -> None:
    outcomes = {dict(labels)["code"] for labels in scene.expected["http_request_duration_seconds_count"]}
    assert outcomes == {"200", "201", "204", "402", "404", "409"}
    assert all(count > 0 for count in scene.expected["orders_total"].values())


def test_promql_aggregates_over_labels(scene: Scene) -> None:
    orders = scene.expected["orders_total"]
    assert scene.query("sum(orders_total)") == {frozenset(): sum(orders.values())}
    paid = scene.expected["basket_items_count"][frozenset()]
    assert scene.query('sum(http_request_duration_seconds_count{route="/baskets/{basket}/checkout",code="200"})') == {
        frozenset(): paid
    }


def test_promql_takes_a_quantile_from_the_buckets(scene: Scene) -> None:
    (median,) = scene.query("histogram_quantile(0.5, basket_items_bucket)").values()
    assert 1 < median <= 8


def test_series_made_ahead_of_time_show_their_first_increment(scene: Scene) -> None:
    # They stood at 0 in the scrape before the load, so the increase is seen whole; Prometheus extrapolates, hence > 0.
    increases = scene.query("increase(orders_total[1h])")
    assert len(increases) == 2
    assert all(increase > 0 for increase in increases.values())


def test_requests_in_progress_fall_back_to_zero(
    scene: Scene, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    latest = scene._replace(at=None)
    wait_until(lambda: latest.query("http_requests_in_progress") == {frozenset(): 0.0}, "the gauge to fall to 0")


def test_the_process_measures_itself(scene: Scene) -> None:
    assert len(scene.query("python_info")) == 1
    assert all(seconds > 0 for seconds in scene.query("process_cpu_seconds_total").values())


def test_prometheus_dropped_nothing(scene: Scene) -> None:
    assert scene.query("scrape_samples_scraped - scrape_samples_post_metric_relabeling") == {frozenset(): 0.0}
    assert scene.query("up") == {frozenset(): 1.0}


def test_promtool_finds_nothing_to_complain_about(scene: Scene) -> None:
    with urlopen(scene.metrics_url, timeout=60) as response:
        text = response.read()
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
