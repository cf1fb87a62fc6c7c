"""A real Prometheus scrapes a program, evaluates its rules, and answers every expression of its dashboard.

The program runs under `pytheus run`; the files are those that `pytheus dashboard` writes for it. Servers: the installed
one, and those that tools/newer_prometheus.py has downloaded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from hypothesis import given, settings

from pytheus.dashboard import FamilyInfo, grafana_dashboard, prometheus_rules
from tests.dashboard.every_family import FAMILIES, legacy_families
from tests.e2e.scraped import PROGRAMS, version_of

if TYPE_CHECKING:
    from tests.conftest import Prometheus, Start

pytestmark = pytest.mark.skipif(not PROGRAMS, reason="needs prometheus (Debian: apt-get install prometheus)")

NATIVE = ("native-histograms",)
WINDOW_SECONDS = 60

PROGRAM = """
import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from pytheus import REGISTRY, Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.middleware import WsgiMiddleware
from pytheus.samples import Family, Sample

orders = Counter("shop_orders_total", "Orders placed, of $job.", ["result"])
failed = Counter("shop_jobs_failed_total", 'Jobs that {{failed}}, "really".', ["reason"])
jobs = Counter("shop_jobs_total", "Jobs.")
sent = Counter("shop_sent_bytes_total", "Bytes sent.", unit="bytes")
wait = Histogram("shop_wait_seconds", "Waits.", ["queue"], buckets=(0.1, 0.5, 1.0), unit="seconds")
both = Histogram("shop_both_seconds", "Waits, too.", buckets=(0.1, 0.5, 1.0), native=True)
native = Histogram("shop_native_seconds", "Waits again.", buckets=(), native=True)
size = Summary("shop_size_bytes", "Sizes.", ["kind"])
queue = Gauge("shop_queue", "Jobs that wait.", ["kind"])
queue_limit = Gauge("shop_queue_limit", "Jobs that may wait.")
ran = Gauge("shop_last_run_timestamp_seconds", "Last run.", mode="max")
Info("shop_build", "The build.").info(version="1.0", host="a $b")
StateSet("shop_mode", "The mode.", states=["open", "closed"]).state("open")
names = ["shop_orders_total"]
if "UTF8" in os.environ:
    visits = Counter("shop.visits_total", "Visits, by names of OpenTelemetry.", ["http.route"], names="utf8")
    visits.labels("/").inc(0)
    dotted = Histogram("shop.duration.seconds", "Durations.", buckets=(0.1, 0.5), names="utf8")


class Others:
    def collect(self):
        buckets = [Sample("_bucket", {"le": le}, count) for le, count in (("1.0", 2.0), ("10.0", 3.0), ("+Inf", 5.0))]
        sums = [Sample("_gsum", {}, 44.5), Sample("_gcount", {}, 5.0)]
        yield Family("shop_age_seconds", "gaugehistogram", "Ages of jobs.", buckets + sums)
        yield Family("shop_passed", "unknown", "Of another system.", [Sample("", {"on": "$job"}, 7.25)])


REGISTRY.register(Others())
for result in ("paid", "refused"):
    orders.labels(result).inc(0)
failed.labels("a").inc(0)
wait.labels("mail").observe_many([])
size.labels("mail").observe_many([])
# In formats without native buckets a bucket appears with its first observation, before which there is no rate.
native.observe_many([0.05, 0.3, 0.8])
queue_limit.set(100)
queue.labels("a").set(30)
queue.labels("b").set(65)


def work():
    orders.labels("paid").inc(30)
    orders.labels("refused").inc(12)
    jobs.inc(60)
    failed.labels("a").inc(15)
    sent.inc(6000)
    for histogram in (wait.labels("mail"), both, native):
        histogram.observe_many([0.05] * 60 + [0.3] * 34 + [0.8] * 6)
    for value in (100, 300):
        size.labels("mail").observe(value)
    ran.set_to_current_time()
    if "UTF8" in os.environ:
        visits.labels("/").inc(6)
        dotted.observe_many([0.3] * 10)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/work" and environ["QUERY_STRING"] != "idle":
        work()
    start_response("500 Oh" if path == "/fails" else "200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


app = WsgiMiddleware(application, route=lambda environ: environ["PATH_INFO"])


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=Quiet) as server:
        print("ready for requests", flush=True)
        server.serve_forever()
"""

SCENES = [(program, NATIVE) for program in PROGRAMS] + [(program, ()) for program in PROGRAMS[:1]]


class Scene(NamedTuple):
    """A server after the scrape at `at`, before which the program did its work."""

    prometheus: Prometheus
    dashboard: dict[str, Any]
    at: float
    is_native: bool
    is_utf8: bool
    has_gauge_histograms: bool

    def expression(self, expression: str) -> str:
        """An expression as Grafana sends it."""
        for variable, value in {"$job": "shop", "$instance": ".*", "$__rate_interval": "1m"}.items():
            expression = expression.replace(variable, value)
        return expression

    def of_panel(self, title: str) -> dict[str, dict[str, float]]:
        """The values of a panel, by the legend of the query and then by the line's labels."""
        (panel,) = [panel for panel in self.dashboard["panels"] if panel["title"] == title]
        found = {}
        for target in panel["targets"]:
            lines = self.prometheus.query(self.expression(target["expr"]), self.at)
            found[target["legendFormat"]] = {
                " ".join(value for label, value in labels.items() if label not in ("instance", "job")): number
                for labels, number in lines
            }
        return found

    def counted(self, title: str) -> dict[str, float]:
        """The increases within the window, of a panel of rates."""
        (lines,) = self.of_panel(title).values()
        return {line: round(number * WINDOW_SECONDS, 6) for line, number in lines.items()}


def get(port: int, path: str) -> None:
    try:
        urlopen(f"http://127.0.0.1:{port}{path}", timeout=60).close()
    except HTTPError as error:
        error.close()


@pytest.fixture(scope="module", params=SCENES, ids=[f"server{number}" for number in range(len(SCENES))])
def scene(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    start_for_module: Start,
    start_prometheus: Callable[..., Prometheus],
    unused_port: Callable[[], int],
    wait_until: Callable[[Callable[[], object], str], None],
) -> Scene:
    program, features = request.param
    version = version_of(program)
    is_utf8 = version >= (3, 0)
    home = tmp_path_factory.mktemp("dashboard")
    (home / "shop.py").write_text(PROGRAM, "utf-8")
    environ = {"UTF8": "1"} if is_utf8 else {}
    command = [sys.executable, "-m", "pytheus", "dashboard", "shop.py"]
    written = subprocess.run(command, cwd=home, env=os.environ | environ, capture_output=True, text=True)
    assert (written.returncode, written.stderr) == (0, ""), written.stderr
    port, app_port = unused_port(), unused_port()
    running = start_for_module(
        *(sys.executable, "-m", "pytheus", "run", "--port", str(port), "shop.py", str(app_port)), cwd=home, **environ
    )
    running.wait_for("ready for requests")
    for path in ("/work?idle", "/fails"):
        get(app_port, path)
    prometheus = start_prometheus(start_for_module, home, program=program, features=features, shop=f"127.0.0.1:{port}")
    server = start_for_module.programs[-1]
    configuration = home / "prometheus.yml"
    text = configuration.read_text("utf-8").replace("global:\n", "global:\n  evaluation_interval: 1s\n")
    configuration.write_text(f"{text}rule_files: [shop-rules.yml]\n", "utf-8")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: prometheus.ask("rules")["groups"], "the rules")
    prometheus.next_scrape("shop_jobs_total")
    get(app_port, "/work")
    for _ in range(3):
        get(app_port, "/fails")
    at = prometheus.next_scrape("shop_jobs_total")
    dashboard = json.loads((home / "shop-dashboard.json").read_text("utf-8"))
    return Scene(prometheus, dashboard, at, bool(features), is_utf8, version >= (2, 49) or not features)


def targets(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_the_server_answers_every_expression(scene: Scene) -> None:
    without = []
    for title, expression in targets(scene.dashboard):
        query = scene.expression(expression)
        scene.prometheus.ask("query_range", query=query, start=scene.at - 30, end=scene.at, step=5)
        if not scene.prometheus.ask("query", query=query, time=f"{scene.at:.3f}")["result"]:
            without.append(title)
    # Servers before 2.49 give all parts of a gauge histogram in protobuf one name.
    expected = [] if scene.has_gauge_histograms else ["shop_age_seconds, quantiles"] * 3
    assert without == expected


@pytest.mark.property
@settings(max_examples=20, database=None)
@given(legacy=legacy_families, others=FAMILIES)
def test_the_server_understands_any_names(scene: Scene, legacy: list[FamilyInfo], others: list[FamilyInfo]) -> None:
    families = others if scene.is_utf8 else legacy
    expressions = [scene.expression(expression) for _, expression in targets(grafana_dashboard("$job", families))]
    groups = yaml.safe_load(prometheus_rules("$job", families))["groups"]
    for expression in (*expressions, *(rule["expr"] for group in groups for rule in group["rules"])):
        scene.prometheus.ask("query", query=expression, time=f"{scene.at:.3f}")


def test_the_variables_have_values(scene: Scene) -> None:
    assert scene.prometheus.ask("label/job/values", **{"match[]": "up"}) == ["shop"]
    assert len(scene.prometheus.ask("label/instance/values", **{"match[]": 'up{job=~"shop"}'})) == 1


def test_rates_are_those_of_the_counted_work(scene: Scene) -> None:
    # Exactly, because the series were 0 in the scrape before, and the latest scrape is the end of the window.
    assert scene.counted("shop_orders_total, per second") == {"paid": 30.0, "refused": 12.0}
    assert scene.counted("shop_jobs_total, per second") == {"": 60.0}
    assert scene.counted("shop_sent_bytes_total, per second") == {"": 6000.0}
    assert scene.counted("shop_wait_seconds, observations per second") == {"mail": 100.0}
    for name in ("shop_both_seconds", "shop_native_seconds"):
        # The server extrapolates where it knows no zero, by up to a scrape at the window's begin.
        assert 100.0 <= scene.counted(f"{name}, observations per second")[""] <= 200.0
    (failed,) = scene.of_panel("shop_jobs_failed_total, share of shop_jobs_total").values()
    assert failed == {"": 0.25}
    if scene.is_utf8:
        assert scene.counted("shop.visits_total, per second") == {"/": 6.0}


@pytest.mark.parametrize("name", ["shop_wait_seconds", "shop_both_seconds", "shop_native_seconds"])
def test_quantiles_are_in_the_bucket_of_the_observation(scene: Scene, name: str) -> None:
    found = {legend: lines[""] for legend, lines in scene.of_panel(f"{name}, quantiles").items()}
    assert list(found) == ["p50", "p95", "p99"]
    if name == "shop_wait_seconds" or (name == "shop_both_seconds" and not scene.is_native):
        assert 0 < found["p50"] <= 0.1
        assert 0.5 < found["p95"] <= found["p99"] <= 1.0
    else:
        # A native bucket is as wide as its growth, at most; that of the fallback twice as wide as its lower bound.
        factor = 1.1 if scene.is_native else 2.0
        for quantile, observed in (("p50", 0.05), ("p95", 0.8), ("p99", 0.8)):
            assert observed / factor <= found[quantile] <= observed * factor


def test_the_other_types_show_their_values(scene: Scene) -> None:
    assert scene.of_panel("shop_size_bytes, mean")["{{kind}}"] == {"mail": 200.0}
    assert scene.of_panel("shop_queue") == {
        "{{instance}} {{kind}}": {"a": 30.0, "b": 65.0},
        "{{instance}} limit": {"": 100.0},
    }
    assert scene.of_panel("shop_queue, share of shop_queue_limit") == {"{{instance}}": {"": 0.95}}
    (age,) = scene.of_panel("shop_last_run_timestamp_seconds, age").values()
    assert 0 <= age[""] < 120
    assert scene.of_panel("shop_mode")["{{instance}} {{shop_mode}}"] == {"open": 1.0, "closed": 0.0}
    assert scene.of_panel("shop_build_info") == {"__auto": {"shop_build_info a $b 1.0": 1.0}}
    assert scene.of_panel("shop_passed") == {"{{instance}} {{on}}": {"$job": 7.25}}
    if scene.has_gauge_histograms:
        assert scene.of_panel("shop_age_seconds, quantiles")["p50"][""] == 5.5
    (open_fds,) = scene.of_panel("process_open_fds, share of process_max_fds").values()
    assert 0 < open_fds[""] < 1


def test_requests_have_rate_errors_and_duration_by_route(scene: Scene) -> None:
    errors = scene.of_panel("Errors, share of requests")["{{http_route}}"]
    assert errors["/fails"] == 1.0
    durations = scene.of_panel("Duration, p95 by route")["{{http_route}}"]
    assert 0 < durations["/work"] < 10
    (active,) = scene.of_panel("Requests in progress").values()
    assert active == {"": 0.0}


def test_every_rule_is_evaluated_without_an_error(
    scene: Scene, wait_until: Callable[[Callable[[], object], str], None]
) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in scene.prometheus.ask("rules")["groups"] for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()), "the evaluation of all rules")
    assert {rule["health"] for rule in rules()} == {"ok"}
    assert [rule["lastError"] for rule in rules() if rule.get("lastError")] == []
    recorded = {rule["name"] for rule in rules() if rule["type"] == "recording"}

    def absent() -> set[str]:
        return {name for name in recorded if not scene.prometheus.query(name)}

    # The errors of requests and of jobs, and all others.
    wait_until(lambda: not absent(), "a series of every recording rule")
    assert {"result:shop_orders:rate5m", "instance:shop_queue_per_shop_queue_limit:ratio"} <= recorded

    (paid,) = (
        number for labels, number in scene.prometheus.query("result:shop_orders:rate5m") if labels["result"] == "paid"
    )
    # The time of an evaluation is after that of the scrape, for which the server extrapolates.
    assert 30.0 <= round(paid * 300, 6) <= 60.0


def test_alerts_wait_for_their_duration(scene: Scene, wait_until: Callable[[Callable[[], object], str], None]) -> None:
    def pending() -> set[tuple[str, str]]:
        alerts = scene.prometheus.ask("alerts")["alerts"]
        assert all(alert["state"] == "pending" for alert in alerts)
        return {(alert["labels"]["alertname"], alert["labels"]["metric"]) for alert in alerts}

    expected = {("ShopSaturation", "shop_queue"), ("ShopErrors", "shop_jobs_failed_total")}
    expected |= {("ShopErrors", "http_server_request_duration_seconds")}
    wait_until(lambda: pending() >= expected, "the alerts")
    alerts = scene.prometheus.ask("alerts")["alerts"]
    (saturated,) = [alert for alert in alerts if alert["labels"]["metric"] == "shop_queue"]
    assert saturated["annotations"]["description"] == "95% of shop_queue_limit is in use. Jobs that wait."
    (failed,) = [alert for alert in alerts if alert["labels"]["metric"] == "shop_jobs_failed_total"]
    assert failed["annotations"]["description"] == '25% fail, above 5 %. Jobs that {{failed}}, "really".'
