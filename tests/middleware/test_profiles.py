"""Names, labels and buckets of each profile, as the other libraries write them (1.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
from litestar import Litestar, get
from litestar.params import FromPath
from litestar.plugins.prometheus import PrometheusConfig, PrometheusMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pytheus.metrics import Counter, Gauge, Histogram, Summary
from pytheus.middleware import AsgiMiddleware, Names
from pytheus.registry import CollectorRegistry
from tests.middleware.measured import ask, values

_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram", Summary: "summary"}


async def tea(request: Request) -> Response:
    return PlainTextResponse("green")


async def failing(request: Request) -> Response:
    raise RuntimeError


def measured(names: Names, *paths: str, **options: Any) -> CollectorRegistry:
    """The registry of an application after a request for each of `paths`."""
    registry = CollectorRegistry()
    app = Starlette(routes=[Route("/items/{item}", tea), Route("/fails", failing)])
    app.add_middleware(AsgiMiddleware, names=names, registry=registry, **options)
    ask(app, *paths)
    return registry


def defined(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Type and labels of each metric."""
    return {
        metric.name: (_KINDS[type(metric)], metric.label_names)
        for metric in registry.collect()
        if isinstance(metric, (Counter, Gauge, Histogram, Summary))
    }


STARLETTE_LABELS = ("method", "path", "status_code", "app_name")
EXPECTED: dict[Names, dict[str, tuple[str, tuple[str, ...]]]] = {
    "fastapi-instrumentator": {
        "http_requests_inprogress": ("gauge", ()),
        "http_requests_total": ("counter", ("method", "status", "handler")),
        "http_request_duration_seconds": ("histogram", ("method", "handler")),
        "http_request_duration_highr_seconds": ("histogram", ()),
        "http_request_size_bytes": ("summary", ("handler",)),
        "http_response_size_bytes": ("summary", ("handler",)),
    },
    "starlette-exporter": {
        "starlette_requests_in_progress": ("gauge", ("method", "app_name")),
        "starlette_requests_total": ("counter", STARLETTE_LABELS),
        "starlette_request_duration_seconds": ("histogram", STARLETTE_LABELS),
        "starlette_request_body_bytes_total": ("counter", STARLETTE_LABELS),
        "starlette_response_body_bytes_total": ("counter", STARLETTE_LABELS),
    },
    "flask-exporter": {
        "flask_http_requests_in_progress": ("gauge", ("method",)),
        "flask_http_request_duration_seconds": ("histogram", ("method", "path", "status")),
        "flask_http_request_total": ("counter", ("method", "status")),
        "flask_http_request_exceptions_total": ("counter", ("method", "status")),
    },
    "django-prometheus": {
        "django_http_requests_in_progress": ("gauge", ("method",)),
        "django_http_requests_latency_seconds_by_view_method": ("histogram", ("view", "method")),
        "django_http_requests_latency_including_middlewares_seconds": ("histogram", ()),
        "django_http_responses_total_by_status_view_method_total": ("counter", ("status", "view", "method")),
        "django_http_responses_total_by_status_total": ("counter", ("status",)),
        "django_http_requests_total_by_view_transport_method_total": ("counter", ("view", "transport", "method")),
        "django_http_requests_total_by_transport_total": ("counter", ("transport",)),
        "django_http_requests_total_by_method_total": ("counter", ("method",)),
        "django_http_requests_before_middlewares_total": ("counter", ()),
        "django_http_responses_before_middlewares_total": ("counter", ()),
        "django_http_exceptions_total_by_type_total": ("counter", ("type",)),
        "django_http_exceptions_total_by_view_total": ("counter", ("view",)),
        "django_http_requests_body_total_bytes": ("histogram", ()),
        "django_http_responses_body_total_bytes": ("histogram", ()),
    },
}


@pytest.mark.parametrize("names", EXPECTED)
def test_names_types_and_labels(names: Names) -> None:
    """1.2."""
    assert defined(measured(names, "/items/5", in_progress=True, sizes=True)) == EXPECTED[names]


@pytest.mark.parametrize(
    ("names", "sample", "expected"),
    [
        ("fastapi-instrumentator", "http_requests_total",
         {("GET", "2xx", "/items/{item}"): 2, ("GET", "4xx", "none"): 1, ("GET", "5xx", "/fails"): 1}),
        ("fastapi-instrumentator", "http_request_duration_highr_seconds_count", {(): 4}),
        ("fastapi-instrumentator", "http_response_size_bytes_sum",
         {("/items/{item}",): 10, ("none",): 9, ("/fails",): 0}),
        ("starlette-exporter", "starlette_requests_total",
         {("GET", "/items/{item}", "200", "starlette"): 2, ("GET", "__unknown__", "404", "starlette"): 1,
          ("GET", "/fails", "500", "starlette"): 1}),
        ("starlette-exporter", "starlette_requests_in_progress", {("GET", "starlette"): 0}),
        ("flask-exporter", "flask_http_request_duration_seconds_count",
         {("GET", "/items/{item}", "200"): 2, ("GET", "None", "404"): 1, ("GET", "/fails", "500"): 1}),
        ("flask-exporter", "flask_http_request_exceptions_total", {("GET", "500"): 1}),
        ("django-prometheus", "django_http_exceptions_total_by_type_total", {("RuntimeError",): 1}),
        ("django-prometheus", "django_http_requests_total_by_view_transport_method_total",
         {("/items/{item}", "http", "GET"): 2, ("<unnamed view>", "http", "GET"): 1, ("/fails", "http", "GET"): 1}),
    ],
)  # fmt: skip
def test_values(names: Names, sample: str, expected: dict[tuple[str, ...], float]) -> None:
    """1.1: 9, 14, 18, 27. 1.2."""
    registry = measured(names, "/items/5", "/items/6", "/nothing", "/fails")

    found = {tuple(value for _, value in labels): count for labels, count in values(registry, sample).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("names", "family", "bounds"),
    [
        ("fastapi-instrumentator", "http_request_duration_seconds", 4),
        ("fastapi-instrumentator", "http_request_duration_highr_seconds", 22),
        ("starlette-exporter", "starlette_request_duration_seconds", 15),
        ("flask-exporter", "flask_http_request_duration_seconds", 15),
        ("django-prometheus", "django_http_requests_latency_including_middlewares_seconds", 17),
    ],
)
def test_buckets(names: Names, family: str, bounds: int) -> None:
    """1.2."""
    assert len(values(measured(names, "/items/5"), f"{family}_bucket")) == bounds


def test_a_prefix_replaces_the_librarys() -> None:
    """1.1: 39."""
    registry = measured("starlette-exporter", "/items/5", prefix="tea", app_name="shop")

    (labels,) = values(registry, "tea_requests_total")
    assert labels[-1] == ("app_name", "shop")


@pytest.fixture
def of_litestars_plugin() -> Iterator[prometheus_client.CollectorRegistry]:
    """The registry of Litestar's plugin, without its metrics again afterwards."""
    yield prometheus_client.REGISTRY
    for metric in PrometheusMiddleware._metrics.values():
        prometheus_client.REGISTRY.unregister(metric)
    PrometheusMiddleware._metrics.clear()


def test_the_names_that_litestars_plugin_has_too(of_litestars_plugin: prometheus_client.CollectorRegistry) -> None:
    """1.2: the counter and the histogram are the same; docs/how-to/middleware.md tells the differences."""

    @get("/items/{item:int}")
    async def item(item: FromPath[int]) -> int:
        if item == 6:
            raise ValueError
        return item

    registry = CollectorRegistry()
    app = Litestar([item], middleware=[PrometheusConfig(group_path=True).middleware])
    app.logger = None
    options: Any = {"names": "starlette-exporter", "prefix": "litestar", "app_name": "litestar"}
    ask(AsgiMiddleware(app, registry=registry, **options), "/items/5", "/items/5", "/items/6")

    theirs = {
        sample: {
            tuple(each.labels.items()): each.value
            for family in of_litestars_plugin.collect()
            for each in family.samples
            if each.name == sample
        }
        for sample in ("litestar_requests_total", "litestar_request_duration_seconds_count")
    }
    assert theirs == {sample: values(registry, sample) for sample in theirs}
    assert [sum(counts.values()) for counts in theirs.values()] == [3, 3]
    bounds = {
        each.labels["le"]
        for family in of_litestars_plugin.collect()
        for each in family.samples
        if each.name == "litestar_request_duration_seconds_bucket"
    }
    assert {dict(labels)["le"] for labels in values(registry, "litestar_request_duration_seconds_bucket")} == bounds
