"""Each rule: an exposition that breaks it and no other one, and similar ones that break none."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NoReturn

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.exposition import expose
from pytheus.registry import CollectorRegistry
from pytheus.testing.lint import RULES, LintOptions, lint_exposition, lint_registry
from tests.e2e.every_type import every_type

pytestmark = pytest.mark.once

PROTOBUF: Final = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"


def gauge(lines: Iterable[str], name: str = "depth", kind: str = "gauge", help: str = "Jobs that wait.") -> str:
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n" + "".join(f"{line}\n" for line in lines)


def labelled(values: Iterable[str], label: str = "key") -> str:
    return gauge(f'depth{{{label}="{value}"}} 1' for value in values)


def histogram(counts: Iterable[float], bounds: Iterable[object], name: str = "wait_seconds", count: float = -1) -> str:
    lines, total = [], 0.0
    for bound, number in zip(bounds, counts, strict=True):
        total += number
        lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
    return gauge(
        [*lines, f"{name}_sum 7", f"{name}_count {total if count < 0 else count}"],
        name,
        "histogram",
        "Time of waiting.",
    )


BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, "+Inf")
NUMBERS: Final = random.Random(7)
UUIDS: Final = [str(uuid.UUID(int=NUMBERS.getrandbits(128))) for _ in range(5)]
ORDERS: Final = "# HELP orders_total Orders placed.\n# TYPE orders_total counter\norders_total 1\n"

BAD: Final[list[tuple[str, str, str]]] = [
    ("syntax-error", "", ORDERS + "orders_total{\n"),
    ("syntax-error", "", ORDERS + "orders\n"),
    ("syntax-error", "", ORDERS + 'orders_total{a="1",a="2"} 1\n'),
    ("syntax-error", "", ORDERS + 'orders_total{a="\\q"} 1\n'),
    ("syntax-error", "", ORDERS + 'orders_total{__name__="x"} 1\n'),
    ("syntax-error", "", ORDERS + 'orders_total{a="1"} 1 5.5\n'),
    ("syntax-error", "", ORDERS + "# TYPE 1a gauge\n"),
    ("syntax-error", "", ORDERS.replace("\n", "\r\n", 1)),
    ("syntax-error", "", "orders_total one\n"),
    ("syntax-error", "", ORDERS + 'orders_total{a="1"} 1e400\n'),
    ("syntax-error", "", ORDERS + 'orders_total{a="1"} 1 9223372036854775808\n'),
    ("syntax-error", "", ORDERS + 'orders_total{a="1"} 1 -9223372036854775809\n'),
    ("syntax-error", "", ORDERS + f'orders_total{{a="1"}} 1 {"9" * 5000}\n'),
    ("syntax-error", "", ORDERS + 'orders_total{a:b="1"} 1\n'),
    ("syntax-error", "", 'orders{"orders_total",to="a"} 1\n'),
    ("truncated-exposition", "", ORDERS.removesuffix("\n")),
    ("unknown-type", "depth", gauge(["depth 1"], kind="gauges")),
    ("duplicate-metadata", "orders_total", ORDERS + "# TYPE orders_total counter\n"),
    ("duplicate-metadata", "orders_total", "# HELP orders_total Others.\n" + ORDERS),
    ("metadata-after-samples", "depth", "# HELP depth Jobs that wait.\ndepth 1\n# TYPE depth gauge\n"),
    ("split-family", "depth", gauge(['depth{a="1"} 1']) + ORDERS + 'depth{a="2"} 1\n'),
    ("duplicate-series", "orders_total", ORDERS + "orders_total 1\n"),
    ("no-type", "depth", "# HELP depth Jobs that wait.\ndepth 1\n"),
    ("counter-without-total", "orders", gauge(["orders 1"], "orders", "counter")),
    ("total-on-other-type", "orders_total", gauge(["orders_total 1"], "orders_total")),
    ("reserved-suffix", "orders_count", gauge(["orders_count 1"], "orders_count")),
    ("reserved-suffix", "shop_info", gauge(["shop_info 3"], "shop_info")),
    ("unit-not-base", "wait_milliseconds", gauge(["wait_milliseconds 1"], "wait_milliseconds")),
    ("unit-not-base", "free_percent", gauge(["free_percent 1"], "free_percent")),
    ("unit-abbreviated", "wait_ms", gauge(["wait_ms 1"], "wait_ms")),
    ("unit-not-last", "bytes_received_total", gauge(["bytes_received_total 1"], "bytes_received_total", "counter")),
    ("type-in-name", "depth_gauge", gauge(["depth_gauge 1"], "depth_gauge")),
    ("other-type-in-name", "native_histogram_resets_total",
     gauge(["native_histogram_resets_total 1"], "native_histogram_resets_total", "counter")),
    ("name-not-snake-case", "openOrders", gauge(["openOrders 1"], "openOrders")),
    ("name-with-colon", "job:depth", gauge(["job:depth 1"], "job:depth")),
    ("names-differ-by-case", "Depth", gauge(["depth 1"]) + gauge(["Depth 1"], "Depth", help="Another.")),
    ("no-help", "depth", "# TYPE depth gauge\ndepth 1\n"),
    ("no-help", "depth", gauge(["depth 1"], help="")),
    ("help-repeats-name", "queue_depth", gauge(["queue_depth 1"], "queue_depth", help="Queue depth.")),
    ("help-duplicated", "depth", gauge(["depth 1"]) + gauge(["width 1"], "width")),
    ("label-not-snake-case", "depth", labelled(["1"], "userId")),
    ("label-reserved", "depth", labelled(["1"], "le")),
    ("label-reserved", "depth", labelled(["1"], "quantile")),
    ("label-reserved", "depth", labelled(["1"], "__key")),
    ("label-of-target", "depth", labelled(["1"], "instance")),
    ("label-repeats-name", "depth", gauge(['depth{depth="a"} 5'])),
    ("label-repeats-name", "depth", gauge(['depth{metric="depth",queue="a"} 5', 'depth{metric="depth",queue="b"} 5'])),
    ("labels-inconsistent", "depth", gauge(['depth{a="1"} 1', 'depth{a="1",b="2"} 1'])),
    ("label-ids", "depth", labelled(UUIDS)),
    ("label-ids", "depth", labelled(f"{NUMBERS.getrandbits(160):040x}" for _ in range(3))),
    ("label-ids", "depth", labelled(f"user{n}@example.org" for n in range(3))),
    ("label-ids", "depth", labelled(f"2026-11-{n:02} 10:00:00" for n in range(1, 4))),
    ("label-ids", "depth", labelled(str(1764000000 + 61 * n) for n in range(3))),
    ("label-ids", "depth", labelled(f"10.0.{n}.{n + 3}" for n in range(10))),
    ("label-ids", "depth", labelled(f"fe80::1:{n:x}" for n in range(10))),
    ("label-ids", "depth", labelled(["/search?q=tea", "/search?q=coffee"])),
    ("label-ids", "depth", labelled(f"/users/{n}/cart" for n in (3, 17, 256))),
    ("label-ids", "depth", labelled(str(n * 37) for n in range(1, 30))),
    ("label-ids", "depth", labelled([*UUIDS, "", "none"])),
    ("label-free-text", "depth", labelled(["SELECT " + "x, " * 80])),
    ("label-free-text", "depth", labelled(["Traceback\\n  line 1"])),
    ("label-derived", "depth", gauge(f'depth{{queue="q{n}",title="The queue {n}"}} 1' for n in range(20))),
    ("bucket-bound-invalid", "wait_seconds", histogram([1, 1], ["fast", "+Inf"])),
    ("bucket-bound-invalid", "wait_seconds", histogram([1, 0, 1], ["1", "1.0", "+Inf"])),
    ("buckets-unsorted", "wait_seconds", gauge(
        ["wait_seconds_sum 1", "wait_seconds_count 2", *(f'wait_seconds_bucket{{le="{le}"}} 2' for le in ("+Inf", 1))],
        "wait_seconds", "histogram")),
    ("buckets-not-cumulative", "wait_seconds", histogram([5, -2, 1], [1, 2, "+Inf"])),
    ("bucket-inf-missing", "wait_seconds", histogram([5, 2], [1, 2])),
    ("bucket-count-mismatch", "wait_seconds", histogram([5, 2], [1, "+Inf"], count=8)),
    ("histogram-incomplete", "wait_seconds", gauge(['wait_seconds_bucket{le="+Inf"} 2'], "wait_seconds", "histogram")),
    ("histogram-incomplete", "wait_seconds", gauge(["wait_seconds_count 2"], "wait_seconds", "summary")),
    ("sum-not-finite", "wait_seconds", histogram([1], ["+Inf"]).replace("_sum 7", "_sum NaN")),
    ("quantile-invalid", "wait_seconds", gauge(
        ['wait_seconds{quantile="99"} 1', "wait_seconds_sum 1", "wait_seconds_count 1"], "wait_seconds", "summary")),
    ("quantiles-of-processes", "wait_seconds", gauge(
        (f'wait_seconds{end} 1' for pid in (17, 18) for end in (
            f'{{pid="{pid}",quantile="0.5"}}', f'_sum{{pid="{pid}"}}', f'_count{{pid="{pid}"}}')),
        "wait_seconds", "summary")),
    ("buckets-too-low", "wait_seconds", histogram([1] * 11 + [200], BOUNDS)),
    ("buckets-too-high", "wait_seconds", histogram([1000] + [1] * 11, BOUNDS)),
    ("buckets-too-wide", "wait_seconds", histogram([0] * 5 + [1000, 1] + [0] * 5, BOUNDS)),
    ("buckets-unused", "wait_seconds", histogram([0] * 7 + [50, 60, 40, 0, 0], BOUNDS)),
    ("buckets-in-milliseconds", "wait_seconds", histogram([1] * 8, [5, 10, 25, 50, 100, 1000, 10000, "+Inf"])),
    ("counter-negative", "orders_total", ORDERS.replace(" 1\n", " -1\n")),
    ("counter-negative", "orders_total", ORDERS.replace(" 1\n", " NaN\n")),
    ("counter-fractional", "orders_total", ORDERS.replace(" 1\n", " 1.5\n")),
    ("timestamp-explicit", "orders_total", ORDERS.replace(" 1\n", " 1 1700000000000\n")),
]  # fmt: skip

BAD_OPENMETRICS: Final[list[tuple[str, str, str]]] = [
    ("truncated-exposition", "", "# HELP a B.\n# TYPE a gauge\na 1\n"),
    ("syntax-error", "", "# EOF\nfoo 1\n"),
    ("syntax-error", "", "# a comment\n# EOF\n"),
    ("unit-mismatch", "wait", "# HELP wait Waiting.\n# TYPE wait gauge\n# UNIT wait seconds\nwait 1\n# EOF\n"),
    ("unit-mismatch", "a_info", "# HELP a The a.\n# TYPE a info\n# UNIT a seconds\na_info 1\n# EOF\n"),
    ("unit-mismatch", "seconds", "# HELP seconds Time to wait.\n# TYPE seconds gauge\n# UNIT seconds seconds\n# EOF\n"),
    ("exemplar-too-long", "a",
     '# HELP a The a.\n# TYPE a counter\na_total 1 # {trace="' + "x" * 130 + '"} 1\n# EOF\n'),
    ("info-not-one", "a_info", "# HELP a The a.\n# TYPE a info\na_info 2\n# EOF\n"),
    ("counter-without-total", "a", "# HELP a The a.\n# TYPE a counter\na 1\n# EOF\n"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "metric", "text"), BAD, ids=lambda value: value[:30] if "\n" not in value else "")
def test_each_fault_is_the_only_finding(rule: str, metric: str, text: str) -> None:
    found = lint_exposition(text).findings
    assert [(finding.rule, finding.metric) for finding in found] == [(rule, metric)], found


@pytest.mark.parametrize(
    ("rule", "metric", "text"), BAD_OPENMETRICS, ids=lambda value: value[:30] if "\n" not in value else ""
)
def test_each_fault_of_openmetrics_is_the_only_finding(rule: str, metric: str, text: str) -> None:
    found = lint_exposition(text, OPENMETRICS).findings
    assert [(finding.rule, finding.metric) for finding in found] == [(rule, metric)], found


GOOD: Final[list[str]] = [
    "",
    ORDERS,
    ORDERS + "\n# a comment\n#\n",
    gauge(["process_start_time_seconds 1"], "process_start_time_seconds"),
    gauge(["limit_bytes_per_second 1"], "limit_bytes_per_second"),
    gauge(["http_requests_seconds_max 1"], "http_requests_seconds_max"),
    gauge(['go_info{version="1"} 1'], "go_info"),
    gauge(['build_info{revision="%s"} 1' % ("ab12" * 10)], "build_info"),
    gauge((f'pod_info{{uid="{value}"}} 1' for value in UUIDS), "pod_info"),
    gauge(['mode{mode="open"} 1', 'mode{mode="closed"} 0'], "mode"),
    gauge(["orders_created 17e8"], "orders_created", help="When it began.") + ORDERS,
    labelled(map(str, range(128)), "cpu"),
    labelled(["0", "1", "2", "15", "16", "17", *map(str, range(3, 15)), "18", "19", "20", "21"], "node"),
    labelled(["200", "201", *map(str, range(400, 430))]),
    labelled(map(str, range(8000, 8040)), "port"),
    labelled([UUIDS[0]]),
    labelled([*UUIDS[:2], "none"]),
    labelled(["/users/{id}/cart", "/v1/orders", "/v2/orders", "/2fa"]),
    labelled(["1.2.3", "1.2.4", "2.0.0", "3.11.7"], "version"),
    labelled(["facade", "deadbeef", "cafe", "accede"]),
    labelled(f"10.0.0.{n}" for n in range(9)),
    labelled(["", "a"]),
    gauge(["depth -Infinity"]),
    gauge(["depth 1e-400"]),
    gauge(['depth{a="1",b=""} 1', 'depth{a="2",b="3"} 1']),
    histogram([3, 9, 20, 30, 20, 10, 5, 2, 1, 0, 0, 0], BOUNDS),
    histogram([50, 40, 5], [60, 3600, "+Inf"], "job_seconds"),
    histogram([0] * 12, BOUNDS),
    histogram([5] + [0] * 11, BOUNDS),
    histogram([500] + [0] * 11, [0, *BOUNDS[1:]]),
    gauge(['wait_bucket{le="-1"} 2', 'wait_bucket{le="+Inf"} 2', "wait_count 2"], "wait", "histogram"),
    gauge(['a{quantile="0"} NaN', 'a{quantile="1"} NaN', "a_sum 0", "a_count 0"], "a", "summary"),
    gauge(["busy_seconds_total 1.5"], "busy_seconds_total", "counter"),
    gauge(["cost_total 1.5"], "cost_total", "counter"),
    gauge(["weird_total{} 1"], "weird_total", "untyped"),
    gauge(['pushed{job="x",instance=""} 1'], "pushed")
    + gauge(['push_time_seconds{job="x"} 1'], "push_time_seconds", help="When."),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_good_metrics_have_no_finding(text: str) -> None:
    assert lint_exposition(text).findings == ()


def test_a_label_of_all_series_belongs_to_the_target() -> None:
    text = "".join(gauge([f'a{n}{{region="eu",x="{n}"}} 1'], f"a{n}", help=f"Number {n}.") for n in range(5))
    (finding,) = lint_exposition(text).findings
    assert (finding.rule, finding.label, finding.metric) == ("label-constant", "region", "")
    assert lint_exposition(text + ORDERS).findings == ()


def test_the_number_of_series_is_bounded() -> None:
    text = gauge(f'depth{{queue="q{n}",kind="k{n % 2}"}} 1' for n in range(11))
    options = LintOptions(max_series=10, max_series_per_metric=10)
    in_total, of_metric = lint_exposition(text, options=options).findings
    assert in_total.message == "there are 11 series, more than 10; most are of depth 11"
    assert of_metric.message == (
        "it has 11 label sets, more than 10; the label 'queue' has 11 values: 'q0', 'q1', 'q2'"
    )
    assert lint_exposition(text, options=LintOptions(max_series=None, max_series_per_metric=11)).findings == ()


def test_the_label_sets_of_a_histogram_count_without_their_buckets() -> None:
    registry = CollectorRegistry()
    Histogram("wait_seconds", "Waiting.", registry=registry).observe(1)
    assert lint_registry(registry, LintOptions(max_series_per_metric=1)).findings == ()


def test_the_size_is_bounded() -> None:
    (finding,) = lint_exposition(ORDERS, options=LintOptions(max_bytes=10)).findings
    assert finding.rule == "large-exposition"


def test_timestamps_are_stale_after_five_minutes() -> None:
    text = ORDERS.replace(" 1\n", " 1 1000000\n")
    assert [finding.rule for finding in lint_exposition(text, now=1299.0).findings] == ["timestamp-explicit"]
    assert [finding.rule for finding in lint_exposition(text, now=1301.0).findings] == ["timestamp-stale"]


def test_every_rule_has_an_exposition_that_breaks_it() -> None:
    elsewhere = {"collector-failed", "label-constant", "too-many-series", "large-exposition", "timestamp-stale"}
    assert {rule for rule, _, _ in BAD + BAD_OPENMETRICS} | elsewhere == set(RULES)


@pytest.mark.parametrize(
    ("ignore", "select", "expected"),
    [
        (["no-help"], [], ["unit-abbreviated"]),
        (["wait_*"], [], []),
        (["no-help:wait_ms"], [], ["unit-abbreviated"]),
        (["no-help:other"], [], ["no-help", "unit-abbreviated"]),
        ([], ["no-help"], ["no-help"]),
        (["no-help"], ["no-help"], []),
    ],
)
def test_rules_and_metrics_are_ignored_and_selected(ignore: list[str], select: list[str], expected: list[str]) -> None:
    report = lint_exposition("# TYPE wait_ms gauge\nwait_ms 1\n", options=LintOptions(ignore, select))
    assert [finding.rule for finding in report.findings] == expected
    assert report.ignored == (1 if select else 2) - len(expected)


# Registries -----------------------------------------------------------------------------------------------------------


def test_a_metric_without_series_is_checked_and_has_its_place() -> None:
    registry = CollectorRegistry("shop")
    Counter("orders_total", "Orders.", ["userId"], registry=registry)
    (finding,) = lint_registry(registry).findings
    assert (finding.rule, finding.metric, finding.label) == ("label-not-snake-case", "shop_orders_total", "userId")
    assert re.search(r"test_rules\.py:\d+$", finding.location)


@pytest.mark.filterwarnings("ignore:counter .* has no suffix")
@pytest.mark.parametrize("accept", ["", "text/plain", OPENMETRICS + ";escaping=allow-utf-8", PROTOBUF])
def test_the_metrics_of_every_type_have_only_the_findings_that_they_deserve(accept: str) -> None:
    registry, _ = every_type()
    if accept:
        response = expose(registry, accept)
        report = lint_exposition(response.body, response.content_type)
    else:
        report = lint_registry(registry)
    expected = {
        ("shop_visits", "counter-without-total"),
        ("shop_orders_total", "label-free-text"),
        ("shop_orders_total", "counter-fractional"),
        ("shop_passed_through", "label-free-text"),
    }
    if accept.startswith(OPENMETRICS):
        expected.remove(("shop_visits", "counter-without-total"))  # it is not a counter there
    assert {(finding.metric, finding.rule) for finding in report.findings} == expected


def test_a_new_metric_of_each_type_has_no_finding() -> None:
    registry = CollectorRegistry()
    Counter("orders_total", "Orders placed.", ["method"], registry=registry).labels("card").inc()
    Gauge("queue_depth", "Jobs that wait.", registry=registry).set(3)
    histogram = Histogram("wait_seconds", "Time of waiting.", registry=registry)
    Summary("size_bytes", "Size of orders.", registry=registry).observe(3)
    Info("build_info", "The build.", registry=registry).info(version="1")
    StateSet("mode", "The mode.", states=["open", "closed"], registry=registry).state("open")
    for exponent in range(200):
        histogram.observe(0.001 * 1.05**exponent)
    assert lint_registry(registry).findings == ()


class Failing:
    """A collector that always raises."""

    def collect(self) -> NoReturn:
        raise RuntimeError("no numbers")


def test_a_collector_that_fails_is_a_finding() -> None:
    registry = CollectorRegistry()
    registry.register(Failing())
    Gauge("depth", "Jobs that wait.", registry=registry).set_function(lambda: 1 / 0)
    found = lint_registry(registry).findings
    assert {finding.rule for finding in found} == {"collector-failed"}
    assert ["Failing" in finding.message for finding in found].count(True) == 1


def test_the_reference_has_every_rule(checkout: Path) -> None:
    text = (checkout / "docs" / "reference" / "lint.md").read_text("utf-8")
    rows = re.findall(r"^\| \[`([a-z-]+)`\]\((\S+)\) \| (\w+) \| (.+) \| (.+) \|$", text, re.M)
    assert rows == [(rule.id, rule.source, str(rule.severity), rule.convention, rule.reason) for rule in RULES.values()]
