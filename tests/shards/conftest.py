"""Shards made by hand, and what a merge of them shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from pytheus import Counter, Gauge, Histogram, Info, StateSet, Summary, generate_metrics
from pytheus.definitions import Definition
from pytheus.registry import Registry
from pytheus.shards import (
    Archive,
    Layout,
    MemoryBackend,
    MemoryShardStore,
    Merger,
    ShardedRegistry,
    ShardIdentity,
    Snapshot,
    series_size,
)

Numbers = Mapping[tuple[str, ...], Sequence[float]]


class Shards:
    """Makes shards of processes that began one after the other."""

    def __init__(self) -> None:
        self._made = 0

    def identity(self, pid: int | None = None, host: str = "web-1") -> ShardIdentity:
        self._made += 1
        return ShardIdentity(host, self._made if pid is None else pid, self._made, f"{self._made:016x}")

    def __call__(
        self,
        *metrics: tuple[Definition, Numbers],
        live: bool = True,
        base: Sequence[float] | None = None,
        identity: ShardIdentity | None = None,
    ) -> Snapshot:
        layout = Layout()
        numbers: list[float] = []
        for definition, series in metrics:
            number = layout.add_definition(definition)
            for labels, values in series.items():
                assert len(values) == series_size(definition)
                layout.add_series(number, labels, len(numbers))
                numbers += values
        return Snapshot(self.identity() if identity is None else identity, live, layout, numbers, base)


@pytest.fixture
def shards() -> Shards:
    return Shards()


def lines_of(registry: Registry) -> list[str]:
    """The sample lines of an exposition."""
    return _samples(generate_metrics(registry))


def merged(
    snapshots: Iterable[Snapshot], archive: Archive | None = None, *, hosts: bool = False, merger: Merger | None = None
) -> list[str]:
    """The sample lines of a merge, by `merger` or a new one."""
    families = (Merger(hosts=hosts) if merger is None else merger).merge(
        list(snapshots), Archive() if archive is None else archive
    )
    return _samples("".join(part for family in families for part in family.text_parts("")))


def _samples(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


Join = Callable[[], ShardedRegistry]


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture(params=["memory", "publishing"])
def join(request: pytest.FixtureRequest, backend: MemoryBackend) -> Join:
    """Call it for the registry of one more process."""

    def made() -> ShardedRegistry:
        return ShardedRegistry(MemoryShardStore(backend, publishing=request.param == "publishing"))

    return made


def shop(registry: Registry) -> None:
    """Every type of metric, with something in it."""
    Counter("orders_total", "Orders.", ["method"], registry=registry).labels("card").inc(2)
    Gauge("carts", "Carts.", registry=registry).set(3)
    Histogram("wait_seconds", "Wait.", buckets=(1, 2), registry=registry).observe(1.5)
    Summary("weight", "Weight.", registry=registry).observe(4)
    StateSet("door", "The door.", states=["open", "closed"], registry=registry).state("open")
    Info("build", "What runs.", registry=registry).info(version="1")
