"""aioprometheus, for asyncio applications.

Every call takes its labels as a dict, which is made beforehand here, or empty. It has no timer for a block.

Imported by name, for where the types are checked there is no aioprometheus.
"""

from __future__ import annotations

from importlib import import_module

from bench.workload import BOUNDS, OBSERVED, SharedCounter, Statement, nothing

_library = import_module("aioprometheus")

_BUCKETS = (*BOUNDS, float("inf"))


def statements() -> dict[str, Statement]:
    registry = _library.Registry()
    counter = _library.Counter("plain_total", "Plain.", registry=registry)
    labelled = _library.Counter("labelled_total", "Labelled.", registry=registry)
    gauge = _library.Gauge("level", "Level.", registry=registry)
    histogram = _library.Histogram("seconds", "Seconds.", buckets=_BUCKETS, registry=registry)
    names: dict[str, object] = {"counter": counter, "labelled": labelled, "gauge": gauge, "histogram": histogram}
    names |= {"none": {}, "labels": {"method": "GET", "code": "200"}}
    return {
        "inc": Statement("counter.inc(none)", names),
        "inc_int": Statement("counter.add(none, 2)", names),
        "labels_by_position": Statement("labelled.inc(labels)", names),
        "gauge_set": Statement("gauge.set(none, 1.5)", names),
        "observe": Statement("histogram.observe(none, 0.3)", names),
        "decorated": Statement("decorated()", {"decorated": _library.timer(histogram, {})(nothing)}),
    }


def first_write() -> Statement:
    counter = _library.Counter("new_total", "New.", registry=_library.Registry())
    return Statement('counter.inc({"method": "GET", "path": path})', {"counter": counter})


def shared_counter() -> SharedCounter:
    counter = _library.Counter("shared_total", "Shared.", registry=_library.Registry())
    increment = Statement("counter.inc(none)", {"counter": counter, "none": {}})
    return SharedCounter(increment, lambda: float(counter.get({})))


class Counters:
    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.registry = _library.Registry()
        self.metric = _library.Counter("http_requests_total", "Requests.", registry=self.registry)

    def write(self, count: int) -> None:
        for n in range(count):
            self.metric.add({"method": "GET", "path": f"/x/{n}"}, self.amount)

    def render(self) -> bytes:
        body: bytes = _library.render(self.registry, ["text/plain"])[0]
        return body


class Histograms:
    def __init__(self) -> None:
        self.registry = _library.Registry()
        self.metric = _library.Histogram("http_request_seconds", "Seconds.", buckets=_BUCKETS, registry=self.registry)

    def write(self, count: int) -> None:
        for n in range(count):
            labels = {"method": "GET", "path": f"/x/{n}"}
            for value in OBSERVED:
                self.metric.observe(labels, value)

    def render(self) -> bytes:
        body: bytes = _library.render(self.registry, ["text/plain"])[0]
        return body


counters = Counters
histograms = Histograms
