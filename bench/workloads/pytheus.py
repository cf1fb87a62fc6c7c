"""pytheus, this one; the same for both builds."""

from __future__ import annotations

from bench.workload import BOUNDS, OBSERVED, SharedCounter, Statement, nothing
from pytheus import Counter, Gauge, Histogram, generate_metrics
from pytheus.exposition import make_wsgi_app
from pytheus.registry import CollectorRegistry


def statements() -> dict[str, Statement]:
    registry = CollectorRegistry()
    counter = Counter("plain_total", "Plain.", registry=registry)
    labelled = Counter("labelled_total", "Labelled.", ["method", "code"], registry=registry)
    gauge = Gauge("level", "Level.", registry=registry)
    histogram = Histogram("seconds", "Seconds.", buckets=BOUNDS, registry=registry)
    names: dict[str, object] = {"counter": counter, "labelled": labelled, "gauge": gauge, "histogram": histogram}
    return {
        "inc": Statement("counter.inc()", names),
        "inc_int": Statement("counter.inc(2)", names),
        "labels_by_position": Statement('labelled.labels("GET", "200").inc()', names),
        "labels_by_keyword": Statement('labelled.labels(method="GET", code="200").inc()', names),
        "gauge_set": Statement("gauge.set(1.5)", names),
        "observe": Statement("histogram.observe(0.3)", names),
        "time_block": Statement("with histogram.time():\n    pass", names),
        "decorated": Statement("decorated()", {"decorated": histogram.time()(nothing)}),
    }


def first_write() -> Statement:
    counter = Counter("new_total", "New.", ["method", "path"], registry=CollectorRegistry())
    return Statement('counter.labels("GET", path).inc()', {"counter": counter})


def shared_counter() -> SharedCounter:
    counter = Counter("shared_total", "Shared.", registry=CollectorRegistry())
    return SharedCounter(Statement("counter.inc()", {"counter": counter}), lambda: counter.value)


class Counters:
    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.registry = CollectorRegistry()
        self.metric = Counter("http_requests_total", "Requests.", ["method", "path"], registry=self.registry)

    def write(self, count: int) -> None:
        for n in range(count):
            self.metric.labels("GET", f"/x/{n}").inc(self.amount)

    def render(self) -> bytes:
        return generate_metrics(self.registry).encode()

    def answer(self) -> object:
        return make_wsgi_app(self.registry)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: lambda _: None)


class Histograms:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metric = Histogram(
            "http_request_seconds", "Seconds.", ["method", "path"], buckets=BOUNDS, registry=self.registry
        )

    def write(self, count: int) -> None:
        for n in range(count):
            series = self.metric.labels("GET", f"/x/{n}")
            for value in OBSERVED:
                series.observe(value)

    def render(self) -> bytes:
        return generate_metrics(self.registry).encode()


counters = Counters
histograms = Histograms
