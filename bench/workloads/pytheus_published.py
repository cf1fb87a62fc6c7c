"""pytheus 0.6.1 as PyPI has it: another program under the same name, with labels by keyword only.

Imported by name, because a type checker knows only one pytheus.
"""

from __future__ import annotations

from importlib import import_module

from bench.workload import BOUNDS, OBSERVED, SharedCounter, Statement, nothing

_metrics = import_module("pytheus.metrics")
_exposition = import_module("pytheus.exposition")
_registry = import_module("pytheus.registry")


def statements() -> dict[str, Statement]:
    registry = _registry.CollectorRegistry()
    counter = _metrics.Counter("plain_total", "Plain.", registry=registry)
    labelled = _metrics.Counter("labelled_total", "Labelled.", required_labels=["method", "code"], registry=registry)
    gauge = _metrics.Gauge("level", "Level.", registry=registry)
    histogram = _metrics.Histogram("seconds", "Seconds.", buckets=BOUNDS, registry=registry)
    names: dict[str, object] = {"counter": counter, "labelled": labelled, "gauge": gauge, "histogram": histogram}
    return {
        "inc": Statement("counter.inc()", names),
        "inc_int": Statement("counter.inc(2)", names),
        "labels_by_keyword": Statement('labelled.labels(method="GET", code="200").inc()', names),
        "gauge_set": Statement("gauge.set(1.5)", names),
        "observe": Statement("histogram.observe(0.3)", names),
        "time_block": Statement("with histogram.time():\n    pass", names),
        "decorated": Statement("decorated()", {"decorated": histogram(nothing)}),
    }


def first_write() -> Statement:
    counter = _metrics.Counter(
        "new_total", "New.", required_labels=["method", "path"], registry=_registry.CollectorRegistry()
    )
    return Statement('counter.labels(method="GET", path=path).inc()', {"counter": counter})


def shared_counter() -> SharedCounter:
    counter = _metrics.Counter("shared_total", "Shared.", registry=_registry.CollectorRegistry())
    return SharedCounter(
        Statement("counter.inc()", {"counter": counter}), lambda: float(next(iter(counter.collect())).value)
    )


class Counters:
    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.registry = _registry.CollectorRegistry()
        self.metric = _metrics.Counter(
            "http_requests_total", "Requests.", required_labels=["method", "path"], registry=self.registry
        )

    def write(self, count: int) -> None:
        for n in range(count):
            self.metric.labels(method="GET", path=f"/x/{n}").inc(self.amount)

    def render(self) -> bytes:
        text: str = _exposition.generate_metrics(self.registry)
        return text.encode()


class Histograms:
    def __init__(self) -> None:
        self.registry = _registry.CollectorRegistry()
        self.metric = _metrics.Histogram(
            "http_request_seconds",
            "Seconds.",
            required_labels=["method", "path"],
            buckets=BOUNDS,
            registry=self.registry,
        )

    def write(self, count: int) -> None:
        for n in range(count):
            series = self.metric.labels(method="GET", path=f"/x/{n}")
            for value in OBSERVED:
                series.observe(value)

    def render(self) -> bytes:
        text: str = _exposition.generate_metrics(self.registry)
        return text.encode()


counters = Counters
histograms = Histograms
