"""A registry with every type of metric, and the numbers that a server must show of it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample

__all__ = ["BOUNDS", "DURATIONS", "Labels", "Series", "every_type", "key"]

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]
"""Values by name and labels."""

BOUNDS = (0.005, 0.25, 1.0, 10.0, 1e6)
BOUND_TEXTS = ("0.005", "0.25", "1.0", "10.0", "1e+06", "+Inf")

DURATIONS = [0.001 * 1.07**exponent for exponent in range(160)]
"""Of each order of size from 1 ms to 47 s alike."""

LEVELS = {
    "zero": 0.0,
    "small": 0.1,
    "negative": -12.5,
    "large": 1e300,
    "tiny": 5e-324,
    "infinite": math.inf,
    "below": -math.inf,
    "undefined": math.nan,
}
NASTY = 'quote " backslash \\ line\nfeed é 𝄞'


def key(name: str, **labels: str) -> tuple[str, Labels]:
    return name, frozenset(labels.items())


class Queue:
    """A collector of families whose types have no metric class."""

    def collect(self) -> Iterator[Family]:
        samples = [Sample("_bucket", {"le": le}, count) for le, count in (("1.0", 2.0), ("10.0", 3.0), ("+Inf", 5.0))]
        samples += [Sample("_gsum", {}, 44.5), Sample("_gcount", {}, 5.0)]
        yield Family("job_age_seconds", "gaugehistogram", "Ages of jobs.", samples, unit="seconds")
        yield Family("passed_through", "unknown", "Of another system.", [Sample("", {"a": NASTY}, 7.25)])


QUEUE: Series = {
    key("job_age_seconds_bucket", le="1.0"): 2.0,
    key("job_age_seconds_bucket", le="10.0"): 3.0,
    key("job_age_seconds_bucket", le="+Inf"): 5.0,
    key("job_age_seconds_gsum"): 44.5,
    key("job_age_seconds_gcount"): 5.0,
    key("passed_through", a=NASTY): 7.25,
}


def classic(name: str, values: list[float], labels: Mapping[str, str]) -> Series:
    """The series of a histogram with `BOUNDS` that has observed `values`."""
    slots = [bisect_left(BOUNDS, value) for value in values]
    series = {
        key(f"{name}_bucket", le=le, **labels): float(sum(slot <= index for slot in slots))
        for index, le in enumerate(BOUND_TEXTS)
    }
    return series | {
        key(f"{name}_sum", **labels): math.fsum(values),
        key(f"{name}_count", **labels): float(len(values)),
    }


def every_type() -> tuple[CollectorRegistry, Series]:
    """The registry and its series, which do not change."""
    registry = CollectorRegistry("shop")
    expected: Series = {}

    orders = Counter("orders_total", "Orders.", ["result"], registry=registry)
    for result, count in (("paid", 3), ("refused", 0.5), (NASTY, 2.0**53)):
        orders.labels(result).inc(count)
        expected[key("shop_orders_total", result=result)] = count
    orders.labels("paid").inc(0, exemplar={"trace_id": "4bf92f35"})

    # A counter whose name lacks the suffix is called the same in every format.
    Counter("visits", "Visits.", registry=registry).inc(11)
    expected[key("shop_visits")] = 11.0
    Counter("busy_seconds_total", "Time.", unit="seconds", registry=registry).inc(1.5)
    expected[key("shop_busy_seconds_total")] = 1.5

    level = Gauge("level", 'Levels, with a "quoted" word,\na second line and a \\.', ["kind"], registry=registry)
    for kind, value in LEVELS.items():
        level.labels(kind).set(value)
        expected[key("shop_level", kind=kind)] = value

    duration = Histogram("request_seconds", "Durations.", ["route"], buckets=BOUNDS, unit="seconds", registry=registry)
    for route, values in (("/", DURATIONS), ("/cart", [0.25, 1e6, 2e6])):
        for value in values:
            duration.labels(route).observe(value)
        expected |= classic("shop_request_seconds", values, {"route": route})
    duration.labels("/cart").observe(0.25, exemplar={"trace_id": "0af76519", "user": "é"})
    expected |= classic("shop_request_seconds", [0.25, 1e6, 2e6, 0.25], {"route": "/cart"})

    size = Summary("size_bytes", "Sizes.", unit="bytes", registry=registry)
    size.observe(512)
    size.observe(0.5)
    expected |= {key("shop_size_bytes_sum"): 512.5, key("shop_size_bytes_count"): 2.0}

    Info("build_info", "The build.", registry=registry).info(version="1.0", host=NASTY)
    expected[key("shop_build_info", version="1.0", host=NASTY)] = 1.0
    StateSet("mode", "The mode.", states=["open", "closed"], registry=registry).state("closed")
    expected |= {key("shop_mode", mode="open"): 0.0, key("shop_mode", mode="closed"): 1.0}

    registry.register(Queue())
    return registry, expected | {(f"shop_{name}", labels): value for (name, labels), value in QUEUE.items()}
