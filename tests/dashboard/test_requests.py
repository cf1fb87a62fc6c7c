"""The metrics of HTTP requests, by every profile of the middleware and by usual names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from pytheus.dashboard import FamilyInfo, families_of_registry
from pytheus.dashboard.promql import Matcher, Scope
from pytheus.dashboard.requests import HttpRequests, error_matcher, error_ratio, event_rate, http_requests
from pytheus.middleware import WsgiMiddleware
from pytheus.middleware.profiles import PROFILES, STREAM
from pytheus.registry import CollectorRegistry

SHOP = Scope('job="shop"', "5m")
SERVER_ERRORS = Matcher("code", "=~", "5..")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
    return [b"no"]


def measured(**options: Any) -> list[FamilyInfo]:
    registry = CollectorRegistry()
    app = WsgiMiddleware(application, registry=registry, route=lambda environ: "/orders/{id}", **options)
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    assert list(app(environ, lambda *_: lambda _: None)) == [b"no"]
    return families_of_registry(registry)


@pytest.mark.parametrize(
    ("names", "counted", "errors", "route", "duration", "duration_route"),
    [
        (
            "otel",
            "http_server_request_duration_seconds",
            'error_type!~"|client_disconnected"',
            "http_route",
            "http_server_request_duration_seconds",
            "http_route",
        ),
        (
            "fastapi-instrumentator",
            "http_requests_total",
            'status=~"5.."',
            "handler",
            "http_request_duration_seconds",
            "handler",
        ),
        (
            "starlette-exporter",
            "starlette_requests_total",
            'status_code=~"5.."',
            "path",
            "starlette_request_duration_seconds",
            "path",
        ),
        (
            "flask-exporter",
            "flask_http_request_duration_seconds",
            'status=~"5.."',
            "path",
            "flask_http_request_duration_seconds",
            "path",
        ),
        (
            "django-prometheus",
            "django_http_responses_total_by_status_view_method_total",
            'status=~"5.."',
            "view",
            "django_http_requests_latency_seconds_by_view_method",
            "view",
        ),
    ],
)
def test_each_profile_is_recognised(
    names: str, counted: str, errors: str, route: str, duration: str, duration_route: str
) -> None:
    found = http_requests(measured(names=names))
    assert found is not None
    assert (found.counted.name, str(found.errors), found.route) == (counted, errors, route)
    assert (found.duration.name, found.duration_route) == (duration, duration_route)
    assert (found.active is None) == (not PROFILES[names].has_active)


def test_no_profile_is_left_out() -> None:
    assert set(PROFILES) == {
        "otel",
        "fastapi-instrumentator",
        "starlette-exporter",
        "flask-exporter",
        "django-prometheus",
    }


def test_a_prefix_does_not_hide_a_profile() -> None:
    found = http_requests(measured(prefix="shop"))
    assert found is not None
    assert found.duration.name == "shop_http_server_request_duration_seconds"
    assert found.active is not None
    assert found.active.name == "shop_http_server_active_requests"


def test_names_of_an_application_that_measures_by_itself() -> None:
    duration = FamilyInfo("shop_http_request_duration_seconds", "histogram", "", ("method", "path"))
    counter = FamilyInfo("shop_http_requests_total", "counter", "", ("path", "code"))
    active = FamilyInfo("shop_http_requests_in_progress", "gauge", "")
    both, own = frozenset({duration.name, counter.name}), frozenset({duration.name})
    assert http_requests([duration, counter, active]) == HttpRequests(
        counter, SERVER_ERRORS, "path", duration, "path", active, both
    )
    assert http_requests([duration]) == HttpRequests(duration, None, "path", duration, "path", None, own)

    typed = duration._replace(labels=("path", "error_type"))
    without_status = counter._replace(labels=("path",))
    errors = Matcher("error_type", "!~", "|client_disconnected")
    assert http_requests([without_status, typed]) == HttpRequests(typed, errors, "path", typed, "path", None, own)


def test_a_name_of_a_profile_with_another_type_or_without_its_labels_is_not_its_metric() -> None:
    duration, status = "flask_http_request_duration_seconds", ("method", "path", "status")
    counter = FamilyInfo(duration, "counter", "", status)
    histogram = FamilyInfo(duration, "histogram", "", status)
    other = FamilyInfo("flask_http_request_total", "histogram", "", status)
    found = http_requests([counter, other, histogram])
    assert found is not None
    assert (found.counted, found.duration) == (histogram, histogram)
    # By usual names, because the label of the profile is missing.
    found = http_requests([FamilyInfo(duration, "histogram", "", ("path", "code"))])
    assert found is not None
    assert str(found.errors) == 'code=~"5.."'


def test_requests_are_counted_by_the_counter_or_by_the_observations() -> None:
    assert event_rate(FamilyInfo("hits_total", "counter", ""), SHOP, ["a"]) == (
        'sum by (a) (rate(hits_total{job="shop"}[5m]))'
    )
    assert event_rate(FamilyInfo("wait", "histogram", ""), SHOP, (), SERVER_ERRORS) == (
        'sum(rate(wait_count{job="shop",code=~"5.."}[5m]))'
    )


@pytest.mark.parametrize("name", ["job_duration_seconds", "http_client_duration_seconds", "http_request_size_bytes"])
def test_other_histograms_are_not_taken_for_requests(name: str) -> None:
    assert http_requests([FamilyInfo(name, "histogram", "", ("path", "status"))]) is None


@pytest.mark.parametrize(
    ("family", "errors"),
    [
        (FamilyInfo("rpc_requests_total", "counter", "", ("status_code",)), 'status_code=~"5.."'),
        (FamilyInfo("tasks_total", "counter", "", ("task", "error_type")), 'error_type!=""'),
        (FamilyInfo("db.duration", "histogram", "", ("error.type",)), '"error.type"!=""'),
        (
            FamilyInfo("http_server_stream_duration_seconds", "histogram", "", ("error_type",)),
            'error_type!~"|client_disconnected"',
        ),
        (
            FamilyInfo("rq_tasks_finished_total", "counter", "", ("task", "state", "error_type")),
            'state=~"failure|rejected"',
        ),
        (FamilyInfo("lamp_switches_total", "counter", "", ("task", "state", "error_type")), 'error_type!=""'),
        (FamilyInfo("http_requests_size_bytes_total", "counter", "", ("status",)), None),
        (FamilyInfo("mail_sent", "counter", "", ("error_type",), "bytes"), None),
        (FamilyInfo("orders_total", "counter", "", ("status",)), None),
        (FamilyInfo("rpc_requests", "gauge", "", ("status", "error_type")), None),
        (FamilyInfo("rpc_requests_total", "counter", ""), None),
    ],
)
def test_errors_are_told_apart_by_labels(family: FamilyInfo, errors: str | None) -> None:
    found = error_matcher(family)
    assert (None if found is None else str(found)) == errors


@pytest.mark.parametrize("names", PROFILES)
def test_the_errors_of_requests_are_those_of_one_family(names: str) -> None:
    families = measured(names=names, sizes=True, first_byte=True, streams="separate")
    found = http_requests(families)
    assert found is not None
    prefix = PROFILES[names].prefix
    stream = f"{prefix}_{STREAM.name}" if prefix else STREAM.name  # a stream is not one of the other requests
    assert {family.name for family in families if error_matcher(family, found)} == {found.counted.name, stream}


def test_the_ratio_is_zero_where_no_series_counts_errors() -> None:
    counter = FamilyInfo("hits_total", "counter", "", ("code",))
    assert error_ratio(counter, SERVER_ERRORS, SHOP, ()) == (
        '(sum(rate(hits_total{job="shop",code=~"5.."}[5m])) or 0 * (sum(rate(hits_total{job="shop"}[5m]))))'
        ' / (sum(rate(hits_total{job="shop"}[5m])))'
    )
