"""What checkers must accept of labels that a class declares; read by them and never executed.

`tests/typing/test_checkers.py` runs them over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, NotRequired, TypedDict, assert_type

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.metrics import Metric
from pytheus.registry import CollectorRegistry


class Region(StrEnum):
    EUROPE = "eu"


@dataclass(frozen=True)
class Http:
    method: Literal["GET", "POST"]
    code: str
    region: Region = Region.EUROPE


class HttpTuple(NamedTuple):
    method: Literal["GET", "POST"]
    code: str
    region: Region = Region.EUROPE


class HttpDict(TypedDict):
    method: Literal["GET", "POST"]
    code: str
    region: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Defaulted:
    queue: str = "mail"


# Every type, from every kind of class ---------------------------------------------------------------------------------

counter = Counter("c_total", "C.", labels=Http, registry=None)
counter.labels("GET", "200").inc(exemplar={"trace_id": "a"})
counter.labels("GET", code="200", region=Region.EUROPE).inc()
counter.labels(method="POST", code="200").inc()
counter.labels(Http("GET", "200")).inc()
assert_type(counter.labels("GET", "200").value, float)
assert_type(counter.remove("GET", "200"), bool)
assert_type(counter.remove(Http("GET", "200")), bool)
assert_type(counter.remove(method="GET"), bool)
assert_type(counter.remove("GET"), bool)

gauge = Gauge("g", "G.", labels=HttpTuple)
gauge.labels("GET", "200").set(1)
gauge.labels(method="GET", code="200", region=Region.EUROPE).inc()
gauge.labels(HttpTuple("GET", "200")).dec()
gauge.labels("GET", "200").set_function(lambda: 1)
with gauge.labels("GET", "200").track_inprogress(), gauge.labels("GET", "200").time():
    pass

histogram = Histogram("h", "H.", labels=HttpDict, buckets=[1, 2], default_labels={"region": "eu"})
histogram.labels(HttpDict(method="GET", code="200")).observe(1)
histogram.labels({"method": "GET", "code": "200", "region": "eu"}).observe(1)
assert_type(histogram.labels({"method": "GET", "code": "200"}).sum, float)

summary = Summary("s", "S.", labels=Http, labels_from={"method": ["GET", "POST"], "code": ["200"]})
summary.labels("GET", "200").observe(1)

info = Info("i", "I.", labels=Http, registry=CollectorRegistry())
info.labels("GET", "200").info(version="1")

stateset = StateSet("t", "T.", labels=Http, states=["on", "off"])
stateset.labels("GET", "200").state("on")
assert_type(stateset.labels("GET", "200").active, tuple[str, ...])


@summary.labels("GET", "200")
@counter.labels("GET", "500").count_exceptions(ValueError)
@gauge.labels("GET", "200")(track_inprogress=True)
def decorated(a: int) -> str:
    return str(a)


assert_type(decorated(1), str)

# Labels of a timer that are known only at the end ---------------------------------------------------------------------

with histogram.time() as timer:
    timer.labels({"method": "GET", "code": "200"})
with summary.time() as summary_timer:
    summary_timer.labels("GET", code="200")
    summary_timer.labels(Http("GET", "200"))
    assert_type(summary_timer.seconds, float | None)

# Labels that all have defaults need not be given ----------------------------------------------------------------------

defaulted = Counter("d_total", "D.", labels=Defaulted)
defaulted.inc()
defaulted.labels().inc()
defaulted.labels(queue="news").inc()

# Annotations ----------------------------------------------------------------------------------------------------------


def takes_any(metric: Counter) -> None:
    metric.labels("GET", code="200").inc()
    metric.inc()


def takes_metric(metric: Metric) -> str:
    return metric.name


def takes_http(metric: Counter[type[Http]]) -> None:
    metric.labels(Http("GET", "200")).inc()


takes_any(counter)
takes_any(counter.labels("GET", "200"))
takes_any(defaulted)
takes_metric(gauge)
takes_http(counter)
counters: list[Counter] = [counter, defaulted, Counter("p_total", "P.", ["a"])]


class Handler:
    declared: Counter = Counter("e_total", "E.", labels=Http)

    def __init__(self) -> None:
        self.requests = Counter("f_total", "F.", labels=Http)

    def handle(self) -> None:
        self.requests.labels("GET", "200").inc()
        self.declared.labels("GET", "200").inc()


# Subclasses -----------------------------------------------------------------------------------------------------------


class Tuned(Counter):
    """One that says nothing of its labels."""


class Plain(Counter[type[Http]]):
    """One whose labels are settled."""


assert_type(Tuned("x_total", "X.", ["a"]).labels("1"), Tuned)
Tuned("x_total", "X.", labels=Http).labels("GET", "200").inc()
Plain("x_total", "X.", labels=Http).labels(Http("GET", "200")).inc()

# Without a class, all is as it was ------------------------------------------------------------------------------------

assert_type(Counter("n_total", "N."), Counter)
assert_type(Counter("n_total", "N.", ["a", "b"]).labels(a="1").labels({"b": "2"}), Counter)
Counter("n_total", "N.", list("ab")).inc()
