"""The dashboard's JSON: panels of each type, stable ids, layout, and texts that Grafana shows as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytheus.dashboard import AlertThresholds, FamilyInfo, dashboard_text, grafana_dashboard
from pytheus.dashboard.promql import LABELS_AT_MOST
from tests.dashboard.every_family import EVERY, FAMILIES, ODD_TEXTS

pytestmark = pytest.mark.once


def panels_of(families: Sequence[FamilyInfo], app: str = "shop") -> dict[str, dict[str, Any]]:
    panels: Any = grafana_dashboard(app, families)["panels"]
    by_title = {panel["title"]: panel for panel in panels}
    assert len(by_title) == len(panels), "a panel occurs twice"
    return by_title


def only(family: FamilyInfo) -> list[dict[str, Any]]:
    return [panel for panel in panels_of([family]).values() if panel["type"] != "row"]


def queries(panel: dict[str, Any]) -> list[tuple[str, str]]:
    """The expressions, without the selector of the targets, and the legends."""
    scope = '{job=~"$job",instance=~"$instance"}'
    return [
        (target["expr"].replace(scope, "").replace("[$__rate_interval]", "[w]"), target["legendFormat"])
        for target in panel["targets"]
    ]


def unit(panel: dict[str, Any]) -> str:
    found: str = panel["fieldConfig"]["defaults"]["unit"]
    return found


@pytest.mark.parametrize(
    ("family", "expected", "unit_id"),
    [
        (
            FamilyInfo("orders_total", "counter", "", ("a", "b", "c")),
            [("sum by (a, b) (rate(orders_total[w]))", "{{a}} {{b}}")],
            "cps",
        ),
        (
            FamilyInfo("sent_bytes_total", "counter", ""),
            [("sum(rate(sent_bytes_total[w]))", "sent_bytes_total")],
            "binBps",
        ),
        (
            FamilyInfo("sent_packets_total", "counter", ""),
            [("sum(rate(sent_packets_total[w]))", "sent_packets_total")],
            "pps",
        ),
        (
            FamilyInfo("level_celsius", "gauge", "", ("zone",)),
            [("avg by (instance, zone) (level_celsius)", "{{instance}} {{zone}}")],
            "celsius",
        ),
        (
            FamilyInfo("free_bytes", "gauge", "", mode="min of all"),
            [("min by (instance) (free_bytes)", "{{instance}}")],
            "bytes",
        ),
        (
            FamilyInfo("used_bytes", "gauge", "", mode="each"),
            [("max by (instance) (used_bytes)", "{{instance}}")],
            "bytes",
        ),
        (
            FamilyInfo("last_run_timestamp_seconds", "gauge", ""),
            [("time() - max by (instance) (last_run_timestamp_seconds)", "{{instance}}")],
            "s",
        ),
        (
            FamilyInfo("passed", "unknown", "", ("a",)),
            [("sum by (instance, a) (passed)", "{{instance}} {{a}}")],
            "short",
        ),
        (FamilyInfo("build_info", "info", ""), [("build_info", "__auto")], "short"),
        (
            FamilyInfo("a:mode", "stateset", ""),
            [("max by (instance, a_mode) (a:mode)", "{{instance}} {{a_mode}}")],
            "bool_on_off",
        ),
        (
            FamilyInfo("age", "gaugehistogram", "", unit="milliseconds"),
            [
                ("histogram_quantile(0.5, sum by (le) (age_bucket))", "p50"),
                ("histogram_quantile(0.95, sum by (le) (age_bucket))", "p95"),
                ("histogram_quantile(0.99, sum by (le) (age_bucket))", "p99"),
            ],
            "ms",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, FamilyInfo) else None,
)
def test_the_panel_of_a_family(family: FamilyInfo, expected: list[tuple[str, str]], unit_id: str) -> None:
    (panel,) = only(family)
    assert queries(panel) == expected
    assert unit(panel) == unit_id


def test_a_histogram_has_quantiles_and_observations() -> None:
    quantiles, observed = only(FamilyInfo("wait_seconds", "histogram", "", ("queue",)))
    assert [legend for _, legend in queries(quantiles)] == ["p50", "p95", "p99"]
    assert queries(quantiles)[1][0] == "histogram_quantile(0.95, sum by (le) (rate(wait_seconds_bucket[w])))"
    assert queries(observed) == [("sum by (queue) (rate(wait_seconds_count[w]))", "{{queue}}")]
    assert (unit(quantiles), unit(observed)) == ("s", "cps")


def test_a_summary_has_its_mean_its_observations_and_the_quantiles_that_it_exposes() -> None:
    mean, observed = only(FamilyInfo("size_bytes", "summary", ""))
    assert queries(mean)[0][0] == "sum(rate(size_bytes_sum[w])) / sum(rate(size_bytes_count[w]))"
    assert (unit(mean), unit(observed)) == ("bytes", "cps")
    _, quantiles, _ = only(FamilyInfo("size_bytes", "summary", "", has_quantiles=True))
    assert queries(quantiles) == [("max by (instance, quantile) (size_bytes)", "{{instance}} {{quantile}}")]


def test_a_family_with_a_label_of_errors_has_their_share() -> None:
    counted, share = only(FamilyInfo("tasks_total", "counter", "", ("task", "error_type", "state")))
    assert queries(counted) == [("sum by (task, error_type) (rate(tasks_total[w]))", "{{task}} {{error_type}}")]
    ((expression, legend),) = queries(share)
    assert expression.endswith(" / (sum by (task) (rate(tasks_total[w])))")
    assert (legend, unit(share)) == ("{{task}}", "percentunit")


def test_errors_have_their_share_of_the_total() -> None:
    families = [FamilyInfo(name, "counter", "", ("queue", "kind")) for name in ("jobs_total", "jobs_failed_total")]
    assert queries(panels_of(families)["jobs_failed_total, share of jobs_total"]) == [
        (
            "sum by (queue) (rate(jobs_failed_total[w])) / sum by (queue) (rate(jobs_total[w]))",
            "{{queue}}",
        )
    ]


def test_exemplars_are_asked_for_once_beside_quantiles() -> None:
    panels = only(FamilyInfo("wait_seconds", "histogram", ""))
    assert [[target["exemplar"] for target in panel["targets"]] for panel in panels] == [[False, False, True], [False]]


def test_requests_come_first_with_rate_errors_and_duration() -> None:
    panels = list(panels_of(EVERY).values())
    assert [panel["title"] for panel in panels[:7]] == [
        "HTTP requests",
        "Requests per second",
        "Errors, share of requests",
        "Duration, quantiles",
        "Duration, p95 by route",
        "Requests in progress",
        "Saturation",
    ]
    assert queries(panels[1]) == [("sum by (handler) (rate(http_requests_total[w]))", "{{handler}}")]
    assert queries(panels[4])[0][0] == (
        "histogram_quantile(0.95, sum by (le, handler) (rate(http_request_duration_seconds_bucket[w])))"
    )
    assert not any("http_requests_total" in panel["title"] for panel in panels)


def test_rate_and_duration_may_have_labels_of_the_route_of_their_own() -> None:
    duration = FamilyInfo("http_request_duration_seconds", "histogram", "", ("handler",))
    counter = FamilyInfo("http_requests_total", "counter", "", ("path", "code"))
    panels = panels_of([duration, counter])
    assert [
        panels[title]["targets"][0]["legendFormat"] for title in ("Requests per second", "Duration, p95 by route")
    ] == [
        "{{path}}",
        "{{handler}}",
    ]


def test_a_limit_is_a_line_beside_its_gauge_and_a_share_in_a_row_of_its_own() -> None:
    panels = panels_of([FamilyInfo("queue", "gauge", "Waiting."), FamilyInfo("queue_limit", "gauge", "Most.")])
    assert list(panels) == ["Saturation", "queue, share of queue_limit", "Application", "queue"]
    assert queries(panels["queue"]) == [
        ("sum by (instance) (queue)", "{{instance}}"),
        ("sum by (instance) (queue_limit)", "{{instance}} limit"),
    ]
    assert panels["queue"]["description"] == "Waiting. Limit: Most."
    panels = panels_of([FamilyInfo("q", "gauge", "", ("kind", "zone")), FamilyInfo("q_max", "gauge", "", ("zone",))])
    assert queries(panels["q"])[1] == ("sum by (instance, zone) (q_max)", "{{instance}} {{zone}} limit")


def test_a_label_that_grafana_would_replace_is_left_to_its_own_legend() -> None:
    for label in ("$job", "a}}b", "[[job]]"):
        (panel,) = only(FamilyInfo("hits_total", "counter", "", (label,)))
        assert panel["targets"][0]["legendFormat"] == "__auto"


def test_thresholds_are_lines() -> None:
    dashboard: Any = grafana_dashboard("shop", EVERY, AlertThresholds(0.01, 0.3, 0.5))
    lines = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]
        for panel in dashboard["panels"]
        if "thresholds" in panel.get("fieldConfig", {}).get("defaults", {})
    }
    assert lines == {
        "Errors, share of requests": 0.01,
        "Duration, quantiles": 0.3,
        "shop_queue, share of shop_queue_limit": 0.5,
        "process_open_fds, share of process_max_fds": 0.5,
    }


def gauges(*names: str) -> list[FamilyInfo]:
    return [FamilyInfo(name, "gauge", "") for name in names]


def test_rows_are_by_prefix_and_those_of_the_process_come_last() -> None:
    families = gauges("process_a", "python_a", "alone", "shop_a", "other", "cart_a", "shop_b", "cart_b")
    rows = [panel["title"] for panel in panels_of(families).values() if panel["type"] == "row"]
    assert rows == ["Application", "shop", "cart", "process", "python"]


def test_a_prefix_with_many_families_has_rows_by_its_next_word() -> None:
    families = gauges(*(f"shop_cart_{end}" for end in "abcdefgh"), *(f"shop_{end}" for end in "ijklm"))
    rows = [panel["title"] for panel in panels_of(families).values() if panel["type"] == "row"]
    assert rows == ["shop_cart", "shop"]


def test_a_prefix_is_divided_beyond_twelve_families_and_into_rows_of_three_at_least() -> None:
    twelve = gauges(*(f"shop_cart_{end}" for end in "abcdef"), *(f"shop_{end}" for end in "ghijkl"))
    assert list(panels_of(twelve)) == ["shop", *(family.name for family in twelve)]
    more = gauges("shop_cart_a", "shop_cart_b", "shop_cart_c", "shop_till_a", "shop_till_b", "alone")
    more += gauges(*(f"shop_{end}" for end in "defghijk"))
    assert list(panels_of(more)) == [
        "Application",
        "alone",
        "shop_cart",
        *("shop_cart_a", "shop_cart_b", "shop_cart_c"),
        "shop",
        *("shop_till_a", "shop_till_b"),
        *(f"shop_{end}" for end in "defghijk"),
    ]


def test_each_panel_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels_of(EVERY).values():
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert taken.isdisjoint(cells)
        taken |= cells


def test_a_second_run_changes_nothing() -> None:
    first, second = (dashboard_text(grafana_dashboard("shop", list(EVERY))) for _ in range(2))
    assert first == second
    assert json.loads(first) == grafana_dashboard("shop", EVERY)


def test_panels_keep_their_ids_when_families_are_added_or_reordered() -> None:
    before = {title: panel["id"] for title, panel in panels_of(EVERY).items()}
    after = {title: panel["id"] for title, panel in panels_of([*gauges("new", "shop_new"), *reversed(EVERY)]).items()}
    assert after.items() >= before.items()
    assert set(after) - set(before) == {"Application", "new", "shop_new"}


def test_the_variables_are_the_data_source_the_job_and_the_instances() -> None:
    templating: Any = grafana_dashboard("shop", [])["templating"]
    datasource = {"type": "prometheus", "uid": "${datasource}"}
    common = {"type": "query", "datasource": datasource, "refresh": 2, "sort": 1, "multi": True}
    assert templating["list"] == [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1},
        common
        | {
            "name": "job",
            "label": "Job",
            "query": {"query": "label_values(up, job)", "refId": "job"},
            "includeAll": False,
            "current": {"text": ["shop"], "value": ["shop"]},
        },
        common
        | {
            "name": "instance",
            "label": "Instance",
            "query": {"query": 'label_values(up{job=~"$job"}, instance)', "refId": "instance"},
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        },
    ]


def test_rows_are_open_and_contain_no_panels_themselves() -> None:
    (row,) = [panel for panel in panels_of(gauges("a")).values() if panel["type"] == "row"]
    assert (row["collapsed"], row["panels"], row["gridPos"]) == (False, [], {"x": 0, "y": 0, "w": 24, "h": 1})


def test_the_file_is_indented_and_has_letters_as_they_are() -> None:
    assert dashboard_text({"title": "é", "panels": []}) == '{\n  "title": "é",\n  "panels": []\n}\n'


def test_ids_are_apart_also_where_keys_are_one() -> None:
    # The title of a row is the name of a family, and its key, too.
    twice = [FamilyInfo("a", "gauge", ""), FamilyInfo("a", "gauge", "")]
    dashboard: Any = grafana_dashboard("shop", twice)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(0 < id_ < 2**31 for id_ in ids)


def test_the_uid_is_that_of_the_application_and_short_enough() -> None:
    uids = {str(grafana_dashboard(app, [])["uid"]) for app in ("shop", "Shop", "x" * 200, *ODD_TEXTS)}
    assert len(uids) == 3 + len(ODD_TEXTS)
    assert all(re.fullmatch(r"[a-z0-9-]{8,40}", uid) for uid in uids)


def texts_that_grafana_replaces_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            # A value of the variable is not a text with variables.
            if key not in ("current", "uid"):
                yield from texts_that_grafana_replaces_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_that_grafana_replaces_in(each)
    elif isinstance(value, str):
        yield value


VARIABLES = re.compile(r"\$(\w+)|\$\{(\w+)[^}]*\}|\[\[(\w+)[^\]]*\]\]")
OURS = {"$job", "$instance", "$__rate_interval"}


@pytest.mark.property
@given(st.text(max_size=8) | st.sampled_from(ODD_TEXTS), FAMILIES)
def test_grafana_replaces_our_variables_alone(app: str, families: list[FamilyInfo]) -> None:
    dashboard = grafana_dashboard(app, families)
    text = dashboard_text(dashboard)
    assert json.loads(text) == dashboard
    assert text.encode()
    found = {match[0] for each in texts_that_grafana_replaces_in(dashboard) for match in VARIABLES.finditer(each)}
    assert found <= OURS
    ids = [panel["id"] for panel in json.loads(text)["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.property
@given(FAMILIES)
def test_a_panel_has_few_lines_and_few_queries(families: list[FamilyInfo]) -> None:
    panels: Any = grafana_dashboard("shop", families)["panels"]
    for panel in panels:
        targets = panel.get("targets", [])
        assert len(targets) <= 3
        assert len({target["refId"] for target in targets}) == len(targets)
        if panel["type"] == "timeseries" and "Saturation" not in panel["title"]:
            # Also the instance, or the quantile.
            assert all(target["legendFormat"].count("{{") <= LABELS_AT_MOST + 2 for target in targets)


def test_html_in_help_is_shown_as_text() -> None:
    (panel,) = only(FamilyInfo("a", "gauge", "<script>$job</script> & more"))
    assert panel["description"] == "&lt;script>$\u200bjob&lt;/script> &amp; more"
