"""Collectors of another library, and collectors that a scrape cannot read, are refused when they are registered."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import prometheus_client
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector as TheirCollector

from pytheus import Counter, CustomCollector, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.collectors import GCCollector, PlatformCollector, ProcessCollector
from pytheus.compose import labelled, prefixed, union
from pytheus.exceptions import CollectorError, NotACollectorError
from pytheus.registry import Collector, CollectorRegistry, CollectorRegistryProxy
from pytheus.samples import Family
from pytheus.shards import MemoryShardStore, ShardedRegistry

# Theirs in ours -------------------------------------------------------------------------------------------------------


class Derived(TheirCollector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("depth", "Depth.", value=1)


class Duck:
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("depth", "Depth.", value=1)


THEIRS: list[Callable[[], object]] = [
    lambda: prometheus_client.Counter("hits", "Hits.", registry=None),
    lambda: prometheus_client.Histogram("wait", "Wait.", ["queue"], registry=None),
    lambda: prometheus_client.Histogram("wait", "Wait.", ["queue"], registry=None).labels("mail"),
    lambda: prometheus_client.Enum("door", "Door.", states=["open"], registry=None),
    prometheus_client.CollectorRegistry,
    lambda: prometheus_client.ProcessCollector(registry=None),
    lambda: prometheus_client.PlatformCollector(registry=None),
    Derived,
]


@pytest.mark.parametrize("make", THEIRS)
@pytest.mark.parametrize(
    "registry",
    [
        CollectorRegistry(),
        CollectorRegistryProxy(CollectorRegistry()),
        labelled(CollectorRegistry(), zone="a"),
        ShardedRegistry(MemoryShardStore()),
    ],
    ids=lambda registry: type(registry).__name__,
)
def test_a_collector_of_theirs_is_refused_at_once(registry: CollectorRegistry, make: Callable[[], Collector]) -> None:
    with pytest.raises(NotACollectorError, match=r"is of prometheus_client.*PeerCollector"):
        registry.register(make())
    assert list(registry.collect()) == []


def test_a_family_of_theirs_is_told_in_a_scrape() -> None:
    registry = CollectorRegistry()
    registry.register(Duck())  # type: ignore[arg-type]  # the mistake
    with pytest.raises(CollectorError) as caught:
        generate_metrics(registry, strict=True)
    assert "yielded Metric" not in str(caught.value.__cause__)
    assert "of prometheus_client; it should yield metrics or" in str(caught.value.__cause__)


# Ours in theirs -------------------------------------------------------------------------------------------------------


class Queue(CustomCollector):
    def collect(self) -> Iterator[Family]:
        yield Family("depth", "gauge", "Depth.")


OURS: list[Callable[[], object]] = [
    lambda: Counter("hits_total", "Hits.", registry=None),
    lambda: Gauge("depth", "Depth.", ["queue"], registry=None),
    lambda: Gauge("depth", "Depth.", ["queue"], registry=None).labels("mail"),
    lambda: Histogram("wait", "Wait.", registry=None),
    lambda: Summary("wait", "Wait.", registry=None),
    lambda: Info("build", "Build.", registry=None),
    lambda: StateSet("door", "Door.", states=["open"], registry=None),
    Queue,
    ProcessCollector,
    PlatformCollector,
    GCCollector,
    CollectorRegistry,
    CollectorRegistryProxy,
    lambda: prefixed(CollectorRegistry(), "shop"),
    lambda: union(CollectorRegistry(), CollectorRegistry()),
    lambda: ShardedRegistry(MemoryShardStore()),
]


@pytest.mark.parametrize("auto_describe", [False, True])
@pytest.mark.parametrize("make", OURS)
def test_a_collector_of_ours_is_refused_by_theirs(make: Callable[[], TheirCollector], auto_describe: bool) -> None:
    theirs = prometheus_client.CollectorRegistry(auto_describe=auto_describe)
    with pytest.raises(NotACollectorError, match=r"is of pytheus.*register it in a pytheus registry.*PytheusCollector"):
        theirs.register(make())
    assert prometheus_client.generate_latest(theirs) == b""


# Asynchronous ---------------------------------------------------------------------------------------------------------


class Coroutine:
    async def collect(self) -> list[Family]:
        return []


class Generator:
    async def collect(self) -> AsyncIterator[Family]:
        yield Family("depth", "gauge", "Depth.")


class Partial:
    def __init__(self) -> None:
        self.collect = functools.partial(functools.partial(Coroutine().collect))


class Called:
    class Call:
        async def __call__(self) -> list[Family]:
            return []

    collect = Call()


class Static:
    @staticmethod
    async def collect() -> list[Family]:
        return []


class Bound:
    @classmethod
    async def collect(cls) -> list[Family]:
        return []


@pytest.mark.parametrize("kind", [Coroutine, Generator, Partial, Called, Static, Bound])
def test_an_async_collect_is_refused_at_once(kind: Callable[[], Collector]) -> None:
    registry = CollectorRegistry()
    with pytest.raises(NotACollectorError, match=rf"collect\(\) of '{kind.__name__}' is async"):
        registry.register(kind())
    assert list(registry) == []


class Hidden:
    def collect(self) -> object:
        return Coroutine().collect()


class HiddenGenerator:
    def collect(self) -> object:
        return Generator().collect()


class Nothing:
    def collect(self) -> object:
        return None


@pytest.mark.parametrize(
    ("collector", "message"),
    [
        (Hidden(), "collect() of 'Hidden' is async, and a scrape does not await it"),
        (HiddenGenerator(), "collect() of 'HiddenGenerator' is async"),
        (Nothing(), "collect() of 'Nothing' returned NoneType None; it should return an iterable"),
    ],
)
def test_a_result_that_is_not_iterable_is_told_in_a_scrape(collector: Collector, message: str) -> None:
    registry = CollectorRegistry()
    registry.register(collector)
    with pytest.raises(CollectorError) as caught:
        generate_metrics(registry, strict=True)
    assert message in str(caught.value.__cause__)


def test_a_plain_callable_object_is_accepted() -> None:
    class Plain:
        collect: Callable[[], list[Family]] = staticmethod(functools.partial(list[Family]))

    registry = CollectorRegistry()
    registry.register(cast(Collector, Plain()))
    assert generate_metrics(registry, strict=True) == ""
