"""Rules: their names and texts, and the alerts and numbers that promtool gets from them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytheus.dashboard import AlertThresholds, FamilyInfo, families_of_registry, prometheus_rules
from pytheus.dashboard.rule_file import Rule, rule_file, scalar, template_text
from pytheus.escaping import is_legacy_name
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from pytheus.tasks import TaskMetrics
from tests.dashboard.every_family import EVERY, FAMILIES, ODD_TEXTS, legacy_families

pytestmark = pytest.mark.once
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")


def rules_of(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def alert(text: str, name: str, metric: str) -> dict[str, Any]:
    (found,) = [rule for rule in rules_of(text) if rule.get("alert") == name and rule["labels"]["metric"] == metric]
    return found


def is_of_errors(rule: Mapping[str, Any]) -> bool:
    return rule.get("alert") == "ShopErrors"


def expressions(text: str) -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in rules_of(text) if "record" in rule}


def check(path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + path.read_text("utf-8")


def test_a_recorded_series_is_named_by_level_metric_and_operations() -> None:
    names = expressions(prometheus_rules("shop", EVERY))
    assert all(name.count(":") == 2 for name in names)
    assert names["result_shop:shop_orders:rate5m"] == (
        'sum by (job, result, shop) (rate(shop_orders_total{job="shop"}[5m]))'
    )
    assert {
        "job:shop_visits:rate5m",
        "job_quantile:shop_wait_seconds:histogram_quantile_rate5m",
        "kind:shop_age_seconds:mean5m",
        "instance:process_open_fds_per_process_max_fds:ratio",
        "instance_queue:shop_queue_per_shop_queue_limit:ratio",
        "job:shop_jobs_failed_per_shop_jobs:ratio_rate5m",
        "job:http_requests_errors_per_http_requests:ratio_rate5m",
    } <= set(names)


def test_each_alert_has_a_duration_a_severity_and_annotations() -> None:
    alerts = [rule for rule in rules_of(prometheus_rules("shop", EVERY)) if "alert" in rule]
    assert {rule["alert"] for rule in alerts} == {
        "ShopAbsent",
        "ShopTargetDown",
        "ShopErrors",
        "ShopLatency",
        "ShopBeyondBuckets",
        "ShopSaturation",
    }
    for rule in alerts:
        assert rule["for"].endswith("m")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_thresholds_are_those_of_the_caller() -> None:
    wide = [family._replace(bound=60.0) for family in EVERY]
    text = prometheus_rules("shop", wide, AlertThresholds(0.01, 0.3, 0.5))
    assert alert(text, "ShopErrors", "http_requests_total")["expr"].endswith(" > 0.01")
    assert alert(text, "ShopLatency", "http_request_duration_seconds")["expr"].endswith(" > 0.3")
    assert alert(text, "ShopSaturation", "process_open_fds")["expr"].endswith(" > 0.5")


def test_the_threshold_of_the_latency_is_one_that_buckets_can_reach() -> None:
    # The quantile of a histogram whose highest bound is 1 is never greater than that.
    text = prometheus_rules("shop", EVERY, AlertThresholds(latency_seconds=2.5))
    assert alert(text, "ShopLatency", "http_request_duration_seconds")["expr"].endswith(" >= 1")

    text = prometheus_rules("shop", EVERY, AlertThresholds(latency_seconds=1.0))
    assert alert(text, "ShopLatency", "http_request_duration_seconds")["expr"].endswith(" >= 1")


def test_errors_by_labels_have_one_alert_each() -> None:
    labels = (
        *("http_request_method", "http_response_status_code", "http_route"),
        *("url_scheme", "network_protocol_version", "error_type"),
    )
    families = [
        FamilyInfo("http_server_request_duration_seconds", "histogram", "", labels),
        FamilyInfo("tasks_total", "counter", "", ("task", "error_type")),
        FamilyInfo("rpc_requests_total", "counter", "", ("code",)),
    ]
    text = prometheus_rules("shop", families)
    assert [
        (rule["labels"]["metric"], rule["labels"]["severity"], rule["expr"])
        for rule in rules_of(text)
        if rule.get("alert") == "ShopErrors"
    ] == [
        ("tasks_total", "warning", 'job:tasks_errors_per_tasks:ratio_rate5m{job="shop"} > 0.05'),
        ("rpc_requests_total", "warning", 'job:rpc_requests_errors_per_rpc_requests:ratio_rate5m{job="shop"} > 0.05'),
        (
            "http_server_request_duration_seconds",
            "critical",
            "job:http_server_request_duration_seconds_errors_per_http_server_request_duration_seconds"
            ':ratio_rate5m{job="shop"} > 0.05',
        ),
    ]


def test_names_that_become_one_legacy_name_are_recorded_apart() -> None:
    families = [FamilyInfo(name, "counter", "") for name in ("a.b_total", "a_b_total", "a-b_total")]
    assert list(expressions(prometheus_rules("shop", families))) == [
        "job:a_b:rate5m",
        "job:a_b:rate5m_",
        "job:a_b:rate5m__",
    ]


def test_an_application_without_metrics_has_the_alerts_of_its_targets() -> None:
    assert [rule["alert"] for rule in rules_of(prometheus_rules("a-b.c", []))] == ["ABCAbsent", "ABCTargetDown"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_every_text_is_read_back_from_the_file(text: str) -> None:
    assert yaml.safe_load(f"a: {scalar(text)}\n") == {"a": text}
    rule = Rule("r", text, {"l": text}, "5m", {"summary": text})
    (read,) = rules_of(rule_file({text: [rule], "empty": []}))
    assert read == {"alert": "r", "expr": text, "for": "5m", "labels": {"l": text}, "annotations": {"summary": text}}


@pytest.mark.property
@given(st.text())
def test_any_text_is_read_back(text: str) -> None:
    assert yaml.safe_load(f"a: {scalar(text)}\n") == {"a": text.encode(errors="surrogatepass").decode(errors="replace")}


@pytest.mark.property
@given(st.text(max_size=8), FAMILIES)
def test_any_names_give_a_file_of_rules_that_are_told_apart(app: str, families: list[FamilyInfo]) -> None:
    text = prometheus_rules(app, families)
    assert text == prometheus_rules(app, families)
    rules = rules_of(text)
    keys = [(rule.get("record", rule.get("alert")), json.dumps(rule.get("labels"))) for rule in rules]
    assert len(set(keys)) == len(keys)
    assert all(is_legacy_name(rule["record"]) for rule in rules if "record" in rule)


@needs_promtool
@pytest.mark.property
@pytest.mark.parametrize("app", ODD_TEXTS)
def test_promtool_accepts_the_rules_of_every_family(app: str, tmp_path: Path) -> None:
    odd = [family._replace(description=text) for family in EVERY for text in [app]]
    (tmp_path / "rules.yml").write_text(prometheus_rules(app, odd), "utf-8")
    check(tmp_path / "rules.yml")


@needs_promtool
@pytest.mark.property
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(families=legacy_families)
def test_promtool_accepts_the_rules_of_any_legacy_names(tmp_path: Path, families: list[FamilyInfo]) -> None:
    (tmp_path / "rules.yml").write_text(prometheus_rules("shop", families), "utf-8")
    check(tmp_path / "rules.yml")


@needs_promtool
def test_help_is_shown_as_it_is(tmp_path: Path) -> None:
    help_ = 'In {{braces}}, with "quotes" and $labels.'
    assert template_text(help_) == 'In {{ "{{" }}braces{{ "}}" }}, with "quotes" and $labels.'
    families = [FamilyInfo("a", "gauge", help_), FamilyInfo("a_max", "gauge", "")]
    series = {'a{job="shop",instance="i"}': "95x60", 'a_max{job="shop",instance="i"}': "100x60"}
    expected = {
        "summary": "a of i is near its limit",
        "description": f"95% of a_max is in use. {help_}",
    }
    run_tests(tmp_path, families, series, [("30m", "ShopSaturation", "a", {"instance": "i", "job": "shop"}, expected)])


Alert = tuple[str, str, str, Mapping[str, str], Mapping[str, str] | None]


def run_tests(
    folder: Path,
    families: Sequence[FamilyInfo],
    series: Mapping[str, str],
    alerts: Sequence[Alert] = (),
    values: Mapping[str, float] | None = None,
) -> None:
    """Let promtool evaluate the rules on `series` in steps of a minute, and compare alerts and `values`.

    An alert is its time, name, metric and labels; its annotations are compared too, unless they are None: then it is
    expected to be absent. The values are those at 30 minutes, and are compared to thousandths.
    """
    text = prometheus_rules("shop", families)
    (folder / "rules.yml").write_text(text, "utf-8")
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        # In a server, an alert may see a recorded series one evaluation later.
        "group_eval_order": ["shop: recording", "shop: alerts"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": numbers} for name, numbers in series.items()],
                "alert_rule_test": [
                    {
                        "eval_time": at,
                        "alertname": name,
                        "exp_alerts": []
                        if annotations is None
                        else [
                            {
                                "exp_labels": dict(labels)
                                | {"metric": metric, "severity": alert(text, name, metric)["labels"]["severity"]},
                                "exp_annotations": dict(annotations),
                            }
                        ],
                    }
                    for at, name, metric, labels, annotations in alerts
                ],
                "promql_expr_test": [
                    {
                        "expr": f"round(1000 * {expression})",
                        "eval_time": "30m",
                        "exp_samples": [{"value": 1000 * value}],
                    }
                    for expression, value in (values or {}).items()
                ],
            }
        ],
    }
    (folder / "tests.yml").write_text(json.dumps(tests), "utf-8")
    done = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_recorded_series_have_the_numbers_of_what_was_counted(tmp_path: Path) -> None:
    families = [
        FamilyInfo("orders_total", "counter", "", ("result", "till", "shop")),
        FamilyInfo("wait_seconds", "histogram", "", ("queue",), bound=4.0),
        FamilyInfo("size_bytes", "summary", ""),
        FamilyInfo("jobs_total", "counter", ""),
        FamilyInfo("jobs_failed_total", "counter", "", ("reason",)),
        FamilyInfo("queue", "gauge", "", ("kind",)),
        FamilyInfo("queue_limit", "gauge", ""),
        FamilyInfo("memory", "gauge", ""),
        FamilyInfo("memory_max", "gauge", ""),
    ]
    i = 'job="shop",instance="i"'
    run_tests(
        tmp_path,
        families,
        {
            # 60 each minute are 1 per second, in two shops.
            f'orders_total{{{i},result="paid",till="1",shop="a"}}': "0+60x60",
            f'orders_total{{{i},result="paid",till="1",shop="b"}}': "0+120x60",
            # Of 100 each minute, 50 are up to 1, 40 more up to 2, 10 more up to 4.
            f'wait_seconds_bucket{{{i},queue="q",le="1"}}': "0+50x60",
            f'wait_seconds_bucket{{{i},queue="q",le="2"}}': "0+90x60",
            f'wait_seconds_bucket{{{i},queue="q",le="4"}}': "0+100x60",
            f'wait_seconds_bucket{{{i},queue="q",le="+Inf"}}': "0+100x60",
            f"size_bytes_sum{{{i}}}": "0+1024x60",
            f"size_bytes_count{{{i}}}": "0+4x60",
            f"jobs_total{{{i}}}": "0+100x60",
            f'jobs_failed_total{{{i},reason="a"}}': "0+5x60",
            f'jobs_failed_total{{{i},reason="b"}}': "0+20x60",
            f'queue{{{i},kind="a"}}': "30x60",
            f'queue{{{i},kind="b"}}': "60x60",
            f"queue_limit{{{i}}}": "120x60",
            f"memory{{{i}}}": "30x60",
            f"memory_max{{{i}}}": "-1x60",
        },
        values={
            "sum(result_till:orders:rate5m)": 3,
            'sum(job_quantile:wait_seconds:histogram_quantile_rate5m{quantile="0.5"})': 1,
            'sum(job_quantile:wait_seconds:histogram_quantile_rate5m{quantile="0.95"})': 3,
            'sum(job_quantile:wait_seconds:histogram_quantile_rate5m{quantile="0.99"})': 3.8,
            "sum(job:size_bytes:mean5m)": 256,
            "sum(job:jobs_failed_per_jobs:ratio_rate5m)": 0.25,
            "sum(instance:queue_per_queue_limit:ratio)": 0.75,
            # A limit of -1 is not a limit.
            "(count(instance:memory_per_memory_max:ratio) or vector(0))": 0,
        },
    )


@needs_promtool
def test_alerts_fire_after_their_duration_and_not_below_their_threshold(tmp_path: Path) -> None:
    families = [
        FamilyInfo("http_requests_total", "counter", "Requests.", ("method", "status", "handler")),
        FamilyInfo("http_request_duration_seconds", "histogram", "Time.", ("method", "handler"), bound=10.0),
        FamilyInfo("job_duration_seconds", "histogram", "Jobs.", bound=5.0),
        FamilyInfo("queue", "gauge", "Waiting."),
        FamilyInfo("queue_max", "gauge", "Limit."),
    ]
    i = 'job="shop",instance="i"'
    job = {"job": "shop"}
    labels = job | {"instance": "i"}
    quantile = job | {"quantile": "0.99"}
    errors = {
        "summary": "http_requests_total of shop counts too many errors",
        "description": "10% fail, above 5 %. Requests.",
    }
    latency = {
        "summary": "Requests to shop are slow",
        "description": "The 99th percentile of the duration is 9.901s (alert: > 1 s). Time.",
    }
    beyond = {
        "summary": "job_duration_seconds of shop exceeds its largest bucket",
        "description": "More than 1 % of the observations are above 5 s. Jobs.",
    }
    saturated = {
        "summary": "queue of i is near its limit",
        "description": "95% of queue_max is in use. Waiting.",
    }
    down = {
        "summary": "i of shop does not answer",
        "description": "Every scrape of this target has failed for 5 minutes.",
    }
    absent = {
        "summary": "No target of shop answers",
        "description": "Every scrape of the job shop has failed for 5 minutes, or Prometheus has no target of it.",
    }
    run_tests(
        tmp_path,
        families,
        {
            f"up{{{i}}}": "1x19 0x60",
            f'http_requests_total{{{i},method="GET",status="2xx",handler="/"}}': "0+90x80",
            f'http_requests_total{{{i},method="GET",status="5xx",handler="/"}}': "0+10x80",
            f'http_request_duration_seconds_bucket{{{i},method="GET",handler="/",le="5"}}': "0+50x80",
            f'http_request_duration_seconds_bucket{{{i},method="GET",handler="/",le="10"}}': "0+101x80",
            f'http_request_duration_seconds_bucket{{{i},method="GET",handler="/",le="+Inf"}}': "0+101x80",
            f'job_duration_seconds_bucket{{{i},le="5"}}': "0+90x80",
            f'job_duration_seconds_bucket{{{i},le="+Inf"}}': "0+100x80",
            # Not above 90 % before minute 20.
            f"queue{{{i}}}": "90x19 95x60",
            f"queue_max{{{i}}}": "100x80",
        },
        [
            ("9m", "ShopErrors", "http_requests_total", job, None),
            ("20m", "ShopErrors", "http_requests_total", job, errors),
            ("9m", "ShopLatency", "http_request_duration_seconds", quantile, None),
            ("20m", "ShopLatency", "http_request_duration_seconds", quantile, latency),
            ("20m", "ShopBeyondBuckets", "job_duration_seconds", quantile, beyond),
            ("34m", "ShopSaturation", "queue", labels, None),
            ("35m", "ShopSaturation", "queue", labels, saturated),
            ("24m", "ShopTargetDown", "up", labels, None),
            ("25m", "ShopTargetDown", "up", labels, down),
            ("24m", "ShopAbsent", "up", job, None),
            ("25m", "ShopAbsent", "up", job, absent),
        ],
    )


@needs_promtool
def test_a_job_that_prometheus_does_not_know_is_absent(tmp_path: Path) -> None:
    absent = {
        "summary": "No target of shop answers",
        "description": "Every scrape of the job shop has failed for 5 minutes, or Prometheus has no target of it.",
    }
    series = {'up{job="other",instance="i"}': "1x60"}
    run_tests(tmp_path, [], series, [("5m", "ShopAbsent", "up", {"job": "shop"}, absent)])


async def application(*_: object) -> None: ...


@needs_promtool
def test_clients_that_leave_and_tasks_that_run_again_are_not_errors(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    AsgiMiddleware(application, registry=registry, sizes=True, first_byte=True, streams="separate", websockets=True)
    TaskMetrics("mail", registry=registry)
    i = 'job="shop",instance="i"'
    http, stream = "http_server_request_duration_seconds", "http_server_stream_duration_seconds"
    series = {}
    for name in (http, stream, "http_server_time_to_first_byte_seconds", "http_server_websocket_duration_seconds"):
        series[f'{name}_count{{{i},error_type=""}}'] = "0+80x60"
        series[f'{name}_count{{{i},error_type="client_disconnected"}}'] = "0+20x60"
    tasks = "mail_tasks_finished_total"
    series[f'{tasks}{{{i},task="a",state="success",error_type=""}}'] = "0+70x60"
    series[f'{tasks}{{{i},task="a",state="retry",error_type="TimeoutError"}}'] = "0+20x60"
    series[f'{tasks}{{{i},task="a",state="revoked",error_type="expired"}}'] = "0+10x60"
    families = families_of_registry(registry)
    run_tests(tmp_path, families, series, [("30m", "ShopErrors", "", {}, None)])

    # Half of them, which are errors, and once for the requests.
    for name in (http, stream, "http_server_time_to_first_byte_seconds", "http_server_websocket_duration_seconds"):
        series[f'{name}_count{{{i},error_type="ValueError"}}'] = "0+100x60"
    series[f'{tasks}{{{i},task="a",state="failure",error_type=""}}'] = "0+75x60"
    series[f'{tasks}{{{i},task="_OTHER",state="rejected",error_type="NotRegistered"}}'] = "0+25x60"
    counted = (stream, "http_server_websocket_duration_seconds", tasks, http)
    alerts = [rule["labels"]["metric"] for rule in rules_of(prometheus_rules("shop", families)) if is_of_errors(rule)]
    assert alerts == list(counted)
    bases = [name.removesuffix("_total") for name in counted]
    run_tests(
        tmp_path,
        families,
        series,
        values={f"sum(job:{base}_errors_per_{base}:ratio_rate5m)": 0.5 for base in bases},
    )
