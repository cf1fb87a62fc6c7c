"""Recorded series and alerts, as promtool gets them from what was counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytheus.dashboard import AlertThresholds, FamilyInfo, families_of_registry, prometheus_rules
from pytheus.dashboard.rule_file import template_text
from pytheus.middleware import AsgiMiddleware
from pytheus.registry import CollectorRegistry
from pytheus.tasks import TaskMetrics
from tests.dashboard.promtool import needs_promtool, rules_of, run_tests

pytestmark = [pytest.mark.once, needs_promtool]


def test_a_quantile_at_the_highest_bound_is_told_exactly(tmp_path: Path) -> None:
    bound = 1.5**9  # 38.443359375, which six digits round up
    families = [
        FamilyInfo("http_request_duration_seconds", "histogram", "", bound=bound),
        FamilyInfo("job_duration_seconds", "histogram", "", bound=bound),
    ]
    series = {}
    for family in families:
        series[f'{family.name}_bucket{{job="shop",instance="i",le="{bound}"}}'] = "0+50x60"
        series[f'{family.name}_bucket{{job="shop",instance="i",le="+Inf"}}'] = "0+100x60"
    labels = {"job": "shop", "quantile": "0.99"}
    latency = {
        "summary": "Requests to shop are slow",
        "description": "The 99th percentile of the duration is 38.44s (alert: >= 38.443359375 s).",
    }
    beyond = {
        "summary": "job_duration_seconds of shop exceeds its largest bucket",
        "description": "More than 1 % of the observations are above 38.443359375 s.",
    }
    run_tests(
        tmp_path,
        families,
        series,
        [
            ("30m", "ShopLatency", families[0].name, labels, latency),
            ("30m", "ShopBeyondBuckets", families[1].name, labels, beyond),
        ],
        thresholds=AlertThresholds(latency_seconds=60),
    )


def test_a_quantile_of_native_buckets_may_be_above_the_highest_bound(tmp_path: Path) -> None:
    native = FamilyInfo("http_request_duration_seconds", "histogram", "", bound=1.0, is_native=True)
    # The recorded series, as the rules record them of native buckets: between the bound and the threshold, then above.
    recorded = 'job_quantile:http_request_duration_seconds:histogram_quantile_rate5m{job="shop",quantile="0.99"}'
    labels = {"job": "shop", "quantile": "0.99"}
    slow = {
        "summary": "Requests to shop are slow",
        "description": "The 99th percentile of the duration is 6s (alert: > 5 or == 1 s).",
    }
    alerts = [
        ("30m", "ShopLatency", native.name, labels, None),
        ("60m", "ShopLatency", native.name, labels, slow),
    ]
    run_tests(tmp_path, [native], {recorded: "2x30 6x30"}, alerts, thresholds=AlertThresholds(latency_seconds=5))

    # A server without native buckets has classic ones, whose quantile ends at the bound.
    series = {
        'http_request_duration_seconds_bucket{job="shop",instance="i",le="1"}': "0+50x60",
        'http_request_duration_seconds_bucket{job="shop",instance="i",le="+Inf"}': "0+100x60",
    }
    slow["description"] = slow["description"].replace("6s", "1s")
    alerts = [("30m", "ShopLatency", native.name, labels, slow)]
    run_tests(tmp_path, [native], series, alerts, thresholds=AlertThresholds(latency_seconds=5))


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


def test_a_job_that_prometheus_does_not_know_is_absent(tmp_path: Path) -> None:
    absent = {
        "summary": "No target of shop answers",
        "description": "Every scrape of the job shop has failed for 5 minutes, or Prometheus has no target of it.",
    }
    series = {'up{job="other",instance="i"}': "1x60"}
    run_tests(tmp_path, [], series, [("5m", "ShopAbsent", "up", {"job": "shop"}, absent)])


async def application(*_: object) -> None: ...


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
    rules = rules_of(prometheus_rules("shop", families))
    assert [rule["labels"]["metric"] for rule in rules if rule.get("alert") == "ShopErrors"] == list(counted)
    bases = [name.removesuffix("_total") for name in counted]
    run_tests(
        tmp_path,
        families,
        series,
        values={f"sum(job:{base}_errors_per_{base}:ratio_rate5m)": 0.5 for base in bases},
    )
