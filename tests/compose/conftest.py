"""Layers of each kind, and what is registered below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary
from pytheus.compose import filtered, labelled, prefixed, union
from pytheus.registry import Collector, CollectorRegistry, NullRegistry, Registry
from pytheus.samples import Family, Sample

Wrap = Callable[[Registry], Registry]

WRAPS: dict[str, Wrap] = {
    "union": union,
    "union, prefixed": lambda registry: union(prefixed(registry, "app")),
    "filtered": lambda registry: filtered(registry, predicate=lambda family: True),
    "prefixed": lambda registry: prefixed(registry, "app"),
    "labelled": lambda registry: labelled(registry, region="eu"),
    "nested": lambda registry: union(labelled(prefixed(filtered(registry), "app"), region="eu"), NullRegistry()),
}


class Queue:
    """A custom collector of two families, one of them inside a collector, and one with the given labels."""

    def __init__(self, **labels: str) -> None:
        self.labels = labels

    def collect(self) -> Iterable[Family | Collector]:
        yield Family("queue_depth", "gauge", "Depth.", [Sample("", self.labels, 7.0)])
        yield Gauge("queue_age_seconds", "Age.", registry=None)


def fill(registry: Registry) -> None:
    """One metric of each type, with values that need escaping."""
    Counter("hits_total", "Hits.\nAll of \\them.", ["path"], registry=registry).labels('a"b\nc\\').inc()
    Gauge("depth", "Depth.", registry=registry).set(-1.5)
    Histogram("wait_seconds", "Wait.", ["queue"], buckets=(0.1, 1.0), registry=registry).labels("mail").observe(0.5)
    Summary("size_bytes", "Size.", registry=registry).observe(3)
    Info("build", "Build.", registry=registry).info(version="1")
    StateSet("door", "Door.", states=["open", "shut"], registry=registry).state("open")


@pytest.fixture
def below() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def layer(below: CollectorRegistry, wrap: Wrap) -> Registry:
    return wrap(below)


@pytest.fixture(params=list(WRAPS.values()), ids=list(WRAPS))
def wrap(request: pytest.FixtureRequest) -> Wrap:
    made: Wrap = request.param
    return made
