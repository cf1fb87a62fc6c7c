"""Rules: their names and texts, as promtool accepts them. Its numbers and alerts are in test_alerts.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytheus.dashboard import AlertThresholds, FamilyInfo, prometheus_rules
from pytheus.dashboard.rule_file import Rule, rule_file, scalar
from pytheus.escaping import is_legacy_name
from tests.dashboard.every_family import EVERY, FAMILIES, ODD_TEXTS, legacy_families
from tests.dashboard.promtool import alert, check, needs_promtool, rules_of

pytestmark = pytest.mark.once


def expressions(text: str) -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in rules_of(text) if "record" in rule}


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
