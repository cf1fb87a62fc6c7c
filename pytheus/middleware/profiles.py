"""The names, labels and buckets of the metrics, by profile, as data.

A label's value is an attribute of the exchange. The default follows the OpenTelemetry conventions as its Prometheus
exporter writes them; the others are the names of libraries whose dashboards shall go on.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

__all__ = ["FIRST_BYTE", "PROFILES", "STREAM", "WEBSOCKETS", "Measure", "Profile"]

Labels = Mapping[str, str]
"""The attribute of the exchange that is the value, by the label's name."""


class Measure(NamedTuple):
    """A metric that each exchange counts in."""

    type: Literal["counter", "histogram", "summary"]
    name: str
    description: str
    labels: Labels
    value: str = ""
    """The attribute that is added or observed; "" counts the exchange."""
    buckets: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    """The default is OpenTelemetry's, and prometheus_client's."""
    is_main: bool = False
    """Whether the options for durations apply to it."""
    only_if: Literal["", "sizes", "raised"] = ""
    """Sizes are an option, and exceptions are counted if there was one."""


class Profile(NamedTuple):
    """The metrics of one library."""

    measures: tuple[Measure, ...]
    active: tuple[str, str, Labels]
    """Name, description and labels of the requests in progress."""
    prefix: str = ""
    """Begins each name, with an underscore; the option of this name is in its place."""
    unmatched: str = ""
    """The route of requests that matched none."""
    app_label: str = "app"
    app_name: str = ""
    group_status: bool = False
    has_active: bool = True
    has_sizes: bool = False


_DURATION: Final = "Duration of HTTP server requests, until the last byte of the response."
_ACTIVE: Final = "HTTP server requests that are being processed."
_REQUEST_SIZE: Final = "Size of HTTP server request bodies."
_RESPONSE_SIZE: Final = "Size of HTTP server response bodies."

_SIZE_BUCKETS: Final = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_HOUR_BUCKETS: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)

_OTEL: Final = {
    "http_request_method": "method",
    "http_response_status_code": "status_text",
    "http_route": "route",
    "url_scheme": "scheme",
    "network_protocol_version": "protocol",
    "error_type": "error_type",
}

FIRST_BYTE: Final = Measure(
    "histogram",
    "http_server_time_to_first_byte_seconds",
    "Time until the response of an HTTP server request starts.",
    _OTEL,
    "first_byte",
)
STREAM: Final = Measure(
    "histogram",
    "http_server_stream_duration_seconds",
    "Duration of HTTP server requests whose response is a stream of events.",
    _OTEL,
    "seconds",
    _HOUR_BUCKETS,
)

WEBSOCKETS: Final = Profile(
    (
        Measure(
            "histogram",
            "http_server_websocket_duration_seconds",
            "Duration of WebSockets, until one side closes them.",
            {
                "http_response_status_code": "status_text",
                "http_route": "route",
                "url_scheme": "scheme",
                "websocket_close_code": "close_code",
                "error_type": "error_type",
            },
            "seconds",
            (*_HOUR_BUCKETS, 7200.0, 14400.0, 43200.0),
        ),
    ),
    ("http_server_active_websockets", "WebSockets that are open.", {"url_scheme": "scheme"}),
)
"""The metrics of WebSockets, whatever the names of the others."""

_INSTRUMENTATOR: Final = {"method": "method", "status": "status_text", "handler": "route"}
_INSTRUMENTATOR_FINE: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5, 10.0, 30.0, 60.0),
)
_STARLETTE: Final = {"method": "method", "path": "route", "status_code": "status_text"}
_DJANGO_BUCKETS: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 25.0, 50.0, 75.0),
)

PROFILES: Final[Mapping[str, Profile]] = {
    "otel": Profile(
        (
            Measure(
                "histogram",
                "http_server_request_duration_seconds",
                _DURATION,
                _OTEL,
                "seconds",
                is_main=True,
            ),
            Measure(
                "histogram",
                "http_server_request_body_size_bytes",
                _REQUEST_SIZE,
                _OTEL,
                "request_size",
                _SIZE_BUCKETS,
                only_if="sizes",
            ),
            Measure(
                "histogram",
                "http_server_response_body_size_bytes",
                _RESPONSE_SIZE,
                _OTEL,
                "response_size",
                _SIZE_BUCKETS,
                only_if="sizes",
            ),
        ),
        ("http_server_active_requests", _ACTIVE, {"http_request_method": "method", "url_scheme": "scheme"}),
    ),
    "fastapi-instrumentator": Profile(
        (
            Measure("counter", "http_requests_total", "HTTP requests.", _INSTRUMENTATOR),
            Measure(
                "histogram",
                "http_request_duration_seconds",
                _DURATION,
                {"method": "method", "handler": "route"},
                "seconds",
                (0.1, 0.5, 1.0),
                is_main=True,
            ),
            Measure(
                "histogram",
                "http_request_duration_highr_seconds",
                f"{_DURATION} With many buckets and without labels.",
                {},
                "seconds",
                _INSTRUMENTATOR_FINE,
            ),
            Measure(
                "summary",
                "http_request_size_bytes",
                _REQUEST_SIZE,
                {"handler": "route"},
                "request_size",
                only_if="sizes",
            ),
            Measure(
                "summary",
                "http_response_size_bytes",
                _RESPONSE_SIZE,
                {"handler": "route"},
                "response_size",
                only_if="sizes",
            ),
        ),
        ("http_requests_inprogress", _ACTIVE, {}),
        unmatched="none",
        group_status=True,
        has_active=False,
        has_sizes=True,
    ),
    "starlette-exporter": Profile(
        (
            Measure("counter", "requests_total", "HTTP requests.", _STARLETTE),
            Measure(
                "histogram",
                "request_duration_seconds",
                _DURATION,
                _STARLETTE,
                "seconds",
                is_main=True,
            ),
            Measure(
                "counter",
                "request_body_bytes_total",
                _REQUEST_SIZE,
                _STARLETTE,
                "request_size",
                only_if="sizes",
            ),
            Measure(
                "counter",
                "response_body_bytes_total",
                _RESPONSE_SIZE,
                _STARLETTE,
                "response_size",
                only_if="sizes",
            ),
        ),
        ("requests_in_progress", _ACTIVE, {"method": "method"}),
        prefix="starlette",
        unmatched="__unknown__",
        app_label="app_name",
        app_name="starlette",
    ),
    "flask-exporter": Profile(
        (
            Measure(
                "histogram",
                "http_request_duration_seconds",
                _DURATION,
                {"method": "method", "path": "route", "status": "status_text"},
                "seconds",
                is_main=True,
            ),
            Measure(
                "counter",
                "http_request_total",
                "HTTP requests.",
                {"method": "method", "status": "status_text"},
            ),
            Measure(
                "counter",
                "http_request_exceptions_total",
                "HTTP requests for which the application raised an exception.",
                {"method": "method", "status": "status_text"},
                only_if="raised",
            ),
        ),
        ("http_requests_in_progress", _ACTIVE, {"method": "method"}),
        prefix="flask",
        unmatched="None",
        has_active=False,
    ),
    "django-prometheus": Profile(
        (
            Measure(
                "histogram",
                "django_http_requests_latency_seconds_by_view_method",
                _DURATION,
                {"view": "route", "method": "method"},
                "seconds",
                _DJANGO_BUCKETS,
                is_main=True,
            ),
            Measure(
                "histogram",
                "django_http_requests_latency_including_middlewares_seconds",
                f"{_DURATION} Without labels.",
                {},
                "seconds",
                _DJANGO_BUCKETS,
            ),
            Measure(
                "counter",
                "django_http_responses_total_by_status_view_method_total",
                "HTTP responses by status, view and method.",
                {"status": "status_text", "view": "route", "method": "method"},
            ),
            Measure(
                "counter",
                "django_http_requests_total_by_view_transport_method_total",
                "HTTP requests by view, transport and method.",
                {"view": "route", "transport": "scheme", "method": "method"},
            ),
            Measure(
                "counter",
                "django_http_responses_total_by_status_total",
                "HTTP responses by status.",
                {"status": "status_text"},
            ),
            Measure(
                "counter",
                "django_http_requests_total_by_transport_total",
                "HTTP requests by transport.",
                {"transport": "scheme"},
            ),
            Measure(
                "counter",
                "django_http_requests_total_by_method_total",
                "HTTP requests by method.",
                {"method": "method"},
            ),
            Measure("counter", "django_http_requests_before_middlewares_total", "HTTP requests.", {}),
            Measure("counter", "django_http_responses_before_middlewares_total", "HTTP responses.", {}),
            Measure(
                "counter",
                "django_http_exceptions_total_by_type_total",
                "HTTP requests for which a view raised an exception, by its class.",
                {"type": "raised"},
                only_if="raised",
            ),
            Measure(
                "counter",
                "django_http_exceptions_total_by_view_total",
                "HTTP requests for which a view raised an exception, by view.",
                {"view": "route"},
                only_if="raised",
            ),
            Measure(
                "histogram",
                "django_http_requests_body_total_bytes",
                _REQUEST_SIZE,
                {},
                "request_size",
                _SIZE_BUCKETS,
                only_if="sizes",
            ),
            Measure(
                "histogram",
                "django_http_responses_body_total_bytes",
                _RESPONSE_SIZE,
                {},
                "response_size",
                _SIZE_BUCKETS,
                only_if="sizes",
            ),
        ),
        ("django_http_requests_in_progress", _ACTIVE, {"method": "method"}),
        unmatched="<unnamed view>",
        has_active=False,
        has_sizes=True,
    ),
}
"""The profiles by their names."""
