"""The options of the middleware, the same for ASGI and WSGI."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Generic, Literal, TypeAlias, TypedDict, TypeVar

from pytheus.metrics.label_types import LabelValue, LabelValues
from pytheus.metrics.number import Number
from pytheus.native_buckets import NativeBuckets
from pytheus.registry import Registry

__all__ = ["LabelFunction", "MiddlewareOptions", "Names", "check_names"]

S = TypeVar("S", bound=MutableMapping[str, object])

Names: TypeAlias = Literal[
    "otel", "fastapi-instrumentator", "starlette-exporter", "flask-exporter", "django-prometheus"
]
"""The names and labels of the metrics: OpenTelemetry's, or those of another library."""

LabelFunction: TypeAlias = Callable[[S, int, Mapping[str, str]], LabelValue]
"""Returns a label's value from the scope or environ, the status (0: no response) and the headers of the response."""


class MiddlewareOptions(TypedDict, Generic[S], total=False):
    """The options of `AsgiMiddleware`, where `S` is the scope, and of `WsgiMiddleware`, where it is the environ.

    Options about the response's bytes and about the exemplar apply to the metrics that the names have; see
    docs/how-to/middleware.md, which has an example of each.
    """

    registry: Registry
    """The registry of the metrics; the default is `pytheus.REGISTRY`."""

    names: Names
    """The names and labels of the metrics; the default "otel" follows OpenTelemetry's conventions."""

    prefix: str
    """Begins each name: "shop" makes ``shop_http_server_...``, and ``shop_requests_total`` of ``starlette_...``."""

    app_name: str
    """The application, as the label `app`, or as `app_name` where the names have one."""

    buckets: Iterable[Number]
    """The upper bounds of the durations' buckets, in seconds."""

    native: NativeBuckets | bool
    """Whether the durations also have native buckets."""

    exemplars: bool | Callable[[], LabelValues | None]
    """True: durations refer to the current span of OpenTelemetry. A function returns the labels, or None."""

    labels: Mapping[str, LabelValue | LabelFunction[S]]
    """More labels of each metric but the requests in progress: values, or functions that return them."""

    route: Callable[[S], str | None]
    """Returns the template of the route, or None for a request without one, in place of the framework's own."""

    unmatched: Literal["count", "drop"]
    """Whether requests without a route are counted, under one value; the default is "count"."""

    group_status: bool
    """Whether a status is written as its class, such as ``2xx``."""

    exclude: Iterable[str | re.Pattern[str]]
    """Regular expressions; a request whose path or route has a match for one is not measured."""

    exclude_methods: Iterable[str]
    """Methods that are not measured, such as "OPTIONS"."""

    exclude_if: Callable[[S], bool]
    """Returns whether a request is not measured; called at its beginning."""

    in_progress: bool
    """Whether requests in progress are counted; the default depends on the names."""

    sizes: bool
    """Whether the sizes of bodies are measured; the default depends on the names."""

    first_byte: bool
    """Whether the time until the response starts is measured, as ``http_server_time_to_first_byte_seconds``."""

    streams: Literal["drop", "separate", "count"]
    """How long server-sent events are measured.

    Not at all ("drop", the default), as ``http_server_stream_duration_seconds`` with buckets up to an hour
    ("separate"), or like other responses ("count").
    """

    is_stream: Callable[[S, Mapping[str, str]], bool]
    """Returns whether another response in several parts, by its headers, is a stream like ``text/event-stream``."""

    websockets: bool
    """Whether WebSockets are measured, as ``http_server_websocket_duration_seconds``; ASGI only, and not by default."""


def check_names(options: Iterable[str], subject: str) -> None:
    """Raise `TypeError` for an option that does not exist."""
    known = MiddlewareOptions.__annotations__
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"options: {', '.join(known)}"
            raise TypeError(f"{subject} got an unexpected option {name!r}; {hint}")
