"""The measured libraries, one class for each.

A class imports its library when it is made, because only the library's own environment has it, and by name, because a
type checker knows only one pytheus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, ClassVar
from zlib import compress

from bench.workload import BOUNDS, Served, Workload

__all__ = ["WORKLOADS"]


class _PrometheusClient(Workload):
    """prometheus_client, the official library.

    Without the ``_created`` series, which it would otherwise render for every counter and histogram: so it exposes the
    same series as the others, in half the time.
    """

    calls: ClassVar[dict[str, str]] = {
        "inc": "counter.inc()",
        "inc_int": "counter.inc(2)",
        "labels_by_position": 'labelled.labels("GET", "200").inc()',
        "labels_by_keyword": 'labelled.labels(method="GET", code="200").inc()',
        "gauge_set": "gauge.set(1.5)",
        "observe": "histogram.observe(0.3)",
        "time_block": "with histogram.time():\n    pass",
        "decorated": "decorated()",
    }
    first = 'counter.labels("GET", path).inc()'
    first_observation = 'histogram.labels("GET", path).observe(0.3)'
    add = 'counter.labels("GET", path).inc(amount)'
    observe = 'series = histogram.labels("GET", path)\nfor value in values:\n    series.observe(value)'

    def __init__(self) -> None:
        self.metrics: Any = import_module("prometheus_client")
        self.metrics.disable_created_metrics()
        self.registry = self.metrics.CollectorRegistry

    def make(self, kind: str, name: str, registry: object, *labels: str) -> Any:
        options = {"buckets": BOUNDS} if kind == "Histogram" else {}
        return getattr(self.metrics, kind)(name, "A metric.", labels, registry=registry, **options)

    def decorate(self, histogram: Any, function: Callable[[], None]) -> object:
        return histogram.time()(function)

    def render(self, registry: Any) -> bytes | None:
        text: bytes = self.metrics.generate_latest(registry)
        return text

    def compressed(self, registry: Any) -> bytes | None:
        return b"".join(_get(self.metrics.make_wsgi_app(registry), HTTP_ACCEPT_ENCODING="gzip"))

    def encode(self, registry: Any, accept: str) -> bytes | None:
        if "openmetrics" not in accept:
            return None
        text: bytes = import_module("prometheus_client.openmetrics.exposition").generate_latest(registry)
        return text

    def serve(self, registry: Any) -> Served | None:
        server, _ = self.metrics.start_http_server(0, "127.0.0.1", registry)
        return Served(server.server_port, lambda: (server.shutdown(), server.server_close()))


def _get(application: Any, **headers: str) -> Any:
    return application({"REQUEST_METHOD": "GET", "PATH_INFO": "/", **headers}, lambda *_: lambda _: None)


class _Pytheus(_PrometheusClient):
    """pytheus, this one; the same for both builds."""

    def __init__(self) -> None:
        self.metrics = import_module("pytheus.metrics")
        self.exposition = import_module("pytheus.exposition")
        self.registry = import_module("pytheus.registry").CollectorRegistry

    def render(self, registry: object) -> bytes:
        text: str = self.exposition.generate_metrics(registry)
        return text.encode()

    def answer(self, registry: object) -> object:
        return _get(self.exposition.make_wsgi_app(registry))

    def compressed(self, registry: object) -> bytes | None:
        return b"".join(_get(self.exposition.make_wsgi_app(registry), HTTP_ACCEPT_ENCODING="gzip"))

    def encode(self, registry: object, accept: str) -> bytes | None:
        expose = getattr(self.exposition, "expose", None)  # which an earlier revision lacks
        exposed: Any = None if expose is None else expose(registry, accept)
        return exposed.body if exposed and exposed.content_type.startswith(accept.partition(";")[0]) else None

    def serve(self, registry: object) -> Served | None:
        server = self.exposition.start_http_server(0, "127.0.0.1", registry=registry)
        return Served(server.port, server.close)

    def native(self, name: str, registry: object, *labels: str) -> Any:
        try:
            return self.metrics.Histogram(name, "A metric.", labels, native=True, buckets=(), registry=registry)
        except TypeError:  # an earlier revision
            return None

    def first_read(self, shards: int, paths: Sequence[str]) -> Callable[[], Any] | None:
        api = import_module("pytheus.shards")
        definition = import_module("pytheus.definitions").Definition
        layout = api.Layout()
        number = layout.add_definition(definition("http_requests_total", "counter", "A metric.", ("method", "path")))
        for path in paths:
            layout.add_series(number, ("GET", path), layout.size)
        content = api.encode_layout(layout)

        # An earlier revision, see `bench/run.py --base`, has readers that share nothing.
        shared: Callable[[], Any] = getattr(api, "LabelBlocks", lambda: None)

        def read() -> tuple[Any, ...]:
            snapshots = []
            blocks = shared()
            for pid in range(shards):
                reader = api.LayoutReader() if blocks is None else api.LayoutReader(blocks)
                reader.feed(content)
                identity = api.ShardIdentity("bench", pid, pid, f"{pid:016x}")
                snapshots.append(api.Snapshot(identity, True, reader.layout, [1.0] * len(paths)))
            return tuple(api.Merger().merge(snapshots, api.Archive()))

        return read


class _PytheusPublished(_Pytheus):
    """pytheus 0.6.1 as PyPI has it: another program under the same name, with labels by keyword only."""

    calls: ClassVar[dict[str, str]] = {row: call for row, call in _Pytheus.calls.items() if row != "labels_by_position"}
    first = 'counter.labels(method="GET", path=path).inc()'
    first_observation = 'histogram.labels(method="GET", path=path).observe(0.3)'
    add = 'counter.labels(method="GET", path=path).inc(amount)'
    observe = 'series = histogram.labels(method="GET", path=path)\nfor value in values:\n    series.observe(value)'

    def decorate(self, histogram: Any, function: Callable[[], None]) -> object:
        return histogram(function)

    def answer(self, registry: object) -> object:
        return self.render(registry)

    def compressed(self, registry: object) -> bytes | None:
        return None

    def encode(self, registry: object, accept: str) -> bytes | None:
        return None

    def serve(self, registry: object) -> Served | None:
        return None

    def native(self, name: str, registry: object, *labels: str) -> None:
        return None

    def first_read(self, shards: int, paths: Sequence[str]) -> Callable[[], Any] | None:
        return None


class _OpenTelemetry(Workload):
    """OpenTelemetry's SDK, with an in-memory reader.

    Its limit of 2,000 series is lifted, exemplars are off, and attributes are one dict that is made beforehand. It has
    no text format of its own (an exporter of another distribution renders through prometheus_client), no timers and no
    decorators.
    """

    calls: ClassVar[dict[str, str]] = {
        "inc": "counter.add(1.0)",
        "inc_int": "counter.add(2)",
        "labels_by_position": "labelled.add(1.0, attributes)",
        "gauge_set": "gauge.set(1.5)",
        "observe": "histogram.record(0.3)",
    }
    first = 'counter.add(1.0, {"method": "GET", "path": path})'
    first_observation = 'histogram.record(0.3, {"method": "GET", "path": path})'
    add = 'counter.add(amount, {"method": "GET", "path": path})'
    observe = (
        'attributes = {"method": "GET", "path": path}\nfor value in values:\n    histogram.record(value, attributes)'
    )
    names: ClassVar[dict[str, object]] = {"attributes": {"method": "GET", "code": "200"}}

    def __init__(self) -> None:
        self.metrics = import_module("opentelemetry.sdk.metrics")
        self.export = import_module("opentelemetry.sdk.metrics.export")

    def registry(self) -> tuple[object, object]:
        """A provider, and the reader that it writes to."""
        limits = dict.fromkeys((self.metrics.Counter, self.metrics.Histogram), 10_000_000)
        reader = self.export.InMemoryMetricReader(cardinality_limits=limits)
        provider = self.metrics.MeterProvider(
            metric_readers=[reader], exemplar_filter=self.metrics.AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        return provider, reader

    def make(self, kind: str, name: str, registry: Any, *labels: str) -> Any:
        options = {"explicit_bucket_boundaries_advisory": BOUNDS} if kind == "Histogram" else {}
        return getattr(registry[0].get_meter("bench"), f"create_{kind.lower()}")(name, **options)

    def render(self, registry: object) -> None:
        return None

    def read(self, registry: Any) -> float:
        data = registry[1].get_metrics_data()
        return float(data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value)


class _AioPrometheus(Workload):
    """aioprometheus, for asyncio applications.

    Every call takes its labels as a dict, which is made beforehand here, or empty. It has no timer for a block.
    """

    calls: ClassVar[dict[str, str]] = {
        "inc": "counter.inc(none)",
        "inc_int": "counter.add(none, 2)",
        "labels_by_position": "labelled.inc(labels)",
        "gauge_set": "gauge.set(none, 1.5)",
        "observe": "histogram.observe(none, 0.3)",
        "decorated": "decorated()",
    }
    first = 'counter.inc({"method": "GET", "path": path})'
    first_observation = 'histogram.observe({"method": "GET", "path": path}, 0.3)'
    add = 'counter.add({"method": "GET", "path": path}, amount)'
    observe = 'labels = {"method": "GET", "path": path}\nfor value in values:\n    histogram.observe(labels, value)'
    names: ClassVar[dict[str, object]] = {"none": {}, "labels": {"method": "GET", "code": "200"}}

    def __init__(self) -> None:
        self.metrics = import_module("aioprometheus")
        self.registry = self.metrics.Registry

    def make(self, kind: str, name: str, registry: object, *labels: str) -> Any:
        options = {"buckets": (*BOUNDS, float("inf"))} if kind == "Histogram" else {}
        return getattr(self.metrics, kind)(name, "A metric.", registry=registry, **options)

    def decorate(self, histogram: Any, function: Callable[[], None]) -> object:
        return self.metrics.timer(histogram, {})(function)

    def render(self, registry: object) -> bytes:
        text: bytes = self.metrics.render(registry, ["text/plain"])[0]
        return text


class _Limit(Workload):
    """bench/limit.c. A registry is a list of metrics; a metric without labels is its only series."""

    calls: ClassVar[dict[str, str]] = _PrometheusClient.calls
    first = _PrometheusClient.first
    first_observation = _PrometheusClient.first_observation
    add = _PrometheusClient.add
    observe = _PrometheusClient.observe
    registry = list

    def __init__(self) -> None:
        self.metrics = import_module("limit")

    def make(self, kind: str, name: str, registry: list[Any], *labels: str) -> Any:
        bounds = BOUNDS if kind == "Histogram" else ()
        metric = self.metrics.Metric(kind.lower(), name, "A metric.", labels, bounds)
        registry.append(metric)
        return metric if labels else metric.labels()

    def decorate(self, histogram: Any, function: Callable[[], None]) -> object:
        return histogram.time()(function)

    def render(self, registry: Any) -> bytes | None:
        return b"".join([metric.render() for metric in registry])

    def compressed(self, registry: Any) -> bytes | None:
        return compress(self.render(registry) or b"", level=1, wbits=31)


WORKLOADS: dict[str, type[Workload]] = {
    "pytheus": _Pytheus,
    "limit": _Limit,
    "prometheus_client": _PrometheusClient,
    "pytheus_published": _PytheusPublished,
    "opentelemetry": _OpenTelemetry,
    "aioprometheus": _AioPrometheus,
}
"""The class for each `workload` of bench/libraries.py."""
