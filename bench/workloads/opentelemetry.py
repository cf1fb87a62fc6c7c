"""OpenTelemetry's SDK, with an in-memory reader.

Its limit of 2,000 series is lifted, exemplars are off, and attributes are one dict that is made beforehand. It has no
text format of its own (an exporter of another distribution renders through prometheus_client), no timers and no
decorators.

Imported by name, for where the types are checked there is no OpenTelemetry.
"""

from __future__ import annotations

from importlib import import_module

from bench.workload import BOUNDS, OBSERVED, SharedCounter, Statement

_metrics = import_module("opentelemetry.sdk.metrics")
_export = import_module("opentelemetry.sdk.metrics.export")

_SERIES_AT_MOST = 10_000_000


class _Provider:
    """A meter, and the reader that it writes to."""

    def __init__(self) -> None:
        limits = {_metrics.Counter: _SERIES_AT_MOST, _metrics.Histogram: _SERIES_AT_MOST}
        self.reader = _export.InMemoryMetricReader(cardinality_limits=limits)
        self.provider = _metrics.MeterProvider(
            metric_readers=[self.reader], exemplar_filter=_metrics.AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        self.meter = self.provider.get_meter("bench")


def statements() -> dict[str, Statement]:
    meter = _Provider().meter
    counter = meter.create_counter("plain_total")
    labelled = meter.create_counter("labelled_total")
    gauge = meter.create_gauge("level")
    histogram = meter.create_histogram("seconds", explicit_bucket_boundaries_advisory=BOUNDS)
    names: dict[str, object] = {"counter": counter, "labelled": labelled, "gauge": gauge, "histogram": histogram}
    names["attributes"] = {"method": "GET", "code": "200"}
    return {
        "inc": Statement("counter.add(1.0)", names),
        "inc_int": Statement("counter.add(2)", names),
        "labels_by_position": Statement("labelled.add(1.0, attributes)", names),
        "gauge_set": Statement("gauge.set(1.5)", names),
        "observe": Statement("histogram.record(0.3)", names),
    }


def first_write() -> Statement:
    counter = _Provider().meter.create_counter("new_total")
    return Statement('counter.add(1.0, {"method": "GET", "path": path})', {"counter": counter})


def shared_counter() -> SharedCounter:
    provider = _Provider()
    counter = provider.meter.create_counter("shared_total")

    def read() -> float:
        data = provider.reader.get_metrics_data()
        return float(data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value)

    return SharedCounter(Statement("counter.add(1.0)", {"counter": counter}), read)


class Counters:
    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.provider = _Provider()
        self.metric = self.provider.meter.create_counter("http_requests_total")

    def write(self, count: int) -> None:
        for n in range(count):
            self.metric.add(self.amount, {"method": "GET", "path": f"/x/{n}"})

    def render(self) -> None:
        return None


class Histograms:
    def __init__(self) -> None:
        self.provider = _Provider()
        self.metric = self.provider.meter.create_histogram(
            "http_request_seconds", explicit_bucket_boundaries_advisory=BOUNDS
        )

    def write(self, count: int) -> None:
        for n in range(count):
            attributes = {"method": "GET", "path": f"/x/{n}"}
            for value in OBSERVED:
                self.metric.record(value, attributes)

    def render(self) -> None:
        return None


counters = Counters
histograms = Histograms
