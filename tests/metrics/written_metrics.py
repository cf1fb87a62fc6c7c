"""A metric of each type with one written series, for tests of series that end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.metrics import Metric
from pytheus.registry import Registry, SeriesExpirable
from pytheus.samples import Row

EXPIRY = 10.0


class Case(NamedTuple):
    """A metric with one label, how to write its series "a", and the lines of that series after one write."""

    metric: Metric
    write: Callable[[], None]
    """Through a stored handle."""
    lines: list[str]


def counter(registry: Registry | None) -> Case:
    metric = Counter("c_total", "C.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.inc(2), ['c_total{tenant="a"} 2.0'])


def gauge(registry: Registry | None) -> Case:
    metric = Gauge("g", "G.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.set(7), ['g{tenant="a"} 7.0'])


def largest(registry: Registry | None) -> Case:
    metric = Gauge("g", "G.", ["tenant"], mode="max", registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.set(7), ['g{tenant="a"} 7.0'])


def latest(registry: Registry | None) -> Case:
    metric = Gauge("g", "G.", ["tenant"], mode="last", registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.set(7), ['g{tenant="a"} 7.0'])


def histogram(registry: Registry | None) -> Case:
    metric = Histogram("h", "H.", ["tenant"], buckets=[1], registry=registry)
    handle = metric.labels("a")
    return Case(
        metric,
        lambda: handle.observe(0),
        [
            'h_bucket{tenant="a",le="1.0"} 1.0',
            'h_bucket{tenant="a",le="+Inf"} 1.0',
            'h_sum{tenant="a"} 0.0',
            'h_count{tenant="a"} 1.0',
        ],
    )


def summary(registry: Registry | None) -> Case:
    metric = Summary("s", "S.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.observe(0), ['s_sum{tenant="a"} 0.0', 's_count{tenant="a"} 1.0'])


def info(registry: Registry | None) -> Case:
    metric = Info("i", "I.", ["tenant"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.info(version="1"), ['i_info{tenant="a",version="1"} 1.0'])


def stateset(registry: Registry | None) -> Case:
    metric = StateSet("st", "S.", ["tenant"], states=["on", "off"], registry=registry)
    handle = metric.labels("a")
    return Case(metric, lambda: handle.state("on"), ['st{tenant="a",st="on"} 1.0', 'st{tenant="a",st="off"} 0.0'])


every_type = pytest.mark.parametrize("make", [counter, gauge, largest, latest, histogram, summary, info, stateset])
of_same_numbers = pytest.mark.parametrize("make", [gauge, largest, latest, info, stateset])


def lines_of(registry: Registry) -> list[str]:
    return [line for line in generate_metrics(registry).splitlines() if not line.startswith("#")]


class Sweeps:
    """Sweeps of a metric at chosen times."""

    def __init__(self, metric: SeriesExpirable) -> None:
        self.metric = metric
        self.now = 0.0

    def after(self, seconds: float) -> int:
        """The number of series that end in a sweep so much later."""
        self.now += seconds
        return self.metric.expire_series(EXPIRY, self.now)


def rows_of(metric: Metric) -> list[Row]:
    """The rows of a metric without its start times, which differ from run to run."""
    return [row._replace(created=None) for row in metric.rows()]
