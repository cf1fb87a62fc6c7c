"""A registry with every type of metric, and the numbers that a server must show of it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.metrics import NativeBuckets
from pytheus.native_bounds import bucket_index
from pytheus.native_buckets import NativeHistogram, classic_buckets, combined
from pytheus.registry import CollectorRegistry
from pytheus.samples import Family, Sample
from pytheus.textformat import format_bound

__all__ = [
    "BOUNDS",
    "BOTH",
    "DURATIONS",
    "GAUGE_HISTOGRAMS",
    "NATIVE_ALONE",
    "USER",
    "NATIVE_HISTOGRAMS",
    "Labels",
    "Observed",
    "Series",
    "every_type",
    "key",
    "observed",
    "underscored",
]

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]
"""Values by name and labels."""

BOUNDS = (0.005, 0.25, 1.0, 10.0, 1e6)
BOUND_TEXTS = ("0.005", "0.25", "1.0", "10.0", "1e+06", "+Inf")

DURATIONS = [0.001 * 1.07**exponent for exponent in range(160)]
"""Of each order of size from 1 ms to 47 s alike."""

CHANGES = [-2.5, -1.0, -1.0, -0.1, 0.0, 0.0, 0.3, 5.0, 700.0, 2.0**-140]

ZERO_THRESHOLD = 2.0**-128


class Observed(NamedTuple):
    """What a native histogram has observed, and its buckets."""

    values: list[float]
    native: NativeHistogram


def observed(values: list[float], schema: int, threshold: float = ZERO_THRESHOLD) -> Observed:
    """The buckets of `values`, each put into its own."""
    positive = Counts(bucket_index(value, schema) for value in values if value > threshold)
    negative = Counts(bucket_index(value, schema) for value in values if value < -threshold)
    zeros = sum(abs(value) <= threshold for value in values)
    return Observed(values, NativeHistogram(schema, threshold, zeros, positive, negative))


NATIVE_ALONE = ("shop_native_seconds", "shop_changes")
"""The metrics without classic buckets in the protobuf format; a custom family gets some, if it has none."""

GAUGE_HISTOGRAMS = ("shop_job_age_seconds", "shop_waiting_seconds")

BOTH = "shop_both_seconds"
"""The histogram with classic buckets beside the native ones."""

NATIVE_HISTOGRAMS = {
    BOTH: observed(DURATIONS, 5),
    "shop_native_seconds": observed([*DURATIONS, 0.5], 3),
    "shop_changes": observed(CHANGES, 3),
    "shop_merged_seconds": observed([*DURATIONS, *DURATIONS], 1),
    "shop_waiting_seconds": observed(DURATIONS, 2, 0.25),
}


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
USER = "é 𝄞 ,={}#"
"""The value of a label of an exemplar; without escapes, which Prometheus does not undo there in OpenMetrics."""

NASTY = 'quote " backslash \\ line\nfeed é 𝄞'


def underscored(series: Series) -> Series:
    """The same for a server that knows legacy names only."""
    return {
        (name.replace(".", "_"), frozenset((label.replace(".", "_"), value) for label, value in labels)): number
        for (name, labels), number in series.items()
    }


def key(name: str, **labels: str) -> tuple[str, Labels]:
    return name, frozenset(labels.items())


class Queue:
    """A collector of families whose types have no metric class."""

    def collect(self) -> Iterator[Family]:
        samples = [Sample("_bucket", {"le": le}, count) for le, count in (("1.0", 2.0), ("10.0", 3.0), ("+Inf", 5.0))]
        samples += [Sample("_gsum", {}, 44.5), Sample("_gcount", {}, 5.0)]
        yield Family("job_age_seconds", "gaugehistogram", "Ages of jobs.", samples, unit="seconds")
        yield Family("passed_through", "unknown", "Of another system.", [Sample("", {"a": NASTY}, 7.25)])


class Natives:
    """A collector of native histograms that no metric has observed."""

    def collect(self) -> Iterator[Family]:
        # Of two processes, the second of which has fewer buckets.
        parts = [observed(DURATIONS, schema).native for schema in (5, 1)]
        yield Family(
            "merged_seconds", "histogram", "Of two.", self.samples("", combined(parts), [*DURATIONS, *DURATIONS])
        )
        waiting = NATIVE_HISTOGRAMS["shop_waiting_seconds"]
        yield Family("waiting_seconds", "gaugehistogram", "Now.", self.samples("g", waiting.native, waiting.values))

    def samples(self, own: str, native: NativeHistogram, values: list[float]) -> list[Sample]:
        return [
            Sample(f"_{own}sum", {}, math.fsum(values)),
            Sample(f"_{own}count", {}, float(native.total), native=native),
        ]


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


def native_in_text(name: str, seen: Observed) -> Series:
    """The series of a native histogram in formats that have no native buckets."""
    own = "g" if name == "shop_waiting_seconds" else ""
    series = {key(f"{name}_bucket", le=format_bound(le)): float(count) for le, count in classic_buckets(seen.native)}
    return series | {
        key(f"{name}_{own}sum"): math.fsum(seen.values),
        key(f"{name}_{own}count"): float(seen.native.total),
    }


def add_natives(registry: CollectorRegistry) -> Series:
    both = Histogram("both_seconds", "Both.", buckets=BOUNDS, native=NativeBuckets(growth=1.03), registry=registry)
    native = Histogram("native_seconds", "Native.", buckets=(), native=True, registry=registry)
    for value in DURATIONS:
        both.observe(value)
        native.observe(value)
    native.observe(0.5, exemplar={"trace_id": "b7ad6b71"})
    changes = Histogram("changes", "Changes.", buckets=(), native=True, registry=registry)
    for value in CHANGES:
        changes.observe(value)
    registry.register(Natives())
    expected = classic(BOTH, DURATIONS, {})
    for name, seen in NATIVE_HISTOGRAMS.items():
        if name != BOTH:
            expected |= native_in_text(name, seen)
    return expected


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
    duration.labels("/cart").observe(0.25, exemplar={"trace_id": "0af76519", "user": USER})
    expected |= classic("shop_request_seconds", [0.25, 1e6, 2e6, 0.25], {"route": "/cart"})

    size = Summary("size_bytes", "Sizes.", unit="bytes", registry=registry)
    size.observe(512)
    size.observe(0.5)
    expected |= {key("shop_size_bytes_sum"): 512.5, key("shop_size_bytes_count"): 2.0}

    Info("build_info", "The build.", registry=registry).info(version="1.0", host=NASTY)
    expected[key("shop_build_info", version="1.0", host=NASTY)] = 1.0
    StateSet("mode", "The mode.", states=["open", "closed"], registry=registry).state("closed")
    expected |= {key("shop_mode", shop_mode="open"): 0.0, key("shop_mode", shop_mode="closed"): 1.0}

    name, label = "http.requests_total", "http.route"
    routes = Counter(name, "Requests.", [label], names="utf8", registry=registry)
    routes.labels("/").inc(4)
    expected[key("shop_http.requests_total", **{"http.route": "/"})] = 4.0

    expected |= add_natives(registry)
    registry.register(Queue())
    return registry, expected | {(f"shop_{name}", labels): value for (name, labels), value in QUEUE.items()}
